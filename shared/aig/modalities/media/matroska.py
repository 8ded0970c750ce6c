"""How long a WebM or Matroska file may be: its Duration, or the time of its last block (RFC 9559).

What browsers record has no Duration, and masters of unknown size: all of them are walked into.
"""

import math
import struct
from collections.abc import Iterator

from aig.modalities.media.limits import MAX_PARTS, TooManyParts
from aig.modalities.media.mp4 import FASTEST_BIT_S

_MAGIC = b"\x1aE\xdf\xa3"
_SEGMENT, _INFO, _TRACKS, _TRACK = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE
_CLUSTER, _GROUP = 0x1F43B675, 0xA0
_PARENTS = frozenset({_SEGMENT, _INFO, _TRACKS, _TRACK, _CLUSTER, _GROUP})
_SCALE, _DURATION, _TRACK_TYPE, _TIME, _SIMPLE_BLOCK, _BLOCK = 0x2AD7B1, 0x4489, 0x83, 0xE7, 0xA3, 0xA1
_DEFAULT_SCALE_NS = 1_000_000
_FILM = 1  # a track's type
_LAST_BLOCK_S = 0.12  # the longest packet of Opus


def is_matroska(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def _coded_bytes(data: bytes, at: int) -> int:
    """How long a number of variable length is: 1 to 8, or 9 where none begins."""
    return 9 - data[at].bit_length() if at < len(data) else 9


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of every element, masters before what is in them, up to the first that is cut"""
    position = 0
    for _ in range(MAX_PARTS):
        at = position + _coded_bytes(data, position)
        size = _coded_bytes(data, at)
        if at - position > 4 or size > 8:
            return
        name = int.from_bytes(data[position:at], "big")
        most = (1 << 7 * size) - 1  # and it means that the size is unknown
        length = int.from_bytes(data[at : at + size], "big") & most
        start = min(at + size, len(data))
        end = len(data) if length == most else min(start + length, len(data))
        yield name, start, end
        position = start if name in _PARENTS else end
    raise TooManyParts


def _float(content: bytes) -> float:
    """0 for what is no time."""
    form = {4: ">f", 8: ">d"}.get(len(content))
    value: float = struct.unpack(form, content)[0] if form else 0.0
    return value if math.isfinite(value) and value > 0 else 0.0


def _offset(block: bytes) -> int:
    """Of a block's time to its cluster's, behind the number of the track."""
    track = _coded_bytes(block, 0)
    return int.from_bytes(block[track : track + 2], "big", signed=True)


def longest_seconds(data: bytes) -> float | None:
    """The longer of Duration and the last block's end, None where there is neither. Raises ValueError.

    Sound alone never lasts less than its bytes do at FASTEST_BIT_S.
    """
    scale, cluster, last, duration, film = _DEFAULT_SCALE_NS, 0, -1, 0.0, False
    for name, start, end in _elements(data):
        if name in (_SIMPLE_BLOCK, _BLOCK):
            last = max(last, cluster + _offset(data[start : min(end, start + 10)]))
        elif name == _TIME:
            cluster = int.from_bytes(data[start : min(end, start + 8)], "big")
        elif name == _SCALE:
            scale = int.from_bytes(data[start : min(end, start + 8)], "big") or _DEFAULT_SCALE_NS
        elif name == _DURATION:
            duration = max(duration, _float(data[start : min(end, start + 9)]))
        elif name == _TRACK_TYPE:
            film = film or data[start:end] == bytes([_FILM])
    if last < 0 and not duration:
        return None
    seconds = max(duration * scale / 1e9, last * scale / 1e9 + _LAST_BLOCK_S)
    return seconds if film else max(seconds, len(data) * 8 / FASTEST_BIT_S)
