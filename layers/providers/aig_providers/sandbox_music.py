"""Test music: a melody over chords and a bass, composed from a prompt's hash. Pure, and the same for the same prompt.

A song has sixteen bars, A A B A, which begin again until the time is over. All of it is sine waves.
"""

import cmath
import hashlib
import math
import struct
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from operator import add

from aig_providers import sandbox_spectrum
from aig_providers.sandbox_audio import mp3_head, wav_head
from aig_providers.sandbox_spectrum import RATE, SAMPLES

LONGEST_SECONDS = 300
_STEPS = 8  # of a bar, each an eighth
_SLOWEST, _FASTEST = 13, 9  # frames of a step: 96 to 139 beats a minute
_LOWEST_HZ = 55.0
_MILLISECOND = 24  # samples, and a frame is a whole number of those
_FULL = 32_768  # as loud as a sample can be
_CYCLE = 1_024  # samples of a wave as it is kept
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))  # major and minor, in semitones
_CHORDS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 2, 3, 4), (5, 3, 0, 4), (0, 3, 5, 4))  # degrees, a bar each
_RHYTHMS = ((2, 1, 1, 2, 2), (1, 1, 2, 1, 1, 2), (3, 1, 2, 2), (2, 2, 1, 1, 2), (3, 3, 2), (1, 1, 1, 1, 4), (4, 2, 2))
_TRIAD = (0, 2, 4)
_HIGHEST, _MIDDLE = 10, 5  # degrees of the scale that the melody has, and where it begins
_STRIDES = (-3, -2, -1, -1, 1, 1, 2, 3)


@dataclass(frozen=True, slots=True)
class Voice:
    """How loud it is, of 32,767; its overtones, each against the others; how fast it fades; how long it swells."""

    loud: int
    overtones: Sequence[float]
    fading: float
    edge: float

    def swell(self, at: float, length: float) -> float:
        """How loud it is, of one, `at` seconds of a note: it begins and ends at nothing, so that none clicks."""
        return math.exp(-self.fading * at) * min(1.0, at / self.edge, (length - at) / self.edge)


MELODY = Voice(13_000, (1.0, 0.45, 0.2, 0.08), 2.5, 0.012)
CHORD = Voice(3_200, (1.0, 0.2), 0.0, 0.3)
BASS = Voice(9_500, (1.0, 0.5), 1.5, 0.02)


@dataclass(frozen=True, slots=True)
class Note:
    """When it begins and how long it sounds, in steps of the bar, and how many semitones it is above 55 Hz."""

    start: int
    length: int
    pitch: int
    voice: Voice

    @property
    def hertz(self) -> float:
        return float(_LOWEST_HZ * 2 ** (self.pitch / 12))


Bar = tuple[Note, ...]
_Degree = tuple[int, int, int]  # start and length in steps, and which of the scale


@dataclass(frozen=True, slots=True)
class Song:
    """`bars` in their order, in which some stand more than once; a step has `step` samples of 24 kHz."""

    bars: Sequence[Bar]
    step: int


