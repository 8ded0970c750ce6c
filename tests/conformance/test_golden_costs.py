"""What a call costs, to the nano-dollar: usage as each provider writes it, against a calculation of its own.

A row is a model, a kind of call, whole or streamed, at our cache or not. The calculation knows the raw counts and the
prices as text, and nothing of our classes; the prices themselves stand beside those of `genai-prices` in
test_genai_prices.py.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Any

import pytest

from aig.catalog.model import Offer, builtin
from aig.clock import SystemClock
from aig.modalities import chat_body
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.money.pricing import charge
from aig_providers import anthropic, bedrock, cohere, google, openai, openai_compatible
from aig_providers.wire import Client
from local.template import ROOT
from tests.conformance import test_bedrock
from tests.conformance.loopback import Answer, Loopback
from tests.unit.clock import NOON

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
    heard_before: int = 0  # audio in, cached
    seen: int = 0  # pictures in
    said: int = 200
    thought: int = 0
    spoken: int = 0  # audio out
    drawn: int = 0  # pictures out
    tier: str | None = None
    tool: bool = False

    @property
    def read(self) -> int:
        """All of the prompt."""
        fresh = self.fresh + self.heard + self.seen
        return fresh + self.cached + self.heard_before + self.written + self.written_1h


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
AUDIO = [
    Call("audio in", heard=500),
    Call("audio in, some of it cached", heard=500, heard_before=300, cached=700),
    Call("audio in, with reasoning", heard=90, thought=333),
]
SPOKEN = [
    Call("audio in and out", heard=500, spoken=120),
    Call("audio in", heard=500),
    Call("audio out alone", fresh=9, said=0, spoken=77),
]
SEEN = [Call("pictures in", seen=1_290), Call("pictures in, cached text", seen=258, cached=640)]
DRAWN = [Call("a picture out", said=0, drawn=1_290), Call("pictures in and out", seen=258, said=40, drawn=2_580)]
TIERS = [Call("flex", tier="flex"), Call("priority", tier="priority")]
ROWS: dict[str, list[Call]] = {
    "openai/gpt-5.4": [*CALLS, *LONG, *TIERS],
    "openai/gpt-5.4-mini": [*CALLS, *TIERS],
    "openai/gpt-5.5": [*CALLS, *LONG],
    "openai/gpt-6-sol": [*CALLS, WRITES[0], *LONG, *TIERS],
    "openai/gpt-5": [*CALLS, *LONG],
    "openai/gpt-4.1": [*CALLS[:2], *SEEN],
    "openai/gpt-audio": [CALLS[0], *SPOKEN],
    "openai/gpt-audio-mini": [CALLS[0], *SPOKEN],
    "openai/gpt-image-1.5": [CALLS[0], CALLS[1], SEEN[0], *DRAWN],
    "moonshot/kimi-k2.6": CALLS,
    "deepseek/deepseek-v4-pro": CALLS,
    "xai/grok-4.3": [*CALLS, *LONG],
    "mistral/mistral-large-3": [CALLS[0], CALLS[1], CALLS[4]],
    "openai/gpt-oss-120b": CALLS,
    "anthropic/claude-opus-4.7": [*CALLS, *WRITES],
    "anthropic/claude-sonnet-4.6": [*CALLS, *WRITES],
    "anthropic/claude-haiku-4.5": [*CALLS, *WRITES],
    "google/gemini-3.1-pro": [*CALLS, *LONG],
    "google/gemini-2.5-flash": [*CALLS, *AUDIO, *SEEN],
    "google/gemini-3.1-flash-lite": [*CALLS, *AUDIO],
    "google/gemini-3.1-flash-image": [CALLS[0], SEEN[0], *DRAWN, Call("drawn after thoughts", thought=90, drawn=1_290)],
    "google/gemini-3-pro-image": [CALLS[0], *DRAWN],
    "cohere/command-a": [CALLS[0], CALLS[4]],
    "amazon/nova-pro": [CALLS[0], CALLS[1], CALLS[4], *TIERS],
    "anthropic/claude-opus-4.7 at bedrock": [
        *CALLS[:2],
        *CALLS[4:],
        *WRITES,
        Call("all of a cache", cached=9, written=8),
    ],
    "anthropic/claude-haiku-4.5 at bedrock": [CALLS[0], CALLS[1], *WRITES],
    "moonshot/kimi-k3 at bedrock": [CALLS[0], CALLS[1]],
}
TABLE = [(slug, call, streamed) for slug, calls in ROWS.items() for call in calls for streamed in (False, True)]


def _openai(slug: str, call: Call) -> dict[str, Any]:
    prompt, said = call.read, call.said + call.spoken + call.drawn
    details = {"cached_tokens": call.cached, "cache_write_tokens": call.written, "audio_tokens": call.heard}
    details["image_tokens"] = call.seen
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": said + (0 if slug.startswith("xai/") else call.thought),
        "total_tokens": prompt + said + call.thought,
        "completion_tokens_details": {
            "reasoning_tokens": call.thought,
            "audio_tokens": call.spoken,
            "image_tokens": call.drawn,
        },
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
    counts = {
        "promptTokenCount": call.read,
        "cachedContentTokenCount": call.cached + call.heard_before,
        "candidatesTokenCount": call.said + call.drawn,
        "thoughtsTokenCount": call.thought,
        "totalTokenCount": call.read + call.said + call.drawn + call.thought,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": call.fresh + call.cached},
            {"modality": "AUDIO", "tokenCount": call.heard + call.heard_before},
            {"modality": "IMAGE", "tokenCount": call.seen},
        ],
        "cacheTokensDetails": [
            {"modality": "TEXT", "tokenCount": call.cached},
            {"modality": "AUDIO", "tokenCount": call.heard_before},
        ],
        "candidatesTokensDetails": [
            {"modality": "TEXT", "tokenCount": call.said},
            {"modality": "IMAGE", "tokenCount": call.drawn},
        ],
    }
    return {name: count for name, count in counts.items() if count}  # zeros are left out there


def _cohere(_: str, call: Call) -> dict[str, Any]:
    billed = {"input_tokens": float(call.fresh), "output_tokens": float(call.said)}
    return {"billed_units": billed, "tokens": {"input_tokens": call.fresh + 495, "output_tokens": call.said + 3}}


def _bedrock(_: str, call: Call) -> dict[str, Any]:
    written = call.written + call.written_1h
    kept = [("5m", call.written), ("1h", call.written_1h)]
    return {
        "inputTokens": call.fresh,
        "outputTokens": call.said,
        "totalTokens": call.read + call.said,
        "cacheReadInputTokens": call.cached,
        "cacheWriteInputTokens": written,
        "cacheDetails": [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in kept if tokens],
    }


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


def _bedrock_answer(call: Call, usage: Any, *, streamed: bool) -> bytes:
    use = {"toolUse": {"toolUseId": "c", "name": "f", "input": {}}}
    block = use if call.tool else {"text": "x"}
    tier = {"serviceTier": {"type": call.tier}} if call.tier else {}
    stop = "tool_use" if call.tool else "end_turn"
    if not streamed:
        message = {"message": {"role": "assistant", "content": [block]}}
        told = {"output": message, "stopReason": stop, "usage": usage, "metrics": {"latencyMs": 1}, **tier}
        return json.dumps(told).encode()
    start = {"toolUse": {"toolUseId": "c", "name": "f"}} if call.tool else {}
    delta = {"toolUse": {"input": "{}"}} if call.tool else {"text": "x"}
    events: list[Any] = [
        {"messageStart": {"role": "assistant"}},
        *([{"contentBlockStart": {"start": start, "contentBlockIndex": 0}}] if start else []),
        {"contentBlockDelta": {"delta": delta, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": stop}},
        {"metadata": {"usage": usage, "metrics": {"latencyMs": 1}, **tier}},
    ]
    return b"".join(test_bedrock.framed(events))


WIRES: Mapping[str, tuple[Any, Any, Any]] = {
    "openai": (openai.OpenAIChat, _openai, _openai_answer),
    "responses": (openai.OpenAIChat, _responses, _responses_answer),
    "openai_compatible": (openai_compatible.OpenAICompatibleChat, _openai, _openai_answer),
    "mistral": (openai_compatible.OpenAICompatibleChat, _openai, _openai_answer),
    "anthropic": (anthropic.AnthropicChat, _anthropic, _anthropic_answer),
    "google": (google.GoogleChat, _google, _google_answer),
    "cohere": (cohere.CohereChat, _cohere, _cohere_answer),
    "bedrock": (lambda _: bedrock.ADAPTER.chat, _bedrock, _bedrock_answer),
}


@dataclass
class PriceList:
    """An offer's row of the TOML: dollars a million, as text."""

    base: Mapping[str, str]
    above: list[Mapping[str, Any]] = field(default_factory=list)
    tiers: Mapping[str, Any] = field(default_factory=dict)

    def of(self, call: Call) -> Mapping[str, str]:
        chosen: Mapping[str, Any] = self.tiers.get(call.tier or "", {"usd_per_million": self.base, "above": self.above})
        long = [step for step in chosen.get("above", ()) if call.read > step["tokens"]]
        rates: Mapping[str, str] = (long[-1] if long else chosen)["usd_per_million"]
        return rates


