"""Every vendor, and every self-hosted server, that speaks OpenAI's wire. Catalog rows are its parameters."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from types import NoneType
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedRequest, EmbedResult, Text
from aig.modalities.moderate import ModerateAdapter
from aig.modalities.ocr import OcrAdapter
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.batches import embed_in_batches
from aig_providers.compatible_audio import CompatibleSpeak, CompatibleTranscribe
from aig_providers.compatible_body import compatible_body
from aig_providers.compatible_calls import StreamedCalls, as_text, one_form
from aig_providers.compatible_images import CompatibleImage
from aig_providers.compatible_moderations import CompatibleModerate
from aig_providers.compatible_rerank import CompatibleRerank
from aig_providers.shapes import parse_embeddings, text_of
from aig_providers.vision import DetectByChat, OcrByChat
from aig_providers.wire import HttpRequest, Post, Whole, count, parse_object, post_json, told_error

_TIERS_WITH_PRICES = frozenset({"flex", "priority"})
# What a completion, and a chunk of one, have beside their choices. What else a vendor says is for us at most: it could
# name an account of ours.
_TEXT, _COUNT, _TABLE = (str, NoneType), (int, NoneType), (dict, NoneType)
_TOLD: Mapping[str, tuple[type, ...]] = {
    "id": _TEXT,
    "object": _TEXT,
    "created": _COUNT,
    "model": _TEXT,
    "service_tier": _TEXT,
    "system_fingerprint": _TEXT,
    "metadata": _TABLE,
    "moderation": _TABLE,
    "obfuscation": _TEXT,
}
_FINISH = {"model_length": "length", "end_turn": "stop", "max_tokens": "length"}


def build_request(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the vendor cannot do."""
    return post_json(upstream, "chat/completions", compatible_body(upstream, request, max_output_tokens))


def _cached(raw: Mapping[str, Any], details: Any) -> int:
    """Tokens read from a cache, under the names that vendors have for them."""
    return (
        count(details, "cached_tokens")
        or count(raw, "cached_tokens")
        or count(raw, "prompt_cache_hit_tokens")
        or count(raw, "num_cached_tokens")
    )


def parse_usage(raw: Any, service_tier: Any = None) -> Usage | None:
    """OpenAI's totals, which include their details, as disjoint classes. None if absent, half or not credible."""
    if not isinstance(raw, dict) or raw.get("prompt_tokens") is None or raw.get("completion_tokens") is None:
        return None
    read, said = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    try:
        prompt, completion = count(raw, "prompt_tokens"), count(raw, "completion_tokens")
        cached = min(_cached(raw, read), prompt)
        written = min(count(read, "cache_write_tokens"), prompt - cached)
        audio_in = min(count(read, "audio_tokens"), prompt - cached - written)
        image_in = min(count(read, "image_tokens"), prompt - cached - written - audio_in)
        reasoning = count(said, "reasoning_tokens")
        if reasoning and count(raw, "total_tokens") == prompt + completion + reasoning:
            completion += reasoning  # xAI counts reasoning beside the completion; only its total tells
        reasoning = min(reasoning, completion)
        audio_out = min(count(said, "audio_tokens"), completion - reasoning)
        image_out = min(count(said, "image_tokens"), completion - reasoning - audio_out)
    except ValueError:
        return None
    return Usage(
        {
            "input_tokens": prompt - cached - written - audio_in - image_in,
            "cached_input_tokens": cached,
            "cache_write_tokens": written,
            "input_audio_tokens": audio_in,
            "input_image_tokens": image_in,
            "output_tokens": completion - reasoning - audio_out - image_out,
            "reasoning_tokens": reasoning,
            "output_audio_tokens": audio_out,
            "output_image_tokens": image_out,
        },
        service_tier=service_tier if isinstance(service_tier, str) and service_tier in _TIERS_WITH_PRICES else None,
    )


