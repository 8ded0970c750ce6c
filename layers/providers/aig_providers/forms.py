"""Bodies that carry files: multipart/form-data, built whole."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from aig.modalities.upstream import Upstream
from aig_providers.wire import HttpRequest, post_json

# Providers tell formats by the name's end, and some look at nothing else.
_ENDINGS = {
    "audio/wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/mp4": "m4a",
    "audio/webm": "webm",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "application/pdf": "pdf",
}


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file of a form. The client's name for it is never handed on: it gets one by its type."""

    name: str
    data: bytes = field(repr=False)
    media_type: str

    @property
    def filename(self) -> str:
        return f"file.{_ENDINGS.get(self.media_type, 'bin')}"


def form(fields: Iterable[tuple[str, str]], files: Iterable[FilePart]) -> tuple[str, bytes]:
    """The content type and the body. Names are ours, so that nothing in them needs to be escaped."""
    boundary = secrets.token_hex(16)
    body = bytearray()
    for name, value in fields:
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    for file in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{file.name}"; filename="{file.filename}"\r\n'
        body += f"{head}Content-Type: {file.media_type}\r\n\r\n".encode() + file.data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", bytes(body)


def post_form(
    upstream: Upstream, path: str, fields: Iterable[tuple[str, str]], files: Iterable[FilePart]
) -> HttpRequest:
    """With the key as a bearer's."""
    media_type, body = form(fields, files)
    plain = post_json(upstream, path, {})
    return HttpRequest(plain.url, {**plain.headers, "Content-Type": media_type}, body)
