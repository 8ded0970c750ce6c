"""How long an MP4 or M4A may be, by the boxes that tell times (ISO 14496-12)."""

import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from operator import mul

from aig.modalities.media.limits import MAX_PARTS, TooManyParts

# Boxes that hold boxes, on the way to those with times.
_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"})
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# More than CD quality unpacked: bytes that claim to be over sooner are not believed, unless there is a film in them.
FASTEST_BIT_S = 1_536_000


def brand(data: bytes) -> bytes | None:
    """The major brand, None for another kind of file."""
    return data[8:12] if data[4:8] == b"ftyp" and len(data) >= 12 else None


def is_picture(data: bytes) -> bool:
    """AVIF and HEIC are files of this family too."""
    return brand(data) in _PICTURES


def is_mp4(data: bytes) -> bool:
    return brand(data) is not None and not is_picture(data)


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of the content of every box, parents before what is in them."""
    position = 0
    for _ in range(MAX_PARTS):
        if position + 8 > len(data):
            return
        size, name, head = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        end = len(data) if size == 0 else min(position + max(size, head), len(data))
        yield name, position + head, end
        position = position + head if name in _PARENTS else end
    raise TooManyParts


def _number(data: bytes, at: int, size: int = 4) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _times(box: bytes) -> tuple[int, int]:
    """Units a second, and duration in them, of an mvhd or mdhd; 0 where it does not tell."""
    if box[:1] == b"\1":
        return _number(box, 20), _known(_number(box, 24, 8), 8)
    return _number(box, 12), _known(_number(box, 16), 4)


def _known(duration: int, size: int) -> int:
    """All ones mean that the duration is not known."""
    return 0 if duration == (1 << 8 * size) - 1 else duration


def _numbers(box: bytes, first: int, count: int) -> tuple[int, ...]:
    """At most this many numbers of four bytes, as many as the box has."""
    count = max(min(count, (len(box) - first) // 4), 0)
    if count > MAX_PARTS:
        raise TooManyParts
    return struct.unpack(f">{count}I", box[first : first + 4 * count])


def _samples_duration(box: bytes) -> int:
    """Of an stts: pairs of how many samples, and how long each."""
    numbers = _numbers(box, 8, 2 * _number(box, 4))
    return sum(map(mul, numbers[::2], numbers[1::2]))


def _default_duration(tfhd: bytes) -> int | None:
    flags = _number(tfhd, 1, 3)
    if not flags & 0x8:
        return None
    return _number(tfhd, 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0))


def _run_duration(trun: bytes, default: int) -> int:
    flags, samples = _number(trun, 1, 3), _number(trun, 4)
    if not flags & 0x100:
        return samples * default
    first = 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    fields = (flags >> 8 & 0xF).bit_count()
    return sum(_numbers(trun, first, samples * fields)[::fields])


class _Tracks:
    """What the boxes tell, each as it comes."""

    def __init__(self) -> None:
        self.seconds = 0.0  # the longest that is claimed for the whole
        self.film = False
        self._scale = 0
        self._movie_scale = 0
        self._track = 0
        self._scales: dict[int, int] = {}
        self._default: dict[int, int] = {}
        self._run_default = 0
        self._runs: defaultdict[int, int] = defaultdict(int)

        self.told: dict[bytes, Callable[[bytes], None]] = {
            b"mvhd": self._mvhd,
            b"tkhd": self._tkhd,
            b"mdhd": self._mdhd,
            b"hdlr": self._hdlr,
            b"stts": self._stts,
            b"mehd": self._mehd,
            b"trex": self._trex,
            b"tfhd": self._tfhd,
            b"trun": self._trun,
        }

    def _claim(self, units: int, scale: int) -> None:
        self.seconds = max(self.seconds, units / scale if scale else 0.0)

    def _mvhd(self, box: bytes) -> None:
        self._movie_scale, units = _times(box)
        self._claim(units, self._movie_scale)

    def _tkhd(self, box: bytes) -> None:
        self._track = _number(box, 20 if box[:1] == b"\1" else 12)

    def _mdhd(self, box: bytes) -> None:
        self._scale, units = _times(box)
        self._scales[self._track] = self._scale
        self._claim(units, self._scale)

    def _hdlr(self, box: bytes) -> None:
        self.film = self.film or box[8:12] == b"vide"

    def _stts(self, box: bytes) -> None:
        self._claim(_samples_duration(box), self._scale)

    def _mehd(self, box: bytes) -> None:
        self._claim(_number(box, 4, 8 if box[:1] == b"\1" else 4), self._movie_scale)

    def _trex(self, box: bytes) -> None:
        self._default[_number(box, 4)] = _number(box, 12)

    def _tfhd(self, box: bytes) -> None:
        self._track = _number(box, 4)
        told = _default_duration(box)
        self._run_default = self._default.get(self._track, 0) if told is None else told

    def _trun(self, box: bytes) -> None:
        self._runs[self._track] += _run_duration(box, self._run_default)
        self._claim(self._runs[self._track], self._scales.get(self._track, 0))


def longest_seconds(data: bytes) -> float | None:
    """The longest time that any box tells, None where none does: what comes in pieces may tell it nowhere.

    Sound alone never lasts less than its bytes do at FASTEST_BIT_S. Raises ValueError.
    """
    tracks = _Tracks()
    for name, start, end in _boxes(data):
        if name in tracks.told:
            tracks.told[name](data[start:end])
    if not tracks.seconds:
        return None
    return tracks.seconds if tracks.film else max(tracks.seconds, len(data) * 8 / FASTEST_BIT_S)
