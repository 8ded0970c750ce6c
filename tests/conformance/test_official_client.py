"""OpenAI's own clients ask our chat function, which asks each provider's recordings: every one of them.

What the client gets, whole or put together from our stream, is what the recording says when it is read without our
adapters. A stream's answer is also sent as one body, and the client must get the same message of it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from functools import partial
from typing import Any

import openai
import pytest
from botocore.eventstream import EventStreamBuffer
from openai.types.chat import ChatCompletion

from aig.catalog.model import builtin
from aig.money.pricing import Rates, price_of
from aig.money.units import usd
from aig.wiring import Container
from aig_providers.wire import CLIENT
from local.template import Stack
from tests import apps
from tests.builders import Account, an_account
from tests.conformance import natives, test_bedrock, test_recordings, test_wires
from tests.conformance.loopback import Answer, Loopback, Received
from tests.conformance.natives import Said, Whole
from tests.conformance.recordings import ABSENT, FOLDER, Exchange
from tests.downloads import program
from tests.node import node_project
from tests.unit.clock import NOON, FixedClock

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
# Long enough for what was read when it was recorded: a hold covers no more than was sent.
QUESTION = "a question " * 4000

Events = list[Mapping[str, Any]]


@dataclass(frozen=True)
class Source:
    """A provider as it is asked for a recording, how its answers are read, and how a stream's events make one body."""

    model: str
    provider: str
    read: Whole
    joined: Callable[[Events], dict[str, Any]]


_compatible = partial(Source, read=natives.compatible_message, joined=natives.compatible_whole)
SOURCES = {
    "openai": _compatible("openai/gpt-4.1", "openai"),
    "cerebras": _compatible("openai/gpt-oss-120b", "cerebras"),
    "deepseek": _compatible("deepseek/deepseek-v4-pro", "deepseek"),
    "groq": _compatible("openai/gpt-oss-120b", "groq"),
    "mistral": _compatible("mistral/mistral-small-4", "mistral"),
    "moonshotai": _compatible("moonshot/kimi-k2.6", "moonshot"),
    "xai": _compatible("xai/grok-4.3", "xai"),
    # Vendors that the catalog has no row of, as a gateway in front of them passes their answers on.
    "others": _compatible("xai/grok-4.3", "openrouter"),
    "anthropic": Source(
        "anthropic/claude-haiku-4.5", "anthropic", natives.anthropic_message, natives.anthropic_whole
    ),
    "google": Source(
        "google/gemini-2.5-flash", "google", lambda body: natives.google_answer([body]), natives.google_whole
    ),
    "cohere": Source("cohere/command-a", "cohere", natives.cohere_message, natives.cohere_whole),
    "responses": Source("openai/gpt-5.4-mini", "openai", natives.responses_message, natives.responses_whole),
    "bedrock": Source("amazon/nova-2-lite", "bedrock", natives.bedrock_message, natives.bedrock_whole),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A recording, and the source that it is one of."""

    exchange: Exchange
    source: Source

    @property
    def name(self) -> str:
        return self.exchange.name

    @property
    def events(self) -> Events:
        if self.source is not SOURCES["bedrock"] or self.exchange.request is None:
            return self.exchange.events
        frames: Any = EventStreamBuffer()
        frames.add_data(self.exchange.body)
        return [{frame.headers[":event-type"]: json.loads(frame.payload)} for frame in frames]

    @property
    def answer(self) -> Answer:
        body = self.exchange.body
        if self.source is SOURCES["bedrock"] and self.exchange.streamed:
            framed = body if self.exchange.request else b"".join(test_bedrock.framed(self.exchange.events))
            return Answer([framed[:200], framed[200:]], headers=test_bedrock.BINARY_HEADERS)
        return Answer([body[:200], body[200:]])


def _of_compatible(exchange: Exchange) -> Case:
    """By the vendor in the recording's path, or the vendor that its row of the matrix is of."""
    words = exchange.name.replace("_", "/").replace("-", "/").replace("]", "/").split("/")
    named = [name for name, source in SOURCES.items() if name in words and source.joined is natives.compatible_whole]
    others = "openai/compatible" in "/".join(words) or "azure" in words
    vendor = "others" if others or not named else named[0]
    return Case(exchange, SOURCES["openai" if exchange.name.startswith("llm/test_tools/") else vendor])


def _cases() -> Iterable[Case]:
    yield from map(_of_compatible, test_recordings.GOOD)
    for name, exchange in test_wires.WHOLE + test_wires.STREAMS:
        yield Case(exchange, SOURCES["responses" if name == "openai" else name])
    for exchange in (*test_bedrock.WHOLE, *test_bedrock.BINARY, *test_bedrock.EVENTS):
        yield Case(exchange, SOURCES["bedrock"])


CASES = list(_cases()) if FOLDER.is_dir() else []
WHOLE = [case for case in CASES if not case.exchange.streamed]
STREAMS = [case for case in CASES if case.exchange.streamed]
# Of arguments that come in pieces there is no form but the stream.
IN_PIECES = {case.name for case in STREAMS if b"partialArgs" in case.exchange.body}


# One gateway serves all recordings of a source: to start one takes longer than to ask it.
each_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)


