"""The official client asks our chat function, which asks each provider's recordings: text, tools, reasoning, cost."""

import json
from collections.abc import AsyncIterator
from decimal import ROUND_CEILING, Decimal
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletion

from aig.catalog.model import builtin
from aig.money.pricing import Rates, price_of
from aig.money.units import usd
from aig.wiring import Container
from aig_providers.wire import CLIENT
from local.template import Stack
from tests import apps
from tests.builders import an_account
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.natives import Said
from tests.conformance.recordings import ABSENT, FOLDER, Exchange
from tests.conformance.test_wires import STREAMS, WHOLE, WIRES

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

MODELS = {
    "anthropic": "anthropic/claude-haiku-4.5",
    "google": "google/gemini-2.5-flash",
    "cohere": "cohere/command-a",
}
TOOLS: Any = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
# Long enough for what was read when it was recorded: a hold covers no more than was sent.
PROMPT: Any = [{"role": "user", "content": "a question " * 600}]


def _choose(exchanges: list[tuple[str, Exchange]], most: int) -> list[tuple[str, Exchange]]:
    """Some of each wire, those with tools and thoughts among them."""
    chosen: list[tuple[str, Exchange]] = []
    for name in MODELS:
        own = [(n, exchange) for n, exchange in exchanges if n == name and "max" not in exchange.name]
        own.sort(key=lambda pair: not any(word in pair[1].name for word in ("tool", "think", "reasoning")))
        chosen += own[:most]
    return chosen


def recorded(exchanges: list[tuple[str, Exchange]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "exchange"), exchanges, ids=[exchange.name for _, exchange in exchanges])


@pytest.fixture
async def client(deployed: Stack, container: Container, provider: Loopback) -> AsyncIterator[openai.AsyncOpenAI]:
    root = provider.base_url.removesuffix("/v1")
    variables = {f"AIG_{name.upper()}_BASE_URL": root for name in ("anthropic", "google", "cohere")}
    keys = dict.fromkeys(("ANTHROPIC_API_KEY", "GEMINI_API_KEY", "COHERE_API_KEY"), "a-provider-key")
    module = apps.start(deployed.functions["ChatFunction"], **variables, **keys)
    account = await an_account(container)
    async with apps.serving(module.app) as port:
        made = openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=account.key, max_retries=0)
        yield made
        await made.close()
    await module.container.close()
    await CLIENT.close()


def _cost(slug: str, counts: dict[str, int]) -> str:
    """By hand, from our own answer's usage: details that are told apart at their price, the rest at the plain one."""
    rates: Rates = builtin().models[slug].offers[0].prices.rates
    priced: dict[Any, int] = {**counts}
    pico = sum((count * Decimal(int(price_of(unit, rates))) for unit, count in priced.items()), Decimal(0))
    return usd(int((pico * Decimal("1.05") / 1000).to_integral_value(ROUND_CEILING)))


def _said(completion: ChatCompletion) -> Said:
    (choice,) = completion.choices
    message = choice.message
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]  # type: ignore[union-attr]
    return Said(
        message.content or "",
        getattr(message, "reasoning_content", None) or "",
        calls=calls,
        finish=choice.finish_reason,
    )


def _same(ours: Said, theirs: Said) -> None:
    assert (ours.text, ours.thoughts, ours.calls, ours.finish) == (
        theirs.text, theirs.thoughts, theirs.calls, theirs.finish
    )  # fmt: skip


@recorded(_choose(WHOLE, 5))
async def test_a_whole_answer(name: str, exchange: Exchange, provider: Loopback, client: openai.AsyncOpenAI) -> None:
    provider.answer = Answer([exchange.body])
    raw = await client.chat.completions.with_raw_response.create(
        model=MODELS[name], messages=PROMPT, tools=TOOLS, max_tokens=8000
    )
    completion = raw.parse()
    theirs = WIRES[name].whole(exchange.json)
    _same(_said(completion), theirs)
    usage = completion.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (theirs.prompt, theirs.completion)
    assert usage.prompt_tokens_details is not None
    written = int(usage.model_dump()["prompt_tokens_details"].get("cache_write_tokens") or 0)
    cached = usage.prompt_tokens_details.cached_tokens or 0
    counts = {
        "input_tokens": usage.prompt_tokens - cached - written,
        "cached_input_tokens": cached,
        "cache_write_tokens": written,
        "output_tokens": usage.completion_tokens,
    }
    assert raw.headers["x-aig-cost"] == _cost(MODELS[name], counts)
    assert (completion.model, raw.headers["x-aig-provider"]) == (MODELS[name], name)


@recorded(_choose(STREAMS, 5))
async def test_a_stream_put_together_by_the_client(
    name: str, exchange: Exchange, provider: Loopback, client: openai.AsyncOpenAI
) -> None:
    provider.answer = Answer([exchange.body[:200], exchange.body[200:]])
    async with client.chat.completions.stream(
        model=MODELS[name], messages=PROMPT, tools=TOOLS, max_tokens=8000, stream_options={"include_usage": True}
    ) as stream:
        completion = await stream.get_final_completion()
    theirs = WIRES[name].streamed(exchange.events)
    ours = _said(completion)
    _same(ours, theirs)
    assert completion.usage is not None
    assert completion.usage.completion_tokens == theirs.completion
    assert Decimal((completion.usage.model_extra or {})["cost"]) > 0


async def test_a_model_whose_key_is_missing_says_which(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        await client.chat.completions.create(model="xai/grok-4.3", messages=PROMPT)
    assert raised.value.status_code == 502
    assert raised.value.code == "provider_not_configured"
    assert "XAI_API_KEY" in raised.value.message
