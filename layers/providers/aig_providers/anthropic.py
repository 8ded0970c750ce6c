"""Anthropic's Messages API: chat, whole and streamed."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.anthropic_messages import messages_body
from aig_providers.claude_thinking import FORMAT
from aig_providers.shapes import CallNumbers, arguments_json, chunk, completion, tool_call
from aig_providers.wire import Detail, HttpRequest, Post, Whole, count, parse_object

VERSION = "2023-06-01"
_FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
# Errors in the middle of a stream have no status: their type says what it would have been.
_KINDS: Mapping[str, UpstreamKind] = {
    "rate_limit_error": "rate_limited",
    "authentication_error": "auth",
    "permission_error": "auth",
    "billing_error": "auth",
    "invalid_request_error": "rejected",
    "not_found_error": "rejected",
    "request_too_large": "rejected",
}


def build_request(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API cannot do."""
    body = messages_body(upstream, request, max_output_tokens)
    headers = {"Content-Type": "application/json", "anthropic-version": VERSION}
    if upstream.api_key:
        headers["x-api-key"] = upstream.api_key
    return HttpRequest(f"{upstream.base_url.rstrip('/')}/v1/messages", headers, to_json(body))


def read_detail(body: Any) -> Detail:
    """A spend limit that the account's owner has set comes as a 429 that no waiting helps against."""
    error = body["error"]
    details, kind = error.get("details"), error.get("type")
    spent = isinstance(details, Mapping) and details.get("error_code") == "enforced_spend_limit_reached"
    refused = isinstance(kind, str) and _KINDS.get(kind) == "auth"
    return Detail("auth" if spent or refused else None, kind)


def _stream_error(kind: Any) -> UpstreamError:
    found = _KINDS.get(kind, "unavailable") if isinstance(kind, str) else "unavailable"
    return UpstreamError(found, status=400 if found == "rejected" else None)


def parse_usage(raw: Any) -> Usage | None:
    """Input counts leave the cache out, and say apart what was read from it and written to it. None if not credible."""
    if not isinstance(raw, Mapping) or raw.get("input_tokens") is None or raw.get("output_tokens") is None:
        return None
    try:
        output = count(raw, "output_tokens")
        thinking = min(count(raw.get("output_tokens_details"), "thinking_tokens"), output)
        written = count(raw, "cache_creation_input_tokens")
        hour = min(count(raw.get("cache_creation"), "ephemeral_1h_input_tokens"), written)
        units = {
            "input_tokens": count(raw, "input_tokens"),
            "cached_input_tokens": count(raw, "cache_read_input_tokens"),
            "cache_write_tokens": written - hour,
            "cache_write_1h_tokens": hour,
            "output_tokens": output - thinking,
            "reasoning_tokens": thinking,
        }
    except ValueError:
        return None
    tier = raw.get("service_tier")
    return Usage(units, service_tier=tier if tier == "priority" else None)  # type: ignore[arg-type]


def _text(block: Mapping[str, Any], name: str) -> str:
    value = block.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UpstreamError("malformed")
    return value


def _thought(block: Mapping[str, Any], index: int) -> dict[str, Any]:
    if block["type"] == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": _text(block, "data"), "format": FORMAT, "index": index}
    text, signature = _text(block, "thinking"), _text(block, "signature")
    return {"type": "reasoning.text", "text": text, "signature": signature, "format": FORMAT, "index": index}


def _refusal(stop_details: Any) -> str | None:
    """Why the model declined, which it says to the user."""
    explanation = stop_details.get("explanation") if isinstance(stop_details, Mapping) else None
    return explanation if isinstance(explanation, str) else None


def _finish(reason: Any) -> str:
    return _FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def _stopped(told: Mapping[str, Any]) -> dict[str, Any]:
    """Why it stopped, in the API's own words: more than OpenAI has."""
    more = {name: told[name] for name in ("stop_sequence", "stop_details") if told.get(name) is not None}
    return {"native_finish_reason": told["stop_reason"], **more}


def parse_response(payload: bytes, created: int) -> ChatResult:
    """The body of a 200. Raises UpstreamError if it is not a message."""
    body = parse_object(payload)
    blocks = body.get("content")
    if not isinstance(blocks, list) or not isinstance(body.get("stop_reason"), str):
        raise UpstreamError("malformed")
    texts: list[str] = []
    details: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        match block.get("type") if isinstance(block, Mapping) else None:
            case "text":
                texts.append(_text(block, "text"))
            case "thinking" | "redacted_thinking":
                details.append(_thought(block, index))
            case "tool_use":
                calls.append(tool_call(_text(block, "id"), _text(block, "name"), arguments_json(block.get("input"))))
            case None:
                raise UpstreamError("malformed")
    refused = body["stop_reason"] == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": _refusal(body.get("stop_details")) if refused else None,
    }
    if details:
        message["reasoning_content"] = "".join(detail.get("text", "") for detail in details)
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    answer = completion(body.get("id"), created, message, _finish(body["stop_reason"]), **_stopped(body))
    return ChatResult(answer, parse_usage(body.get("usage")))


