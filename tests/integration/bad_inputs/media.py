"""Rows 75 to 92 of the endpoints that fetch, and rows 143 to 160: pictures, documents and sound."""

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.integration.bad_inputs.case import GONE, OK, TOO_LARGE, B, Case
from tests.integration.bad_inputs.pictures import HOSTS
from tests.integration.bad_inputs.texts import EDIT, MODERATIONS, TRANSCRIBE
from tests.integration.operations import PICTURE, SOUND, data_url
from tests.unit.modalities.media.made import MP3_FRAME, fmt, id3, ogg_page, opus_start, riff
from tests.unit.modalities.media.test_image import chunk, film, frame
from tests.unit.modalities.test_image_header import gif, jpeg, png, webp_extended, webp_lossy

OCR: Final = "/v1/ocr"
DETECTIONS: Final = "/v1/detections"
File = tuple[str, bytes, bytes]


def form(fields: Mapping[str, Any], files: Sequence[File]) -> bytes:
    """A form whose boundary is `b`, with nothing escaped."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name.encode(), str(value).encode())
        for name, value in fields.items()
    ]
    parts += [
        b'--b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n' % (name.encode(), called, data)
        for name, called, data in files
    ]
    return b"".join([*parts, b"--b--\r\n"])


def _at(row: int, url: str, code: str = "url_not_allowed") -> list[Case]:
    """A case for each field that takes a URL."""
    what, shown = url[:40], {"image_url": GONE}
    part = {"type": "image_url", "image_url": {"url": url}}
    return [
        Case(row, f"read {what}", B, {"image_url": url}, path=OCR, code=code),
        Case(row, f"read as a document {what}", B, {**shown, "document_url": url}, path=OCR, code=code),
        Case(row, f"look at {what}", B, {"image_url": url}, path=DETECTIONS, code=code),
        Case(row, f"judge {what}", B, {"input": [part]}, path=MODERATIONS, code=code),
        Case(row, f"hear {what}", B, {"url": url}, path=TRANSCRIBE, files=(), code=code),
    ]


URLS = [
    # Nothing is wrong with these but where they lead.
    *[case for row, hosts in HOSTS.items() for host in hosts for case in _at(row, f"https://{host}")],
    *_at(75, "http://169.254.169.254/latest/meta-data/"),
    *[
        case
        for name in ("localtest.me", "LOCALTEST.ME.", "metadata.example", "half-private.example", "nat64.example")
        for case in _at(85, f"https://{name}/a")
    ],
    *_at(85, "https://mapped.example/a"),
    *_at(85, "https://nowhere.example/a", code="url_unreachable"),
    *[case for url in ("file:///etc/passwd", "gopher://a.example/", "ftp://a.example/a") for case in _at(88, url)],
    *[case for url in ("http://pictures.example/a", "//pictures.example/a", "a", "https://") for case in _at(88, url)],
    *_at(88, "data:text/html,hi", code="invalid_value"),
    *_at(89, "https://u:p@pictures.example/"),
    *_at(90, "https://pictures.example:22/"),
]


def _pictures(row: int, what: str, data: bytes, code: str = "invalid_image") -> list[Case]:
    """A case for each way that a picture comes in."""
    encoded = base64.b64encode(data).decode()
    inline = {"image_url": GONE, "image_b64": encoded}
    part = {"type": "image_url", "image_url": {"url": data_url(data)}}
    return [
        Case(row, f"read {what}", B, inline, path=OCR, code=code),
        Case(row, f"look at {what}", B, inline, path=DETECTIONS, code=code),
        Case(row, f"look at the data URL of {what}", B, {"image_url": data_url(data)}, path=DETECTIONS, code=code),
        Case(row, f"judge {what}", B, {"input": [part]}, path=MODERATIONS, code=code),
        Case(row, f"edit {what}", B, path=EDIT, files=[("image", b"a.png", data)], code=code),
    ]


_INLINE: Final = base64.b64encode(PICTURE).decode()
_BROKEN: Final = "\n".join(_INLINE[at : at + 76] for at in range(0, len(_INLINE), 76))
_PDF: Final = b"%PDF-1.7\n1 0 obj << /Type /Page >> endobj\n%%EOF"
# Zeros that inflate to 20,000 by 1,000,000 pixels, cut to some 50 kB.
_BOMB: Final = png(20_000, 1_000_000)[:33] + chunk(b"IDAT", zlib.compress(bytes(50_000_000)))

PICTURES = [
    *[
        case
        for path in (OCR, DETECTIONS)
        for case in (
            Case(143, f"{path[4:]} of two", B, {"image_b64": _INLINE}, path=path),
            Case(143, f"{path[4:]} of an upload too", B, {"upload_id": "upload_" + "0" * 26}, path=path),
            Case(144, f"{path[4:]} of none", B, {"image_url": GONE}, path=path, code="missing_required_parameter"),
            Case(144, f"{path[4:]} of null", B, {"image_url": None}, path=path, code="missing_required_parameter"),
            Case(
                145, f"{path[4:]} in lines", OK, {"image_url": GONE, "image_b64": _BROKEN}, path=path, reached=True
            ),
            *[
                Case(
                    145, f"{path[4:]} {what}", B, {"image_url": GONE, "image_b64": text}, path=path,
                    code="invalid_base64",
                )
                for what, text in {
                    "in the alphabet for URLs": "-_" + _INLINE[2:],
                    "without padding": base64.b64encode(b"\x89PNG").decode().rstrip("="),
                    "with too much padding": _INLINE + "====",
                    "of no base64": "!!!!",
                    "beyond ASCII": "ä" * 4,
                }.items()
            ],
        )
    ],
    *_pictures(146, "a ZIP", b"PK\x03\x04" + bytes(100)),
    *[case for case in _pictures(146, "a PDF", _PDF) if case.path != OCR],  # which reads documents
    *_pictures(146, "HTML", b"<html><script>alert(1)</script>"),
    *_pictures(146, "a GIF that is a script", b"GIF89a=1;alert(document.domain)//", "image_too_large"),
    *_pictures(147, "10,000 frames", film(*[frame()] * 10_000)),
    *_pictures(147, "an APNG", png(3, 2)[:33] + chunk(b"acTL", struct.pack(">II", 10_000, 0)) + png(3, 2)[33:]),
    *_pictures(148, "a PNG of 20 billion pixels", _BOMB, "image_too_large"),
    *_pictures(148, "a PNG of 100,000 by 100,000", png(100_000, 100_000), "image_too_large"),
    *_pictures(149, "a JPEG of nothing but comments", jpeg(3, 2)[:2] + b"\xff\xfe\x00\x02" * 500_000),
    *_pictures(149, "a JPEG of 65,535 by 65,535", jpeg(65_535, 65_535), "image_too_large"),
    *_pictures(150, "a TIFF", b"II*\0\x08\0\0\0" + bytes(200)),
    *_pictures(150, "a WebP of 16,383 by 16,383", webp_lossy(16_383, 16_383), "image_too_large"),
    *_pictures(150, "a WebP of 2^24 by 2^24", webp_extended(1 << 24, 1 << 24), "image_too_large"),
    *_pictures(92, "SVG", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    *_pictures(92, "a GIF without pixels", gif(0, 0)),
]  # fmt: skip


def _sound(row: int, what: str, data: bytes, code: str = "invalid_audio", **more: Any) -> Case:
    return Case(row, what, B, path=TRANSCRIBE, files=[("file", b"a.mp3", data)], code=code, **more)


def _named(what: str, name: bytes) -> Case:
    body = {"prompt": what}  # so that the cache knows none of them
    return Case(153, what, OK, body, path=TRANSCRIBE, files=[("file", name, SOUND)], reached=True)


def _form(row: int, what: str, raw: bytes, content_type: str = "multipart/form-data; boundary=b") -> Case:
    return Case(row, what, B, path=TRANSCRIBE, raw=lambda: raw, headers=[("content-type", content_type)])


_WHOLE: Final = form({"model": "sandbox/transcribe"}, [("file", b"a.wav", SOUND)])
_NESTED: Final = b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\na\r\n--c--\r\n--b--\r\n"
_XING: Final = (MP3_FRAME[:36] + b"Xing" + struct.pack(">II", 3, 137_813)).ljust(417, b"\0")  # an hour, it says

RECORDINGS = [
    Case(152, "no file", B, path=TRANSCRIBE, files=(), code="missing_required_parameter"),
    Case(152, "a text in the file's place", B, {"file": "speech.wav"}, path=TRANSCRIBE, files=()),
    _named("a path", b"../../x.wav"),
    _named("a line break", b"x.wav\r\nX: y"),
    _named("NUL", b"x.wav\0.exe"),
    _named("4 kB", b"a" * 4_000),
    # More than the form's parser takes for a header.
    Case(153, "5 kB", B, path=TRANSCRIBE, files=[("file", b"a" * 5_000, SOUND)]),
    _form(154, "no boundary", _WHOLE, "multipart/form-data"),
    _form(154, "another boundary", _WHOLE, "multipart/form-data; boundary=c"),
    _form(154, "1,000 parts", form({f"a{n}": "" for n in range(1_000)}, [])),
    _form(154, "100 files", form({}, [("file", b"a", b"a")] * 100)),
    _form(154, "a header of 1 MB", b"--b\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\na\r\n--b--\r\n"),
    _form(154, "a form in a form", _NESTED),
    _form(154, "cut", _WHOLE[:60]),
    _form(154, "nothing", b""),
    Case(155, "two files", B, path=TRANSCRIBE, files=[("file", b"a", SOUND), ("file", b"b", SOUND)]),
    Case(155, "two files as a list", B, path=TRANSCRIBE, files=[("file", b"a", SOUND), ("file[]", b"b", SOUND)]),
    Case(155, "a file and a URL", B, {"url": "https://pictures.example/a"}, path=TRANSCRIBE),
    _sound(156, "no bytes", b""),
    _sound(157, "a text", b"this is no recording"),
    _sound(157, "a PNG", PICTURE),
    # What a header claims is not believed: 24 kB of frames play for a second and a half.
    Case(158, "an hour in a header", OK, path=TRANSCRIBE, files=[("file", b"a", _XING + MP3_FRAME * 57)], reached=True),
    _sound(158, "a tag and nothing else", id3(1_000)),
    Case(158, "25 MB and a byte", TOO_LARGE, path=TRANSCRIBE, files=[("file", b"a", bytes(25 * 1024 * 1024 + 1))]),
    Case(
        159, "4 GB in a header", OK, path=TRANSCRIBE, reached=True,
        files=[("file", b"a", riff((b"fmt ", fmt()), (b"data", bytes(16_000)), claimed=2**32 - 1))],
    ),
    _sound(160, "51 hours of silence", opus_start() + ogg_page(0, *[b"\xfb\x06"] * 255) * 6_000, "audio_too_large"),
]  # fmt: skip
