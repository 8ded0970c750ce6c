"""Deepgram: recordings to text, whole, and text to speech, as it comes."""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import urlencode

from aig.errors import UpstreamError
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.deepgram_results import ENCODINGS, listening, parse_listened
from aig_providers.shapes import refuse, unsupported
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

_KEY_REFUSED = frozenset({"INVALID_AUTH", "INSUFFICIENT_PERMISSIONS", "ASR_PAYMENT_REQUIRED"})
_VOICE = re.compile(r"[a-z]{1,32}")
_SPEAKER = re.compile(r"(aura(?:-\d)?)-[a-z]+-([a-z]{2})")  # such as aura-2-thalia-en: the voice is in the model's name


def read_detail(body: Any) -> Detail:
    """`{"err_code", "err_msg"}`, or `{"category", "message", "details"}` of the younger of its services."""
    code = body.get("err_code") or body["category"]
    return Detail("auth") if code in _KEY_REFUSED else Detail(code="invalid_request_error")


def _post(upstream: Upstream, path: str, query: dict[str, Any], body: dict[str, Any]) -> HttpRequest:
    plain = post_json(upstream, f"{path}?{urlencode(query)}", body)
    key = {"Authorization": f"Token {upstream.api_key}"} if upstream.api_key else {}
    return HttpRequest(plain.url, {**plain.headers, **key}, plain.body)


def build_listen(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API does not have."""
    plain = _post(upstream, "listen", {"model": upstream.model_id, **listening(request)}, {})
    return HttpRequest(plain.url, {**plain.headers, "Content-Type": request.sound.media_type}, request.sound.data)


def parse(payload: bytes) -> TranscribeResult:
    """Raises UpstreamError."""
    try:
        return parse_listened(parse_object(payload))
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        raise UpstreamError("malformed") from None


def build_speak(upstream: Upstream, request: SpeakRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for instructions, and for what cannot be a voice's name."""
    refuse({"instructions": request.instructions}, ("instructions",))
    query: dict[str, Any] = {"model": _speaker(upstream.model_id, request.voice), **ENCODINGS[request.form]}
    if request.speed not in (None, 1.0):
        query["speed"] = request.speed
    return _post(upstream, "speak", query, {"text": request.text})


def _speaker(model_id: str, voice: str | None) -> str:
    if voice is None:
        return model_id
    known = _SPEAKER.fullmatch(model_id)
    if known is None or not _VOICE.fullmatch(voice):
        raise unsupported("voice")
    return f"{known[1]}-{voice}-{known[2]}"


class DeepgramTranscribe:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def transcribe(self, upstream: Upstream, request: TranscribeRequest) -> TranscribeResult:
        return parse(await wire.exchange(self._post, build_listen(upstream, request), upstream, read_detail))


class DeepgramSpeak:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]:
        async with aclosing(wire.pieces(self._post, build_speak(upstream, request), upstream, read_detail)) as pieces:
            async for piece in pieces:
                yield SpeakChunk(piece)


class Deepgram:
    transcribe = DeepgramTranscribe(wire.CLIENT.post)
    speak = DeepgramSpeak(wire.CLIENT.post)


ADAPTER = Deepgram()
