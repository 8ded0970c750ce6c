"""The type and size of an image, read from its first bytes: nothing is decoded."""

import re
import struct
from dataclasses import dataclass
from typing import Literal

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
_MAX_SEGMENTS = 10_000  # of a JPEG, before its frame
_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)  # any number of fill bytes before it


@dataclass(frozen=True, slots=True)
class ImageHeader:
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    width: int
    height: int


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker = _MARKER.match(data, position)
        if marker is None or len(data) < marker.end() + 8:
            break
        position = marker.end()
        # SOF0..SOF15 hold the size; C4, C8 and CC in that range are tables, not frames.
        if b"\xc0" <= marker[1] <= b"\xcf" and marker[1] not in b"\xc4\xc8\xcc":
            height, width = struct.unpack_from(">HH", data, position + 3)
            return width, height
        position += int.from_bytes(data[position : position + 2], "big")
    raise ValueError("the JPEG has no frame header")


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError("the WebP has no frame header")


def parse(data: bytes) -> ImageHeader:
    """PNG, JPEG, GIF or WebP of any size. Raises ValueError for anything else and for a cut header."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return ImageHeader("image/png", *struct.unpack_from(">II", data, 16))
    if data.startswith(b"\xff\xd8"):
        return ImageHeader("image/jpeg", *_jpeg_size(data))
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        return ImageHeader("image/gif", *struct.unpack_from("<HH", data, 6))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return ImageHeader("image/webp", *_webp_size(data))
    raise ValueError("it is not a PNG, JPEG, GIF or WebP image")


def read(data: bytes) -> ImageHeader:
    """PNG, JPEG, GIF or WebP. Raises ValueError for anything else, for a cut header and for too many pixels."""
    header = parse(data)
    if header.width * header.height > MAX_PIXELS:
        raise ValueError(f"it has {header.width}x{header.height} pixels; at most {MAX_PIXELS} are accepted")
    return header
