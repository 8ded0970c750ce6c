"""What a call costs, to the nano-dollar: usage as each provider writes it, against a calculation of its own.

A row is a model, a kind of call, whole or streamed, at our cache or not. The calculation knows the raw counts and the
prices as text, and nothing of our classes; `genai-prices`, where it knows the model and the same prices, is a third.
"""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from aig.catalog.model import builtin
from aig.clock import SystemClock
from aig.modalities import chat_body
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.money.pricing import charge
from aig_providers import anthropic, cohere, google, openai, openai_compatible
from aig_providers.wire import Client
from local.template import ROOT
from tests.conformance.loopback import Answer, Loopback

K = 1000


@dataclass(frozen=True)
class Call:
    """Counts of a call, as a person would tell them: `fresh` was read and not cached, `said` is visible output."""

    name: str
    fresh: int = K
    cached: int = 0
    written: int = 0
    written_1h: int = 0
    heard: int = 0  # audio in
    said: int = 200
    thought: int = 0
    spoken: int = 0  # audio out
    tier: str | None = None
    tool: bool = False


CALLS = [
    Call("fresh"),
    Call("cache read", cached=4 * K),
    Call("reasoning", thought=1_801),
    Call("reasoning and cache read", cached=640, thought=64),
    Call("tools", tool=True),
    Call("nothing said", said=0),
]
WRITES = [Call("cache write", written=2 * K), Call("cache write for an hour", written=100, written_1h=3 * K)]
LONG = [Call("long prompt", fresh=300 * K), Call("long prompt, mostly cached", fresh=10 * K, cached=290 * K)]
AUDIO = [Call("audio in", heard=500)]
SPOKEN = [Call("audio in and out", heard=500, spoken=120)]
TIERS = [Call("flex", tier="flex"), Call("priority", tier="priority")]
ROWS: dict[str, list[Call]] = {
    "openai/gpt-5.4": [*CALLS, *LONG, *TIERS],
    "openai/gpt-5.4-mini": [*CALLS, *TIERS],
    "openai/gpt-5.5": [*CALLS, *LONG],
    "openai/gpt-6-sol": [*CALLS, WRITES[0], *LONG, *TIERS],
    "openai/gpt-5": [*CALLS, *LONG],
    "openai/gpt-4.1": CALLS[:2],
    "openai/gpt-audio": [CALLS[0], *SPOKEN],
    "moonshot/kimi-k2.6": CALLS,
    "deepseek/deepseek-v4-pro": CALLS,
    "xai/grok-4.3": [*CALLS, *LONG],
    "mistral/mistral-large-3": [CALLS[0], CALLS[1], CALLS[4]],
    "openai/gpt-oss-120b": CALLS,
    "anthropic/claude-opus-4.7": [*CALLS, *WRITES],
    "anthropic/claude-sonnet-4.6": [*CALLS, *WRITES],
    "anthropic/claude-haiku-4.5": [*CALLS, *WRITES],
    "google/gemini-3.1-pro": [*CALLS, *LONG],
    "google/gemini-2.5-flash": [*CALLS, *AUDIO],
    "google/gemini-3.1-flash-lite": CALLS,
    "cohere/command-a": [CALLS[0], CALLS[4]],
}
TABLE = [(slug, call, streamed) for slug, calls in ROWS.items() for call in calls for streamed in (False, True)]


def _openai(slug: str, call: Call) -> dict[str, Any]:
    prompt, said = call.fresh + call.cached + call.heard, call.said + call.spoken
    prompt += call.written
    details = {"cached_tokens": call.cached, "cache_write_tokens": call.written, "audio_tokens": call.heard}
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": said + (0 if slug.startswith("xai/") else call.thought),
        "total_tokens": prompt + said + call.thought,
        "completion_tokens_details": {"reasoning_tokens": call.thought, "audio_tokens": call.spoken},
    }
    names = {"moonshot": "cached_tokens", "deepseek": "prompt_cache_hit_tokens", "mistral": "num_cached_tokens"}
    vendor = slug.partition("/")[0]
    return {**usage, names[vendor]: call.cached} if vendor in names else {**usage, "prompt_tokens_details": details}


def _responses(slug: str, call: Call) -> dict[str, Any]:
    told = _openai(slug, call)
    names = {
        "input_tokens": "prompt_tokens", "input_tokens_details": "prompt_tokens_details",
        "output_tokens": "completion_tokens", "output_tokens_details": "completion_tokens_details",
    }  # fmt: skip
    return {**{name: told[other] for name, other in names.items()}, "total_tokens": told["total_tokens"]}


def _anthropic(_: str, call: Call) -> dict[str, Any]:
    return {
        "input_tokens": call.fresh,
        "cache_read_input_tokens": call.cached,
        "cache_creation_input_tokens": call.written + call.written_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": call.written,
            "ephemeral_1h_input_tokens": call.written_1h,
        },
        "output_tokens": call.said + call.thought,
        "output_tokens_details": {"thinking_tokens": call.thought},
    }


