"""Images by hand: their first bytes tell type and size, and a cut one tells nothing."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.image_header import MAX_PIXELS, ImageHeader, read


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, *, frame: int = 0xC0, before: bytes = b"") -> bytes:
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    sof = bytes([0xFF, frame]) + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + app0 + before + sof + b"\xff\xda\0\2\xff\xd9"


def gif(width: int, height: int, version: bytes = b"GIF89a") -> bytes:
    return version + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def webp(kind: bytes, data: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def webp_lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", b"\x10\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(4))


def webp_lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14) + bytes(4))


def webp_extended(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp(b"VP8X", bytes(4) + size + bytes(4))


KINDS = [
    ("image/png", png),
    ("image/jpeg", jpeg),
    ("image/gif", gif),
    ("image/webp", webp_lossy),
    ("image/webp", webp_lossless),
    ("image/webp", webp_extended),
]
makers = pytest.mark.parametrize(("media_type", "make"), KINDS, ids=[make.__name__ for _, make in KINDS])


@makers
@given(st.integers(1, 7000), st.integers(1, 7000))
def test_type_and_size(media_type: str, make: object, width: int, height: int) -> None:
    assert callable(make)
    assert read(make(width, height)) == ImageHeader(media_type, width, height)  # type: ignore[arg-type]


# How many bytes of each the reader needs: below that the image is cut.
@pytest.mark.parametrize(
    ("image", "needed"),
    [
        (png(3, 2), 24),
        (jpeg(3, 2), 30),
        (gif(3, 2), 10),
        (webp_lossy(3, 2), 30),
        (webp_lossless(3, 2), 25),
        (webp_extended(3, 2), 30),
    ],
)
def test_a_cut_header_is_refused_at_every_byte(image: bytes, needed: int) -> None:
    for length in range(needed):
        with pytest.raises(ValueError, match=r"not a PNG|no frame header"):
            read(image[:length])
    assert read(image[:needed]) == read(image)


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCF])
def test_every_kind_of_jpeg_frame(frame: int) -> None:
    assert read(jpeg(640, 480, frame=frame)) == ImageHeader("image/jpeg", 640, 480)


@pytest.mark.parametrize("table", [0xC4, 0xC8, 0xCC, 0xDB, 0xE1, 0xFE])
def test_tables_before_a_jpeg_frame_are_passed_over(table: int) -> None:
    segment = bytes([0xFF, table]) + struct.pack(">H", 2 + 30) + b"\xff\xc0" * 15
    assert read(jpeg(640, 480, before=segment)) == ImageHeader("image/jpeg", 640, 480)


def test_fill_bytes_between_jpeg_segments() -> None:
    assert read(jpeg(640, 480, before=b"\xff\xff\xff")) == ImageHeader("image/jpeg", 640, 480)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + bytes(100),
        b"\xff\xd8\xff\xd9" + bytes(100),
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 100,
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 100,
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 10_001 + jpeg(3, 2)[2:],
        b"\xff\xd8" + b"\xff\xff\xe0\x00\x02" * 1_000_000,
        b"\xff\xd8" + b"\xff" * 5_000_000,
    ],
    ids=[
        "no marker", "end at once", "empty segments", "segments of length zero", "segments without end",
        "segments and fill bytes without end", "fill bytes without end",
    ],
)  # fmt: skip
def test_a_jpeg_without_a_frame(data: bytes) -> None:
    with pytest.raises(ValueError, match="no frame header"):
        read(data)


def test_an_unknown_webp_chunk() -> None:
    with pytest.raises(ValueError, match="no frame header"):
        read(webp(b"ANIM", bytes(40)))


def test_the_old_gif_too() -> None:
    assert read(gif(3, 2, b"GIF87a")) == ImageHeader("image/gif", 3, 2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"PK\x03\x04" + bytes(40),
        b"%PDF-1.7" + bytes(40),
        b"BM" + bytes(60),
        b"II*\0" + bytes(60),
        b"RIFF\0\0\0\0WAVE" + bytes(40),
        b"GIF90a" + bytes(20),
        b" " + png(3, 2),
    ],
)
def test_what_is_no_image_of_these_types(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a PNG, JPEG, GIF or WebP"):
        read(data)


@makers
def test_an_image_too_large_to_decode_is_refused_by_its_header(media_type: str, make: object) -> None:
    assert callable(make)
    side = 16_000 if media_type == "image/webp" else 50_000
    with pytest.raises(ValueError, match=f"{side}x{side} pixels"):
        read(make(side, side))


def test_the_bound_is_inside() -> None:
    assert read(png(10_000, MAX_PIXELS // 10_000)).width == 10_000
    with pytest.raises(ValueError, match="pixels"):
        read(png(10_001, MAX_PIXELS // 10_000))


@given(
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"\xff\xd8\xff", b"GIF89a", b"RIFF....WEBPVP8 "]), st.binary()
)
def test_any_bytes_are_an_image_or_a_refusal(magic: bytes, data: bytes) -> None:
    try:
        header = read(magic + data)
    except ValueError:
        return
    assert header.width * header.height <= MAX_PIXELS