def price_list(row: str) -> PriceList:
    slug, _, provider = row.partition(" at ")
    rows = tomllib.loads((ROOT / "catalog" / "models" / f"{slug.partition('/')[0]}.toml").read_text())["model"]
    offers = next(model for model in rows if model["slug"] == slug)["offer"]
    offer = next(offer for offer in offers if provider in ("", offer["provider"]))
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
        + call.heard_before * price("cached_input_audio_tokens", price("cached_input_tokens", read))
        + call.seen * price("input_image_tokens", read)
        + call.said * written
        + call.thought * price("reasoning_tokens", written)
        + call.spoken * price("output_audio_tokens", written)
        + call.drawn * price("output_image_tokens", written)
    )
    return (millionths * 1000 * Decimal("1.05") * share).to_integral_value(ROUND_CEILING)


def offer_of(row: str) -> Offer:
    """The first of the model, or that of the provider that the row names."""
    slug, _, provider = row.partition(" at ")
    return next(offer for offer in builtin().models[slug].offers if provider in ("", offer.provider.name))


async def usage_of(slug: str, call: Call, provider: Loopback, *, streamed: bool) -> Usage:
    """What our adapter reads from the provider's answer."""
    offer = offer_of(slug)
    adapter, raw, answer = WIRES["responses" if "responses" in offer.quirks else offer.provider.wire]
    binary = {"content-type": "application/vnd.amazon.eventstream"} if offer.provider.wire == "bedrock" else {}
    provider.answer = Answer([answer(call, raw(slug, call), streamed=streamed)], headers=binary if streamed else {})
    client = Client(SystemClock())
    root = provider.base_url.removesuffix("/v1") if binary else provider.base_url
    upstream = Upstream("p", "m", root, timeouts=Timeouts(5, 20, 20, 20), quirks=offer.quirks)
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


@pytest.fixture(autouse=True)
def region(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bedrock._client.cache_clear()
    yield
    bedrock._client.cache_clear()


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) * 2 >= 200  # each at our cache and past it


@pytest.mark.parametrize(
    ("slug", "call", "streamed"),
    TABLE,
    ids=[f"{slug}-{call.name}-{'stream' if streamed else 'whole'}" for slug, call, streamed in TABLE],
)
async def test_a_row(slug: str, call: Call, streamed: bool, provider: Loopback) -> None:
    usage = await usage_of(slug, call, provider, streamed=streamed)
    prices = offer_of(slug).at(NOON).prices
    assert charge(usage, prices) == expected_nano(slug, call, Decimal(1))
    assert charge(usage, prices, cache_hit=True) == expected_nano(slug, call, Decimal("0.1"))
