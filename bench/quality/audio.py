"""What is asked of the voice and of the ear: the one speaks sentences, the other hears them again."""

import io
import time
import tomllib
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from aig.modalities import transcript
from bench.quality import espeak
from bench.quality.edits import distance, words
from local.models import audio_encoding
from local.models.speech import SpeechEngine, SpeechRequest
from local.models.transcriptions import TranscriptionEngine, TranscriptionRequest

_SENTENCES: Final = Path(__file__).with_name("sentences.toml")

Samples: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def speaking(voice: SpeechEngine) -> dict[str, str]:
    """How much of it Whisper understands, and what a second of sound costs."""
    from local.models import whisper_tiny_en

    ear = whisper_tiny_en.load()
    began = time.process_time()
    spoken = [(text, _say(voice, text, 1.0)) for text in _sentences()]
    cost = time.process_time() - began
    seconds = sum(len(samples) for _, samples in spoken) / audio_encoding.RATE
    return {
        f"words that whisper-tiny-en mishears in {len(spoken)} sentences": _mistakes(ear, iter(spoken)),
        "CPU seconds for a second of sound": f"{cost / seconds:.2f}",
    }


def hearing(ear: TranscriptionEngine) -> dict[str, str]:
    """How many words it gets wrong of what Piper says: clean, as on the telephone, in noise, and in a hurry."""
    from local.models import piper_joe

    voice = piper_joe.load()
    spoken = [(text, _say(voice, text, 1.0)) for text in _sentences()]
    hurried = [(text, _say(voice, text, 1.5)) for text in _sentences()]
    ways: dict[str, Callable[[Samples], Samples]] = {
        f"words wrong of {len(spoken)} sentences that piper-joe speaks": lambda samples: samples,
        "at telephone quality (8 kHz)": lambda samples: np.repeat(samples[::3], 3),
        "with white noise of 20 dB below": lambda samples: _noisy(samples, 20),
        "with white noise of 5 dB below": lambda samples: _noisy(samples, 5),
    }
    began = time.process_time()
    figures = {way: _mistakes(ear, ((text, spoil(said)) for text, said in spoken)) for way, spoil in ways.items()}
    cost = time.process_time() - began
    seconds = len(ways) * sum(len(samples) for _, samples in spoken) / audio_encoding.RATE
    figures["spoken half as fast again"] = _mistakes(ear, iter(hurried))
    robot = ((text, espeak.say(text, audio_encoding.RATE)) for text in _sentences())
    figures["the same sentences spoken by espeak-ng, a robot's voice"] = _mistakes(ear, robot)
    return {**figures, "CPU seconds for a second of sound": f"{cost / seconds:.2f}"}


def _sentences() -> list[str]:
    found: list[str] = tomllib.loads(_SENTENCES.read_text(encoding="utf-8"))["sentences"]
    return found


def _say(voice: SpeechEngine, text: str, speed: float) -> Samples:
    request = SpeechRequest(model="", text=text, voice="joe", response_format="pcm", speed=speed)
    return np.frombuffer(b"".join(voice.speak(request)), np.int16).astype(np.float32) / 32768


def _noisy(samples: Samples, below: float) -> Samples:
    """With white noise so many decibels below the mean power of the speech."""
    noise = np.random.default_rng(7).normal(0, np.sqrt(np.mean(samples**2)) * 10 ** (-below / 20), len(samples))
    return (samples + noise).astype(np.float32)


def _mistakes(ear: TranscriptionEngine, spoken: Iterator[tuple[str, Samples]]) -> str:
    """The word error rate: words to insert, delete or replace, of those that were said."""
    wrong = said = 0
    for text, samples in spoken:
        request = TranscriptionRequest("", _wav(samples), "json", None, None, frozenset({"segment"}))
        heard = transcript.text(piece for piece in ear.transcribe(request) if isinstance(piece, transcript.Segment))
        wrong += distance(words(text), words(heard))
        said += len(words(text))
    return f"{wrong / said:.1%}"


def _wav(samples: Samples) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, audio_encoding.RATE, 0, "NONE", ""))
        writer.writeframes((np.clip(samples, -1, 1) * 32767).astype(np.int16).tobytes())
    return file.getvalue()