def _google(_: str, call: Call) -> dict[str, Any]:
    prompt = call.fresh + call.cached + call.heard
    counts = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": call.cached,
        "candidatesTokenCount": call.said,
        "thoughtsTokenCount": call.thought,
        "totalTokenCount": prompt + call.said + call.thought,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": call.fresh + call.cached},
            {"modality": "AUDIO", "tokenCount": call.heard},
        ],
    }
    return {name: count for name, count in counts.items() if count}  # zeros are left out there


def _cohere(_: str, call: Call) -> dict[str, Any]:
    billed = {"input_tokens": float(call.fresh), "output_tokens": float(call.said)}
    return {"billed_units": billed, "tokens": {"input_tokens": call.fresh + 495, "output_tokens": call.said + 3}}


def _sse(*events: Any) -> bytes:
    return b"".join(
        b"data: %b\n\n" % (event if isinstance(event, bytes) else json.dumps(event).encode()) for event in events
    )


def _openai_answer(call: Call, usage: Any, *, streamed: bool) -> bytes:
    tool = [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    said = {"role": "assistant", **({"tool_calls": tool} if call.tool else {"content": "x" if call.said else ""})}
    tier = {"service_tier": call.tier} if call.tier else {}
    if not streamed:
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        return json.dumps({"id": "c", "choices": [choice], "usage": usage, **tier}).encode()
    piece = {"id": "c", "choices": [{"index": 0, "delta": said, "finish_reason": None}], **tier}
    end = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **tier}
    return _sse(piece, end, {"id": "c", "choices": [], "usage": usage, **tier}, b"[DONE]")


def _responses_answer(call: Call, usage: Any, *, streamed: bool) -> bytes:
    message = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "x"}]}
    tool = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"}
    item = tool if call.tool else message
    whole = {"id": "r", "status": "completed", "output": [item], "usage": usage, "service_tier": call.tier or "default"}
    if not streamed:
        return json.dumps(whole).encode()
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    return _sse(done, {"type": "response.completed", "response": whole})


def _anthropic_answer(call: Call, usage: Any, *, streamed: bool) -> bytes:
    tool = {"type": "tool_use", "id": "c", "name": "f", "input": {}}
    block = tool if call.tool else {"type": "text", "text": "x"}
    if not streamed:
        return json.dumps({"id": "m", "content": [block], "stop_reason": "end_turn", "usage": usage}).encode()
    start = {"type": "message_start", "message": {"id": "m", "usage": {**usage, "output_tokens": 1}}}
    begin = {"type": "content_block_start", "index": 0, "content_block": block}
    told = {name: usage[name] for name in ("output_tokens", "output_tokens_details")}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": told}
    return _sse(start, begin, {"type": "content_block_stop", "index": 0}, end, {"type": "message_stop"})


