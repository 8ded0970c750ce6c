"""`sandbox/image`, `detect` and `ocr`: the PNGs are read by hand, and by Pillow where it is installed."""

import io
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities import image_header
from aig.modalities.detect import DetectRequest, DetectResult
from aig.modalities.files import Picture
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig.modalities.ocr import OcrRequest, OcrResult
from aig.modalities.upstream import Upstream
from aig_providers.sandbox import ADAPTER
from aig_providers.sandbox_font import BOX, GLYPHS
from tests.unit.providers.operations import DOCUMENT, MODELS, PICTURE, ask

AT = Upstream("sandbox", "image", "sandbox:")


async def drawn(prompt: str = "a cat", **fields: Any) -> list[Image]:
    result: ImageResult = await ask(ADAPTER, "image", AT, ImageRequest(MODELS, prompt, **fields))
    return list(result.images)


def chunks(png: bytes) -> dict[bytes, bytes]:
    """Of a PNG, its checksums checked."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, found = 8, dict[bytes, bytes]()
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", png, at + 8 + length) == (zlib.crc32(kind + body),)
        found[kind] = body
        at += 12 + length
    assert next(iter(found)) == b"IHDR"
    assert list(found)[-1] == b"IEND"
    return found


def rows(png: bytes) -> list[bytes]:
    """The pixels of a PNG of one byte each, not filtered."""
    found = chunks(png)
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", found[b"IHDR"])
    assert (depth, colour, rest) == (8, 3, [0, 0, 0])
    pixels = zlib.decompress(found[b"IDAT"])
    assert len(pixels) == (1 + width) * height
    lines = [pixels[at : at + 1 + width] for at in range(0, len(pixels), 1 + width)]
    assert {line[0] for line in lines} == {0}
    return [line[1:] for line in lines]


def read(picture: list[bytes], scale: int, left: int, top: int, columns: int) -> str:
    """What stands at a place of a picture: every letter by its dots."""
    letters = {glyph: letter for letter, glyph in GLYPHS.items()}
    said = ""
    for column in range(columns):
        x = left + 6 * scale * column
        glyph = tuple(picture[top + scale * row][x : x + 6 * scale : scale] for row in range(9))
        said += letters[glyph]
    return said


def described(data: bytes, size: tuple[int, int] = (64, 64)) -> Picture:
    return Picture(data, "image/png", *size)


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 48), (257, 3), (3, 257), (1536, 1024), (2048, 2048)])
async def test_a_picture_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    (image,) = await drawn(size=size)
    assert image.media_type == "image/png"
    header = image_header.read(image.data)
    assert (header.media_type, header.width, header.height) == ("image/png", *size)
    assert (len(rows(image.data)[0]), len(rows(image.data))) == size


async def test_the_usual_size() -> None:
    (image,) = await drawn()
    assert len(rows(image.data)) == len(rows(image.data)[0]) == 1024


async def test_it_shows_the_prompt_wrapped() -> None:
    (image,) = await drawn("a cat that plays the violin", size=(256, 256))
    picture = rows(image.data)
    # A margin of a sixteenth; the largest letters of which twelve and the whole text fit in.
    assert read(picture, 3, 16, 16, 12) == "a cat that  "
    assert read(picture, 3, 16, 16 + 27, 12) == "plays the   "
    assert read(picture, 3, 16, 16 + 54, 12) == "violin      "
    assert read(picture, 1, 256 - 16 - 6, 256 - 16 - 9, 1) == "1"


async def test_letters_without_their_accents_and_boxes() -> None:
    (image,) = await drawn("caf\u00e9 \u2014 \u65e5\ttab", size=(256, 256))
    assert read(rows(image.data), 3, 16, 16, 12) == f"cafe - {BOX} tab"
    assert {letter for letter in GLYPHS if ord(letter) < 127} == {chr(code) for code in range(32, 127)}
    assert len(set(GLYPHS.values())) == 96  # no two letters look alike


async def test_lines_are_kept_and_what_is_too_long_is_cut() -> None:
    (image,) = await drawn("a\n\nb", size=(256, 256))
    assert [read(rows(image.data), 3, 16, 16 + 27 * at, 1) for at in range(3)] == ["a", " ", "b"]
    (image,) = await drawn("word " * 1000, size=(64, 64))
    assert [read(rows(image.data), 1, 4, 4 + 9 * at, 9) for at in range(5)] == [*["word word"] * 4, "word w..."]


async def test_many_lines_are_cut_as_well() -> None:
    (image,) = await drawn("\n" * 5000 + "b", size=(64, 64))
    assert read(rows(image.data), 1, 4, 4 + 9 * 4, 9) == "...      "


async def test_the_same_prompt_gives_the_same_picture_and_another_another_ground() -> None:
    assert await drawn(seed=1) == await drawn(seed=2)
    palettes = {chunks((await drawn(prompt, size=(8, 8)))[0].data)[b"PLTE"] for prompt in ("a", "b", "c", "d", "e")}
    assert len(palettes) == 5
    assert {palette[3:] for palette in palettes} == {b"\0\0\0", b"\xff\xff\xff"}  # what can be read on it


async def test_several_differ_by_their_number() -> None:
    images = await drawn(n=10, size=(64, 64))
    last = rows(images[9].data)
    assert read(last, 1, 64 - 4 - 12, 64 - 4 - 9, 2) == "10"
    assert len({image.data for image in images}) == 10
    assert len({tuple(rows(image.data)[:40]) for image in images}) == 1


async def test_a_transparent_ground() -> None:
    (clear,), (opaque,) = await drawn(background="transparent"), await drawn()
    assert chunks(clear.data)[b"tRNS"] == b"\0"
    assert b"tRNS" not in chunks(opaque.data)


async def test_an_edit_tells_what_it_was_given() -> None:
    given = replace(PICTURE, width=300, height=200)
    (image,) = await drawn("blue", pictures=(given, PICTURE), mask=given)
    assert (len(rows(image.data)[0]), len(rows(image.data))) == (300, 200)
    shown = rows(image.data)
    note = "edit of 300x200 image/png and 640x480 image/png with a mask of 300x200: blue"
    said = [read(shown, 2, 12, 12 + 18 * at, 22).strip() for at in range(5)]
    assert " ".join(said).strip() == note
    (sized,) = await drawn("blue", pictures=(given,), size=(32, 32))
    assert len(rows(sized.data)) == 32


async def test_an_edit_of_a_large_picture_is_as_large_as_may_be() -> None:
    (image,) = await drawn(pictures=(replace(PICTURE, width=4000, height=100),))
    assert (len(rows(image.data)[0]), len(rows(image.data))) == (2048, 100)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"form": "jpeg"}, "output_format"), ({"form": "webp"}, "output_format"), ({"size": (2049, 1)}, "size")],
)
async def test_what_it_cannot_do_it_refuses(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        await drawn(**fields)
    assert (raised.value.kind, raised.value.param, raised.value.unasked) == ("rejected", param, True)


async def test_another_decoder_sees_the_same() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow is not installed here")
    (image,) = await drawn("a cat", size=(300, 200), background="transparent")
    with pillow.open(io.BytesIO(image.data)) as opened:
        opened.load()
        assert (opened.format, opened.size, opened.mode) == ("PNG", (300, 200), "P")
        assert opened.tobytes() == b"".join(rows(image.data))
        assert opened.text["Description"] == "a cat"


@pytest.mark.parametrize("labels", [(), ("rose",)])
@pytest.mark.parametrize("data", [bytes([number]) for number in range(40)])
async def test_boxes_are_in_the_picture(data: bytes, labels: tuple[str, ...]) -> None:
    request = DetectRequest(MODELS, Picture(data, "image/jpeg", 33, 7), labels=labels)
    result: DetectResult = await ask(ADAPTER, "detect", AT, request)
    assert result == await ask(ADAPTER, "detect", AT, request)
    assert 1 <= len(result.detections) <= 3
    assert request.answer(result, result.usage)["detections"]  # type: ignore[arg-type]
    for found in result.detections:
        assert 0 <= found.box.xmin < found.box.xmax <= 33
        assert 0 <= found.box.ymin < found.box.ymax <= 7
        assert 0 <= found.score <= 1
        assert not labels or found.label == "rose"


async def test_pictures_differ_in_what_is_on_them() -> None:
    found = set()
    for number in range(40):
        request = DetectRequest(MODELS, Picture(bytes([number]), "image/png", 640, 480))
        result: DetectResult = await ask(ADAPTER, "detect", AT, request)
        found.add(len(result.detections))
    assert found == {1, 2, 3}


async def page_of(picture: Picture) -> dict[str, Any]:
    result: OcrResult = await ask(ADAPTER, "ocr", AT, OcrRequest(MODELS, picture))
    (page,) = result.pages
    return page.to_json(0)


async def test_a_prompt_is_read_back() -> None:
    (image,) = await drawn("na\u00efve\n\u65e5\u672c", size=(64, 64))
    page = await page_of(described(image.data))
    assert page["text"] == "na\u00efve\n\u65e5\u672c"
    assert [line["text"] for line in page["lines"]] == ["na\u00efve", "\u65e5\u672c"]
    assert page["lines"][1]["box"] == {"xmin": 0, "ymin": 32.0, "xmax": 64, "ymax": 64.0}
    assert (page["width"], page["height"]) == (64, 64)


def with_chunk(kind: bytes, body: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(body)) + kind + body + bytes(4)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (with_chunk(b"tEXt", b"Description\0caf\xe9"), "caf\u00e9"),
        (with_chunk(b"iTXt", b"Description\0\0\0\0\0a\xff"), "a\ufffd"),
        (with_chunk(b"iTXt", b"Description\0\1\0\0\0packed"), None),
        (with_chunk(b"tEXt", b"Author\0somebody"), None),
        (with_chunk(b"IDAT", b"")[:-4], None),
        (b"\x89PNG\r\n\x1a\n" + bytes(12) * 100 + with_chunk(b"tEXt", b"Description\0far")[8:], None),
        (b"GIF89a", None),
        (b"", None),
    ],
)
async def test_other_files_are_named_unless_they_describe_themselves(data: bytes, text: str | None) -> None:
    page = await page_of(described(data, (640, 480)))
    assert page["text"] == (text or "sandbox read a 640x480 image/png")


async def test_a_document_has_a_text_on_each_page() -> None:
    result: OcrResult = await ask(ADAPTER, "ocr", AT, OcrRequest(MODELS, DOCUMENT))
    assert [page.text for page in result.pages] == [
        "sandbox read page 1 of 2 of application/pdf",
        "sandbox read page 2 of 2 of application/pdf",
    ]
    assert [line.text for line in result.pages[1].lines] == [result.pages[1].text]
