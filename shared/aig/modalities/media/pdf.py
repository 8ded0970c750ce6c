"""How many pages a PDF may have: nothing of it is laid out, and only its lists of objects are unpacked (ISO 32000-1).

Pages are objects. Since PDF 1.5 they mostly lie in compressed object streams, which are inflated here within bounds.
Where some cannot be (encrypted, another filter, too large) or names are disguised, the number is not known.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable
from itertools import chain, islice

from aig.modalities.media.limits import MAX_PAGES

_PAGE = re.compile(rb"/Type\s{0,20}/Page(?![A-Za-z0-9#.])")
_KIDS = re.compile(rb"/Kids\s{0,20}\[([^\[\]]*)")
_KID = re.compile(rb"(\d{1,10})\s{1,20}\d{1,5}\s{1,20}R")
_HEADING = re.compile(rb"/(?:Title|First|Last|Outlines)(?![A-Za-z0-9#.])")
_COUNT = re.compile(rb"/Count\s{1,20}(\d{1,9})")
# Any letter of a name may be written as # and two hexadecimal digits (7.3.5).
_DISGUISED = re.compile(rb"/[A-Za-z]{0,5}#[0-9A-Fa-f]{2}(?:[A-Za-z]|#[0-9A-Fa-f]{2}){0,6}")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_TELLING = {b"/Type", b"/Page", b"/Pages", b"/Count", b"/Kids", b"/ObjStm"}
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


def _in_outline(count: re.Match[bytes]) -> bool:
    """Whether a /Count is that of a heading, by what stands beside it: it tells how many others are below."""
    text, at = count.string, count.start()
    before, behind = text[max(at - _MAX_DICTIONARY, 0) : at], text[at : at + _MAX_DICTIONARY]
    beside = before.rpartition(b"<<")[2] + behind.partition(b">>")[0]
    return b"/Kids" not in beside and _HEADING.search(beside) is not None


def _listed(texts: Iterable[bytes], pages: int) -> int | None:
    """How many pages the lists of kids may show of this many objects, None where there are too many to look at.

    Whole trees list an object once. Once more is one page more; where it is in one list, any list above may say so
    again.
    """
    lists = _found(_KIDS, texts)
    kids: list[bytes] = []
    shown = pages
    for each in lists:
        own = [kid[1] for kid in islice(_KID.finditer(each[1]), _MAX_NAMES)]
        kids += own
        shown = min(shown * max(Counter(own).values(), default=1), _MAX_NAMES)
        if len(kids) >= _MAX_NAMES:
            return None
    return None if len(lists) == _MAX_NAMES else max(shown, pages + len(kids) - len(set(kids)))


def most_pages(data: bytes) -> int | None:
    """The largest of: the page objects of all revisions, the /Count of a tree, the pages that lists of kids may show;
    None where pages may hide.

    _MAX_NAMES stands for any larger number. Lists alone are no ground to refuse: revisions list the same pages again.
    So they count MAX_PAGES at most.
    """
    streams = _object_streams(data)
    if streams is None:
        return None
    texts = [data, *streams]
    disguised = _found(_DISGUISED, texts)
    plain = {_ESCAPE.sub(lambda code: bytes([int(code[1], 16)]), name[0]) for name in disguised}
    counts = _found(_COUNT, texts)
    if _MAX_NAMES in (len(disguised), len(counts)) or not plain.isdisjoint(_TELLING):
        return None
    pages = len(_found(_PAGE, texts))
    told = max(pages, *(int(count[1]) for count in counts if not (pages and _in_outline(count))), 0)
    listed = _listed(texts, pages)
    return None if listed is None else max(told, min(listed, MAX_PAGES)) or None
