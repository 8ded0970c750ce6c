"""`sandbox/*`: deterministic models, played by an upstream that lives in this process.

It speaks the OpenAI wire in bytes, so that all of openai_compatible's own parsing, timeouts and errors are at work.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeVar

from aig.clock import SystemClock
from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.classify import ClassifyRequest, ClassifyResult
from aig.modalities.detect import DetectRequest, DetectResult
from aig.modalities.embed import EmbedRequest, EmbedResult, encoded
from aig.modalities.image import ImageRequest, ImageResult
from aig.modalities.moderate import ModerateRequest, ModerateResult
from aig.modalities.ocr import OcrRequest, OcrResult
from aig.modalities.rerank import RerankRequest, RerankResult
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.translate import TranslateRequest, TranslateResult
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers import sandbox_files, sandbox_jobs, sandbox_speech, sandbox_texts, sandbox_vectors, wire
from aig_providers.openai_compatible import OpenAICompatibleChat
from aig_providers.sandbox_echo import Completion, echo
from aig_providers.sandbox_jobs import SandboxJobs
from aig_providers.wire import HttpRequest, Post, Reply

ResultT = TypeVar(
    "ResultT",
    bound=ClassifyResult
    | DetectResult
    | EmbedResult
    | ImageResult
    | ModerateResult
    | OcrResult
    | RerankResult
    | TranscribeResult
    | TranslateResult,
)

CONTEXT_TOKENS = 131_072
_CHUNKS_BEFORE_TROUBLE = 3
_FAILURES: Mapping[str, int] = {"fail-429": 429, "fail-500": 500, "fail-503": 503, "fail-529": 529, "fail-401": 401}
_FAIL_ONCE: Mapping[str, int] = {"fail-once-429": 429, "fail-once-500": 500}
_PAGE = b"<html>this is no JSON</html>"
_NOTHING = HttpRequest("sandbox:", {}, b"")  # to an upstream that knows what it is asked


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


async def _paced(model: str, pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The pieces, with the trouble that the model is named for: after three of them, or at the end of fewer."""
    if model == "slow":
        await asyncio.sleep(2.0)
    for number, piece in enumerate(chain(pieces, (b"",))):
        if number == _CHUNKS_BEFORE_TROUBLE or not piece:
            if model == "cut":
                raise ConnectionResetError
            if model == "stall":
                await _forever_silent()
        if number and piece and model == "slow":
            await asyncio.sleep(0.2)
        yield piece


async def _failing(upstream: Upstream) -> _Reply | None:
    """What the model is named for, if it is to fail at once, whatever it is asked to do."""
    model = upstream.model_id
    if model == "fail-timeout":
        await _forever_silent()
    if model == "fail-reset":
        raise ConnectionResetError
    if model == "fail-malformed":
        return _Reply(200, _once(_PAGE))
    if model == "fail-empty":
        return _Reply(200, _once(b""))
    if model in _FAILURES:
        return _failure(_FAILURES[model])
    if model in _FAIL_ONCE and await upstream.first_time(f"{model}/{upstream.session}"):
        return _failure(_FAIL_ONCE[model])
    return None


def _over(upstream: Upstream, answer: Callable[[HttpRequest], _Reply]) -> Post:
    """A transport that fails as the model does, or brings the answer."""

    @asynccontextmanager
    async def post(request: HttpRequest, _: Timeouts) -> AsyncIterator[Reply]:
        try:
            yield await _failing(upstream) or answer(request)
        except OSError as error:
            raise UpstreamError("connect") from error

    return post


def _completed(model: str, request: HttpRequest) -> _Reply:
    body = json.loads(request.body)
    completion = echo(body)
    if completion.prompt_tokens > CONTEXT_TOKENS:
        return _too_long()
    pieces = _chunks(model, completion) if body.get("stream") else [_whole(model, completion)]
    return _Reply(200, _paced(model, pieces))


