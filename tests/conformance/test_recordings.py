"""OpenAI's chat wire against what providers really answered: nothing is lost, nothing is counted twice."""

import copy
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from aig.clock import SystemClock
from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatChunk, ChatRequest, usage_json
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers.openai_compatible import OpenAICompatibleChat
from aig_providers.wire import Client
from tests.conformance import test_bedrock, test_embeddings, test_native_operations, test_wires
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.recordings import ABSENT, FOLDER, Exchange, all_exchanges, exchanges_matching, load, matching

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)

# Every recording is in one of the two tables, and every exchange of it is read or is in the second.
USED = {
    "llm/test_tools/*.yaml": "tools and their second turn, streamed and whole",
    "llm/test_tools_streaming/*.yaml": "a stream with tool calls in the manner of OpenRouter",
    "pydantic-ai/test_cerebras/*.yaml": "vendor: Cerebras",
    "pydantic-ai/test_deepseek/*.yaml": "vendor: DeepSeek, with reasoning",
    "pydantic-ai/test_groq/*.yaml": "vendor: Groq; vision, a 404, an error in the middle of a stream",
    "pydantic-ai/test_huggingface/*.yaml": "vendor: Hugging Face's router",
    "pydantic-ai/test_mistral/*.yaml": "vendor: Mistral, with content in parts",
    "pydantic-ai/test_ollama/*.yaml": "vendor: Ollama, its cloud and on a laptop",
    "pydantic-ai/test_openai/*.yaml": "vendor: OpenAI; JSON schema, tools, vision, limits, moderation, a 400",
    "pydantic-ai/test_tool_choice_matrix/*[[]auto-mistral].yaml": "tool_choice at Mistral",
    "pydantic-ai/test_tool_choice_matrix/*[[]none-mistral].yaml": "tool_choice at Mistral",
    "pydantic-ai/test_tool_choice_matrix/*[[]none-openai].yaml": "tool_choice at OpenAI",
    "pydantic-ai/test_tool_choice_matrix/*[[]none_with_output-mistral].yaml": "tool_choice at Mistral",
    "pydantic-ai/test_tool_choice_matrix/*[[]none_with_output-openai].yaml": "tool_choice at OpenAI",
    "pydantic-ai/test_tool_choice_matrix/*[[]tools_plus_output-mistral].yaml": "tool_choice at Mistral",
    "vercel-ai/alibaba/*": "vendor: Alibaba; empty ids in later deltas of a tool call",
    "vercel-ai/deepseek/*": "vendor: DeepSeek; usage beside the finish reason",
    "vercel-ai/groq/*": "vendor: Groq",
    "vercel-ai/mistral/*-reasoning.*": "vendor: Mistral, with content in parts",
    "vercel-ai/mistral/*-text.*": "vendor: Mistral",
    "vercel-ai/mistral/*tool-call.*": "vendor: Mistral; a whole tool call in one delta",
    "vercel-ai/moonshotai/*": "vendor: Moonshot",
    "vercel-ai/openai-compatible/*": "vendor: xAI; a tool call whose index begins at 1",
    "vercel-ai/openai/azure-model-router.*": "vendor: Azure; a first event without choices",
    "vercel-ai/openai/openai-error.1.json": "an account without credit",
    "vercel-ai/openai/reasoning-model-*.json": "parameters that a model refuses",
    "vercel-ai/xai/xai-text.*": "vendor: xAI; reasoning counted beside the completion",
    "vercel-ai/xai/xai-tool-call.json": "vendor: xAI",
}
NOT_USED = {
    "llm-anthropic/test_anthropic/test_url_prompt.yaml#[01]": "a picture that the client fetched by itself",
    "pydantic-ai/test_xai/*": "another wire: xAI's gRPC",
    "vercel-ai/amazon-bedrock/amazon-bedrock-reranking*": "another modality: rerank",
    "vercel-ai/cohere/cohere-reranking*": "another modality: rerank",
    "vercel-ai/fal/*": "another modality: transcription",
    "vercel-ai/mistral/*-transcription.json": "another modality: transcription",
    "vercel-ai/openai/openai-completion-*": "another wire: OpenAI's old completions",
    "vercel-ai/openai/openai-realtime-*": "another wire: OpenAI's Realtime",
    "vercel-ai/togetherai/*": "another modality: rerank",
    "vercel-ai/xai/xai-file-*": "another wire: xAI's Responses",
    "vercel-ai/xai/xai-image-*": "another wire: xAI's Responses",
    "vercel-ai/xai/xai-x-*": "another wire: xAI's Responses",
    **test_wires.NOT_USED,
    **test_bedrock.NOT_USED,
    **test_embeddings.NOT_USED,
}
# Answers with a status of 200 that are none.
BROKEN = {
    "pydantic-ai/test_groq/test_tool_use_failed_error_streaming.yaml#0": "rejected",
    "pydantic-ai/test_openai/test_text_response.yaml#0": "malformed",
}

