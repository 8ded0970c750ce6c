"""Tones as lines of MP3: what they sound like, by FFmpeg's decoder where PyAV is installed."""

import cmath
import io
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import pytest

from aig_providers import sandbox_spectrum
from aig_providers.sandbox_spectrum import RATE, SAMPLES, frame, lines, quieter

BAND_EDGES = [375.0, 370.0, 380.0, 750.0, 4_125.0]


def steady(hertz: float, size: float, count: int) -> list[Mapping[int, float]]:
    turn = 2j * math.pi * hertz * SAMPLES / RATE
    return [
        {line: (size * value * cmath.exp(turn * at)).real for line, value in lines(hertz).items()}
        for at in range(count)
    ]


def decoded(frames: Sequence[bytes]) -> list[float]:
    """The samples from -1 to 1, without those of the first and last frames, which have only half of what sounds."""
    av = pytest.importorskip("av", reason="PyAV is not installed here")
    with av.open(io.BytesIO(b"".join(frames)), format="mp3") as opened:
        heard = [value for part in opened.decode(audio=0) for value in part.to_ndarray()[0].tolist()]
    return heard[4 * SAMPLES : -4 * SAMPLES]


def fitted(heard: Sequence[float], hertz: float) -> tuple[float, float]:
    """How loud a tone is, and how much louder than all else, in decibels."""
    turn = 2 * math.pi * hertz / RATE
    shaped = [value * math.sin(math.pi * at / len(heard)) ** 2 for at, value in enumerate(heard)]
    product = sum(value * cmath.exp(-1j * turn * at) for at, value in enumerate(shaped)) * 4 / len(heard)
    rest = sum((value - (product * cmath.exp(1j * turn * at)).real) ** 2 for at, value in enumerate(heard))
    return abs(product), 10 * math.log10(abs(product) ** 2 / 2 * len(heard) / rest)


@pytest.mark.parametrize("hertz", [65.4, 130.8, 220.0, 440.0, 523.25, 880.0, 1_500.0, 3_729.3, *BAND_EDGES])
def test_a_tone_has_its_pitch_and_its_loudness(hertz: float) -> None:
    loud, above_noise = fitted(decoded([frame(one) for one in steady(hertz, 0.5, 40)]), hertz)
    assert loud == pytest.approx(0.5, rel=0.12)
    assert above_noise > 15


def test_a_loud_tone_does_not_hide_a_quiet_one() -> None:
    both = [
        {line: one.get(line, 0.0) + other.get(line, 0.0) for line in one.keys() | other.keys()}
        for one, other in zip(steady(330.0, 0.5, 40), steady(1_000.0, 0.05, 40), strict=True)
    ]
    heard = decoded([frame(one) for one in both])
    assert fitted(heard, 330.0)[0] == pytest.approx(0.5, rel=0.12)
    assert fitted(heard, 1_000.0)[0] == pytest.approx(0.05, rel=0.25)


def test_a_frame_can_be_made_quieter() -> None:
    frames = [frame(one) for one in steady(440.0, 0.5, 40)]
    loud, _ = fitted(decoded(frames), 440.0)
    quiet, _ = fitted(decoded([quieter(one, 0.25) for one in frames]), 440.0)
    assert quiet == pytest.approx(loud / 4, rel=0.01)
    assert [quieter(one, 1.0) for one in frames] == frames
    assert decoded([quieter(frame({}), 0.01)] * 12) == [0.0] * 4 * SAMPLES


def test_what_is_too_much_for_a_frame_is_coded_more_coarsely() -> None:
    noise = {line: math.sin(line * line) * (0.5 if line < 40 else 0.04) for line in range(576)}
    assert len(frame(noise)) == 96
    assert max(map(abs, decoded([frame(noise)] * 12))) > 0.3


def test_the_codes_are_told_apart_and_none_is_left_over() -> None:
    codes = sorted(code for row in sandbox_spectrum._CODES for code in row)
    assert not any(other.startswith(one) for one, other in pairwise(codes))
    assert sum(Fraction(1, 2 ** len(code)) for code in codes) == 1
