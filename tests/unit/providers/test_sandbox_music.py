"""Test music: heard by the strength of each pitch in it, and by FFmpeg's decoders where PyAV is installed."""

import io
import math
import wave
from array import array
from collections.abc import Sequence
from itertools import pairwise

import pytest

from aig.modalities.media import audio as clips
from aig_providers.sandbox_music import MELODY, mp3, song, wav

RATE, SAMPLES = 24_000, 576
PROMPTS = ["a calm sea", "rock", "", "\u65e5\u672c", *map(str, range(20))]


def samples(data: bytes) -> Sequence[int]:
    with wave.open(io.BytesIO(data)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate()) == (1, 2, RATE)
        return array("h", opened.readframes(opened.getnframes()))


def strength(heard: Sequence[float], hertz: float) -> float:
    """How loud a pitch is in it, by the sum of its products with that sine and cosine."""
    turn = 2 * math.pi * hertz / RATE
    sines = sum(value * math.sin(turn * at) for at, value in enumerate(heard))
    cosines = sum(value * math.cos(turn * at) for at, value in enumerate(heard))
    return 2 * math.hypot(sines, cosines) / len(heard)


def loudness(heard: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in heard) / len(heard))


@pytest.mark.parametrize("seconds", [1, 2, 7, 300])
def test_it_is_as_long_as_was_asked_for(seconds: int) -> None:
    data = wav("a calm sea", seconds)
    assert len(samples(data)) == seconds * RATE
    assert len(data) == 8 + int.from_bytes(data[4:8], "little")
    assert clips.read(data).seconds == pytest.approx(seconds)
    assert b"sandbox/music" in data[:200]
    assert b"a calm sea" in data[:200]


@pytest.mark.parametrize("prompt", PROMPTS[:4])
def test_melody_chord_and_bass_are_heard_together(prompt: str) -> None:
    bar, step = song(prompt).bars[0], song(prompt).step
    heard = samples(wav(prompt, 6))[: step * 4]
    sounding = {note.pitch for note in bar if note.start < 4}
    assert len(sounding) >= 4
    for note in bar:
        if note.start < 4 and note.voice != MELODY:
            own = strength(heard, note.hertz)
            beside = [strength(heard, note.hertz * 2 ** (quarter / 24)) for quarter in (-1, 1)]
            assert own > 1_000
            assert own > 1.5 * max(beside)
    first = bar[0]
    assert strength(heard[: step * first.length], first.hertz) > 3_000


@pytest.mark.parametrize("prompt", PROMPTS[:8])
def test_it_is_music_throughout_without_clicks(prompt: str) -> None:
    heard = samples(wav(prompt, 12))
    assert heard[0] == 0
    assert abs(heard[-1]) < 10
    assert 12_000 < max(map(abs, heard)) < 32_767
    assert max(abs(one - other) for one, other in pairwise(heard)) < 9_000
    halves = [loudness(heard[at : at + RATE // 2]) for at in range(0, len(heard), RATE // 2)]
    assert min(halves[:-2]) > 800
    assert halves[-1] < min(halves[:-2])


def test_notes_are_of_one_scale_and_its_chords() -> None:
    for prompt in PROMPTS:
        composed = song(prompt)
        pitches = {note.pitch % 12 for bar in composed.bars for note in bar}
        major = {0, 2, 4, 5, 7, 9, 11}
        assert any(pitches <= {(tonic + step) % 12 for step in major} for tonic in range(12))
        assert len({note.pitch for bar in composed.bars for note in bar if note.voice == MELODY}) >= 5
        for bar in composed.bars:
            chord = {note.pitch % 12 for note in bar if note.voice != MELODY}
            assert all(note.pitch % 12 in chord for note in bar if note.voice == MELODY and note.start in (0, 4))
            assert sum(note.length for note in bar if note.voice == MELODY) == 8


def test_the_song_begins_again() -> None:
    composed = song("a calm sea")
    heard, whole = samples(wav("a calm sea", 120)), 16 * 8 * composed.step
    assert whole < len(heard) - RATE
    assert heard[whole : whole + 4 * RATE] == heard[: 4 * RATE]
    assert composed.bars[:4] == composed.bars[4:8] == composed.bars[12:] != composed.bars[8:12]


def test_each_prompt_has_its_own() -> None:
    assert wav("rock", 2) == wav("rock", 2)
    assert mp3("rock", 2) == mp3("rock", 2)
    assert len({mp3(prompt, 1)[-96 * 40 :] for prompt in PROMPTS}) == len(PROMPTS)
    assert {song(prompt).step for prompt in PROMPTS} > {9 * 576, 13 * 576}


def decoded(data: bytes) -> list[float]:
    """The samples from -1 to 1, where each error of the data is one of the test."""
    av = pytest.importorskip("av", reason="PyAV is not installed here")
    with av.open(io.BytesIO(data), options={"err_detect": "explode"}) as opened:
        (stream,) = opened.streams
        assert (stream.codec_context.sample_rate, stream.codec_context.channels) == (RATE, 1)
        assert "rock" in opened.metadata["comment"]
        heard = [value for frame in opened.decode(stream) for value in frame.to_ndarray()[0].tolist()]
        return [value / 32_768 for value in heard] if opened.format.name == "wav" else heard


def test_decoders_take_the_wav() -> None:
    assert decoded(wav("rock", 3)) == [value / 32_768 for value in samples(wav("rock", 3))]


@pytest.mark.parametrize("seconds", [1, 3, 300])
def test_an_mp3_has_frames_for_the_whole_time_and_no_more(seconds: int) -> None:
    data = mp3("rock", seconds)
    assert data[:3] == b"ID3"
    assert b"rock" in data[:100]
    frames = [data[at : at + 96] for at in range(10 + data[9], len(data), 96)]
    assert {frame[:4] for frame in frames} == {b"\xff\xf3\x44\xc4"}
    assert len(frames) == math.ceil(seconds / 0.024)
    assert clips.read(data).seconds == pytest.approx(seconds, abs=0.1)


def test_an_mp3_is_the_same_song() -> None:
    heard, known = decoded(mp3("rock", 6)), [value / 32_768 for value in samples(wav("rock", 6))]
    assert len(heard) == pytest.approx(6 * RATE, abs=SAMPLES)
    bar, step = song("rock").bars[0], song("rock").step
    for note in bar:
        place = slice(note.start * step, (note.start + note.length) * step)
        delayed = slice(place.start + SAMPLES, place.stop + SAMPLES)
        assert strength(heard[delayed], note.hertz) == pytest.approx(strength(known[place], note.hertz), rel=0.3)
    for at in range(0, len(known), RATE // 2):
        assert loudness(heard[at : at + RATE // 2]) == pytest.approx(loudness(known[at : at + RATE // 2]), rel=0.3)


@pytest.mark.parametrize("prompt", ["rock", "rock and roll", "rock 3"])
def test_an_mp3_is_not_too_loud_and_fades(prompt: str) -> None:
    heard = decoded(mp3(prompt, 20))
    assert 0.4 < max(map(abs, heard)) < 1
    assert max(map(abs, heard[-RATE // 10 :])) < 0.1


@pytest.mark.parametrize("seconds", [0, -1, 301])
def test_a_length_that_it_does_not_have_is_refused(seconds: int) -> None:
    for make in (wav, mp3):
        with pytest.raises(ValueError, match="300 seconds"):
            make("rock", seconds)
