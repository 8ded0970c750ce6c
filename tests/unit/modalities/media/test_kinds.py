"""What a model has made, by its first bytes: files of every kind, and pages of errors that are none."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.media.kinds import MEDIA_TYPES, UNKNOWN, Kind, sniffed


def box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4) + name + content


def archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr(name, b"#usda 1.0")
    return file.getvalue()


MP3_FRAME = b"\xff\xfb\x90\x64" + bytes(413)
OPUS = b"OggS\0\2" + bytes(20) + b"\x01\x13OpusHead" + bytes(11)
EBML = b"\x1aE\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\x82"

FILES: list[tuple[bytes, str, str]] = [
    (box(b"ftyp", b"isom\0\0\2\0isomiso2avc1mp41"), "video/mp4", "mp4"),
    (box(b"ftyp", b"mp42\0\0\0\0"), "video/mp4", "mp4"),
    (box(b"ftyp", b"qt  \0\0\0\0"), "video/quicktime", "mov"),
    (box(b"wide", b"") + box(b"mdat", b"film"), "video/quicktime", "mov"),
    (box(b"ftyp", b"M4A \0\0\2\0"), "audio/mp4", "m4a"),
    (EBML + b"\x84webm\x42\x87", "video/webm", "webm"),
    (EBML + b"\x88matroska", "video/x-matroska", "mkv"),
    (MP3_FRAME * 2, "audio/mpeg", "mp3"),
    (b"ID3\3\0\0\0\7\x76\x76" + bytes(4086), "audio/mpeg", "mp3"),  # a tag with a picture of 128 kB
    (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav", "wav"),
    (b"fLaC\0\0\0\x22", "audio/flac", "flac"),
    (OPUS, "audio/ogg", "ogg"),
    (b"glTF\2\0\0\0\x10\0\0\0", "model/gltf-binary", "glb"),
    (b"Kaydara FBX Binary  \0\x1a\0", "application/octet-stream", "fbx"),
    (archive("scene.usdc"), "model/vnd.usdz+zip", "usdz"),
    (archive("textures/wood.png"), "application/zip", "zip"),
    (b"# made by a model\nmtllib a.mtl\r\no Cube\nv 1.0 -1 0\nvn 0 1 0\ns off\nf 1/1 2/2", "model/obj", "obj"),
    (b"v -0.5 0 1\nv 0 0 1\nusemt", "model/obj", "obj"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png", "png"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", "jpg"),
    (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp", "webp"),
    (b"GIF89a\1\0\1\0", "image/gif", "gif"),
    (b"\0\1\2\3", "application/octet-stream", "bin"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "application/octet-stream", "bin"),
    (b"glTF\3\0\0\0", "application/octet-stream", "bin"),
    (b"\0\0\0\x18ftypavif\0\0\0\0", "application/octet-stream", "bin"),
]


@pytest.mark.parametrize(("data", "media_type", "ending"), FILES, ids=[file[2] for file in FILES])
def test_a_file_is_known_by_its_first_bytes(data: bytes, media_type: str, ending: str) -> None:
    assert sniffed(data) == Kind(media_type, ending)
    assert MEDIA_TYPES[ending] == media_type


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<!DOCTYPE html><html><body>Bad Gateway</body></html>",
        "\n\n  <HTML>",
        "\ufeff<html>",
        "<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
        "<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        '{"error": {"message": "not ready"}}',
        '{"asset": {"version": "2.0"}}',
        "[]",
        "null",
        "Not found",
        "Das Ergebnis gibt es nicht \u2013 r\u00e9essayez",
        "f rom here\no n",
        "v\n",
        "# a comment and nothing else\n",
        "v 1 2 3\n<html>\nv 1 2 3",
        "ID3 tags are missing",
    ],
)
def test_a_page_of_an_error_is_no_result(text: str) -> None:
    assert sniffed(text.encode()) is None
    if text:
        assert sniffed(text.encode("utf-16")) is None


def test_a_text_that_is_cut_within_a_character_is_one() -> None:
    assert sniffed("\u00e9".encode()[:1]) is None
    assert sniffed(b"\xe9 latin") == UNKNOWN  # not UTF-8: whatever it is, it is kept to be downloaded


def test_nothing_that_a_browser_would_run_has_a_type() -> None:
    shown = {kind.partition("/")[0] for kind in MEDIA_TYPES.values()}
    assert shown == {"application", "audio", "image", "model", "video"}
    assert not {"image/svg+xml", "application/pdf", "application/xhtml+xml"} & set(MEDIA_TYPES.values())


@given(st.binary(max_size=200))
def test_any_bytes_have_a_kind_or_are_none(data: bytes) -> None:
    kind = sniffed(data)
    assert kind is None or MEDIA_TYPES[kind.ending] == kind.media_type


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=200))
def test_prose_is_never_a_film(text: str) -> None:
    kind = sniffed(text.encode())
    assert kind is None or kind.ending == "obj"