@dataclass(frozen=True)
class Served:
    base_url: str
    account: Account
    client: openai.AsyncOpenAI


@pytest.fixture
async def served(
    deployed: Stack, container: Container, provider: Loopback, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    root = provider.base_url.removesuffix("/v1")
    providers = builtin().providers
    names = {source.provider for source in SOURCES.values()}
    variables = {providers[name].base_url_variable: root for name in names}
    keys = {key: "a-provider-key" for name in names if (key := providers[name].key_name)}
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    module = apps.start(deployed.functions["ChatFunction"], **variables, **keys)
    apps.replace_ports(module, clock=FixedClock(NOON))
    account = await an_account(container)
    async with apps.serving(module.app) as port:
        base_url = f"http://127.0.0.1:{port}/v1"
        made = openai.AsyncOpenAI(base_url=base_url, api_key=account.key, max_retries=0)
        yield Served(base_url, account, made)
        await made.close()
    await module.container.close()
    await CLIENT.close()


def asked(source: Source, question: str = QUESTION) -> dict[str, Any]:
    return {
        "model": source.model,
        "messages": [{"role": "user", "content": question}],
        "tools": TOOLS,
        "max_tokens": 8000,
        "extra_body": {"provider": {"only": [source.provider]}},
    }


def _cost(source: Source, completion: ChatCompletion) -> str:
    """By hand, from our own answer's usage: details that are told apart at their price, the rest at the plain one."""
    usage = completion.usage
    assert usage is not None
    details: dict[str, int] = {
        name: count or 0
        for table in (usage.prompt_tokens_details, usage.completion_tokens_details)
        for name, count in (table.model_dump() if table else {}).items()
    }
    counts: dict[Any, int] = {
        "input_tokens": usage.prompt_tokens - details["cached_tokens"] - details["cache_write_tokens"],
        "cached_input_tokens": details["cached_tokens"],
        "cache_write_tokens": details["cache_write_tokens"],
        "output_tokens": usage.completion_tokens,
    }
    offers = builtin().models[source.model].offers
    rates: Rates = next(offer.prices.rates for offer in offers if offer.provider.name == source.provider)
    pico = sum((count * Decimal(int(price_of(unit, rates))) for unit, count in counts.items()), Decimal(0))
    return usd(int((pico * Decimal("1.05") / 1000).to_integral_value(ROUND_CEILING)))


def seen(message: Mapping[str, Any], finish: str | None) -> tuple[Any, ...]:
    """What a user looks at."""
    calls = []
    for call in message.get("tool_calls") or ():
        assert call["id"]
        told = call[call["type"]]
        calls.append((told["name"], told["input"] if call["type"] == "custom" else json.loads(told["arguments"])))
    return message.get("content") or "", message.get("reasoning_content") or "", calls, finish


def of_client(completion: ChatCompletion) -> tuple[Any, ...]:
    (choice,) = completion.model_dump(warnings=False)["choices"]
    return seen(choice["message"], choice["finish_reason"])


def of_recording(said: Said) -> tuple[Any, ...]:
    return said.text, said.thoughts, said.calls, said.finish


def test_every_recording_that_is_an_answer_is_there() -> None:
    used = [*test_recordings.GOOD, *test_bedrock.WHOLE, *test_bedrock.BINARY, *test_bedrock.EVENTS]
    used += [exchange for _, exchange in test_wires.WHOLE + test_wires.STREAMS]
    assert sorted(case.name for case in CASES) == sorted(exchange.name for exchange in used)
    assert {case.source.provider for case in CASES} == {source.provider for source in SOURCES.values()}


@each_source
async def test_a_whole_answer(source: Source, provider: Loopback, served: Served) -> None:
    for case in [case for case in WHOLE if case.source is source]:
        provider.answer = case.answer
        raw = await served.client.chat.completions.with_raw_response.create(**asked(source))
        completion, theirs = raw.parse(), source.read(case.exchange.json)
        assert of_client(completion) == of_recording(theirs), case.name
        _counted(completion, theirs, case)
        assert raw.headers["x-aig-cost"] == _cost(source, completion), case.name
        assert (completion.model, raw.headers["x-aig-provider"]) == (source.model, source.provider)


@each_source
async def test_a_stream_put_together_by_the_client(source: Source, provider: Loopback, served: Served) -> None:
    create = served.client.chat.completions
    for case in [case for case in STREAMS if case.source is source]:
        provider.answer = case.answer
        completion = await put_together(create.stream(**asked(source), stream_options={"include_usage": True}))
        theirs = said_in(case)
        assert of_client(completion) == of_recording(theirs), case.name
        _counted(completion, theirs, case)
        assert completion.usage is not None
        assert (completion.usage.model_extra or {})["cost"] == _cost(source, completion), case.name
        if case.name not in IN_PIECES:
            provider.answer = Answer([json.dumps(source.joined(case.events)).encode()])
            assert of_client(completion) == of_client(await create.create(**asked(source))), case.name


def said_in(case: Case) -> Said:
    """What a recorded stream says."""
    events = case.events
    return natives.google_answer(events) if case.name in IN_PIECES else case.source.read(case.source.joined(events))


def _counted(completion: ChatCompletion, theirs: Said, case: Case) -> None:
    assert completion.usage is not None
    ours = completion.usage.prompt_tokens, completion.usage.completion_tokens
    if theirs.completion is not None:
        assert ours == (theirs.prompt, theirs.completion), case.name


async def put_together(manager: Any) -> ChatCompletion:
    """What the helper has at the end; of a filtered answer, which it does not hand out, what it had before."""
    async with manager as stream:
        try:
            completion: ChatCompletion = await stream.get_final_completion()
        except (openai.ContentFilterFinishReasonError, AttributeError) as error:
            completion = stream.current_completion_snapshot
            (choice,) = completion.choices
            custom = any(call.type == "custom" for call in choice.message.tool_calls or ())
            if isinstance(error, AttributeError) and not custom:  # it looks for a name in a dict, in custom tools only
                raise
    return completion


async def test_node_puts_the_same_together(provider: Loopback, served: Served) -> None:
    """All streams: each in answer to the prompt that has its number."""

    def replayed(received: Received) -> Answer:
        told = json.dumps(received.body)
        return next(case.answer for at, case in enumerate(STREAMS) if f"recording {at}." in told)

    provider.choose = replayed
    requests = []
    for at, case in enumerate(STREAMS):
        body = asked(case.source, f"recording {at}. {QUESTION}")
        requests.append({**body.pop("extra_body"), **body})
    process = await asyncio.create_subprocess_exec(
        program("node"), "matrix.mjs", cwd=node_project(),
        env={"BASE_URL": served.base_url, "API_KEY": served.account.key, "NO_PROXY": "127.0.0.1"},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate(json.dumps(requests).encode())
    assert process.returncode == 0, errors.decode()
    answers = [json.loads(line) for line in output.splitlines()]
    for case, answer in zip(STREAMS, answers, strict=True):
        message = {**answer["message"], "reasoning_content": answer["reasoning"]}
        assert seen(message, answer["finish"]) == of_recording(said_in(case)), case.name


async def test_a_model_whose_key_is_missing_says_which(served: Served) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await served.client.chat.completions.create(
            model="alibaba/qwq-32b", messages=[{"role": "user", "content": "hi"}]
        )
    assert raised.value.status_code == 502
    assert raised.value.code == "provider_not_configured"
    assert "CLOUDFLARE_API_TOKEN" in raised.value.message
