"""What `sandbox/speech` says and `sandbox/transcribe` hears: pure, the same for the same request.

The audio has the text in a comment, so that what was spoken here can be heard here.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from itertools import islice

from aig.errors import UpstreamError
from aig.modalities.files import Sound
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.transcript import Segment, Word
from aig.modalities.usage import Usage
from aig_providers.sandbox_audio import MAKERS, PITCHES, RATE, Tune

LONGEST_TEXT = 4_096
_SAMPLES_A_CHARACTER = 480  # 60 ms
_PIECES = 32
_SPOKEN = re.compile(rb"sandbox/speech \((\d{1,5}\.\d{3}) s, (\d{1,5}) bytes\): ")
_WITHIN_BYTES = 65_536  # from the beginning of a file
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def _tune(request: SpeakRequest) -> Tune:
    """A tone for each character, a pause for each space."""
    beat = round(_SAMPLES_A_CHARACTER / min(4.0, max(0.25, request.speed or 1.0)))
    pitches = [None if sign.isspace() else ord(sign) * 7 % PITCHES for sign in request.text]
    told = f"{len(pitches) * beat / RATE:.3f} s, {len(request.text.encode())} bytes"
    return Tune(pitches, beat, f"sandbox/speech ({told}): {request.text}")


def _pieces(tune: Tune, request: SpeakRequest) -> Iterator[bytes]:
    frames = MAKERS[request.form](tune)
    size = max(1, len(tune.pitches) // _PIECES)
    while piece := b"".join(islice(frames, size)):
        yield piece


def speak(request: SpeakRequest) -> tuple[Iterator[bytes], Usage]:
    """The audio in pieces: 60 ms for each character at the usual speed. Raises UpstreamError for a text too long."""
    if len(request.text) > LONGEST_TEXT:
        raise UpstreamError("rejected", status=400, code="string_above_max_length", param="input")
    tune = _tune(request)
    return _pieces(tune, request), Usage({"seconds": math.ceil(tune.seconds)})


def _heard(sound: Sound) -> tuple[str, float]:
    """What was spoken here, with its length; of any other recording how long it is, at most, and what it is."""
    told = _SPOKEN.search(sound.data[:_WITHIN_BYTES])
    if told is not None:
        text = sound.data[told.end() : told.end() + int(told[2])].decode(errors="replace")
        return text, min(float(told[1]), sound.seconds)
    mark = hashlib.sha256(sound.data).hexdigest()[:8]
    return f"sandbox heard {sound.seconds:.1f} seconds of {sound.media_type} with the hash {mark}", sound.seconds


def transcribe(request: TranscribeRequest) -> TranscribeResult:
    """The words share the time evenly; a segment is a sentence. What is to be in English is marked with [en]."""
    text, seconds = _heard(request.sound)
    text = f"[en] {text}" if request.into_english else text
    spoken = text.split()

    def at(count: int) -> float:
        return round(seconds * count / len(spoken), 3)

    words, segments, said = [], [], 0
    if "word" in request.granularities:
        words = [Word(word, at(number), at(number + 1)) for number, word in enumerate(spoken)]
    for sentence in _SENTENCE_END.split(text.strip()) if "segment" in request.granularities and spoken else ():
        begun, said = said, said + len(sentence.split())
        segments.append(Segment(at(begun), at(said), sentence))
    usage = Usage({"seconds": math.ceil(seconds)})
    return TranscribeResult(text, segments, words, request.language or "en", seconds, usage)
