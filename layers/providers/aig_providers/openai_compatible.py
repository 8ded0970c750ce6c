"""Every vendor, and every self-hosted server, that speaks OpenAI's chat wire. Catalog rows are its parameters."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from pydantic_core import from_json, to_json

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.chat_body import STEERING
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.wire import HttpRequest, Reply

_MOST_TOKENS = 10**9

Post = Callable[[HttpRequest, Timeouts], AbstractAsyncContextManager[Reply]]


def build_request(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> HttpRequest:
    """The client's body under the provider's model id, with the limit that was paid for; usage always asked for."""
    body = {name: value for name, value in request.body.items() if name not in STEERING}
    body["model"] = upstream.model_id
    body[upstream.max_tokens_field] = max_output_tokens
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {**(request.body.get("stream_options") or {}), "include_usage": True}
    headers = {"Content-Type": "application/json"}
    if upstream.api_key:
        headers["Authorization"] = f"Bearer {upstream.api_key}"
    return HttpRequest(f"{upstream.base_url.rstrip('/')}/chat/completions", headers, to_json(body))


def _count(table: Any, name: str) -> int:
    """A token count; 0 if there is none. Raises ValueError for what cannot be one."""
    value = table.get(name) if isinstance(table, Mapping) else None
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise ValueError(name)
    return value


def parse_usage(raw: Any) -> Usage | None:
    """OpenAI's totals, which include their details, as disjoint classes. None if absent, half or not credible."""
    if not isinstance(raw, Mapping) or raw.get("prompt_tokens") is None or raw.get("completion_tokens") is None:
        return None
    try:
        prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
        cached = min(_count(raw.get("prompt_tokens_details"), "cached_tokens"), prompt)
        audio_in = min(_count(raw.get("prompt_tokens_details"), "audio_tokens"), prompt - cached)
        reasoning = _count(raw.get("completion_tokens_details"), "reasoning_tokens")
        if reasoning and _count(raw, "total_tokens") == prompt + completion + reasoning:
            completion += reasoning  # xAI counts reasoning beside the completion; only its total tells
        reasoning = min(reasoning, completion)
        audio_out = min(_count(raw.get("completion_tokens_details"), "audio_tokens"), completion - reasoning)
    except ValueError:
        return None
    return Usage(
        {
            "input_tokens": prompt - cached - audio_in,
            "cached_input_tokens": cached,
            "input_audio_tokens": audio_in,
            "output_tokens": completion - reasoning - audio_out,
            "reasoning_tokens": reasoning,
            "output_audio_tokens": audio_out,
        }
    )


def _object(payload: bytes) -> dict[str, Any]:
    try:
        body = from_json(payload, allow_inf_nan=False)
    except ValueError:
        raise UpstreamError("malformed") from None
    if not isinstance(body, dict):
        raise UpstreamError("malformed")
    return body


def _choices(body: dict[str, Any], said: str) -> list[dict[str, Any]]:
    if body.get("error"):
        raise UpstreamError("unavailable")
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise UpstreamError("malformed")
    for choice in choices:
        if not isinstance(choice, dict) or not isinstance(choice.get(said), dict):
            raise UpstreamError("malformed")
        if choice.get("error") or choice.get("finish_reason") == "error":
            raise UpstreamError("unavailable")
        if not isinstance(choice.get("index") or 0, int):
            raise UpstreamError("malformed")
    return choices


def parse_response(payload: bytes) -> ChatResult:
    """The body of a 200. Raises UpstreamError if it is not a completion with a message."""
    body = _object(payload)
    if not _choices(body, "message"):
        raise UpstreamError("malformed")
    usage = parse_usage(body.pop("usage", None))
    return ChatResult(body, usage)


def parse_event(payload: bytes) -> ChatChunk:
    """One `data` payload. Raises UpstreamError for an error that the provider sends in the stream."""
    body = _object(payload)
    usage = parse_usage(body.pop("usage", None))
    return ChatChunk(body if _choices(body, "delta") else None, usage)


class _Progress:
    """Which choices of a stream have begun and which have ended: an early end must not pass for an answer."""

    def __init__(self) -> None:
        self._open: dict[int, str] = {}  # index -> the reason it would end for
        self._ended: set[int] = set()
        self._last: dict[str, Any] = {}

    def see(self, body: dict[str, Any]) -> None:
        for choice in body["choices"]:
            self._last = body
            index = choice.get("index") or 0
            if choice.get("finish_reason"):
                self._open.pop(index, None)
                self._ended.add(index)
            elif index not in self._ended:
                calling = choice["delta"].get("tool_calls") or self._open.get(index) == "tool_calls"
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
        async def exchange() -> bytes:
            async with self._post(build_request(upstream, request, max_output_tokens), upstream.timeouts) as reply:
                payload = await wire.read_all(reply)
                if reply.status != 200:
                    raise wire.status_error(reply.status, reply.headers, payload, upstream.api_key)
                return payload

        return parse_response(await wire.within(upstream.timeouts.total, exchange()))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        progress, timeouts, counted, done = _Progress(), upstream.timeouts, False, False
        async with AsyncExitStack() as stack:

            async def head() -> Reply:
                post = self._post(build_request(upstream, request, max_output_tokens), timeouts)
                reply = await stack.enter_async_context(post)
                if reply.status != 200:
                    body = await wire.read_all(reply)
                    raise wire.status_error(reply.status, reply.headers, body, upstream.api_key)
                return reply

            reply = await wire.within(timeouts.first_byte, head())
            async for payload in wire.sse_payloads(reply, timeouts):
                if payload == b"[DONE]":
                    done = True
                    await wire.finish(reply)
                    break
                chunk = parse_event(payload)
                counted = counted or chunk.usage is not None
                if chunk.body is not None:
                    progress.see(chunk.body)
                yield chunk
        if missing := progress.end(counted=counted, done=done):
            yield ChatChunk(missing)


class OpenAICompatible:
    chat = OpenAICompatibleChat(wire.CLIENT.post)


ADAPTER = OpenAICompatible()
