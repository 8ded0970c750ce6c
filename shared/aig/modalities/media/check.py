"""What a client sent as a picture, a clip or a document, checked: every complaint is an InvalidRequest that says what
to send instead."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from aig.errors import InvalidRequest, RequestTooLarge
from aig.modalities.image_header import ImageHeader
from aig.modalities.media import audio as clips
from aig.modalities.media import image as pictures
from aig.modalities.media import limits, mp4, pdf
from aig.modalities.media.audio import Clip
from aig.modalities.media.limits import TooLarge

T = TypeVar("T")

_SVG_WINDOW = 1_000


@dataclass(frozen=True, slots=True)
class Document:
    """`pages` is an upper bound for what a reader sees, None where they cannot be counted: hold MAX_PAGES then."""

    media_type: Literal["application/pdf"]
    pages: int | None


def _is_drawing(data: bytes) -> bool:
    start = data[:_SVG_WINDOW].lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"<") and b"<svg" in start.lower()


# What people send in place of a picture or a clip, so that the complaint can name it.
_NAMED: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("an AVIF or HEIC image", mp4.is_picture),
    ("an SVG drawing", _is_drawing),
    ("a PDF document", pdf.is_pdf),
    ("a TIFF image", lambda data: data.startswith((b"II*\0", b"MM\0*"))),
    ("a BMP image", lambda data: data.startswith(b"BM")),
    ("a ZIP archive", lambda data: data.startswith(b"PK\x03\x04")),
)


def _complaint(data: bytes, why: str) -> str:
    name = next((name for name, matches in _NAMED if matches(data)), None)
    return f"{name} was sent, and {why}" if name else why


def _read(read: Callable[[bytes], T], data: bytes, param: str, noun: str, most: int) -> T:
    if len(data) > most:
        raise RequestTooLarge(
            f"{param} is larger than {most >> 20} MB. Send less.", code=f"{noun}_too_large", param=param
        )
    try:
        if not data:
            raise ValueError("it is empty")
        return read(data)
    except TooLarge as error:
        raise InvalidRequest(f"{param} cannot be used: {error}.", code=f"{noun}_too_large", param=param) from None
    except ValueError as error:
        why = _complaint(data, str(error))
        raise InvalidRequest(f"{param} cannot be used: {why}.", code=f"invalid_{noun}", param=param) from None


def image(data: bytes, param: str) -> ImageHeader:
    """Type and size of a picture that is safe to decode. Raises InvalidRequest."""
    return _read(pictures.read, data, param, "image", limits.MAX_IMAGE_BYTES)


def audio(data: bytes, param: str) -> Clip:
    """Type of a clip, and how long it may be. Raises InvalidRequest."""
    return _read(clips.read, data, param, "audio", limits.MAX_AUDIO_BYTES)


def _document(data: bytes) -> Document:
    if not pdf.is_pdf(data):
        raise ValueError("it is not a PDF document")
    pages = pdf.most_pages(data)
    if pages is not None and pages > limits.MAX_PAGES:
        raise TooLarge(f"it has {pages} pages; at most {limits.MAX_PAGES} are accepted, so send it in parts")
    return Document("application/pdf", pages)


def document(data: bytes, param: str) -> Document:
    """A PDF, and how many pages it may have. Raises InvalidRequest."""
    return _read(_document, data, param, "document", limits.MAX_DOCUMENT_BYTES)