# A stream that never says why it ends: the reason that the adapter puts in.
UNSAID = {"llm/test_tools_streaming/test_tools_streaming_variant_b.yaml#0": "tool_calls"}

EXCHANGES = [exchange for file in matching(*USED) for exchange in load(file)] if FOLDER.is_dir() else []
GOOD = [exchange for exchange in EXCHANGES if exchange.status == 200 and exchange.name not in BROKEN]
WHOLE = [exchange for exchange in GOOD if not exchange.streamed]
STREAMS = [exchange for exchange in GOOD if exchange.streamed]
REQUEST = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}


def recorded(exchanges: Iterable[Exchange]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exchange", exchanges, ids=lambda exchange: exchange.name)


@pytest.fixture
async def chat() -> AsyncIterator[OpenAICompatibleChat]:
    client = Client(SystemClock())
    yield OpenAICompatibleChat(client.post)
    await client.close()


def upstream(provider: Loopback) -> Upstream:
    return Upstream("acme", "m", provider.base_url, timeouts=Timeouts(5, 20, 20, 20))


def request(*, stream: bool = False) -> ChatRequest:
    return chat_body.parse({**REQUEST, "stream": stream})


async def stream(chat: OpenAICompatibleChat, provider: Loopback, answer: Answer) -> list[ChatChunk]:
    provider.answer = answer
    return [chunk async for chunk in chat.stream(upstream(provider), request(stream=True), 100)]


async def failure(
    chat: OpenAICompatibleChat, provider: Loopback, answer: Answer, *, streamed: bool = True
) -> UpstreamError:
    provider.answer = answer
    with pytest.raises(UpstreamError) as raised:
        await (stream(chat, provider, answer) if streamed else chat.complete(upstream(provider), request(), 100))
    return raised.value


def same_count(usage: Usage | None, raw: Any) -> None:
    """The counts of the provider, in our classes: totals, and the details that OpenAI's wire has names for."""
    if raw is None:
        assert usage is None
        return
    assert usage is not None
    ours = usage_json(usage)
    assert ours["prompt_tokens"] == raw["prompt_tokens"]
    assert ours["total_tokens"] == raw["total_tokens"]
    for table, name in (("prompt_tokens_details", "cached_tokens"), ("completion_tokens_details", "reasoning_tokens")):
        told = (raw.get(table) or {}).get(name) or 0
        assert ours[table][name] == (told or _cached_elsewhere(raw) if name == "cached_tokens" else told)
    assert not usage.estimated


def _cached_elsewhere(raw: dict[str, Any]) -> int:
    names = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens")
    return next((raw[name] for name in names if raw.get(name)), 0)


SHOWN = {*ChatCompletion.model_fields, *ChatCompletionChunk.model_fields} - {"usage"}


def expected(body: dict[str, Any]) -> dict[str, Any]:
    """What the provider said, without its usage and its own fields, in the one shape that clients see."""
    body = copy.deepcopy({name: value for name, value in body.items() if name in SHOWN})
    for choice in body["choices"]:
        choice.pop("usage", None)
        said = choice.get("message") or choice.get("delta")
        if isinstance(said.get("content"), list):
            texts = [part["text"] for part in said["content"] if part["type"] == "text"]
            thoughts = [t["text"] for part in said["content"] if part["type"] == "thinking" for t in part["thinking"]]
            said["content"] = "".join(texts)
            said |= {"reasoning_content": "".join(thoughts)} if thoughts else {}
        if isinstance(said.get("reasoning"), str) and not said.get("reasoning_content"):
            said["reasoning_content"] = said["reasoning"]
        for at, call in enumerate(said.get("tool_calls") or ()):
            begins = bool(call["function"].get("name"))
            if begins or "message" in choice:
                call.setdefault("type", "function")
            if begins and not call.get("id"):
                call["id"] = f"call_{call.get('index') or at}"
            if "delta" in choice:
                call["index"] = 0  # no stream that was recorded makes more than one call
    return body


def without_role(delta: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in delta.items() if name != "role"}


def test_every_recording_is_accounted_for() -> None:
    """Exchange by exchange: one file may hold those of several wires."""
    used = [*EXCHANGES, *test_bedrock.ALL, *test_native_operations.ALL]
    used += [exchange for _, exchange in test_wires.ALL + test_embeddings.ALL]
    names, not_used = {exchange.name for exchange in used}, set(exchanges_matching(*NOT_USED))
    assert not names & not_used
    assert names | not_used == set(all_exchanges())
    others = (*test_wires.USED, *test_bedrock.USED, *test_embeddings.USED, *test_native_operations.USED)
    for pattern in (*USED, *others, *NOT_USED):
        assert exchanges_matching(pattern), f"{pattern} matches nothing"
    assert (len(WHOLE) >= 35, len(STREAMS) >= 14) == (True, True)


@recorded(WHOLE)
async def test_a_whole_answer(exchange: Exchange, chat: OpenAICompatibleChat, provider: Loopback) -> None:
    cut = len(exchange.body) // 2
    provider.answer = Answer([exchange.body[:cut], exchange.body[cut:]])
    result = await chat.complete(upstream(provider), request(), 100)
    assert result.body == expected(exchange.json)
    assert all(choice["finish_reason"] for choice in result.body["choices"])
    same_count(result.usage, exchange.json.get("usage"))


def _at_events(body: bytes) -> list[bytes]:
    return [event + b"\n\n" for event in body.split(b"\n\n")[:-1]]


def _at_random(body: bytes, seed: str) -> list[bytes]:
    chosen = sorted(random.Random(seed).sample(range(1, len(body)), min(40, len(body) - 1)))
    return [body[start:end] for start, end in zip([0, *chosen], [*chosen, len(body)], strict=True)]


def _every_few_bytes(body: bytes) -> list[bytes]:
    return [body[start : start + 97] for start in range(0, len(body), 97)]


@pytest.mark.parametrize("cutting", ["unsplit", "events", "random 1", "random 2", "CRLF"])
@recorded(STREAMS)
async def test_a_stream(exchange: Exchange, cutting: str, chat: OpenAICompatibleChat, provider: Loopback) -> None:
    pieces = {
        "unsplit": lambda: [exchange.body],
        "events": lambda: _at_events(exchange.body),
        "random 1": lambda: _at_random(exchange.body, exchange.name),
        "random 2": lambda: _at_random(exchange.body, exchange.name[::-1]),
        "CRLF": lambda: _every_few_bytes(exchange.body.replace(b"\n", b"\r\n")),
    }[cutting]()
    chunks = await stream(chat, provider, Answer(pieces, headers={"content-type": "text/event-stream"}))
    bodies = [chunk.body for chunk in chunks if chunk.body is not None]
    reasons = [choice["finish_reason"] for body in bodies for choice in body["choices"] if choice.get("finish_reason")]
    if exchange.name in UNSAID:
        bodies.pop()
        assert reasons == [UNSAID[exchange.name]]
    told = [expected(event) for event in exchange.events if event["choices"]]
    for at, body in enumerate(told):  # the role is said once, and by all
        delta = body["choices"][0]["delta"]
        told[at]["choices"][0]["delta"] = {**delta, "role": "assistant"} if at == 0 else without_role(delta)
    assert bodies == told
    assert len(reasons) == 1
    usages = [event["usage"] for event in exchange.events if event.get("usage")]
    seen = [chunk.usage for chunk in chunks if chunk.usage is not None]
    same_count(seen[-1] if seen else None, usages[-1] if usages else None)


def _unfinished(exchange: Exchange) -> list[list[bytes]]:
    """The stream up to each event before the one that has the finish reason."""
    events = _at_events(exchange.body)
    ends = (at for at, event in enumerate(events) if b'"finish_reason":"' in event.replace(b" ", b""))
    last = next(ends, len(events) - 2)  # or before the usage, where there is no reason
    return [events[:count] for count in range(last + 1)]


@recorded(STREAMS)
async def test_a_stream_that_ends_too_early(exchange: Exchange, chat: OpenAICompatibleChat, provider: Loopback) -> None:
    for events in _unfinished(exchange):
        for ending in ([], [b"data: [DONE]\n\n"]):
            assert (await failure(chat, provider, Answer([*events, *ending]))).kind == "malformed"


@pytest.mark.parametrize("ending", ["eof", "reset"])
@recorded(STREAMS)
async def test_a_stream_that_breaks(
    exchange: Exchange, ending: Any, chat: OpenAICompatibleChat, provider: Loopback
) -> None:
    beginnings = _unfinished(exchange)
    for events in (beginnings[len(beginnings) // 2], beginnings[-1]):
        inside = b"".join(events)[:-3]  # and in the middle of an event
        for pieces in (events, [inside] if inside else []):
            assert (await failure(chat, provider, Answer(pieces, ending=ending))).kind in ("connect", "malformed")


@recorded([exchange for exchange in EXCHANGES if exchange.name in BROKEN])
async def test_a_200_that_is_no_answer(exchange: Exchange, chat: OpenAICompatibleChat, provider: Loopback) -> None:
    error = await failure(chat, provider, Answer([exchange.body]), streamed=exchange.streamed)
    assert error.kind == BROKEN[exchange.name]


# What the provider called the mistake, and what it says of the next step.
ERRORS = {
    "pydantic-ai/test_groq/test_tool_regular_error.yaml#0": ("rejected", "model_not_found", None),
    "pydantic-ai/test_openai/test_openai_o1_mini_system_role[system].yaml#0": (
        "rejected",
        "unsupported_value",
        "messages[0].role",
    ),
    "vercel-ai/openai/openai-error.1.json": ("auth", "insufficient_quota", None),
    "vercel-ai/openai/reasoning-model-legacy-parameter-error.json": (
        "rejected",
        "unsupported_parameter",
        "max_tokens",
    ),
    "vercel-ai/openai/reasoning-model-temperature-error.json": ("rejected", None, "temperature"),
}


@pytest.mark.parametrize("streamed", [False, True])
@recorded([exchange for exchange in EXCHANGES if exchange.status != 200])
async def test_an_error(exchange: Exchange, streamed: bool, chat: OpenAICompatibleChat, provider: Loopback) -> None:
    error = await failure(chat, provider, Answer([exchange.body], exchange.status), streamed=streamed)
    assert (error.kind, error.code, error.param) == ERRORS[exchange.name]
    assert error.status == exchange.status
    assert exchange.json["error"]["message"][:20] not in str(error)
