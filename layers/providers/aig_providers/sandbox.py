"""`sandbox/*`: deterministic models, played by an upstream that lives in this process.

It speaks the OpenAI wire in bytes, so that all of openai_compatible's own parsing, timeouts and errors are at work.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedRequest, EmbedResult, encoded
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers import sandbox_vectors
from aig_providers.openai_compatible import OpenAICompatibleChat
from aig_providers.sandbox_echo import Completion, echo
from aig_providers.wire import HttpRequest, Reply

CONTEXT_TOKENS = 131_072
_CHUNKS_BEFORE_TROUBLE = 3
_FAILURES: Mapping[str, int] = {"fail-429": 429, "fail-500": 500, "fail-503": 503, "fail-529": 529, "fail-401": 401}
_FAIL_ONCE: Mapping[str, int] = {"fail-once-429": 429, "fail-once-500": 500}


@dataclass
class _Reply:
    """Bytes that come in pieces, as from a socket."""

    status: int
    pieces: AsyncIterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)

    async def read_some(self) -> bytes:
        return await anext(self.pieces, b"")


async def _once(payload: bytes) -> AsyncIterator[bytes]:
    yield payload


async def _forever_silent() -> None:
    await asyncio.Event().wait()


def _failure(status: int) -> _Reply:
    body = {"error": {"message": "as the sandbox was asked to", "type": "sandbox", "code": None, "param": None}}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return _Reply(status, _once(json.dumps(body).encode()), headers)


def _too_long() -> _Reply:
    body = {"error": {"message": "too long", "code": "context_length_exceeded", "param": "messages"}}
    return _Reply(400, _once(json.dumps(body).encode()))


def _usage(model: str, completion: Completion) -> dict[str, Any] | None:
    if model == "no-usage":
        return None
    prompt, output = (0, 0) if model == "zero-usage" else (completion.prompt_tokens, completion.output_tokens)
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def _base(kind: str, completion: Completion) -> dict[str, Any]:
    return {"id": f"chatcmpl-{completion.id}", "object": kind, "created": 1_795_305_600, "model": "sandbox"}


def _whole(model: str, completion: Completion) -> bytes:
    body = _base("chat.completion", completion)
    body["choices"] = [
        {"index": index, "message": completion.message, "finish_reason": completion.finish_reason, "logprobs": None}
        for index in range(completion.samples)
    ]
    body["usage"] = _usage(model, completion)
    return json.dumps(body).encode()


def _chunks(model: str, completion: Completion) -> list[bytes]:
    """The events of a stream: a delta a word for each sample, the ends, the usage."""
    base = _base("chat.completion.chunk", completion)

    def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + json.dumps({**base, "choices": choices, **more}).encode() + b"\n\n"

    events = [
        event([{"index": index, "delta": delta, "finish_reason": None}])
        for delta in completion.deltas
        for index in range(completion.samples)
    ]
    events += [
        event([{"index": index, "delta": {}, "finish_reason": completion.finish_reason}])
        for index in range(completion.samples)
    ]
    usage = _usage(model, completion)
    if usage is not None:
        events.append(event([], usage=usage))
    return [*events, b"data: [DONE]\n\n"]


async def _paced(model: str, events: list[bytes]) -> AsyncIterator[bytes]:
    """The events, with the trouble that the model is named for."""
    if model == "slow":
        await asyncio.sleep(2.0)
    for number, event in enumerate(events):
        if number == _CHUNKS_BEFORE_TROUBLE:
            if model == "cut":
                raise ConnectionResetError
            if model == "stall":
                await _forever_silent()
        if number and model == "slow":
            await asyncio.sleep(0.2)
        yield event


async def _reply(upstream: Upstream, body: dict[str, Any]) -> _Reply:
    model = upstream.model_id
    if model == "fail-timeout":
        await _forever_silent()
    if model == "fail-reset":
        raise ConnectionResetError
    if model == "fail-malformed":
        return _Reply(200, _once(b"<html>this is no JSON</html>"))
    if model == "fail-empty":
        return _Reply(200, _once(b""))
    if model in _FAILURES:
        return _failure(_FAILURES[model])
    if model in _FAIL_ONCE and await upstream.first_time(f"{model}/{upstream.session}"):
        return _failure(_FAIL_ONCE[model])
    completion = echo(body)
    if completion.prompt_tokens > CONTEXT_TOKENS:
        return _too_long()
    if body.get("stream"):
        return _Reply(200, _paced(model, _chunks(model, completion)))
    whole = _whole(model, completion)
    return _Reply(
        200,
        _paced(
            model,
            [whole[start : start + 64] for start in range(0, len(whole), 64)] if model in ("cut", "stall") else [whole],
        ),
    )


class SandboxChat:
    """OpenAI's wire over a transport that knows which model it plays."""

    def _over(self, upstream: Upstream) -> OpenAICompatibleChat:
        @asynccontextmanager
        async def post(request: HttpRequest, _: Timeouts) -> AsyncIterator[Reply]:
            try:
                yield await _reply(upstream, json.loads(request.body))
            except OSError as error:
                raise UpstreamError("connect") from error

        return OpenAICompatibleChat(post)

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        return await self._over(upstream).complete(upstream, request, max_output_tokens)

    def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        return self._over(upstream).stream(upstream, request, max_output_tokens)


class SandboxEmbed:
    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        dimensions = request.dimensions or upstream.dimensions or sandbox_vectors.DIMENSIONS
        vectors = [sandbox_vectors.vector(text, dimensions) for text in request.inputs]
        usage = Usage({"input_tokens": sum(sandbox_vectors.tokens(text) for text in request.inputs)})
        return EmbedResult([encoded(vector, request.encoding) for vector in vectors], usage)


class Sandbox:
    chat = SandboxChat()
    embed = SandboxEmbed()


ADAPTER = Sandbox()
