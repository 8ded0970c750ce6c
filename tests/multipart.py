"""A form with files, read back by the standard library."""

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP


@dataclass(frozen=True)
class Part:
    """A field or a file; a field has neither file name nor type."""

    name: str
    data: bytes
    filename: str | None = None
    media_type: str | None = None


def parts(content_type: str, body: bytes) -> list[Part]:
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert not message.defects
    found = []
    for part in message.iter_parts():
        name, data = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(data, bytes)
        found.append(Part(name, data, part.get_filename(), part.get_content_type() if part["content-type"] else None))
    return found