def _google_answer(call: Call, usage: Any, *, streamed: bool) -> bytes:
    part = {"functionCall": {"name": "f", "args": {}}} if call.tool else {"text": "x"}
    candidate = {"content": {"parts": [part], "role": "model"}, "finishReason": "STOP", "index": 0}
    whole = {"candidates": [candidate], "usageMetadata": usage}
    if not streamed:
        return json.dumps(whole).encode()
    early = {
        "candidates": [{"content": {"parts": [{"text": "y"}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 9**7},
    }
    return _sse(early, whole)


def _cohere_answer(call: Call, usage: Any, *, streamed: bool) -> bytes:
    if not streamed:
        message = {"role": "assistant", "content": [{"type": "text", "text": "x"}]}
        return json.dumps({"id": "c", "message": message, "finish_reason": "COMPLETE", "usage": usage}).encode()
    piece = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "x"}}}}
    return _sse(piece, {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": usage}})


WIRES: Mapping[str, tuple[Any, Any, Any]] = {
    "openai": (openai.OpenAIChat, _openai, _openai_answer),
    "responses": (openai.OpenAIChat, _responses, _responses_answer),
    "openai_compatible": (openai_compatible.OpenAICompatibleChat, _openai, _openai_answer),
    "anthropic": (anthropic.AnthropicChat, _anthropic, _anthropic_answer),
    "google": (google.GoogleChat, _google, _google_answer),
    "cohere": (cohere.CohereChat, _cohere, _cohere_answer),
}


@dataclass
class PriceList:
    """The first offer's row of the TOML: dollars a million, as text."""

    base: Mapping[str, str]
    above: list[Mapping[str, Any]] = field(default_factory=list)
    tiers: Mapping[str, Any] = field(default_factory=dict)

    def of(self, call: Call) -> Mapping[str, str]:
        chosen: Mapping[str, Any] = self.tiers.get(call.tier or "", {"usd_per_million": self.base, "above": self.above})
        prompt = call.fresh + call.cached + call.written + call.written_1h + call.heard
        long = [step for step in chosen.get("above", ()) if prompt > step["tokens"]]
        rates: Mapping[str, str] = (long[-1] if long else chosen)["usd_per_million"]
        return rates


def price_list(slug: str) -> PriceList:
    rows = tomllib.loads((ROOT / "catalog" / "models" / f"{slug.partition('/')[0]}.toml").read_text())["model"]
    offer = next(row for row in rows if row["slug"] == slug)["offer"][0]
    return PriceList(offer["usd_per_million"], offer.get("above", []), offer.get("tiers", {}))


def expected_nano(slug: str, call: Call, share: Decimal) -> Decimal:
    """Dollars by hand: each count times its price, five per cent, rounded up once."""
    rates = price_list(slug).of(call)
    read, written = Decimal(rates["input_tokens"]), Decimal(rates["output_tokens"])

    def price(name: str, otherwise: Decimal) -> Decimal:
        return Decimal(rates[name]) if name in rates else otherwise

    millionths = (
        call.fresh * read
        + call.cached * price("cached_input_tokens", read)
        + call.written * price("cache_write_tokens", read)
        + call.written_1h * price("cache_write_1h_tokens", read)
        + call.heard * price("input_audio_tokens", read)
        + call.said * written
        + call.thought * price("reasoning_tokens", written)
        + call.spoken * price("output_audio_tokens", written)
    )
    return (millionths * 1000 * Decimal("1.05") * share).to_integral_value(ROUND_CEILING)


async def usage_of(slug: str, call: Call, provider: Loopback, *, streamed: bool) -> Usage:
    """What our adapter reads from the provider's answer."""
    offer = builtin().models[slug].offers[0]
    adapter, raw, answer = WIRES["responses" if "responses" in offer.quirks else offer.provider.wire]
    provider.answer = Answer([answer(call, raw(slug, call), streamed=streamed)])
    client = Client(SystemClock())
    upstream = Upstream("p", "m", provider.base_url, timeouts=Timeouts(5, 20, 20, 20), quirks=offer.quirks)
    request = chat_body.parse({"messages": [{"role": "user", "content": "hi"}], "stream": streamed})
    usage: Usage | None = None
    try:
        if streamed:
            async for chunk in adapter(client.post).stream(upstream, request, 100):
                usage = chunk.usage.after(usage) if chunk.usage is not None else usage
        else:
            usage = (await adapter(client.post).complete(upstream, request, 100)).usage
    finally:
        await client.close()
    assert usage is not None
    return usage


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) * 2 >= 200  # each at our cache and past it


@pytest.mark.parametrize(
    ("slug", "call", "streamed"),
    TABLE,
    ids=[f"{slug}-{call.name}-{'stream' if streamed else 'whole'}" for slug, call, streamed in TABLE],
)
async def test_a_row(slug: str, call: Call, streamed: bool, provider: Loopback) -> None:
    usage = await usage_of(slug, call, provider, streamed=streamed)
    prices = builtin().models[slug].offers[0].prices
    assert charge(usage, prices) == expected_nano(slug, call, Decimal(1))
    assert charge(usage, prices, cache_hit=True) == expected_nano(slug, call, Decimal("0.1"))


THEIRS = {
    "openai/gpt-5.4": "gpt-5.4",
    "openai/gpt-5.4-mini": "gpt-5.4-mini",
    "openai/gpt-4.1": "gpt-4.1",
    "moonshot/kimi-k2.6": "kimi-k2.6",
    "anthropic/claude-opus-4.7": "claude-opus-4-7",
    "anthropic/claude-sonnet-4.6": "claude-sonnet-4-6",
    "anthropic/claude-haiku-4.5": "claude-haiku-4-5",
    "google/gemini-3.1-pro": "gemini-3.1-pro-preview",
    "google/gemini-2.5-flash": "gemini-2.5-flash",
    "google/gemini-3.1-flash-lite": "gemini-3.1-flash-lite",
}
_THEIR_PROVIDER = {"moonshot": "moonshotai"}


@pytest.mark.parametrize("call", [CALLS[0], CALLS[1], LONG[0], WRITES[0]], ids=lambda call: call.name)
@pytest.mark.parametrize("slug", THEIRS)
def test_genai_prices_agrees(slug: str, call: Call) -> None:
    vendor = slug.partition("/")[0]
    if call.written and vendor != "anthropic":
        return  # they know no price for it
    theirs = calc_price(
        TheirUsage(
            input_tokens=call.fresh + call.cached + call.written,
            cache_read_tokens=call.cached,
            cache_write_tokens=call.written,
            output_tokens=call.said,
        ),
        THEIRS[slug],
        provider_id=_THEIR_PROVIDER.get(vendor, vendor),
    ).total_price
    ours = expected_nano(slug, call, Decimal(1)) / Decimal("1.05") / 10**9
    assert abs(ours - theirs) < Decimal("0.000000002")