def _take_usage(body: dict[str, Any]) -> Any:
    """The usage as it is told, from where vendors put it, taken out of the body."""
    raw = body.pop("usage", None)
    vendor = body.get("x_groq")
    if raw is None and isinstance(vendor, dict):
        raw = vendor.get("usage")
    if raw is None and isinstance(body.get("choices"), list):
        for choice in body["choices"]:
            if isinstance(choice, dict) and "usage" in choice:
                told = choice.pop("usage")
                raw = told if raw is None else raw
    return raw


def _kept_for(usage: Usage | None, request: ChatRequest) -> Usage | None:
    """What was written to a cache, as kept for an hour if anything was to be: which part of it was, nobody tells."""
    if usage is None or "1h" not in request.cache_marks or not usage.units.get("cache_write_tokens"):
        return usage
    written = usage.units["cache_write_tokens"]
    return replace(usage, units={**usage.units, "cache_write_tokens": 0, "cache_write_1h_tokens": written})


def _choices(body: dict[str, Any], said: str) -> list[dict[str, Any]]:
    if body.get("error"):
        raise told_error(body["error"])
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise UpstreamError("malformed")
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get(said), dict):
            raise UpstreamError("malformed")
        if choice.get("error") or choice.get("finish_reason") == "error":
            raise told_error(choice.get("error"))
        if not isinstance(choice.get("index") or 0, int):
            raise UpstreamError("malformed")
        if isinstance(choice.get("finish_reason"), str) and choice["finish_reason"] in _FINISH:
            choice["finish_reason"] = _FINISH[choice["finish_reason"]]
        _one_shape(choice[said])
    return choices


def _one_shape(said: dict[str, Any]) -> None:
    """Reasoning under one name, and text as a string, whatever the vendor's form."""
    content = said.get("content")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        said["content"] = "".join(text_of([part]) for part in parts if isinstance(part.get("text"), str))
        thoughts = [thought for part in parts if isinstance(thought := part.get("thinking"), list)]
        if thoughts:
            said["reasoning_content"] = "".join(text_of(_texts(thought)) for thought in thoughts)
    if isinstance(said.get("reasoning"), str) and not said.get("reasoning_content"):
        said["reasoning_content"] = said["reasoning"]
    as_text(said.get("tool_calls"))


