"""How many pages a PDF may have: nothing of it is laid out, and only its lists of objects are unpacked (ISO 32000-1).

Pages are objects. Since PDF 1.5 they mostly lie in compressed object streams, which are inflated here within bounds.
Where some cannot be (encrypted, another filter, too large) or names are disguised, the number is not known.
"""

import re
import zlib
from collections.abc import Iterable
from itertools import chain, islice

_PAGE = re.compile(rb"/Type\s{0,20}/Page(?![A-Za-z0-9#.])")
_COUNT = re.compile(rb"/Count\s{1,20}(\d{1,9})")
# Any letter of a name may be written as # and two hexadecimal digits (7.3.5).
_DISGUISED = re.compile(rb"/[A-Za-z]{0,5}#[0-9A-Fa-f]{2}(?:[A-Za-z]|#[0-9A-Fa-f]{2}){0,6}")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_TELLING = {b"/Type", b"/Page", b"/Pages", b"/Count", b"/ObjStm"}
_MAX_NAMES = 10_000  # of each kind, and of object streams: more are not looked at
_MAX_DICTIONARY = 2_000  # bytes from a stream's type to its keyword
_MAX_INFLATED = 32 * 1024 * 1024


def is_pdf(data: bytes) -> bool:
    return data.startswith(b"%PDF-")


def _object_streams(data: bytes) -> list[bytes] | None:
    """What is in the object streams, None if one of them cannot be read."""
    streams: list[bytes] = []
    room, position = _MAX_INFLATED, 0
    while (found := data.find(b"/ObjStm", position)) >= 0:
        begin = data.find(b"stream", found, found + _MAX_DICTIONARY)
        position = data.find(b"endstream", begin) if begin >= 0 else -1
        if position < 0 or len(streams) == _MAX_NAMES:
            return None
        inflater = zlib.decompressobj()
        try:
            streams.append(inflater.decompress(data[begin + len(b"stream") : position].lstrip(b"\r\n"), room))
        except zlib.error:
            return None
        room -= len(streams[-1])
        if room <= 0 or not inflater.eof:
            return None
    return streams


def _found(pattern: re.Pattern[bytes], texts: Iterable[bytes]) -> list[re.Match[bytes]]:
    """The first _MAX_NAMES."""
    return list(islice(chain.from_iterable(map(pattern.finditer, texts)), _MAX_NAMES))


def most_pages(data: bytes) -> int | None:
    """The page objects of all revisions or, where none is in sight, the largest /Count; None where pages may hide.

    A page that is listed twice counts once, and _MAX_NAMES stands for any larger number.
    """
    streams = _object_streams(data)
    if streams is None:
        return None
    texts = [data, *streams]
    disguised = _found(_DISGUISED, texts)
    plain = {_ESCAPE.sub(lambda code: bytes([int(code[1], 16)]), name[0]) for name in disguised}
    counts = [int(count[1]) for count in _found(_COUNT, texts)]
    if _MAX_NAMES in (len(disguised), len(counts)) or not plain.isdisjoint(_TELLING):
        return None
    return len(_found(_PAGE, texts)) or max(counts, default=0) or None
