"""How long a FLAC may be: all of its frames, for the header's number of samples may be missing or wrong (RFC 9639)."""

import re

from aig.modalities.media.limits import MAX_PARTS, TooManyParts

_MAX_BLOCKS = 10_000
# Sync code; block size, not the reserved one; rate, not the invalid one; channels, not the reserved ones.
_FRAME = re.compile(rb"\xff[\xf8\xf9][\x10-\xff][\x00-\xaf]", re.DOTALL)
_STREAMINFO_BYTES = 34
# Of a frame, by its code; 0 is for STREAMINFO's. Three codes say that the rate is behind: bytes, and unit (9.1.2).
_RATES = (0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
_OWN_RATES = {12: (1, 1000), 13: (2, 1), 14: (2, 10)}


def _crc8(value: int) -> int:
    """Of one byte, by the polynomial x^8 + x^2 + x + 1."""
    for _ in range(8):
        value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


_CRC8 = bytes(map(_crc8, range(256)))


def is_flac(data: bytes) -> bool:
    return data.startswith(b"fLaC")


def _coded_bytes(first: int) -> int:
    """How many bytes the frame's number takes, which is coded like UTF-8; 1 for what no number begins with."""
    ones = 8 - (~first & 0xFF).bit_length()
    return ones if 2 <= ones <= 7 else 1


def _frame(data: bytes, at: int) -> tuple[int, int]:
    """Samples, and rate or 0 for STREAMINFO's, of a frame whose header begins here; none if its checksum is wrong."""
    sizes, end = data[at + 2], at + 5
    end += _coded_bytes(data[at + 4]) - 1 if len(data) > at + 4 else 0
    code, rate = sizes >> 4, sizes & 15
    own, (own_rate, unit) = {6: 1, 7: 2}.get(code, 0), _OWN_RATES.get(rate, (0, 0))
    behind = end + own + own_rate
    check = 0
    for byte in data[at : behind + 1]:
        check = _CRC8[check ^ byte]
    if check or rate == 15 or len(data) <= behind:
        return 0, 0
    hertz = int.from_bytes(data[end + own : behind], "big") * unit if own_rate else _RATES[rate]
    if own:
        return int.from_bytes(data[end : end + own], "big") + 1, hertz
    return 192 if code == 1 else 576 << code - 2 if code < 6 else 256 << code - 8, hertz


def _frames_seconds(data: bytes, rate: int) -> float:
    """Each frame at the lowest of three rates: STREAMINFO's, the first frame's and its own.

    The lowest of all frames is not taken for each: a few in a large file only look like frames, and tell any rate.
    """
    seconds, slowest = 0.0, 0
    for count, found in enumerate(_FRAME.finditer(data, _sound(data))):
        if count >= MAX_PARTS:
            raise TooManyParts
        samples, own = _frame(data, found.start())
        if samples:
            slowest = slowest or min(rate, own or rate)
            seconds += samples / min(slowest, own or rate)
    return seconds


def _sound(data: bytes) -> int:
    """Where the frames begin, behind the metadata."""
    position = 4
    for _ in range(_MAX_BLOCKS):
        head = data[position : position + 4]
        position += 4 + int.from_bytes(head[1:], "big")
        if len(head) < 4 or head[0] & 0x80:
            break
    return min(position, len(data))


def longest_seconds(data: bytes) -> float:
    """The longest of: the header's claim, the frames, the bytes unpacked. Raises ValueError."""
    info = data[8 : 8 + _STREAMINFO_BYTES]
    fields = int.from_bytes(info[10:18], "big")
    rate = fields >> 44
    if len(info) < _STREAMINFO_BYTES or not rate:
        raise ValueError("its FLAC header is cut or has no sample rate")
    channels, bits = (fields >> 41 & 7) + 1, (fields >> 36 & 31) + 1
    unpacked = (len(data) - _sound(data)) * 8 // (channels * bits)
    return max(max(fields & (1 << 36) - 1, unpacked) / rate, _frames_seconds(data, rate))