class SandboxChat:
    """OpenAI's wire over a transport that knows which model it plays."""

    def _over(self, upstream: Upstream) -> OpenAICompatibleChat:
        return OpenAICompatibleChat(_over(upstream, lambda request: _completed(upstream.model_id, request)))

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        return await self._over(upstream).complete(upstream, request, max_output_tokens)

    def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        return self._over(upstream).stream(upstream, request, max_output_tokens)


def _told(model: str, usage: Usage | None) -> Usage | None:
    if usage is None or model == "no-usage":
        return None
    return Usage(dict.fromkeys(usage.units, 0)) if model == "zero-usage" else usage


async def _reach(upstream: Upstream) -> None:
    """Nothing, once the transport has brought a JSON object: its failures are those of chat."""
    post = _over(upstream, lambda _: _Reply(200, _paced(upstream.model_id, [b"{}"])))
    wire.parse_object(await wire.exchange(post, _NOTHING, upstream))


async def _answer(upstream: Upstream, make: Callable[[], ResultT]) -> ResultT:
    """What the model makes, once it is reached."""
    await _reach(upstream)
    result = make()
    return replace(result, usage=_told(upstream.model_id, result.usage))


def _embedded(upstream: Upstream, request: EmbedRequest) -> EmbedResult:
    dimensions = request.dimensions or upstream.dimensions or sandbox_vectors.DIMENSIONS
    vectors = [sandbox_vectors.vector(text, dimensions) for text in request.inputs]
    usage = Usage({"input_tokens": sum(sandbox_vectors.tokens(text) for text in request.inputs)})
    return EmbedResult([encoded(vector, request.encoding) for vector in vectors], usage)


class SandboxAnswers:
    """All that is answered whole. Which of it a model does, its row in the catalog says."""

    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        return await _answer(upstream, lambda: _embedded(upstream, request))

    async def image(self, upstream: Upstream, request: ImageRequest) -> ImageResult:
        return await _answer(upstream, lambda: sandbox_files.image(request))

    async def transcribe(self, upstream: Upstream, request: TranscribeRequest) -> TranscribeResult:
        return await _answer(upstream, lambda: sandbox_speech.transcribe(request))

    async def moderate(self, upstream: Upstream, request: ModerateRequest) -> ModerateResult:
        return await _answer(upstream, lambda: sandbox_texts.moderate(request))

    async def translate(self, upstream: Upstream, request: TranslateRequest) -> TranslateResult:
        return await _answer(upstream, lambda: sandbox_texts.translate(request))

    async def classify(self, upstream: Upstream, request: ClassifyRequest) -> ClassifyResult:
        return await _answer(upstream, lambda: sandbox_texts.classify(request))

    async def detect(self, upstream: Upstream, request: DetectRequest) -> DetectResult:
        return await _answer(upstream, lambda: sandbox_files.detect(request))

    async def ocr(self, upstream: Upstream, request: OcrRequest) -> OcrResult:
        return await _answer(upstream, lambda: sandbox_files.ocr(request))

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult:
        return await _answer(upstream, lambda: sandbox_texts.rerank(request))


class SandboxSpeak:
    async def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]:
        audio, usage = sandbox_speech.speak(request)
        told = _told(upstream.model_id, usage)
        post = _over(upstream, lambda _: _Reply(200, _paced(upstream.model_id, audio)))
        async with contextlib.aclosing(wire.pieces(post, _NOTHING, upstream)) as pieces:
            async for piece in pieces:
                if piece == _PAGE:  # which a provider's adapter tells from audio by its type
                    raise UpstreamError("malformed")
                yield SpeakChunk(piece, told)


class Sandbox:
    chat = SandboxChat()
    speak = SandboxSpeak()
    embed = image = transcribe = moderate = translate = classify = detect = ocr = rerank = SandboxAnswers()
    video = SandboxJobs(sandbox_jobs.VIDEO, _reach, SystemClock())
    music = SandboxJobs(sandbox_jobs.MUSIC, _reach, SystemClock())
    three_d = SandboxJobs(sandbox_jobs.THREE_D, _reach, SystemClock())


ADAPTER = Sandbox()