class StreamParser:
    """Events in, chunks out. Counts are told in pieces: those of a start and of all deltas together are the usage."""

    def __init__(self, created: int) -> None:
        self._created = created
        self._id: Any = None
        self._role: dict[str, Any] = {"role": "assistant"}  # until it is said
        self._calls = CallNumbers()
        self._silent: dict[Any, Any] = {}  # blocks of calls without arguments so far -> the input they began with
        self._usage: dict[str, Any] = {}
        self._counted = False  # whether the output has been counted: the count of the start stands for nothing
        self.ended = False  # why it stopped has been said
        self.over = False  # no event follows

    def feed(self, payload: bytes) -> list[ChatChunk]:
        """Raises UpstreamError for an error in the stream and for what is no event."""
        event = parse_object(payload)
        try:
            match event.get("type"):
                case "message_start":
                    self._start(event["message"])
                case "content_block_start":
                    return self._block(event.get("index"), event["content_block"])
                case "content_block_delta":
                    return self._delta(event.get("index"), event["delta"])
                case "content_block_stop":
                    return self._stop(event.get("index"))
                case "message_delta":
                    return self._finish(event["delta"], event.get("usage"))
                case "message_stop":
                    self.over = True
                case "error":
                    raise _stream_error(event["error"].get("type"))
        except (KeyError, TypeError, AttributeError):
            raise UpstreamError("malformed") from None
        return []

    def _start(self, message: Mapping[str, Any]) -> None:
        """May come twice: the later counts stand."""
        self._id = self._id or message.get("id")
        self._count(message.get("usage"))

    def _count(self, usage: Any) -> None:
        if isinstance(usage, Mapping):
            self._usage |= {name: value for name, value in usage.items() if value is not None}

    def _say(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> ChatChunk:
        if self._role:
            delta, self._role = {**self._role, **delta}, {}
        return ChatChunk(chunk(self._id, self._created, delta, finish_reason, **more))

    def _block(self, index: Any, block: Mapping[str, Any]) -> list[ChatChunk]:
        match block.get("type"):
            case "text":
                return [self._say({"content": text})] if (text := _text(block, "text")) else []
            case "thinking" | "redacted_thinking":
                detail = _thought(block, index if isinstance(index, int) else 0)
                if not detail.get("signature", True):
                    del detail["signature"]
                delta: dict[str, Any] = {"reasoning_details": [detail]}
                if detail.get("text"):
                    delta["reasoning_content"] = detail["text"]
                return [self._say(delta)]
            case "tool_use":
                number = self._calls.begin(index)
                self._silent[index] = block.get("input")
                call = tool_call(_text(block, "id"), _text(block, "name"), "")
                return [self._say({"tool_calls": [{"index": number, **call}]})]
        return []

    def _delta(self, index: Any, delta: Mapping[str, Any]) -> list[ChatChunk]:
        match delta.get("type"):
            case "text_delta":
                return [self._say({"content": _text(delta, "text")})]
            case "input_json_delta" if index in self._calls:
                if not (text := _text(delta, "partial_json")):
                    return []
                self._silent.pop(index, None)
                return [self._arguments(index, text)]
            case "thinking_delta":
                text = _text(delta, "thinking")
                piece = {"type": "reasoning.text", "text": text, "index": index}
                return [self._say({"reasoning_content": text, "reasoning_details": [piece]})]
            case "signature_delta":
                piece = {"type": "reasoning.text", "signature": _text(delta, "signature"), "index": index}
                return [self._say({"reasoning_details": [piece]})]
        return []

    def _arguments(self, index: Any, text: str) -> ChatChunk:
        return self._say({"tool_calls": [{"index": self._calls[index], "function": {"arguments": text}}]})

    def _stop(self, index: Any) -> list[ChatChunk]:
        """A call without arguments has said none: an empty object is what it means."""
        if index not in self._silent:
            return []
        return [self._arguments(index, arguments_json(self._silent.pop(index)))]

    def _finish(self, delta: Mapping[str, Any], usage: Any) -> list[ChatChunk]:
        self._count(usage)
        self._counted = self._counted or (isinstance(usage, Mapping) and usage.get("output_tokens") is not None)
        counted = parse_usage(self._usage) if self._counted else None
        reason = delta.get("stop_reason")
        if not isinstance(reason, str):
            return [ChatChunk(None, counted)] if counted else []
        self.ended = True
        refusal = _refusal(delta.get("stop_details")) if reason == "refusal" else None
        said = self._say({"refusal": refusal} if refusal else {}, _finish(reason), **_stopped(delta))
        return [ChatChunk(said.body, counted)]

    def whole(self) -> Whole:
        if not self.ended:
            return "no"
        return "counted" if self._counted else "said"


class AnthropicChat:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        http = build_request(upstream, request, max_output_tokens)
        return parse_response(await wire.exchange(self._post, http, upstream, read_detail), int(time.time()))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        http = build_request(upstream, request, max_output_tokens)
        parser = StreamParser(int(time.time()))
        events = wire.events(
            self._post, http, upstream, is_last=lambda _: parser.over, is_whole=parser.whole, read_detail=read_detail
        )
        async with aclosing(events) as payloads:
            async for payload in payloads:
                for piece in parser.feed(payload):
                    yield piece
        if not parser.ended:
            raise UpstreamError("malformed")


class Anthropic:
    chat = AnthropicChat(wire.CLIENT.post)


ADAPTER = Anthropic()
