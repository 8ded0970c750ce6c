"""Text to speech. The audio is handed on as it comes."""

import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Unit, Usage

SECONDS_PER_CHARACTER = 0.25  # at most, at the usual speed: people say about fifteen a second
SLOWEST = 0.25
USUAL_SECONDS_PER_CHARACTER = 0.065
AUDIO_TOKENS_PER_S = 50  # at most
USUAL_TOKENS_PER_S = 21  # by OpenAI's prices: 12 USD a million are 0.015 USD a minute
PCM_BYTES_PER_S = 2 * 24_000

Format = Literal["mp3", "wav", "opus", "flac", "pcm"]
MEDIA_TYPES: dict[Format, str] = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "pcm": "audio/pcm",
}


@dataclass(frozen=True, slots=True)
class SpeakRequest:
    """`pcm` is signed 16 bits, little-endian, mono, at 24 kHz. `voice` is a name of the model's, None its own."""

    models: tuple[str, ...]
    text: str
    voice: str | None = None
    form: Format = "mp3"
    speed: float | None = None
    instructions: str | None = None
    preferences: Any = None

    @property
    def longest_seconds(self) -> int:
        return math.ceil(2 + len(self.text) * SECONDS_PER_CHARACTER / max(SLOWEST, self.speed or 1.0))

    @property
    def demand(self) -> Demand:
        seconds = self.longest_seconds
        return Demand(
            models=self.models,
            capabilities=frozenset({"speak"}),
            input_tokens=len(self.text.encode()) + len((self.instructions or "").encode()) + 16,
            # Who is told how to speak may take any time over it.
            output_tokens=None if self.instructions else seconds * AUDIO_TOKENS_PER_S,
            output_units=frozenset({"output_tokens", "output_audio_tokens"}),
            counts={"characters": len(self.text), "seconds": seconds},
            usual=self._usual(len(self.text) * USUAL_SECONDS_PER_CHARACTER / (self.speed or 1.0)),
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "text": self.text,
            "voice": self.voice,
            "form": self.form,
            "speed": self.speed,
            "instructions": self.instructions,
            "provider": self.preferences,
        }
        return CacheForm(modality="speech", parameters=parameters, deterministic=True)

    def estimate(self, seconds: float) -> Usage:
        """Of audio that plays for so long."""
        read = len(self.text.encode()) + len((self.instructions or "").encode())
        return Usage(
            {
                "characters": len(self.text),
                "input_tokens": -(-read // BYTES_PER_TOKEN),
                **self._usual(seconds),
            },
            estimated=True,
        )

    @staticmethod
    def _usual(seconds: float) -> dict[Unit, int]:
        return {"seconds": math.ceil(seconds), "output_audio_tokens": math.ceil(seconds * USUAL_TOKENS_PER_S)}


@dataclass(frozen=True, slots=True)
class SpeakChunk:
    """A piece of the audio, and what all of it consumes, where the provider tells that so far."""

    audio: bytes = b""
    usage: Usage | None = None


class SpeakAdapter(Protocol):
    """The audio in the request's format, from its first byte on. Raises UpstreamError."""

    def speak(self, upstream: Upstream, request: SpeakRequest) -> AsyncGenerator[SpeakChunk, None]: ...
