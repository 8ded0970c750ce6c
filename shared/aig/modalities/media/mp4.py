"""How long an MP4 or M4A may be, by the boxes that tell times and samples (ISO 14496-12)."""

import re
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator
from operator import mul

from aig.modalities.media import aac
from aig.modalities.media.limits import MAX_PARTS, MAX_SECONDS, TooManyParts, longest_by_bytes

# Boxes that hold boxes, on the way to those with times.
_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"})
_PICTURES = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# Entries of a track without sound: pictures, texts, times, what a telephone measured.
_SILENT = frozenset(
    {b"avc1", b"avc3", b"hvc1", b"hev1", b"dvh1", b"vp08", b"vp09", b"av01", b"mp4v", b"jpeg", b"png "}
    | {b"tx3g", b"text", b"wvtt", b"stpp", b"c608", b"tmcd", b"mebx", b"mp4s"}
)
# A decoder takes several frames of AAC from one sample, and where one ends is not to be seen without decoding. So bytes
# that claim to be over sooner than at the rate that most encoders have by default are not believed.
_DENSE_AAC_BIT_S = 128_000
_LONGEST_OPUS_S = 0.12
_MAX_TRACKS = 1_000
_MAX_ENTRIES, _MAX_ENTRY = 100, 10_000  # bytes; of both, one is the rule
_HIDDEN = re.compile(b"stsz|stz2|trun|cmov")


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
    return struct.unpack_from(f">{count}I", box, first) if count else ()


def _samples(stts: bytes) -> tuple[int, ...]:
    """Pairs of how many samples, and how long each."""
    return _numbers(stts, 8, 2 * _number(stts, 4))


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


def _sizes(stsz: bytes) -> int:
    """All bytes of the samples."""
    each, count = _number(stsz, 4), _number(stsz, 8)
    return each * count if each else sum(_numbers(stsz, 12, count))


