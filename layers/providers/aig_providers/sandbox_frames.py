"""Frames of H.264 (Constrained Baseline), coded without loss and without an encoder. ITU-T H.264. Pure.

A frame is a grid of dots of 4x4 pixels, four by four of them in a macroblock, all of one hue. At the quantiser chosen
here one level of a block's first coefficient is exactly 16 steps of luma: in units of 16 the decoder computes what is
computed here, and a frame can be predicted from the dots themselves.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

UNIT = 16  # steps of luma
HUE_UNIT = 5  # steps of chroma, of which the quantiser is 36 where that of luma is 40
SIDE = 4  # pixels of a dot's side, and dots of a macroblock's
_QUANTISER = 40
_UNPREDICTED = 128 // UNIT  # what a block without neighbours is predicted as
_BLOCKS = tuple((n // 8 * 2 + n // 2 % 2, n // 4 % 2 * 2 + n % 2) for n in range(16))  # row and column
_EMULATION = re.compile(rb"\0\0(?=[\0-\3])")
_FRAME_NUMBER_BITS = 8
_DC, _COEFFICIENTS, _AND_HUE = 3, 2, 1  # a macroblock type, and two numbers of coded block patterns: table 9-4

# The level of H.264, ten times, with the macroblocks that it has in a frame and in a second, at most: table A-1.
_LEVELS = ((13, 396, 11_880), (30, 1_620, 40_500), (31, 3_600, 108_000), (40, 8_192, 245_760), (51, 36_864, 983_040))

Rows = Sequence[bytearray]


def _ue(value: int) -> str:
    """An unsigned number in the code of Exp-Golomb."""
    bits = f"{value + 1:b}"
    return "0" * (len(bits) - 1) + bits


def _se(value: int) -> str:
    return _ue(2 * value - 1 if value > 0 else -2 * value)


def _coefficient(level: int, none: str, one: str, other: str) -> str:
    """A block with one coefficient at most, of less than 16 in size; the codes tell whether it is 0, 1 or more."""
    if level == 0:
        return none
    sign = "1" if level < 0 else "0"
    if abs(level) == 1:
        return f"{one}{sign}1"
    code = 2 * abs(level) - 4 + (level < 0)
    prefix = "0" * code + "1" if code < 14 else f"{'0' * 14}1{code - 14:04b}"
    return f"{other}{prefix}1"


def _light(level: int) -> str:
    return _coefficient(level, "1", "01", "000101")


def _hue(levels: Iterable[int]) -> str:
    return "".join(_coefficient(level, "01", "1", "000111") for level in levels)


def _unit(bits: str, header: int) -> bytes:
    """A NAL unit: the stop bit added, and what looks like a start code broken up."""
    whole = bits + "1"
    whole += "0" * (-len(whole) % 8)
    payload = int(whole, 2).to_bytes(len(whole) // 8, "big")
    return bytes([header]) + _EMULATION.sub(b"\0\0\3", payload)


def _predicted(above: int, left: int) -> int:
    """The mean of the neighbours that there are; all luma of a frame is even or odd, so it is a whole number."""
    if above and left:
        return (above + left) // 2
    return above or left or _UNPREDICTED


@lru_cache(4_096)
def _macroblock(seen: bytes, kind: int, hue: str) -> str:
    """`seen` is five rows of five dots, the first of the row above and in the column to the left, 0 is outside.

    `kind` is what types of intra macroblocks are counted from: 0 in a slice of I, 5 in one of P.
    """
    levels = [
        seen[at] - _predicted(seen[at - SIDE - 1], seen[at - 1])
        for at in ((SIDE + 1) * (1 + row) + 1 + column for row, column in _BLOCKS)
    ]
    if not any(levels) and not hue:
        return _ue(kind + _DC) + "111"  # like its neighbours throughout: no change of hue, of quantiser, of luma
    pattern = _ue(_AND_HUE if hue else _COEFFICIENTS)
    return _ue(kind) + "1" * len(_BLOCKS) + f"1{pattern}1" + "".join(map(_light, levels)) + hue


class Coder:
    """Of frames of `width` by `height` pixels, both even; `hue` is Cb and Cr, in units from the middle.

    The rows that it is given have `rows` + 1 rows of `columns` + 1 dots, of which the first are 0 and the others a
    luma in units of 16, all even or all odd. Its answers are NAL units. Raises ValueError for a size it cannot code.
    """

    def __init__(self, width: int, height: int, hue: tuple[int, int], rate: int) -> None:
        self._across, self._down = -(-width // 16), -(-height // 16)
        self.columns, self.rows = SIDE * self._across, SIDE * self._down
        self._size, self._hue, self._level = (width, height), _hue(hue), self._least_level(rate)

    def _least_level(self, rate: int) -> int:
        count, longest = self._across * self._down, max(self._across, self._down)
        for level, in_a_frame, in_a_second in _LEVELS:
            if count <= in_a_frame and rate * count <= in_a_second and longest**2 <= 8 * in_a_frame:
                return level
        raise ValueError("A frame of that size is more than level 5.1 of H.264 has.")

    @property
    def sequence(self) -> bytes:
        """The sequence parameter set: 8 bits of frame number, frames shown as they come, one kept, BT.601 colours."""
        width, height = self._size
        cut = (0, 8 * self._across - width // 2, 0, 8 * self._down - height // 2)
        head = f"{66:08b}{0b11000000:08b}{self._level:08b}{_ue(0)}{_ue(_FRAME_NUMBER_BITS - 4)}{_ue(2)}{_ue(1)}0"
        size = f"{_ue(self._across - 1)}{_ue(self._down - 1)}11"
        crop = "1" + "".join(map(_ue, cut)) if any(cut) else "0"
        colours = f"1001{5:03b}01{6:08b}{6:08b}{6:08b}00000"
        delay = f"11{_ue(0) * 5}{_ue(1)}"
        return _unit(head + size + crop + colours + delay, 0x67)

    @property
    def picture(self) -> bytes:
        """The picture parameter set: CAVLC, one slice, and a loop filter that can be switched off."""
        return _unit(f"{_ue(0)}{_ue(0)}00{_ue(0)}{_ue(0)}{_ue(0)}000{_se(_QUANTISER - 26)}{_se(0)}{_se(0)}100", 0x68)

    def _coded(self, rows: Rows, number: int, kind: int) -> str:
        down, across = divmod(number, self._across)
        left = SIDE * across
        seen = b"".join(row[left : left + SIDE + 1] for row in rows[SIDE * down : SIDE * down + SIDE + 1])
        return _macroblock(seen, kind, "" if number else self._hue)

    def key_frame(self, rows: Rows) -> bytes:
        """A frame that needs no other, an IDR."""
        head = f"{_ue(0)}{_ue(7)}{_ue(0)}{0:0{_FRAME_NUMBER_BITS}b}{_ue(0)}00{_se(0)}{_ue(1)}"
        coded = (self._coded(rows, number, 0) for number in range(self._across * self._down))
        return _unit(head + "".join(coded), 0x65)

    def next_frame(self, rows: Rows, number: int, changed: Iterable[tuple[int, int]]) -> bytes:
        """The `number`th after a key frame, of 255 at most: like the one before it but for the dots changed."""
        head = f"{_ue(0)}{_ue(5)}{_ue(0)}{number:0{_FRAME_NUMBER_BITS}b}000{_se(0)}{_ue(1)}"
        bits, after = [head], 0
        for at in sorted({row // SIDE * self._across + column // SIDE for row, column in changed}):
            bits += [_ue(at - after), self._coded(rows, at, 5)]
            after = at + 1
        skipped = self._across * self._down - after
        return _unit("".join(bits) + (_ue(skipped) if skipped else ""), 0x41)
