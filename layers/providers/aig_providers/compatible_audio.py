"""Sound on OpenAI's wire: transcriptions, translations into English, and speech."""

import base64
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.speak import SpeakChunk, SpeakRequest
from aig.modalities.transcribe import LEAST_SECONDS, TranscribeRequest, TranscribeResult
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.forms import FilePart, post_form
from aig_providers.shapes import string, unsupported
from aig_providers.transcripts import heard, moment, segments, words
from aig_providers.wire import HttpRequest, Post, count, parse_object, post_json, told_error

ReadUsage = Callable[[Any], Usage | None]

USUAL_VOICE = "alloy"  # a voice must be named, and all models have this one


def build_transcription(upstream: Upstream, request: TranscribeRequest) -> HttpRequest:
    """As verbose as the model can: what is billed by the second, only that tells. Raises UpstreamError."""
    plain = "plain_transcripts" in upstream.quirks
    # A translation comes in segments, and there is no field to ask for words.
    if (request.granularities and plain) or ("word" in request.granularities and request.into_english):
        raise unsupported("timestamp_granularities")
    fields = [("model", upstream.model_id), ("response_format", "json" if plain else "verbose_json")]
    if request.prompt:
        fields.append(("prompt", request.prompt))
    if request.temperature is not None:
        fields.append(("temperature", str(request.temperature)))
    sound = [FilePart("file", request.sound.data, request.sound.media_type)]
    if request.into_english:
        return post_form(upstream, "audio/translations", fields, sound)
    if request.language:
        fields.append(("language", request.language))
    fields += [("timestamp_granularities[]", one) for one in sorted(request.granularities)]
    return post_form(upstream, "audio/transcriptions", fields, sound)


def parse_usage(raw: Any) -> Usage | None:
    """OpenAI's two kinds: by tokens, as disjoint classes, or by seconds, each begun one whole."""
    try:
        if raw["type"] == "duration":
            return Usage({"seconds": math.ceil(moment(raw["seconds"]))})
        if raw["type"] != "tokens":
            return None
        read, written = count(raw, "input_tokens"), count(raw, "output_tokens")
        sound = min(count(raw.get("input_token_details"), "audio_tokens"), read)
    except (TypeError, KeyError, ValueError):
        return None
    return Usage({"input_tokens": read - sound, "input_audio_tokens": sound, "output_tokens": written})


def _billed(upstream: Upstream, request: TranscribeRequest, told: Usage | None, duration: float | None) -> Usage | None:
    """What was told, or the recording's length as the answer has it; of short ones, what they are billed as."""
    told = told or heard(duration)
    if "ten_seconds_least" not in upstream.quirks:
        return told
    told = told or Usage({"seconds": math.ceil(request.sound.seconds)}, estimated=True)
    return Usage({"seconds": max(LEAST_SECONDS, told.units.get("seconds", 0))}, told.estimated)


def parse_transcription(
    payload: bytes, upstream: Upstream, request: TranscribeRequest, read_usage: ReadUsage = parse_usage
) -> TranscribeResult:
    """The body of a 200, verbose or not. Raises UpstreamError if it is no transcript."""
    body = parse_object(payload)
    try:
        text, language = string(body["text"]), body.get("language")
        duration = None if body.get("duration") is None else moment(body["duration"])
        spoken, said = segments(body.get("segments") or (), "text"), words(body.get("words") or (), "word")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UpstreamError("malformed") from None
    return TranscribeResult(
        text,
        spoken,
        said,
        language if isinstance(language, str) and language else None,
        duration,
        _billed(upstream, request, read_usage(body.get("usage")), duration),
    )


class CompatibleTranscribe:
    """`read_usage` reads the answer's `usage`."""

    def __init__(self, post: Post, read_usage: ReadUsage = parse_usage) -> None:
        self._post, self._read_usage = post, read_usage

    async def transcribe(self, upstream: Upstream, request: TranscribeRequest) -> TranscribeResult:
        http = build_transcription(upstream, request)
        payload = await wire.exchange(self._post, http, upstream)
        return parse_transcription(payload, upstream, request, self._read_usage)


def build_speech(upstream: Upstream, request: SpeakRequest, usual_voice: str | None = USUAL_VOICE) -> HttpRequest:
    """OpenAI's formats are ours: its `pcm` is 24 kHz too. Raises UpstreamError of kind rejected."""
    if request.instructions and "no_instructions" in upstream.quirks:
        raise unsupported("instructions")
    body: dict[str, Any] = {"model": upstream.model_id, "input": request.text, "response_format": request.form}
    if voice := request.voice or usual_voice:
        body["voice"] = voice
    if request.speed is not None:
        body["speed"] = request.speed
    if request.instructions:
        body["instructions"] = request.instructions
    if "speech_events" in upstream.quirks:
        body["stream_format"] = "sse"
    return post_json(upstream, "audio/speech", body)


class SpeechEvents:
    """`data` payloads in, chunks out."""

    def __init__(self) -> None:
        self.ended = False
        self._spoke = False

    def feed(self, payload: bytes) -> SpeakChunk | None:
        """None for an event that says nothing to us. Raises UpstreamError for an error, and for speech of nothing."""
        event = parse_object(payload)
        if event.get("error"):
            raise told_error(event["error"])
        try:
            match event.get("type"):
                case "speech.audio.delta":
                    self._spoke = True
                    return SpeakChunk(base64.b64decode(string(event["audio"]), validate=True))
                case "speech.audio.done":
                    self.ended = True
                    if not self._spoke:
                        raise UpstreamError("malformed")
                    return SpeakChunk(usage=_speech_usage(event.get("usage")))
        except (KeyError, TypeError, ValueError):
            raise UpstreamError("malformed") from None
        return None


def _speech_usage(raw: Any) -> Usage | None:
    try:
        read, spoken = count(raw, "input_tokens"), count(raw, "output_tokens")
    except ValueError:
        return None
    return Usage({"input_tokens": read, "output_audio_tokens": spoken}) if spoken else None


class CompatibleSpeak:
    """`usual_voice` is the name that is sent where the request has none; None sends none."""

    def __init__(self, post: Post, usual_voice: str | None = USUAL_VOICE) -> None:
        self._post, self._usual_voice = post, usual_voice

    async def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]:
        http = build_speech(upstream, request, self._usual_voice)
        chunks = self._events(upstream, http) if "speech_events" in upstream.quirks else self._bytes(upstream, http)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    async def _bytes(self, upstream: Upstream, http: HttpRequest) -> AsyncGenerator[SpeakChunk, None]:
        async with aclosing(wire.pieces(self._post, http, upstream)) as pieces:
            async for piece in pieces:
                yield SpeakChunk(piece)

    async def _events(self, upstream: Upstream, http: HttpRequest) -> AsyncGenerator[SpeakChunk, None]:
        parser = SpeechEvents()
        events = wire.events(self._post, http, upstream, is_last=lambda _: parser.ended)
        async with aclosing(events) as payloads:
            async for payload in payloads:
                if chunk := parser.feed(payload):
                    yield chunk
        if not parser.ended:
            raise UpstreamError("malformed")