def _entries(stsd: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of each description of samples; one that cannot be read has no name, and is the last."""
    entries: list[tuple[bytes, bytes]] = []
    position = 8
    while position < len(stsd):
        size, name = _number(stsd, position), stsd[position + 4 : position + 8]
        if not 8 <= size <= _MAX_ENTRY or len(entries) == _MAX_ENTRIES:
            return [*entries, (b"", b"")]
        entries.append((name, stsd[position + 8 : position + size]))
        position += size
    return entries


def _aac_frame(entry: bytes) -> float | None:
    """Seconds of a frame by the configuration in an mp4a, wherever in it; None where it is no AAC, or there are two."""
    _, _, esds = entry.partition(b"esds")
    return None if b"esds" in esds else aac.longest_frame(esds[4:])


def _alac_frame(entry: bytes) -> float | None:
    """Seconds of a frame by Apple Lossless's own configuration; None where there is none, or there are two."""
    _, _, cookie = entry.partition(b"alac")
    rate = _number(cookie, 24)
    return _number(cookie, 4) / rate if rate and b"alac" not in cookie else None


_FRAMES: dict[bytes, Callable[[bytes], float | None]] = {b"mp4a": _aac_frame, b"alac": _alac_frame}


class _Track:
    """What the boxes of one track tell."""

    def __init__(self) -> None:
        self.number = 0
        self.scale = 0  # units a second
        self.units = 0
        self.samples = 0
        self.bytes = 0
        self.unpacked = False  # each sample has one unit, so that readers take bytes by chunks, not by samples
        self._entries: list[tuple[bytes, bytes]] = []

    def describe(self, stsd: bytes) -> None:
        if len(self._entries) <= _MAX_ENTRIES:
            self._entries += _entries(stsd)

    @property
    def silent(self) -> bool:
        return bool(self._entries) and _SILENT.issuperset(name for name, _ in self._entries)

    def seconds(self, samples: int, size: int) -> float | None:
        """At most, of this many samples in this many bytes; None if only the whole file's bytes bound it."""
        names = {name for name, _ in self._entries}
        if names == {b"Opus"}:
            return min(samples * _LONGEST_OPUS_S, MAX_SECONDS)
        frames = [_FRAMES[name](content) if name in _FRAMES else None for name, content in self._entries]
        known = [frame for frame in frames if frame is not None]
        if self.unpacked or not known or len(known) < len(frames) or len(known) > _MAX_ENTRIES:
            return None
        return max(samples * max(known), size * 8 / _DENSE_AAC_BIT_S if b"mp4a" in names else 0.0)


class _Told:
    """What the boxes tell, each as it comes."""

    def __init__(self) -> None:
        self.hidden = False
        self._whole = 0.0
        self._movie_scale = 0
        self._tracks = [_Track()]  # the first is for what lies in none
        self._piece = 0  # the number of its track
        self._default: dict[int, int] = {}
        self._run_default = 0
        self._run_units: defaultdict[int, int] = defaultdict(int)
        self._run_samples: defaultdict[int, int] = defaultdict(int)

        self.parts: dict[bytes, Callable[[bytes], None]] = {
            b"cmov": self._hide,
            b"stz2": self._hide,
            b"mvhd": self._mvhd,
            b"trak": self._trak,
            b"tkhd": self._tkhd,
            b"mdhd": self._mdhd,
            b"stsd": self._stsd,
            b"stts": self._stts,
            b"stsz": self._stsz,
            b"mehd": self._mehd,
            b"trex": self._trex,
            b"tfhd": self._tfhd,
            b"trun": self._trun,
        }

    def _hide(self, _: bytes) -> None:
        self.hidden = True

    def _claim(self, units: int, scale: int) -> None:
        self._whole = max(self._whole, units / scale if scale else 0.0)

    def _mvhd(self, box: bytes) -> None:
        self._movie_scale, units = _times(box)
        self._claim(units, self._movie_scale)

    def _trak(self, _: bytes) -> None:
        self._tracks.append(_Track())
        if len(self._tracks) > _MAX_TRACKS:
            raise TooManyParts

    def _tkhd(self, box: bytes) -> None:
        self._tracks[-1].number = _number(box, 20 if box[:1] == b"\1" else 12)

    def _mdhd(self, box: bytes) -> None:
        self._tracks[-1].scale, units = _times(box)
        self._claim(units, self._tracks[-1].scale)

    def _stsd(self, box: bytes) -> None:
        self._tracks[-1].describe(box)

    def _stts(self, box: bytes) -> None:
        numbers = _samples(box)
        self._tracks[-1].unpacked |= numbers[1::2] == (1,)
        self._claim(sum(map(mul, numbers[::2], numbers[1::2])), self._tracks[-1].scale)

    def _stsz(self, box: bytes) -> None:
        self._tracks[-1].samples += _number(box, 8)
        self._tracks[-1].bytes += _sizes(box)

    def _mehd(self, box: bytes) -> None:
        self._claim(_number(box, 4, 8 if box[:1] == b"\1" else 4), self._movie_scale)

    def _trex(self, box: bytes) -> None:
        self._default[_number(box, 4)] = _number(box, 12)

    def _tfhd(self, box: bytes) -> None:
        self._piece = _number(box, 4)
        told = _default_duration(box)
        self._run_default = self._default.get(self._piece, 0) if told is None else told

    def _trun(self, box: bytes) -> None:
        self._run_units[self._piece] += _run_duration(box, self._run_default)
        self._run_samples[self._piece] += _number(box, 4)

    @property
    def claimed(self) -> float:
        """The longest time that a box tells, 0 where none does."""
        runs = (self._run_units[track.number] / track.scale for track in self._tracks if track.scale)
        return max(self._whole, *runs, 0.0)

    def counted(self, size: int) -> float:
        """By the samples of the longest track with sound, in a file of this size; 0 where there are none.

        All bytes are taken for each track's, unless there are pictures or texts beside it. How many bytes the samples
        of a fragment have is not read.
        """
        longest, alone = 0.0, not any(track.silent for track in self._tracks)
        for track in self._tracks:
            pieces = self._run_samples[track.number]
            if not track.silent and (pieces or track.samples):
                own = size if pieces or alone else min(track.bytes, size)
                seconds = track.seconds(track.samples + pieces, own)
                longest = max(longest, longest_by_bytes(size) if seconds is None else seconds)
        return longest


def longest_seconds(data: bytes) -> float | None:
    """The longest time that any box tells or the samples may last, None where none tells any: what comes in pieces may.

    Frames of AAC and of Apple Lossless have a known length. Where those of AAC take more than 128 kbit/s, the bound is
    that much longer than the truth. A sample of Opus counts as 120 ms, which is up to six times its length. Other
    codecs, and what may hide from this reader, are bounded by bytes only: many times the truth. Raises ValueError.
    """
    told = _Told()
    for name, start, end in _boxes(data):
        if name in told.parts:
            told.parts[name](b"" if name in _PARENTS else data[start:end])
        if name not in _PARENTS and name != b"mdat":
            told.hidden = told.hidden or _HIDDEN.search(data, start, end) is not None
    seconds, counted = told.claimed, told.counted(len(data))
    if not seconds and not counted:
        return None
    by_bytes = longest_by_bytes(len(data)) if told.hidden or not counted else 0.0
    return max(seconds, counted, by_bytes)
