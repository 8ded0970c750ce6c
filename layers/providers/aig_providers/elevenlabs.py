"""ElevenLabs: text to speech as it comes, by voices that have ids, recordings to text by Scribe, and music."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from math import ceil
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Finished, Handle, Inline, State
from aig.modalities.media import audio
from aig.modalities.music import MusicRequest
from aig.modalities.speak import Format, SpeakChunk, SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.forms import FilePart, post_form
from aig_providers.job_results import AtOnce
from aig_providers.shapes import refuse as refuse_fields
from aig_providers.shapes import string, unsupported
from aig_providers.transcripts import heard, moment, refuse, words
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

USUAL_VOICE = "21m00Tcm4TlvDq8ikWAM"  # Rachel, whom every account has
_VOICE = re.compile(r"[A-Za-z0-9]{1,64}")  # it becomes a part of the path
SHORTEST_MUSIC_S, LONGEST_MUSIC_S = 10, 300
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
    status = detail.get("status") if isinstance(detail, Mapping) else None
    if status == "bad_prompt":  # of music: it names what is somebody's own
        return Detail(code="content_policy_violation")
    return Detail("auth") if status in _KEY_REFUSED else Detail(code="invalid_request_error")


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


def check_music(request: MusicRequest) -> None:
    """Raises UpstreamError of kind rejected for what the API does not have: with a prompt it takes no seed."""
    given = {"lyrics": request.lyrics, "seed": request.seed is not None, "response_format": request.form == "wav"}
    refuse_fields(given, tuple(given))
    if request.seconds is not None and not SHORTEST_MUSIC_S <= request.seconds <= LONGEST_MUSIC_S:
        raise UpstreamError(
            "rejected",
            code="invalid_value",
            param="duration",
            message=f"This model makes {SHORTEST_MUSIC_S} to {LONGEST_MUSIC_S} seconds of music. Change duration.",
        )


def build_music(upstream: Upstream, request: MusicRequest) -> HttpRequest:
    body: dict[str, Any] = {"prompt": request.prompt, "model_id": upstream.model_id}
    if request.seconds is not None:
        body["music_length_ms"] = request.seconds * 1000
    if request.instrumental:
        body["force_instrumental"] = True
    return _with_key(upstream, post_json(upstream, f"music?output_format={_FORMATS['mp3']}", body))


def parse_music(payload: bytes, request: MusicRequest) -> Finished:
    """The seconds that were asked for, or that there are. Raises UpstreamError for what is no MP3."""
    try:
        if audio.kind(payload) != "audio/mpeg":
            raise ValueError("no music")
        seconds = request.seconds or ceil(audio.read(payload).seconds or 0)
    except ValueError:
        raise UpstreamError("malformed") from None
    return Finished([Inline(payload)], Usage({"seconds": seconds}, estimated=True))


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


class ElevenLabsMusic(AtOnce):
    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: MusicRequest) -> None:
        check_music(request)

    async def submit(self, upstream: Upstream, request: MusicRequest, reference: str, stage: Handle | None) -> State:
        check_music(request)
        payload = await wire.exchange(self._post, build_music(upstream, request), upstream, read_detail)
        return parse_music(payload, request)


class ElevenLabs:
    speak = ElevenLabsSpeak(wire.CLIENT.post)
    transcribe = ElevenLabsTranscribe(wire.CLIENT.post)
    music = ElevenLabsMusic(wire.CLIENT.post)


ADAPTER = ElevenLabs()
