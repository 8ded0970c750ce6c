"""Test videos: a prompt, a counter of seconds and a bar that grows, as an MP4. Pure, and the same for the same request.

An encoder would add tens of megabytes to the dependencies layer; plain letters on a plain ground need none.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence

from aig_providers import sandbox_frames
from aig_providers.sandbox_drawing import dots
from aig_providers.sandbox_frames import Coder

RATE = 24  # frames a second
LONGEST_SECONDS = 60
_TICKS = 1_000  # of a frame
_WHITE = 235
_SMALLEST_SIDE = 16
_ONES = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # the matrix that turns nothing


def _colours(prompt: str) -> tuple[int, int, tuple[int, int]]:
    """The luma of the ground, which is dark, and of the ink, which is light, and the hue of both: of BT.601."""
    red, green, blue = (byte / 510 for byte in hashlib.sha256(prompt.encode()).digest()[:3])
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    ground = round((16 + 219 * light) / sandbox_frames.UNIT)
    ink = ground + (_WHITE // sandbox_frames.UNIT - ground) // 2 * 2
    hue = ((blue - light) / 1.772, (red - light) / 1.402)
    return ground, ink, (round(224 * hue[0] / sandbox_frames.HUE_UNIT), round(224 * hue[1] / sandbox_frames.HUE_UNIT))


def _rows(coder: Coder, drawn: Sequence[bytes], light: bytes) -> list[bytearray]:
    """As the coder takes them: 0 above and to the left, ground to the right and below."""
    ground = light[:1]
    rows = [bytearray(b"\0" + row.translate(light).ljust(coder.columns, ground)) for row in drawn]
    below = [bytearray(b"\0" + ground * coder.columns) for _ in range(coder.rows - len(rows))]
    return [bytearray(1 + coder.columns), *rows, *below]


def _frames(coder: Coder, prompt: str, seconds: int, size: tuple[int, int]) -> Iterator[bytes]:
    """A key frame a second; between them only the bar grows, from the left to the right of the whole video."""
    width, height = (-(-side // sandbox_frames.SIDE) for side in size)
    ground, ink, _ = _colours(prompt)
    light = bytes([ground, ink]) + bytes(254)
    bar = range(height - max(1, min(width, height) // 32), height)
    for second in range(seconds):
        rows = _rows(coder, dots(prompt, f"{second + 1}/{seconds} s", width, height), light)
        begun = 0
        for frame in range(RATE):
            ends = (second * RATE + frame + 1) * width // (seconds * RATE)
            for row in bar:
                rows[1 + row][1 + begun : 1 + ends] = light[1:2] * (ends - begun)
            if frame:
                yield coder.next_frame(rows, frame, [(row, column) for row in bar for column in range(begun, ends)])
            else:
                yield coder.key_frame(rows)
            begun = ends


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, *parts: bytes, flags: int = 0) -> bytes:
    """A box of version 0."""
    return _box(kind, struct.pack(">I", flags), *parts)


def _entry(coder: Coder, width: int, height: int) -> bytes:
    """How the frames are coded: avc1, of which each unit has its length in four bytes before it."""
    sets = (coder.sequence, coder.picture)
    profile = sets[0][1:4]
    first, second = (b"\1" + struct.pack(">H", len(one)) + one for one in sets)
    config = b"\1" + profile + b"\xff" + b"\xe1" + first[1:] + second
    head = struct.pack(">6xH16xHHIIIH32xHh", 1, width, height, 72 << 16, 72 << 16, 0, 1, 24, -1)
    colours = b"nclx" + struct.pack(">HHHB", 6, 6, 6, 0)
    return _box(b"avc1", head, _box(b"avcC", config), _box(b"colr", colours))


def _table(entry: bytes, sizes: Sequence[int], offset: int) -> bytes:
    """Where each frame is, for how long it is shown, and which are key frames; all are in one chunk."""
    keys = range(1, len(sizes) + 1, RATE)
    return _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">III", 1, len(sizes), _TICKS)),
        _full(b"stss", struct.pack(f">I{len(keys)}I", len(keys), *keys)),
        _full(b"stsc", struct.pack(">IIII", 1, 1, len(sizes), 1)),
        _full(b"stsz", struct.pack(f">II{len(sizes)}I", 0, len(sizes), *sizes)),
        _full(b"stco", struct.pack(">II", 1, offset)),
    )


def _comment(text: str) -> bytes:
    """As iTunes writes it."""
    data = _box(b"data", struct.pack(">II", 1, 0), text.encode())
    handler = _full(b"hdlr", struct.pack(">I4s4s9x", 0, b"mdir", b"appl"))
    return _box(b"udta", _full(b"meta", handler, _box(b"ilst", _box(b"\xa9cmt", data))))


def _track(size: tuple[int, int], table: bytes, count: int) -> bytes:
    width, height = size
    length = count * _TICKS
    place = struct.pack(">8xI4xI16x", 1, length)
    handler = struct.pack(">I4s12x", 0, b"vide") + b"sandbox\0"
    here = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    return _box(
        b"trak",
        _full(b"tkhd", place, _ONES, struct.pack(">II", width << 16, height << 16), flags=3),
        _box(
            b"mdia",
            _full(b"mdhd", struct.pack(">8xIIHH", RATE * _TICKS, length, 0x55C4, 0)),
            _full(b"hdlr", handler),
            _box(b"minf", _full(b"vmhd", bytes(8), flags=1), here, table),
        ),
    )


def _head(coder: Coder, prompt: str, size: tuple[int, int], sizes: Sequence[int]) -> bytes:
    """All that comes before the frames, so that a player can begin before it has the whole file."""

    def movie(offset: int) -> bytes:
        table = _table(_entry(coder, *size), sizes, offset)
        lasts = struct.pack(">8xIIIHxx8x", RATE * _TICKS, len(sizes) * _TICKS, 0x10000, 0x100)
        header = _full(b"mvhd", lasts, _ONES, struct.pack(">24xI", 2))
        return _box(b"moov", header, _track(size, table, len(sizes)), _comment(prompt))

    kind = _box(b"ftyp", struct.pack(">4sI", b"isom", 0x200), b"isomiso2avc1mp41")
    start = struct.pack(">I4s", 8 + sum(sizes), b"mdat")
    return kind + movie(len(kind) + len(movie(0)) + len(start)) + start


def mp4(prompt: str, seconds: int, width: int, height: int) -> bytes:
    """H.264 of 24 frames a second, `seconds` long: 1 to 60 of them. The sides are even numbers of pixels, 16 or more.

    Raises ValueError for a length or a size that it cannot make.
    """
    if not 1 <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"A test video is 1 to {LONGEST_SECONDS} seconds long.")
    if width % 2 or height % 2 or min(width, height) < _SMALLEST_SIDE:
        raise ValueError(f"The sides of a test video are even numbers of pixels, {_SMALLEST_SIDE} or more.")
    coder = Coder(width, height, _colours(prompt)[2], RATE)
    frames = list(_frames(coder, prompt, seconds, (width, height)))
    sizes = [4 + len(frame) for frame in frames]
    framed = (struct.pack(">I", len(frame)) + frame for frame in frames)
    return _head(coder, prompt, (width, height), sizes) + b"".join(framed)
