"""Test pictures: a text on a plain ground, as a PNG that carries its prompt. Pure, and the same for the same text.

A PNG is little more than zlib: Pillow would add some 20 MB to the dependencies layer for it.
"""

import hashlib
import struct
import textwrap
import unicodedata
import zlib
from collections.abc import Sequence

from aig_providers.sandbox_font import BOX, GLYPHS, HEIGHT, WIDTH

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FEWEST_COLUMNS = 12  # letters are as large as still gives a line so many of them
_KEYWORD = b"Description\0"  # one of those that the PNG specification names
_PLAIN_UTF8 = b"\0\0\0\0"  # of an iTXt chunk: not compressed, in no language, its keyword not translated
_MOST_CHUNKS = 64  # that are looked at for a text
_ASCII = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "ß": "ss", "\t": " "})  # noqa: RUF001


def _ascii(text: str) -> str:
    """With letters without their accents; what has no such letter is a box."""
    plain = unicodedata.normalize("NFKD", text.translate(_ASCII))
    return "".join(sign if sign in GLYPHS else BOX for sign in plain if not unicodedata.combining(sign))


def _wrapped(paragraphs: Sequence[str], columns: int) -> list[str]:
    return [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, columns) or [""]]


def _layout(text: str, width: int, height: int) -> tuple[int, list[str]]:
    """How many pixels a dot is wide, and the lines: as large as they all fit in, or small and cut."""
    paragraphs = [_ascii(line) for line in text.splitlines()]
    columns, rows = width // WIDTH, height // HEIGHT
    if columns < 1 or rows < 1:
        return 1, []
    for scale in range(max(1, columns // _FEWEST_COLUMNS), 0, -1):
        across, down = columns // scale, rows // scale
        if across and len(paragraphs) <= down and sum(map(len, paragraphs)) <= across * down:
            lines = _wrapped(paragraphs, across)
            if len(lines) <= down:
                return scale, lines
    kept = _wrapped(paragraphs, columns)[:rows]
    return 1, [*kept[:-1], f"{kept[-1][: max(0, columns - 3)]}..."]


def _drawn(line: str, scale: int, indent: int, width: int) -> bytes:
    """The rows of pixels of a line, a byte each, behind the PNG's filter byte."""
    drawn = bytearray()
    for dots in zip(*(GLYPHS[sign] for sign in line or " "), strict=True):
        row = b"".join(dots).replace(b"\0", b"\0" * scale).replace(b"\1", b"\1" * scale)
        drawn += (b"\0" + (bytes(indent) + row)[:width].ljust(width, b"\0")) * scale
    return bytes(drawn)


def _pixels(text: str, number: str, width: int, height: int) -> bytes:
    """The text from the top, the number at the right of the bottom."""
    margin, small = min(width, height) // 16, max(1, min(width, height) // 256)
    room = height - 2 * margin - small * HEIGHT
    scale, lines = _layout(text, width - 2 * margin, room)
    above = b"".join(_drawn(line, scale, margin, width) for line in lines)
    foot = _drawn(number, small, max(0, width - margin - len(number) * WIDTH * small), width)
    row = 1 + width
    return (bytes(row * margin) + above).ljust(row * max(0, height - margin - small * HEIGHT), b"\0") + foot


def dots(text: str, number: str, width: int, height: int) -> list[bytes]:
    """The rows of a drawing, a byte a dot, 1 for ink: the text from the top, the number at the right of the bottom."""
    row = 1 + width
    pixels = _pixels(text, number, width, height).ljust(row * height, b"\0")
    return [pixels[at + 1 : at + row] for at in range(0, row * height, row)]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def picture(prompt: str, note: str, number: int, width: int, height: int, *, clear: bool = False) -> bytes:
    """A PNG that shows the note and the prompt, on a colour of the prompt's own; `clear` leaves the ground out."""
    red, green, blue = ground = hashlib.sha256(prompt.encode()).digest()[:3]
    ink = bytes(3) if 299 * red + 587 * green + 114 * blue > 128_000 else b"\xff" * 3
    shown = f"{note}\n{prompt}" if note else prompt
    size = (1 + width) * height
    pixels = _pixels(shown, str(number), width, height).ljust(size, b"\0")[:size]
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(ground) + ink),
            _chunk(b"tRNS", b"\0") if clear else b"",
            _chunk(b"iTXt", _KEYWORD + _PLAIN_UTF8 + prompt.encode()),
            _chunk(b"IDAT", zlib.compress(pixels)),
            _chunk(b"IEND", b""),
        ]
    )


def description(data: bytes) -> str | None:
    """The text that a PNG describes itself by: of a picture of ours, its prompt. None for any other file."""
    at = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS if data.startswith(_SIGNATURE) else 0):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        body = data[at + 8 : at + 8 + length]
        if kind == b"iTXt" and body.startswith(_KEYWORD + _PLAIN_UTF8):
            return body.removeprefix(_KEYWORD + _PLAIN_UTF8).decode(errors="replace")
        if kind == b"tEXt" and body.startswith(_KEYWORD):
            return body.removeprefix(_KEYWORD).decode("latin-1")
        at += 12 + length
    return None
