"""Pictures that are safe to decode: one frame, and not too many pixels by anything that the file says."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.image_header import ImageHeader
from aig.modalities.media import image
from aig.modalities.media.limits import MAX_PARTS, MAX_PIXELS, MAX_SIDE, TooLarge, TooManyParts
from tests.unit.modalities.test_image_header import gif, jpeg, png, webp, webp_extended, webp_lossless, webp_lossy


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + bytes(4)


def frame(left: int = 0, top: int = 0, width: int = 3, height: int = 2, table: int = 0) -> bytes:
    """A frame of a GIF, with a table of colours of 2 to the power of `table`."""
    flags = 0x80 | table - 1 if table else 0
    colours = bytes(3 << table) if table else b""
    return b"," + struct.pack("<HHHHB", left, top, width, height, flags) + colours + b"\x02\x02\x4c\x01\0"


def film(*frames: bytes, flags: int = 0) -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", 3, 2, flags, 0, 0)
    return screen + (bytes(3 << (flags & 7) + 1) if flags else b"") + b"".join(frames) + b";"


LOOP = b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"


@pytest.mark.parametrize(
    ("data", "media_type"),
    [
        (png(3, 2), "image/png"),
        (jpeg(3, 2), "image/jpeg"),
        (gif(3, 2), "image/gif"),
        (film(frame()), "image/gif"),
        (film(LOOP, frame(table=3), flags=0x81), "image/gif"),
        (film(frame())[:-2], "image/gif"),  # cut in its only frame
        (film(frame(), frame())[:30], "image/gif"),
        (gif(3, 2)[:10], "image/gif"),
        (webp_lossy(3, 2), "image/webp"),
        (webp_lossless(3, 2), "image/webp"),
        (webp_extended(3, 2), "image/webp"),
        (png(3, 2)[:30], "image/png"),
    ],
)
def test_a_single_frame(data: bytes, media_type: str) -> None:
    assert image.read(data) == ImageHeader(media_type, 3, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        film(frame(), frame()),
        film(LOOP, frame(), LOOP, frame(table=2), flags=0x87),
        film(*[frame()] * 10_000),
        png(3, 2)[:33] + chunk(b"acTL", struct.pack(">II", 10_000, 0)) + png(3, 2)[33:],
        webp(b"VP8X", b"\x02" + bytes(3) + b"\2\0\0" + b"\1\0\0" + bytes(4)),
    ],
    ids=["gif", "gif with tables", "10 000 frames", "apng", "webp"],
)
def test_what_moves_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="animated; send a single frame"):
        image.read(data)


def test_an_animation_s_chunk_behind_the_picture_means_nothing() -> None:
    still = png(3, 2)
    assert image.read(still + chunk(b"acTL", bytes(8))).width == 3


@pytest.mark.parametrize(
    "data",
    [
        png(MAX_SIDE + 1, 1),
        png(1, MAX_SIDE + 1),
        png(10_000, MAX_PIXELS // 10_000 + 1),
        png(50_000, 50_000),
        jpeg(65_535, 65_535),
        webp_extended(1 << 24, 1 << 24),
        film(frame(width=65_535, height=65_535)),
        film(frame(left=65_535)),
        film(frame(top=65_535)),
    ],
)
def test_too_many_pixels(data: bytes) -> None:
    with pytest.raises(TooLarge, match=r"it has \d+x\d+ pixels; at most 40000000"):
        image.read(data)


def test_the_bounds_are_inside() -> None:
    assert image.read(png(10_000, MAX_PIXELS // 10_000)).width == 10_000
    assert image.read(png(MAX_SIDE, 1)).width == MAX_SIDE


@pytest.mark.parametrize("data", [png(0, 5), png(5, 0), jpeg(5, 0), gif(0, 0)])
def test_no_pixels(data: bytes) -> None:
    with pytest.raises(ValueError, match="no pixels"):
        image.read(data)


@pytest.mark.parametrize(
    "data",
    [film(b",", bytes(10), b"\1x" * (MAX_PARTS + 1)), png(3, 2)[:33] + chunk(b"tEXt", b"") * (MAX_PARTS + 1)],
    ids=["gif", "png"],
)
def test_too_many_parts(data: bytes) -> None:
    with pytest.raises(TooManyParts):
        image.read(data)


@given(
    st.sampled_from([film(LOOP, frame(), flags=0x80), png(3, 2)[:33], jpeg(3, 2), webp_extended(3, 2)[:20], b""]),
    st.binary(max_size=200),
)
def test_any_bytes_are_a_picture_or_a_refusal(start: bytes, more: bytes) -> None:
    for data in (start + more, start[: len(more)] + more):
        try:
            header = image.read(data)
        except ValueError:
            continue
        assert 0 < header.width * header.height <= MAX_PIXELS
