"""Steady tones as the lines of MP3 (MPEG-2 layer III, ISO 13818-3), and frames of such lines. Pure.

What the filters of an encoder make of a tone that does not change is the same from frame to frame but for its phase.
So it is worked out once for each tone, and an encoder, which would filter every sample, is not needed.
"""

import cmath
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

RATE, SAMPLES = 24_000, 576  # samples a second and of a frame
_BANDS, _LINES = 32, 18  # the polyphase filter's, and those that each is divided into
_WINDOW = 2 * _LINES
_BYTES = 96  # of a frame
_HEAD = b"\xff\xf3\x44\xc4"  # MPEG-2 layer III, no CRC, 32 kbit/s, 24 kHz, mono
_BUTTERFLIES = (-0.6, -0.535, -0.33, -0.185, -0.095, -0.041, -0.0142, -0.0037)
_ROOM = 8 * (_BYTES - len(_HEAD)) - 72  # bits, behind those that describe them
_GAIN_AT = 8 * _BYTES - 32 - 38  # bits behind the gain
_UNITY = 210  # the gain at which a line means its size
_LEAST = 0.02  # of a tone's own line, that is worth a line
_FLAT = 0.4  # of half a band's width, in which the filter lets all pass
_LOUDEST = 7  # that the table has
_SILENT = 150  # the least of the gains, of which four steps double what a line means: quieter than that is nothing
_SIZE_ONE = 8.75  # how loud the decoder makes a tone whose lines are as they come from the filters

# Table 10 of the Huffman codes of ISO 11172-3, B.7: for each pair of sizes from 0 to 7 its length and its value.
_LENGTHS = (
    "1 3 6 8 9 9 9 10",
    "3 4 6 7 8 9 8 8",
    "6 6 7 8 9 10 9 9",
    "7 7 8 9 10 10 9 10",
    "8 8 9 10 10 10 10 10",
    "9 9 10 10 11 11 10 11",
    "8 8 9 10 10 10 11 11",
    "9 8 9 10 10 11 11 11",
)
_VALUES = (
    "1 2 10 23 35 30 12 17",
    "3 3 8 12 18 21 12 7",
    "11 9 15 21 32 40 19 6",
    "14 13 22 34 46 23 18 7",
    "20 19 33 47 27 22 9 3",
    "31 22 41 26 21 20 5 3",
    "14 13 10 11 16 6 5 1",
    "9 8 7 8 4 4 2 0",
)
_CODES = [
    [f"{int(value):0{int(length)}b}" for length, value in zip(lengths.split(), values.split(), strict=True)]
    for lengths, values in zip(_LENGTHS, _VALUES, strict=True)
]


def _passed(turn: float) -> float:
    """How much of what is so far from the middle of a band, in radians a sample, the filter lets pass."""
    half = math.pi / (2 * _BANDS)
    beyond = (abs(turn) / half - _FLAT) / (2 - 2 * _FLAT)
    return math.cos(math.pi / 2 * min(1.0, max(0.0, beyond)))


def _band(turn: float, band: int) -> list[complex]:
    """The lines of one band for a tone that turns so far from sample to sample."""
    middle = (2 * band + 1) * math.pi / (2 * _BANDS)
    phase = cmath.exp(-0.25j * math.pi * (2 * band + 1))
    gain = phase * _passed(turn - middle) + phase.conjugate() * _passed(turn + middle)
    gain *= cmath.exp(-256j * turn)
    slots = [
        gain * (-1) ** (band * slot) * math.sin(math.pi / _WINDOW * (slot + 0.5)) * cmath.exp(1j * _BANDS * turn * slot)
        for slot in range(_WINDOW)
    ]
    return [
        sum(value * math.cos(math.pi / 72 * (2 * slot + 19) * (2 * line + 1)) for slot, value in enumerate(slots))
        for line in range(_LINES)
    ]


@lru_cache(1_024)
def lines(hertz: float) -> Mapping[int, complex]:
    """What each line is, of a tone of size one that begins with a frame: real parts, as of a cosine."""
    turn = 2 * math.pi * hertz / RATE
    nearest = int(turn * _BANDS / math.pi)
    bands = [band for band in range(nearest - 1, nearest + 2) if 0 <= band < _BANDS]
    found = {_LINES * band + line: value for band in bands for line, value in enumerate(_band(turn, band))}
    for edge in (_LINES * band for band in bands[1:]):
        for apart, depth in enumerate(_BUTTERFLIES):
            below, above = found[edge - 1 - apart], found[edge + apart]
            near, far = 1 / math.hypot(1, depth), depth / math.hypot(1, depth)
            found[edge - 1 - apart] = below * near + above * far
            found[edge + apart] = above * near - below * far
    least = _LEAST * max(map(abs, found.values()))
    return {line: value for line, value in found.items() if abs(value) > least}


def _sized(values: Sequence[float], gain: int) -> list[int]:
    """As the decoder takes them to the power of 4/3."""
    step = _SIZE_ONE * 2 ** ((gain - _UNITY) / 4)
    return [round(math.copysign((abs(value) / step) ** 0.75, value)) for value in values]


def _coded(sizes: Sequence[int]) -> str:
    bits = []
    for one, other in zip(sizes[::2], sizes[1::2], strict=True):
        bits.append(_CODES[abs(one)][abs(other)])
        bits += ["1" if size < 0 else "0" for size in (one, other) if size]
    return "".join(bits)


def frame(spectrum: Mapping[int, float]) -> bytes:
    """A frame of so much of each line, of which a tone of size one is as loud as can be."""
    pairs = max(spectrum, default=-1) // 2 + 1
    values = [spectrum.get(line, 0.0) for line in range(2 * pairs)]
    loudest = max(map(abs, values), default=0.0)
    gain = _SILENT
    if loudest:
        gain = max(gain, _UNITY + math.ceil(4 * math.log2(loudest / _SIZE_ONE / _LOUDEST ** (4 / 3))))
    while len(coded := _coded(_sized(values, gain))) > _ROOM:
        gain += 1
    # main_data_begin and a private bit; length, big_values, gain, scale factors, window; the table of each region.
    side = f"{0:09b}{len(coded):012b}{pairs:09b}{gain:08b}{0:09b}0{10:05b}{10:05b}{10:05b}{15:04b}{7:03b}00"
    bits = (side + coded).ljust(8 * (_BYTES - len(_HEAD)), "0")
    return _HEAD + int(bits, 2).to_bytes(_BYTES - len(_HEAD), "big")


def quieter(coded: bytes, part: float) -> bytes:
    """The same frame at a part of its loudness, from 1/100,000 to 1."""
    steps = round(-4 * math.log2(part))
    return (int.from_bytes(coded, "big") - (steps << _GAIN_AT)).to_bytes(_BYTES, "big")
