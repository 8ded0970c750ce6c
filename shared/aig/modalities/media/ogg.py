"""How long an Ogg file of Opus or Vorbis may be: its granule positions, and every packet (RFC 3533, 7845)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aig.modalities.media.limits import MAX_PARTS, MAX_SECONDS, TooManyParts, longest_by_bytes

_PAGE = re.compile(b"OggS\0", re.DOTALL)
_HEAD_BYTES = 27
_MAX_PAGES = 150_000  # two hours, if each has only 50 ms
_NO_GRANULE = (1 << 64) - 1  # no packet ends on the page
OPUS_RATE = 48_000  # of granules, whatever the sound's own rate was
# Samples of a frame by its configuration: 12 of SILK, 4 hybrid ones, 16 of CELT (RFC 6716 3.1).
_OPUS_FRAMES = 3 * (480, 960, 1920, 2880) + 2 * (480, 960) + 4 * (120, 240, 480, 960)


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


def opus_samples(packet: bytes) -> int:
    """At 48 kHz, from the first byte of a packet and, where it has any number of frames, the second."""
    if not packet:
        return 0
    frames = (1, 2, 2, packet[-1] & 63)[packet[0] & 3]
    return _OPUS_FRAMES[packet[0] >> 3] * frames


class _Stream:
    """The time of one file so far, in seconds. Streams that follow one another add up, and so do granules set back."""

    def __init__(self) -> None:
        self.known = True
        self.opus = True
        self._rate = OPUS_RATE
        self._block = 0  # samples that a packet of Vorbis has at most
        self._done = 0.0
        self._granule = 0
        self._opus = 0.0
        self._vorbis = 0.0

    @property
    def told(self) -> float:
        """By granules and by packets of Opus, each of which tells its length."""
        return max(self._done + self._granule / self._rate, self._opus)

    @property
    def longest(self) -> float:
        return max(self.told, min(self._vorbis, MAX_SECONDS))

    def _end(self) -> None:
        self._done += self._granule / self._rate
        self._granule = 0

    def _begin(self, head: bytes) -> None:
        self._end()
        self.opus = not head.startswith(b"\x01vorbis")
        self.known = self.known and (not self.opus or head.startswith(b"OpusHead"))
        self._rate = OPUS_RATE if self.opus else int.from_bytes(head[12:16], "little")
        self._block = 0 if self.opus else (1 << int.from_bytes(head[28:29], "big") // 16) // 2
        if not self._rate:
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
        if self.opus:
            packets = [packet for packet in _packets(page) if packet != b"Op"]
            self._opus += sum(map(opus_samples, packets)) / OPUS_RATE
        else:
            packets = [packet for packet in _packets(page) if not packet or not packet[0] & 1]
            self._vorbis += self._block * len(packets) / self._rate
        return len(packets)


def longest_seconds(data: bytes) -> float:
    """The longer of granules and packets; the bytes' bound, too, if a stream is of another codec. Raises ValueError.

    Each packet of Vorbis counts as its longest, up to MAX_SECONDS: where many are short, as at sudden sounds, this is
    more than the true length. A recording that begins in the middle of a broadcast counts from its beginning.
    """
    stream, packets = _Stream(), 0
    for page in _pages(data):
        stream.add(page)
        packets += stream.count(page)
        if packets > MAX_PARTS:
            raise TooManyParts
        if stream.told > MAX_SECONDS:
            break
    return stream.longest if stream.known else max(stream.longest, longest_by_bytes(len(data)))
