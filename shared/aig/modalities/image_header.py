"""The type and size of an image, read from its first bytes: nothing is decoded."""

import struct
from dataclasses import dataclass
from typing import Literal

MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000


@dataclass(frozen=True, slots=True)
class ImageHeader:
    media_type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"]
    width: int
    height: int


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 < len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes, any number of them
            position = len(data) - len(data[position:].lstrip(b"\xff")) - 1
            continue
        # SOF0..SOF15 hold the size; C4, C8 and CC in that range are tables, not frames.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
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


def read(data: bytes) -> ImageHeader:
    """PNG, JPEG, GIF or WebP. Raises ValueError for anything else, for a cut header and for too many pixels."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        header = ImageHeader("image/png", *struct.unpack_from(">II", data, 16))
    elif data.startswith(b"\xff\xd8"):
        header = ImageHeader("image/jpeg", *_jpeg_size(data))
    elif data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        header = ImageHeader("image/gif", *struct.unpack_from("<HH", data, 6))
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        header = ImageHeader("image/webp", *_webp_size(data))
    else:
        raise ValueError("it is not a PNG, JPEG, GIF or WebP image")
    if header.width * header.height > MAX_PIXELS:
        raise ValueError(f"it has {header.width}x{header.height} pixels; at most {MAX_PIXELS} are accepted")
    return header
