"""What users of the official clients get of every provider: text, tools, pictures, schemas, reasoning, and the cost.

Each provider's wire is answered from fixtures of our own in both of its forms. The whole answer, the stream as the
client for Python puts it together, and the stream as the client for Node does, are the same; what was sent is in the
provider's form; and the cost is the one calculated by hand, to the last digit.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from aig.money.units import usd
from aig.wiring import Container
from aig_providers.wire import CLIENT
from local.template import Stack
from tests import apps
from tests.builders import Account, an_account
from tests.conformance import turns
from tests.conformance.loopback import Answer, Loopback, Received, loopback
from tests.conformance.test_golden_costs import Call, expected_nano
from tests.conformance.test_requests import IMAGE, PNG
from tests.conformance.turns import Turn
from tests.downloads import program
from tests.node import node_project
from tests.unit.clock import NOON, FixedClock

COUNTS = Call("matrix", fresh=100, cached=20, said=20, thought=10)
PLAIN = Call("matrix", fresh=100, said=20)  # of who tells neither


class City(BaseModel):
    city: str
    people: int


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
TURNS = {
    "text": Turn("Paris is the capital \u2014 \U0001f5fc."),
    "tools": Turn(calls=(("weather", {"city": "Paris"}), ("weather", {"city": "Rome"}))),
    "text and a tool": Turn("I shall look.", calls=(("weather", {"city": "Paris"}),)),
    "picture": Turn("A dot."),
    "schema": Turn(City(city="Paris", people=2_100_000).model_dump_json()),
    "reasoning": Turn("Paris.", thoughts="France, and so Paris."),
    "reasoning and a tool": Turn(thoughts="I need to look.", calls=(("weather", {"city": "Paris"}),)),
}
FIELDS: Mapping[str, dict[str, Any]] = {
    "tools": {"tools": [WEATHER]},
    "text and a tool": {"tools": [WEATHER], "tool_choice": "required"},
    "reasoning": {"reasoning_effort": "low"},
    "reasoning and a tool": {"reasoning_effort": "low", "tools": [WEATHER]},
}
Encode = Callable[..., bytes]
Sent = Callable[[Any], Any]


@dataclass(frozen=True)
class Provider:
    """A model of it, how it answers, its part of a path, and where a request holds each thing."""

    model: str
    encode: Encode
    path: str
    picture: Sent
    tools: Sent
    schema: Sent
    effort: tuple[Sent, Any]
    counts: Call = COUNTS
    without: frozenset[str] = frozenset()


def last(body: Any, name: str = "messages") -> Any:
    return body[name][-1]["content"]


REASONING = frozenset({"reasoning", "reasoning and a tool"})
PROVIDERS = {
    "OpenAI, chat completions": Provider(
        "openai/gpt-4.1-mini", turns.chat_completions, "/chat/completions",
        lambda body: last(body)[1]["image_url"]["url"], lambda body: body["tools"][0]["function"]["name"],
        lambda body: body["response_format"]["json_schema"]["schema"]["properties"].keys(), (lambda _: None, None),
        without=REASONING,
    ),
    "OpenAI, responses": Provider(
        "openai/gpt-5.4-mini", turns.responses, "/responses",
        lambda body: last(body, "input")[1]["image_url"], lambda body: body["tools"][0]["name"],
        lambda body: body["text"]["format"]["schema"]["properties"].keys(),
        (lambda body: body["reasoning"]["effort"], "low"),
    ),
    "DeepSeek": Provider(
        "deepseek/deepseek-v4-pro", turns.chat_completions, "/chat/completions",
        lambda _: None, lambda body: body["tools"][0]["function"]["name"],
        lambda body: body["response_format"]["json_schema"]["schema"]["properties"].keys(),
        (lambda body: body["reasoning_effort"], "low"), without=frozenset({"picture"}),
    ),
    "Moonshot": Provider(
        "moonshot/kimi-k2.6", turns.chat_completions, "/chat/completions",
        lambda body: last(body)[1]["image_url"]["url"], lambda body: body["tools"][0]["function"]["name"],
        lambda body: body["response_format"]["json_schema"]["schema"]["properties"].keys(),
        (lambda body: body["reasoning_effort"], "low"),
    ),
    "Anthropic": Provider(
        "anthropic/claude-haiku-4.5", turns.anthropic, "/v1/messages",
        lambda body: "data:image/png;base64," + last(body)[1]["source"]["data"], lambda body: body["tools"][0]["name"],
        lambda body: body["output_config"]["format"]["schema"]["properties"].keys(),
        (lambda body: body["thinking"]["budget_tokens"], 2048),
    ),
    "Google": Provider(
        "google/gemini-2.5-flash", turns.google, "enerateContent",
        lambda body: "data:image/png;base64," + body["contents"][-1]["parts"][1]["inlineData"]["data"],
        lambda body: body["tools"][0]["functionDeclarations"][0]["name"],
        lambda body: body["generationConfig"]["responseJsonSchema"]["properties"].keys(),
        (lambda body: body["generationConfig"]["thinkingConfig"]["thinkingBudget"], 2048),
    ),
    "Cohere": Provider(
        "cohere/command-a-reasoning", turns.cohere, "/v2/chat",
        lambda _: None, lambda body: body["tools"][0]["function"]["name"],
        lambda body: body["response_format"]["json_schema"]["properties"].keys(),
        (lambda body: body["thinking"]["token_budget"], 2048), PLAIN, frozenset({"picture"}),
    ),
}  # fmt: skip
CELLS = [(name, what) for name, provider in PROVIDERS.items() for what in TURNS if what not in provider.without]


def asked(name: str, what: str) -> Any:
    """The client's request, whose prompt is as long as the provider says that it has read: a hold covers no more."""
    text = f"[{name}: {what}] " + "What is the capital of France? " * 8
    content = [{"type": "text", "text": text}, IMAGE] if what == "picture" else text
    return {
        "model": PROVIDERS[name].model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 4000,
        **FIELDS.get(what, {}),
    }


