"""Whatever a client sends is a picture, a clip or a document, or it is told what to send instead."""

import base64
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from aig.modalities.media import check
from aig.modalities.media.inline import from_base64, from_data_url
from aig.modalities.media.limits import MAX_AUDIO_BYTES, MAX_DOCUMENT_BYTES, MAX_IMAGE_BYTES, MAX_PAGES
from tests.unit.modalities.media.made import box, wav
from tests.unit.modalities.media.test_pdf import PAGE, TREE, made
from tests.unit.modalities.test_image_header import jpeg, png

Check = Callable[[bytes, str], Any]


def refusal(look: Check, data: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        look(data, "the_field")
    assert raised.value.param == "the_field"
    assert raised.value.message.startswith("the_field ")
    assert raised.value.message.endswith(".")
    return raised.value


def test_what_is_good() -> None:
    assert check.image(png(3, 2), "image_url").media_type == "image/png"
    assert check.audio(wav(1), "file").seconds == 1
    assert check.document(made(PAGE), "document_url") == check.Document("application/pdf", 1)
    assert check.document(made(), "document_url").pages is None


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (box(b"ftyp", b"avif\0\0\0\0"), "an AVIF or HEIC image"),
        (box(b"ftyp", b"heic\0\0\0\0"), "an AVIF or HEIC image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?>\n<SVG/>", "an SVG drawing"),
        (made(PAGE), "a PDF document"),
        (b"II*\0" + bytes(60), "a TIFF image"),
        (b"BM" + bytes(60), "a BMP image"),
        (b"PK\x03\x04" + bytes(60), "a ZIP archive"),
    ],
)
def test_another_kind_is_named(data: bytes, named: str) -> None:
    error = refusal(check.image, data)
    assert (error.status, error.code) == (400, "invalid_image")
    assert f"{named} was sent, and it is not a PNG, JPEG, GIF or WebP image" in error.message
    assert named in refusal(check.audio, data).message


@pytest.mark.parametrize("data", [b"", b"text", b"<html>", b"RIFF\0\0\0\0AVI ", bytes(5000)])
@pytest.mark.parametrize(
    ("look", "code"),
    [(check.image, "invalid_image"), (check.audio, "invalid_audio"), (check.document, "invalid_document")],
)
def test_nothing_that_is_known(look: Check, code: str, data: bytes) -> None:
    error = refusal(look, data)
    assert (error.status, error.code) == (400, code)
    assert "was sent" not in error.message
    assert ("it is empty" in error.message) == (not data)


@pytest.mark.parametrize(
    ("look", "data", "code"),
    [
        (check.image, png(50_000, 50_000), "image_too_large"),
        (check.audio, wav(7201, rate=100, width=1), "audio_too_large"),
        (check.document, made(TREE % (MAX_PAGES + 1)), "document_too_large"),
    ],
)
def test_too_much_of_it(look: Check, data: bytes, code: str) -> None:
    error = refusal(look, data)
    assert (error.status, error.code) == (400, code)


@pytest.mark.parametrize(
    ("look", "most", "start"),
    [
        (check.image, MAX_IMAGE_BYTES, jpeg(3, 2)),
        (check.audio, MAX_AUDIO_BYTES, wav(1, rate=48_000)),
        (check.document, MAX_DOCUMENT_BYTES, made(PAGE)),
    ],
)
def test_too_many_bytes(look: Check, most: int, start: bytes) -> None:
    look(start.ljust(most, b"\0"), "the_field")
    error = refusal(look, start.ljust(most + 1, b"\0"))
    assert error.status == 413
    assert f"larger than {most >> 20} MB" in error.message


@given(st.sampled_from([b"", b"%PDF-", b"BM", b"<", b"\xff\xd8", b"ID3"]), st.binary())
def test_any_bytes_are_taken_or_refused(start: bytes, more: bytes) -> None:
    for look in (check.image, check.audio, check.document):
        with contextlib.suppress(InvalidRequest):
            assert look(start + more, "f").media_type


class TestInline:
    @given(st.binary(max_size=100))
    def test_bytes_come_back(self, data: bytes) -> None:
        text = base64.b64encode(data).decode()
        assert from_base64(text, "image_b64", 100) == data
        assert from_base64(base64.encodebytes(data).decode().replace("\n", "\r\n"), "image_b64", 100) == data
        assert from_data_url(f"data:image/png;base64,{text}", "image_url", 100) == data

    @pytest.mark.parametrize(
        "text",
        ["AAA", "AAAA=", "AAAA====", "AA=A", "A", "=", "AAA-", "AA_A", "AAA\u00fc", "AAA\0", "AAA\u00a0", "data:,AAAA"],
    )
    def test_what_is_not_base64(self, text: str) -> None:
        with pytest.raises(InvalidRequest, match="the standard alphabet") as raised:
            from_base64(text, "image_b64", 100)
        assert (raised.value.code, raised.value.param) == ("invalid_base64", "image_b64")

    @pytest.mark.parametrize("size", [10, 11, 12])
    def test_the_bound_is_inside(self, size: int) -> None:
        text = base64.b64encode(bytes(size)).decode()
        assert len(from_base64(text, "f", size)) == size
        with pytest.raises(InvalidRequest, match=f"larger than {size - 1} bytes") as raised:
            from_base64(text, "f", size - 1)
        assert raised.value.status == 413

    def test_white_space_is_no_way_around_the_bound(self) -> None:
        assert from_base64(" A\nA\tA\rA", "f", 3) == bytes(3)
        with pytest.raises(InvalidRequest, match="larger than 3 bytes"):
            from_base64(" " * 1000 + "AAAA", "f", 3)

    @pytest.mark.parametrize(
        "url",
        [
            "data:;base64,AAAA",
            "data:image/jpeg;charset=x;base64,AAAA",
            "DATA:image/png;BASE64,AAAA",
            "data:text/html;base64,AAAA",
        ],
    )
    def test_a_declared_type_means_nothing(self, url: str) -> None:
        assert from_data_url(url, "f", 3) == bytes(3)

    @pytest.mark.parametrize(
        "url", ["data:image/png,AAAA", "data:image/png;base64", "https://a/", "", "data:,", "xdata:;base64,AAAA"]
    )
    def test_other_urls(self, url: str) -> None:
        with pytest.raises(InvalidRequest, match="must be data:"):
            from_data_url(url, "f", 3)
