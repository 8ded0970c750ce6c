"""Whether a picture is safe to decode: its size by all that its header says, and that there is one frame."""

import struct

from aig.modalities import image_header
from aig.modalities.image_header import ImageHeader
from aig.modalities.media.limits import MAX_PARTS, MAX_PIXELS, MAX_SIDE, TooLarge, TooManyParts

_GIF_EXTENSION, _GIF_FRAME = 0x21, 0x2C


def _gif_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif_frames(data: bytes) -> list[tuple[int, int]]:
    """How far right and down the first frames reach, two at most. A GIF that is cut has those that begin."""
    frames: list[tuple[int, int]] = []
    position, in_blocks = 13 + _gif_table_bytes(data[10]) if len(data) > 10 else len(data), False
    for _ in range(MAX_PARTS):
        kind = data[position] if position < len(data) else None
        if kind is not None and in_blocks:
            position, in_blocks = position + 1 + kind, kind != 0
        elif kind == _GIF_EXTENSION:
            position, in_blocks = position + 2, True
        elif kind == _GIF_FRAME and len(frames) < 2 and position + 10 <= len(data):
            left, top, width, height = struct.unpack_from("<HHHH", data, position + 1)
            frames.append((left + width, top + height))
            position, in_blocks = position + 11 + _gif_table_bytes(data[position + 9]), True
        else:
            return frames
    raise TooManyParts


def _is_animated_png(data: bytes) -> bool:
    """An acTL chunk before the first IDAT makes it one."""
    position = 8
    for _ in range(MAX_PARTS):
        name = data[position + 4 : position + 8]
        if name in (b"IDAT", b"acTL") or len(name) < 4:
            return name == b"acTL"
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise TooManyParts


def _is_animated_webp(data: bytes) -> bool:
    return data[12:16] == b"VP8X" and bool(data[20] & 0x02)


def read(data: bytes) -> ImageHeader:
    """PNG, JPEG, GIF or WebP of one frame. Raises ValueError, of which TooLarge is one."""
    header = image_header.parse(data)
    frames = _gif_frames(data) if header.media_type == "image/gif" else []
    # Decoders make room for a frame that reaches beyond the screen.
    width = max([header.width, *(right for right, _ in frames)])
    height = max([header.height, *(bottom for _, bottom in frames)])
    animated = (
        len(frames) > 1
        or (header.media_type == "image/png" and _is_animated_png(data))
        or (header.media_type == "image/webp" and _is_animated_webp(data))
    )
    if animated:
        raise ValueError("it is animated; send a single frame")
    if not width or not height:
        raise ValueError("it has no pixels")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise TooLarge(f"it has {width}x{height} pixels; at most {MAX_PIXELS}, and {MAX_SIDE} a side, are accepted")
    return ImageHeader(header.media_type, width, height)
