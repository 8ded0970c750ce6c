"""Transcription at Workers AI: three Whispers and Deepgram's Nova, each with a way of its own to take a recording."""

import base64
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from aig.errors import UpstreamError
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.upstream import Upstream
from aig_providers.cloudflare.run import ask, opened_table, run_bytes, run_json
from aig_providers.deepgram_results import listening, parse_listened
from aig_providers.shapes import string, unsupported
from aig_providers.transcripts import heard, moment, refuse, segments, words
from aig_providers.wire import HttpRequest, Post

Build = Callable[[Upstream, TranscribeRequest], HttpRequest]
Parse = Callable[[Mapping[str, Any]], TranscribeResult]


def _plain(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    """The file alone: nothing can be said to the model."""
    refuse(request, "prompt", "temperature", "into_english", "language")
    return run_bytes(upstream, request.sound.data, request.sound.media_type)


def _english(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    refuse(request, "prompt", "temperature", "into_english")
    if request.language not in (None, "en"):
        raise unsupported("language")
    return run_bytes(upstream, request.sound.data, request.sound.media_type)


def _turbo(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    refuse(request, "temperature")
    body: dict[str, Any] = {
        "audio": base64.b64encode(request.sound.data).decode(),
        "task": "translate" if request.into_english else "transcribe",
    }
    if request.language:
        body["language"] = request.language
    if request.prompt:
        body["initial_prompt"] = request.prompt
    return run_json(upstream, body)


def _nova(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    query = f"?{urlencode(listening(request))}"
    return run_bytes(upstream, request.sound.data, request.sound.media_type, query)


def _parse_plain(result: Mapping[str, Any]) -> TranscribeResult:
    """Nothing is told of the length, so that the bill is estimated."""
    return TranscribeResult(string(result["text"]).strip(), words=words(result.get("words") or (), "word"))


def _parse_turbo(result: Mapping[str, Any]) -> TranscribeResult:
    info, pieces = result.get("transcription_info") or {}, result.get("segments") or ()
    seconds = moment(info["duration"]) if info.get("duration") is not None else None
    language = info.get("language")
    return TranscribeResult(
        text=string(result["text"]).strip(),
        segments=segments(pieces, "text"),
        words=[word for piece in pieces for word in words(piece.get("words") or (), "word")],
        language=language if isinstance(language, str) else None,
        seconds=seconds,
        usage=heard(seconds),
    )


_MODELS: Mapping[str, tuple[Build, Parse]] = {
    "@cf/openai/whisper": (_plain, _parse_plain),
    "@cf/openai/whisper-tiny-en": (_english, _parse_plain),
    "@cf/openai/whisper-large-v3-turbo": (_turbo, _parse_turbo),
    "@cf/deepgram/nova-3": (_nova, parse_listened),
}


def _model(upstream: Upstream) -> tuple[Build, Parse]:
    found = _MODELS.get(upstream.model_id)
    if found is None:
        raise unsupported("model")
    return found


def build_request(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model does not take."""
    return _model(upstream)[0](upstream, request)


def parse(upstream: Upstream, payload: bytes) -> TranscribeResult:
    """Raises UpstreamError."""
    result = opened_table(payload)
    try:
        return _model(upstream)[1](result)
    except (TypeError, KeyError, IndexError, ValueError, AttributeError):
        raise UpstreamError("malformed") from None


class CloudflareTranscribe:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def transcribe(self, upstream: Upstream, request: TranscribeRequest) -> TranscribeResult:
        return parse(upstream, await ask(self._post, build_request(upstream, request), upstream))
