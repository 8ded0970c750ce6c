"""ElevenLabs: text to speech as it comes, by voices that have ids, and recordings to text by Scribe."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.speak import Format, SpeakChunk, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.forms import FilePart, post_form
from aig_providers.shapes import refuse as refuse_fields
from aig_providers.shapes import string, unsupported
from aig_providers.transcripts import heard, moment, refuse, words
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

USUAL_VOICE = "21m00Tcm4TlvDq8ikWAM"  # Rachel, whom every account has
_VOICE = re.compile(r"[A-Za-z0-9]{1,64}")  # it becomes a part of the path
_FORMATS: Mapping[Format, str] = {"mp3": "mp3_44100_128", "pcm": "pcm_24000", "opus": "opus_48000_96"}
# Of 401 and 403 alike: what the account may do, or has left.
_KEY_REFUSED = frozenset({"invalid_api_key", "missing_permissions", "quota_exceeded", "subscription_required"})
# Scribe tells ISO 639-3, and ours is ISO 639-1: that is its first two letters, or it is not.
_FIRST_TWO = frozenset({
    "afr", "amh", "ara", "asm", "aze", "bul", "cat", "dan", "eng", "fin", "fra", "guj", "hau", "hin", "hrv",
    "ita", "lao", "nep", "nor", "ron", "rus", "sin", "tam", "tel", "tha", "urd", "uzb", "vie", "wol", "yor",
    "zul",
})  # fmt: skip
_OTHERS: Mapping[str, str] = {
    "bel": "be", "ben": "bn", "bos": "bs", "ces": "cs", "cmn": "zh", "cym": "cy", "deu": "de", "ell": "el",
    "est": "et", "eus": "eu", "fas": "fa", "fil": "tl", "gle": "ga", "glg": "gl", "heb": "he", "hun": "hu",
    "hye": "hy", "ind": "id", "isl": "is", "jav": "jv", "jpn": "ja", "kan": "kn", "kat": "ka", "kaz": "kk",
    "khm": "km", "kor": "ko", "lav": "lv", "lit": "lt", "mal": "ml", "mar": "mr", "mkd": "mk", "mlt": "mt",
    "mon": "mn", "msa": "ms", "mya": "my", "nld": "nl", "pan": "pa", "pol": "pl", "por": "pt", "pus": "ps",
    "slk": "sk", "slv": "sl", "som": "so", "spa": "es", "sqi": "sq", "srp": "sr", "swa": "sw", "swe": "sv",
    "tgk": "tg", "tgl": "tl", "tur": "tr", "ukr": "uk", "xho": "xh", "zho": "zh",
}  # fmt: skip


def read_detail(body: Any) -> Detail:
    """`{"detail": {"status", "message"}}`, or FastAPI's list of mistakes with where each of them is."""
    detail = body["detail"]
    if isinstance(detail, list):
        return Detail(code="invalid_request_error", param=detail[0]["loc"][-1])
    refused = isinstance(detail, Mapping) and detail.get("status") in _KEY_REFUSED
    return Detail("auth") if refused else Detail(code="invalid_request_error")


def _with_key(upstream: Upstream, plain: HttpRequest) -> HttpRequest:
    headers = {name: value for name, value in plain.headers.items() if name != "Authorization"}
    key = {"xi-api-key": upstream.api_key} if upstream.api_key else {}
    return HttpRequest(plain.url, {**headers, **key}, plain.body)


def build_speak(upstream: Upstream, request: SpeakRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API does not have."""
    refuse_fields({"instructions": request.instructions}, ("instructions",))
    if request.form not in _FORMATS:
        raise unsupported("response_format")
    voice = request.voice or USUAL_VOICE
    if not _VOICE.fullmatch(voice):
        raise unsupported("voice")
    body: dict[str, Any] = {"text": request.text, "model_id": upstream.model_id}
    if request.speed not in (None, 1.0):
        body["voice_settings"] = {"speed": request.speed}
    path = f"text-to-speech/{voice}/stream?output_format={_FORMATS[request.form]}"
    return _with_key(upstream, post_json(upstream, path, body))


def build_transcribe(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API does not have."""
    refuse(request, "prompt", "into_english")
    fields = [
        ("model_id", upstream.model_id),
        ("timestamps_granularity", "word"),
        ("tag_audio_events", "false"),
        *([("language_code", request.language)] if request.language else []),
        *([("temperature", str(request.temperature))] if request.temperature is not None else []),
    ]
    files = [FilePart("file", request.sound.data, request.sound.media_type)]
    return _with_key(upstream, post_form(upstream, "speech-to-text", fields, files))


def parse(payload: bytes) -> TranscribeResult:
    """Raises UpstreamError."""
    body = parse_object(payload)
    try:
        told = body.get("audio_duration_secs")
        seconds = None if told is None else moment(told)
        spoken = [entry for entry in body.get("words") or () if entry["type"] == "word"]
        return TranscribeResult(
            text=string(body["text"]),
            words=words(spoken, "text"),
            language=_language(body.get("language_code")),
            seconds=seconds,
            usage=heard(seconds),
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        raise UpstreamError("malformed") from None


def _language(code: Any) -> str | None:
    if not isinstance(code, str):
        return None
    return code if len(code) == 2 else _OTHERS.get(code) or (code[:2] if code in _FIRST_TWO else None)


class ElevenLabsSpeak:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]:
        async with aclosing(wire.pieces(self._post, build_speak(upstream, request), upstream, read_detail)) as pieces:
            async for piece in pieces:
                yield SpeakChunk(piece)


class ElevenLabsTranscribe:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def transcribe(self, upstream: Upstream, request: TranscribeRequest) -> TranscribeResult:
        return parse(await wire.exchange(self._post, build_transcribe(upstream, request), upstream, read_detail))


class ElevenLabs:
    speak = ElevenLabsSpeak(wire.CLIENT.post)
    transcribe = ElevenLabsTranscribe(wire.CLIENT.post)


ADAPTER = ElevenLabs()