def _texts(parts: list[Any]) -> list[Mapping[str, Any]]:
    return [part for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _shown(body: Mapping[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
    shown = {name: value for name, value in body.items() if isinstance(value, _TOLD.get(name, ()))}
    shown["choices"] = choices
    return shown


def parse_response(payload: bytes) -> ChatResult:
    """The body of a 200. Raises UpstreamError if it is not a completion with a message."""
    body = parse_object(payload)
    usage = parse_usage(_take_usage(body), body.get("service_tier"))
    choices = _choices(body, "message")
    if not choices:
        raise UpstreamError("malformed")
    for choice in choices:
        one_form(choice["message"].get("tool_calls"))
    return ChatResult(_shown(body, choices), usage)


class EventParser:
    """`data` payloads in, chunks out. Usage may be told in pieces, one count in this event and one in that."""

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}

    def feed(self, payload: bytes) -> ChatChunk:
        """Raises UpstreamError for an error that the provider sends in the stream, and for what is no chunk."""
        body = parse_object(payload)
        raw = _take_usage(body)
        usage = None
        if isinstance(raw, dict):
            # The last count stands, but for a nothing behind a something: that is one that was not made.
            self._usage |= {name: value for name, value in raw.items() if value or name not in self._usage}
            usage = parse_usage(self._usage, body.get("service_tier"))
        choices = _choices(body, "delta")
        return ChatChunk(_shown(body, choices) if choices else None, usage)


def _is_done(payload: bytes) -> bool:
    return payload == b"[DONE]"


class _Progress:
    """Which choices of a stream have begun and which have ended: an early end must not pass for an answer."""

    def __init__(self, choices: int) -> None:
        self._choices = choices  # that were asked for
        self._open: dict[int, str] = {}  # index -> the reason it would end for
        self._ended: set[int] = set()
        self._last: dict[str, Any] = {}
        self._counted = False  # whether usage was told since the last choice ended

    def see(self, chunk: ChatChunk) -> None:
        """Also says the role of a choice in its first delta, and in no other: clients join what is repeated."""
        if chunk.body is not None:
            self._see(chunk.body)
        self._counted = self._counted or chunk.usage is not None

    def whole(self) -> Whole:
        if self._open or len(self._ended) < self._choices:
            return "no"
        return "counted" if self._counted else "said"

    def _see(self, body: dict[str, Any]) -> None:
        self._counted = False
        for choice in body["choices"]:
            self._last = body
            index, delta = choice.get("index") or 0, choice["delta"]
            if index not in self._open and index not in self._ended:
                delta["role"] = delta.get("role") or "assistant"
            else:
                delta.pop("role", None)
            if choice.get("finish_reason"):
                self._open.pop(index, None)
                self._ended.add(index)
            elif index not in self._ended:
                calling = delta.get("tool_calls") or self._open.get(index) == "tool_calls"
                self._open[index] = "tool_calls" if calling else "stop"

    def end(self, *, counted: bool, done: bool) -> dict[str, Any] | None:
        """The chunk that the provider left out, if any. Raises UpstreamError for a stream that was cut.

        OpenRouter has passed on streams without a finish reason: usage and [DONE] show that they are whole.
        """
        if not self._open and self._ended:
            return None
        if not self._open or not (counted and done):
            raise UpstreamError("malformed")
        ends = [{"index": index, "delta": {}, "finish_reason": why} for index, why in sorted(self._open.items())]
        return {**self._last, "choices": ends}


class OpenAICompatibleChat:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        http = build_request(upstream, request, max_output_tokens)
        result = parse_response(await wire.exchange(self._post, http, upstream))
        return ChatResult(result.body, _kept_for(result.usage, request))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        http = build_request(upstream, request, max_output_tokens)
        progress, parser, calls = _Progress(request.body.get("n") or 1), EventParser(), StreamedCalls()
        counted, done = False, False
        events = wire.events(self._post, http, upstream, is_last=_is_done, is_whole=progress.whole)
        async with aclosing(events) as payloads:
            async for payload in payloads:
                if _is_done(payload):
                    done = True
                    continue
                chunk = parser.feed(payload)
                chunk = replace(chunk, usage=_kept_for(chunk.usage, request)) if chunk.usage else chunk
                counted = counted or chunk.usage is not None
                progress.see(chunk)
                if chunk.body is not None:
                    calls.see(chunk.body)
                yield chunk
        if missing := progress.end(counted=counted, done=done):
            yield ChatChunk(missing)


class OpenAICompatibleEmbed:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        async def send(batch: tuple[Text, ...]) -> EmbedResult:
            http = post_json(upstream, "embeddings", embed_body(upstream, request, batch))
            return parse_embeddings(await wire.exchange(self._post, http, upstream), request.encoding)

        return await embed_in_batches(upstream, request, send)


def embed_body(upstream: Upstream, request: EmbedRequest, batch: tuple[Text, ...]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": upstream.model_id, "input": list(batch)}
    if "no_encoding_format" not in upstream.quirks:
        body["encoding_format"] = "base64"  # a third of what numbers take, whatever the client wants
    if request.dimensions:
        body["dimensions"] = request.dimensions
    if request.user:
        body["user"] = request.user
    if request.input_type and "prefix_input_type" in upstream.quirks:
        body["input_type"] = request.input_type
    return body


class OpenAICompatible:
    chat = OpenAICompatibleChat(wire.CLIENT.post)
    embed = OpenAICompatibleEmbed(wire.CLIENT.post)
    ocr: OcrAdapter = OcrByChat(chat)
    detect = DetectByChat(chat)
    image = CompatibleImage(wire.CLIENT.post)
    transcribe = CompatibleTranscribe(wire.CLIENT.post)
    speak = CompatibleSpeak(wire.CLIENT.post)
    moderate: ModerateAdapter = CompatibleModerate(wire.CLIENT.post)
    rerank = CompatibleRerank(wire.CLIENT.post)


ADAPTER = OpenAICompatible()
