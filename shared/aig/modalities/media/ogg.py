"""How long an Ogg file of Opus or Vorbis may be: its granule positions, and for Opus every packet (RFC 3533, 7845)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aig.modalities.media.limits import MAX_PARTS, MAX_SECONDS, TooManyParts

_PAGE = re.compile(b"OggS\0", re.DOTALL)
_HEAD_BYTES = 27
_MAX_PAGES = 150_000  # two hours, if each has only 50 ms
_NO_GRANULE = (1 << 64) - 1  # no packet ends on the page
_OPUS_RATE = 48_000  # of granules, whatever the sound's own rate was
# Samples of a frame by its configuration: 12 of SILK, 4 hybrid ones, 16 of CELT (RFC 6716 3.1).
_OPUS_FRAMES = 3 * (480, 960, 1920, 2880) + 2 * (480, 960) + 4 * (120, 240, 480, 960)
_VORBIS_FASTEST_BIT_S = 500_000


@dataclass(frozen=True, slots=True)
class Page:
    first: bool  # of a logical stream
    continued: bool  # its first packet began on an earlier page
    granule: int
    lacing: bytes
    body: bytes


def is_ogg(data: bytes) -> bool:
    """Whether it begins with a stream of Opus or Vorbis. Others, and films, are not accepted."""
    return data.startswith(b"OggS") and data[_HEAD_BYTES + 1 :].startswith((b"OpusHead", b"\x01vorbis"))


def _pages(data: bytes) -> Iterator[Page]:
    position = 0
    for _ in range(_MAX_PAGES):
        found = _PAGE.search(data, position)
        if found is None or len(data) < found.start() + _HEAD_BYTES:
            return
        start = found.start()
        body = start + _HEAD_BYTES + data[start + 26]
        lacing = data[start + _HEAD_BYTES : body]
        position = body + sum(lacing)
        granule = int.from_bytes(data[start + 6 : start + 14], "little")
        yield Page(bool(data[start + 5] & 2), bool(data[start + 5] & 1), granule, lacing, data[body:position])
    raise TooManyParts


def _packets(page: Page) -> Iterator[bytes]:
    """The first two bytes of each packet that begins on the page."""
    position, length, begins = 0, 0, not page.continued
    for size in page.lacing:
        length += size
        if size < 255:
            if begins:
                yield page.body[position : position + min(length, 2)]
            position, length, begins = position + length, 0, True
    if length and begins:
        yield page.body[position : position + 2]


def _opus_samples(packet: bytes) -> int:
    """At 48 kHz, from the first byte of a packet and, where it has any number of frames, the second."""
    if not packet:
        return 0
    frames = (1, 2, 2, packet[-1] & 63)[packet[0] & 3]
    return _OPUS_FRAMES[packet[0] >> 3] * frames


class _Stream:
    """The time of one file so far, in seconds. Streams that follow one another add up, and so do granules set back."""

    def __init__(self) -> None:
        self.rate = _OPUS_RATE
        self.opus = True
        self.bit_s = _VORBIS_FASTEST_BIT_S
        self._done = 0.0
        self._granule = 0
        self._packets = 0

    @property
    def seconds(self) -> float:
        return max(self._done + self._granule / self.rate, self._packets / _OPUS_RATE)

    def _end(self) -> None:
        self._done += self._granule / self.rate
        self._granule = 0

    def _begin(self, head: bytes) -> None:
        self._end()
        self.opus = not head.startswith(b"\x01vorbis")
        self.rate = _OPUS_RATE if self.opus else int.from_bytes(head[12:16], "little")
        nominal = int.from_bytes(head[20:24], "little", signed=True)
        self.bit_s = min(nominal, _VORBIS_FASTEST_BIT_S) if nominal > 0 else _VORBIS_FASTEST_BIT_S
        if not self.rate:
            raise ValueError("its Vorbis header has no sample rate")

    def add(self, page: Page) -> None:
        if page.first:
            self._begin(page.body)
        elif page.granule != _NO_GRANULE:
            if page.granule < self._granule:
                self._end()
            self._granule = page.granule

    def count(self, page: Page) -> int:
        """Adds the time of the packets, their headers left out; their number."""
        packets = [packet for packet in _packets(page) if packet != b"Op"] if self.opus else []
        self._packets += sum(map(_opus_samples, packets))
        return len(packets)


def longest_seconds(data: bytes) -> float:
    """The longest of granules, Opus packets and, for Vorbis, the bytes at its nominal bit rate. Raises ValueError.

    A recording that begins in the middle of a broadcast counts from the broadcast's beginning.
    """
    stream, packets = _Stream(), 0
    for page in _pages(data):
        stream.add(page)
        packets += stream.count(page)
        if packets > MAX_PARTS:
            raise TooManyParts
        if stream.seconds > MAX_SECONDS:
            break
    if stream.opus:
        return stream.seconds
    return max(stream.seconds, len(data) * 8 / stream.bit_s)
