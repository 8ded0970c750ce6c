"""How long a WebM or Matroska file may be: its Duration, the time of its last block, its packets of Opus (RFC 9559).

What browsers record has no Duration, and masters of unknown size: all of them are walked into.
"""

import math
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator

from aig.modalities.media.limits import MAX_PARTS, TooManyParts, longest_by_bytes
from aig.modalities.media.ogg import OPUS_RATE, opus_samples

_MAGIC = b"\x1aE\xdf\xa3"
_SEGMENT, _INFO, _TRACKS, _TRACK = 0x18538067, 0x1549A966, 0x1654AE6B, 0xAE
_CLUSTER, _GROUP = 0x1F43B675, 0xA0
_PARENTS = frozenset({_SEGMENT, _INFO, _TRACKS, _TRACK, _CLUSTER, _GROUP})
_SCALE, _DURATION, _TIME, _SIMPLE_BLOCK, _BLOCK = 0x2AD7B1, 0x4489, 0xE7, 0xA3, 0xA1
_BLOCKS = (_SIMPLE_BLOCK, _BLOCK)
_NUMBER, _CODEC, _ENCODINGS = 0xD7, 0x86, 0x6D80
_CLUSTER_ID = _CLUSTER.to_bytes(4, "big")
_DEFAULT_SCALE_NS = 1_000_000
_LONGEST_PACKET_S = 0.12  # of Opus
_LACED = 0x06  # a block's flags for more than one packet
_MAX_CONTENT = 100  # bytes of an element that are looked at
_SILENT = (b"V_", b"S_")  # pictures and subtitles, by the beginning of the codec's name


def is_matroska(data: bytes) -> bool:
    return data.startswith(_MAGIC)


def _coded_bytes(data: bytes, at: int) -> int:
    """How long a number of variable length is: 1 to 8, or 9 where none begins."""
    return 9 - data[at].bit_length() if at < len(data) else 9


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Id, start and end of the content of every element, masters before what is in them, up to the first that is cut.

    What comes behind one that is cut is told as an element of the id 0.
    """
    position = 0
    for _ in range(MAX_PARTS):
        at = position + _coded_bytes(data, position)
        size = _coded_bytes(data, at)
        if at - position > 4 or size > 8:
            yield 0, position, len(data)
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


def _packets_seconds(packets: bytes, laced: bool, packed: bool) -> float:
    """Of a block's first bytes behind its flags."""
    if laced:
        return (int.from_bytes(packets[:1], "big") + 1) * _LONGEST_PACKET_S
    return _LONGEST_PACKET_S if packed else opus_samples(packets) / OPUS_RATE


class _Told:
    """What the elements tell, each as it comes."""

    def __init__(self) -> None:
        self._scale = _DEFAULT_SCALE_NS
        self._cluster = 0
        self._last = -1
        self._duration = 0.0
        self._packed = False  # the packets of a track are, so that their first bytes tell nothing
        self._tracks: list[dict[int, bytes]] = []
        self._packets: defaultdict[int, float] = defaultdict(float)  # seconds by the number of the track
        self.parts: dict[int, Callable[[bytes], None]] = {
            _SIMPLE_BLOCK: self._block,
            _BLOCK: self._block,
            _TIME: self._time,
            _SCALE: self._time_scale,
            _DURATION: self._whole,
            _TRACK: lambda _: self._tracks.append({}),
            _NUMBER: lambda content: self._of_track(_NUMBER, content),
            _CODEC: lambda content: self._of_track(_CODEC, content),
            _ENCODINGS: self._encodings,
        }

    def _block(self, content: bytes) -> None:
        at = _coded_bytes(content, 0)
        time, flags = int.from_bytes(content[at : at + 2], "big", signed=True), int.from_bytes(content[at + 2 : at + 3])
        self._last = max(self._last, self._cluster + time)
        track = int.from_bytes(content[:at], "big") & (1 << 7 * at) - 1
        self._packets[track] += _packets_seconds(content[at + 3 : at + 5], bool(flags & _LACED), self._packed)

    def _time(self, content: bytes) -> None:
        self._cluster = int.from_bytes(content, "big")

    def _time_scale(self, content: bytes) -> None:
        self._scale = int.from_bytes(content, "big") or _DEFAULT_SCALE_NS

    def _whole(self, content: bytes) -> None:
        self._duration = max(self._duration, _float(content))

    def _encodings(self, _: bytes) -> None:
        self._packed = True

    def _of_track(self, name: int, content: bytes) -> None:
        if self._tracks:
            self._tracks[-1][name] = content.rstrip(b"\0") if name == _CODEC else content

    @property
    def claimed(self) -> float:
        """By Duration and the last block, 0 where there is neither."""
        last = self._last * self._scale / 1e9 + _LONGEST_PACKET_S if self._last >= 0 else 0.0
        return max(self._duration * self._scale / 1e9, last)

    def opus(self) -> float:
        """The seconds of the longest track of Opus, 0 where there is none or one has another codec of sound."""
        sound = [track for track in self._tracks if not track.get(_CODEC, b"").startswith(_SILENT)]
        if any(track.get(_CODEC) != b"A_OPUS" for track in sound):
            return 0.0
        numbers = {int.from_bytes(track.get(_NUMBER, b""), "big") for track in sound}
        return max((self._packets.get(number, 0.0) for number in numbers), default=0.0)


def longest_seconds(data: bytes) -> float | None:
    """The longest of Duration, the last block's end and the packets of Opus, None where nothing tells a time.

    Of other codecs, and where clusters may hide, the bytes' bound counts too, for nothing else bounds them: it is many
    times the true length. Packets of Opus that share a block, which browsers never write, count as 120 ms each.
    Raises ValueError.
    """
    told, hidden = _Told(), False
    for name, start, end in _elements(data):
        if name in told.parts:
            told.parts[name](data[start : min(end, start + _MAX_CONTENT)])
        if name not in _PARENTS and name not in _BLOCKS:
            hidden = hidden or data.find(_CLUSTER_ID, start, end) >= 0
    seconds, opus = told.claimed, told.opus()
    if not opus or hidden:
        return max(seconds, opus, longest_by_bytes(len(data))) if seconds or opus else None
    return max(seconds, opus)