def _tune(chords: Sequence[int], rhythms: Sequence[Sequence[int]], draws: Iterator[int]) -> Iterator[list[_Degree]]:
    """The melody of each bar, which walks up and down the scale and stands on one of the chord's own in the middle."""
    at = _MIDDLE
    for chord, rhythm in zip(chords, rhythms, strict=True):
        notes, start = [], 0
        for length in rhythm:
            at = min(_HIGHEST, max(0, at + _STRIDES[next(draws) % len(_STRIDES)]))
            if start in (0, _STEPS // 2):
                own = (degree for degree in range(_HIGHEST + 1) if (degree - chord) % 7 in _TRIAD)
                _, at = min((abs(degree - at), degree) for degree in own)
            notes.append((start, length, at))
            start += length
        yield notes


def song(prompt: str) -> Song:
    """Key, mode, tempo, chords and tune are all of the prompt's own."""
    draws = iter(hashlib.shake_256(prompt.encode()).digest(64))
    tonic, scale = 3 + next(draws) % 10, _SCALES[next(draws) % len(_SCALES)]
    step = SAMPLES * (_FASTEST + next(draws) % (_SLOWEST - _FASTEST + 1))

    def pitch(degree: int, octave: int) -> int:
        return tonic + 12 * (octave + degree // 7) + scale[degree % 7]

    def bar(chord: int, tune: Sequence[_Degree]) -> Bar:
        melody = [Note(start, length, pitch(degree, 2), MELODY) for start, length, degree in tune]
        pad = [Note(0, _STEPS, pitch(chord + third, 1), CHORD) for third in _TRIAD]
        bass = [Note(start, _STEPS // 2, pitch(chord, 0), BASS) for start in (0, _STEPS // 2)]
        return (*melody, *pad, *bass)

    def part() -> list[Bar]:
        chords, first, second = (table[next(draws) % len(table)] for table in (_CHORDS, _RHYTHMS, _RHYTHMS))
        return list(map(bar, chords, _tune(chords, (first, second) * 2, draws)))

    often, once = part(), part()
    return Song((*often, *often, *once, *often), step)


def _tone(note: Note, step: int) -> list[float]:
    """The samples of a note, a millisecond at one loudness each."""
    samples, voice = note.length * step, note.voice
    pace, most = _CYCLE * note.hertz / RATE, voice.loud / sum(voice.overtones)
    turn = 2 * math.pi / _CYCLE
    wave = [sum(part * math.sin(n * at * turn) for n, part in enumerate(voice.overtones, 1)) for at in range(_CYCLE)]
    tone: list[float] = []
    for begin in range(0, samples, _MILLISECOND):
        loud = most * voice.swell((begin + _MILLISECOND / 2) / RATE, samples / RATE)
        tone += [loud * wave[int(at * pace) % _CYCLE] for at in range(begin, begin + _MILLISECOND)]
    return tone


def _mixed(bar: Bar, step: int) -> Sequence[int]:
    mixed = [0.0] * (_STEPS * step)
    for note in bar:
        begin, tone = note.start * step, _tone(note, step)
        end = begin + len(tone)
        mixed[begin:end] = map(add, mixed[begin:end], tone)
    return array("h", map(int, mixed))


def _played(composed: Song, samples: int) -> Iterator[Sequence[int]]:
    """Bar after bar, the last one cut, and the last second or less of it fading."""
    known, left = dict[Bar, Sequence[int]](), samples
    for bar in cycle(composed.bars):
        if bar not in known:
            known[bar] = _mixed(bar, composed.step)
        played = known[bar][:left]
        left -= len(played)
        if left < RATE:
            played = [value * min(RATE, left + len(played) - at) // RATE for at, value in enumerate(played)]
        yield played
        if not left:
            return


def _comment(prompt: str, seconds: int) -> str:
    return f"sandbox/music ({seconds} s): {prompt}"


def _checked(seconds: int) -> None:
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"Test music is 1 to {LONGEST_SECONDS} seconds long.")


def wav(prompt: str, seconds: int) -> bytes:
    """16 bits, mono, at 24 kHz, exactly so long, its last second fading. Raises ValueError unless it is 1 to 300 s."""
    _checked(seconds)
    head = wav_head(_comment(prompt, seconds), seconds * RATE)
    parts = (struct.pack(f"<{len(part)}h", *part) for part in _played(song(prompt), seconds * RATE))
    return head + b"".join(parts)


def _spectra(bar: Bar, step: int) -> list[dict[int, float]]:
    """Of each frame of a bar the lines of all the tones that sound in it."""
    spectra = [defaultdict[int, float](float) for _ in range(_STEPS * step // SAMPLES)]
    for note in bar:
        first, length = note.start * step // SAMPLES, note.length * step / RATE
        most = note.voice.loud / sum(note.voice.overtones) / _FULL
        for number, part in enumerate(note.voice.overtones, 1):
            lines = sandbox_spectrum.lines(number * note.hertz)
            turn = 2j * math.pi * number * note.hertz * SAMPLES / RATE
            for at in range(note.length * step // SAMPLES):
                tone = part * most * note.voice.swell((at + 0.5) * SAMPLES / RATE, length) * cmath.exp(turn * at)
                for line, value in lines.items():
                    spectra[first + at][line] += (value * tone).real
    return [*spectra]


def _encoded(composed: Song) -> Iterator[bytes]:
    """Frames without an end."""
    known = dict[Bar, list[bytes]]()
    for bar in cycle(composed.bars):
        if bar not in known:
            known[bar] = [sandbox_spectrum.frame(spectrum) for spectrum in _spectra(bar, composed.step)]
        yield from known[bar]


def mp3(prompt: str, seconds: int) -> bytes:
    """The same song at 32 kbit/s, in frames of 24 ms, so up to that much longer. Raises ValueError as `wav` does."""
    _checked(seconds)
    count = -(-seconds * RATE // SAMPLES)
    fading = RATE // SAMPLES
    parts = [mp3_head(_comment(prompt, seconds))]
    for at, frame in enumerate(islice(_encoded(song(prompt)), count)):
        left = count - at
        parts.append(frame if left > fading else sandbox_spectrum.quieter(frame, left / (1 + fading)))
    return b"".join(parts)
