"""Forms with files, as another's parser reads them."""

from email import message_from_bytes
from typing import Any

from aig.modalities.upstream import Upstream
from aig_providers.forms import FilePart, post_form


def parts(media_type: str, body: bytes) -> list[tuple[str, str | None, str, bytes]]:
    message: Any = message_from_bytes(f"Content-Type: {media_type}\r\n\r\n".encode() + body)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.get_payload()
    ]


def test_fields_and_files_are_parts() -> None:
    upstream = Upstream("acme", "m", "https://acme.example/v1/", api_key="secret")
    sound = b"RIFF\r\n--x\r\n\x00\xff"
    request = post_form(
        upstream,
        "audio/transcriptions",
        [("model", "m"), ("prompt", "Grüße")],
        [FilePart("file", sound, "audio/wav"), FilePart("mask", b"?", "application/x-odd")],
    )
    assert (request.url, request.method) == ("https://acme.example/v1/audio/transcriptions", "POST")
    assert request.headers["Authorization"] == "Bearer secret"
    assert parts(request.headers["Content-Type"], request.body) == [
        ("model", None, "text/plain", b"m"),
        ("prompt", None, "text/plain", "Grüße".encode()),
        ("file", "file.wav", "audio/wav", sound),
        ("mask", "file.bin", "application/x-odd", b"?"),
    ]


def test_a_boundary_is_made_anew_for_each() -> None:
    upstream = Upstream("acme", "m", "https://acme.example")
    first, second = (post_form(upstream, "x", [("a", "b")], []).headers["Content-Type"] for _ in range(2))
    assert first != second