def replayed(received: Received) -> Answer:
    """The answer that the prompt asks for, in the form that the request asks for."""
    told = json.dumps(received.body)
    name, what = next((n, w) for n, w in CELLS if f"[{n}: {w}]" in told)
    provider = PROVIDERS[name]
    assert provider.path in received.path
    streamed = bool(received.body.get("stream")) or ":stream" in received.path
    body = provider.encode(TURNS[what], provider.model, provider.counts, streamed=streamed)
    middle = len(body) // 3
    return Answer([body[:middle], body[middle:]])


@pytest.fixture
async def provider() -> AsyncIterator[Loopback]:
    async with loopback() as server:
        server.choose = replayed
        yield server


@dataclass(frozen=True)
class Served:
    base_url: str
    account: Account
    client: openai.AsyncOpenAI


@pytest.fixture
async def served(deployed: Stack, container: Container, provider: Loopback) -> AsyncIterator[Served]:
    vendors = ("anthropic", "cohere", "deepseek", "google", "moonshot", "openai")
    root = provider.base_url.removesuffix("/v1")
    variables = {f"AIG_{name.upper()}_BASE_URL": root for name in vendors}
    keys = {"GEMINI" if name == "google" else name.upper() for name in vendors}
    module = apps.start(
        deployed.functions["ChatFunction"], **variables, **{f"{name}_API_KEY": "a-provider-key" for name in keys}
    )
    apps.replace_ports(module, clock=FixedClock(NOON))
    account = await an_account(container)
    async with apps.serving(module.app) as port:
        base_url = f"http://127.0.0.1:{port}/v1"
        made = openai.AsyncOpenAI(base_url=base_url, api_key=account.key, max_retries=0)
        yield Served(base_url, account, made)
        await made.close()
    await module.container.close()
    await CLIENT.close()


