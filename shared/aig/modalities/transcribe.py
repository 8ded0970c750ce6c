"""Speech to text: a recording's words, with when they were said where the model tells."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.files import Sound, fingerprint
from aig.modalities.transcript import Segment, Word
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Unit, Usage, units_json

AUDIO_TOKENS_PER_S = 32  # at most: OpenAI's models count 10, Gemini 32
USUAL_TOKENS_PER_S = 10
WORDS_TOKENS_PER_S = 12  # of the text that can be said in a second
LEAST_SECONDS = 10  # that some bill for any recording

Granularity = Literal["segment", "word"]


@dataclass(frozen=True, slots=True)
class TranscribeRequest:
    """`language` is an ISO 639-1 code. With `into_english` what was said is translated."""

    models: tuple[str, ...]
    sound: Sound
    language: str | None = None
    prompt: str | None = None
    temperature: float | None = None
    granularities: frozenset[Granularity] = frozenset()
    into_english: bool = False
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        seconds = max(LEAST_SECONDS, math.ceil(self.sound.seconds))
        capabilities = {"transcribe"} | ({"into_english"} if self.into_english else set())
        if "word" in self.granularities:
            capabilities.add("words")
        if "segment" in self.granularities:
            capabilities.add("segments")
        return Demand(
            models=self.models,
            capabilities=frozenset(capabilities),
            input_tokens=len((self.prompt or "").encode()) + seconds * AUDIO_TOKENS_PER_S,
            input_units=frozenset({"input_tokens", "input_audio_tokens"}),
            output_tokens=256 + seconds * WORDS_TOKENS_PER_S,
            counts={"seconds": seconds},
            usual=self._usual(self.sound.seconds),
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "sound": fingerprint(self.sound.data),
            "language": self.language,
            "prompt": self.prompt,
            "temperature": self.temperature,
            "granularities": sorted(self.granularities),
            "into_english": self.into_english,
            "provider": self.preferences,
        }
        return CacheForm(modality="transcriptions", parameters=parameters, deterministic=not self.temperature)

    def estimate(self, result: "TranscribeResult") -> Usage:
        seconds = result.seconds if result.seconds is not None else self.sound.seconds
        written = -(-len(result.text.encode()) // BYTES_PER_TOKEN)
        return Usage({**self._usual(seconds), "output_tokens": written}, estimated=True)

    def _usual(self, seconds: float) -> dict[Unit, int]:
        read = -(-len((self.prompt or "").encode()) // BYTES_PER_TOKEN)
        heard = math.ceil(seconds * USUAL_TOKENS_PER_S)
        return {"seconds": math.ceil(seconds), "input_tokens": read, "input_audio_tokens": heard}

    def answer(self, result: "TranscribeResult", usage: Usage) -> dict[str, Any]:
        """All that is known; what of it a client gets, its `response_format` says."""
        return {
            "task": "translate" if self.into_english else "transcribe",
            "language": result.language or self.language,
            "duration": result.seconds if result.seconds is not None else self.sound.seconds,
            "text": result.text,
            "segments": [_segment_json(at, segment) for at, segment in enumerate(result.segments)],
            "words": [{"word": word.word, "start": word.start, "end": word.end} for word in result.words],
            "usage": _usage_json(usage),
        }


def _usage_json(usage: Usage) -> dict[str, Any]:
    """OpenAI's two kinds: by tokens, or by seconds."""
    counted = units_json(usage)
    if "seconds" in counted:
        return {"type": "duration", **counted}
    read = usage.total(("input_tokens", "input_audio_tokens"))
    written = usage.total(("output_tokens",))
    return {"type": "tokens", **counted, "input_tokens": read, "total_tokens": read + written}


def _segment_json(index: int, segment: Segment) -> dict[str, Any]:
    """What the model does not tell of it is left out."""
    told = {"avg_logprob": segment.avg_logprob, "no_speech_prob": segment.no_speech_prob}
    known = {name: value for name, value in told.items() if value is not None}
    return {"id": index, "start": segment.start, "end": segment.end, "text": segment.text, **known}


@dataclass(frozen=True, slots=True)
class TranscribeResult:
    """`segments` and `words`, all of the recording's, are empty where the model tells none.

    `seconds` is the recording's true length.
    """

    text: str
    segments: Sequence[Segment] = ()
    words: Sequence[Word] = ()
    language: str | None = None
    seconds: float | None = None
    usage: Usage | None = None


class TranscribeAdapter(Protocol):
    """Raises UpstreamError."""

    async def transcribe(self, upstream: Upstream, request: TranscribeRequest) -> TranscribeResult: ...