def seen(message: Mapping[str, Any], finish: str) -> tuple[Any, ...]:
    """What of a message a user looks at."""
    calls = [
        (call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"] or ()
    ]
    return message.get("content") or "", message.get("reasoning_content") or "", calls, finish


def expected(what: str) -> tuple[Any, ...]:
    turn = TURNS[what]
    return turn.text, turn.thoughts, list(turn.calls), "tool_calls" if turn.calls else "stop"


def cost(name: str) -> str:
    provider = PROVIDERS[name]
    return usd(int(expected_nano(provider.model, provider.counts, Decimal(1))))


def check_sent(name: str, what: str, body: Any) -> None:
    provider = PROVIDERS[name]
    if what == "picture":
        assert provider.picture(body) == PNG
    if "tool" in what:
        assert provider.tools(body) == "weather"
    if what == "schema":
        assert set(provider.schema(body)) == {"city", "people"}
    if "reasoning" in what:
        read, value = provider.effort
        assert read(body) == value


@pytest.mark.parametrize(("name", "what"), CELLS, ids=[f"{name}-{what}" for name, what in CELLS])
async def test_a_cell(name: str, what: str, served: Served, provider: Loopback) -> None:
    create, body = served.client.chat.completions, asked(name, what)
    if what == "schema":
        parsed = await create.parse(**body, response_format=City)
        assert parsed.choices[0].message.parsed == City(city="Paris", people=2_100_000)
        whole: Any = parsed
    else:
        raw = await create.with_raw_response.create(**body)
        assert raw.headers["x-aig-cost"] == cost(name)
        whole = raw.parse()
    check_sent(name, what, provider.received[-1].body)
    told = whole.model_dump(warnings=False)
    assert seen({"tool_calls": None, **told["choices"][0]["message"]}, told["choices"][0]["finish_reason"]) == expected(
        what
    )
    extra: Any = {"response_format": City} if what == "schema" else {}
    async with create.stream(**body, **extra, stream_options={"include_usage": True}) as stream:
        final = (await stream.get_final_completion()).model_dump(warnings=False)
    check_sent(name, what, provider.received[-1].body)
    message = final["choices"][0]["message"]
    assert seen({"tool_calls": None, **message}, final["choices"][0]["finish_reason"]) == expected(what)
    assert final["usage"] == told["usage"]
    assert final["usage"]["cost"] == cost(name)
    assert final["model"] == told["model"] == PROVIDERS[name].model
    if "reasoning_details" in told["choices"][0]["message"] and name != "Google":  # whose thoughts have no ends
        assert message["reasoning_details"] == told["choices"][0]["message"]["reasoning_details"]
    await _goes_on(name, what, told["choices"][0]["message"], served, provider)


async def _goes_on(name: str, what: str, message: Mapping[str, Any], served: Served, provider: Loopback) -> None:
    """A message goes back as the client has it, with the results of its tools."""
    if not message.get("tool_calls"):
        return
    body = asked(name, what)
    body.pop("tool_choice", None)
    body["messages"] += [
        {key: value for key, value in message.items() if value is not None},
        *({"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"} for call in message["tool_calls"]),
    ]
    await served.client.chat.completions.create(**body)
    sent = json.dumps(provider.received[-1].body)
    assert sent.count("12 degrees") == len(message["tool_calls"])
    for secret in ("signed", "sealed", "c2lnbmVk"):
        assert (secret in sent) == (secret in json.dumps(message)), secret


async def test_node_puts_the_same_together(served: Served) -> None:
    requests = [asked(name, what) for name, what in CELLS if what != "schema"]
    process = await asyncio.create_subprocess_exec(
        program("node"), "matrix.mjs", cwd=node_project(),
        env={"BASE_URL": served.base_url, "API_KEY": served.account.key, "NO_PROXY": "127.0.0.1"},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate(json.dumps(requests).encode())
    assert process.returncode == 0, errors.decode()
    answers = [json.loads(line) for line in output.splitlines()]
    cells = [(name, what) for name, what in CELLS if what != "schema"]
    assert len(answers) == len(cells)
    for (name, what), answer in zip(cells, answers, strict=True):
        message = {"tool_calls": None, **answer["message"], "reasoning_content": answer["reasoning"]}
        assert seen(message, answer["finish"]) == expected(what), (name, what)
        assert answer["usage"]["cost"] == cost(name), (name, what)
