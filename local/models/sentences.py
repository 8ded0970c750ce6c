"""Cutting a text into what a sentence-wise translator takes at a time."""

import re
from collections.abc import Iterator

MOST_WORDS = 50
"""Beyond about a hundred words the small models leave clauses out or repeat themselves."""

_LINE = re.compile(r"[^\n]+|\n+")
# A full stop ends a sentence where the next word begins with a capital, a digit or a quotation mark.
_END = re.compile(r"(?<=[.!?…])[\"'”\u2019»)\]]*\s+(?=[\"'“\u2018«(\[¿¡]*[A-ZÀ-Þ0-9])")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|Sr|Sra|Dra|Exmo|Av|R)\.$")
_CLAUSE = re.compile(r"(?<=[,;:])\s+")


def cut(text: str) -> Iterator[str]:
    """The sentences of a text and what is between them; joined they are the text again.

    A piece is white space alone or has none at its ends.
    """
    for line in _LINE.findall(text):
        for sentence in _sentences(line):
            for piece in _short(sentence):
                yield from _without_edges(piece)


def _sentences(line: str) -> Iterator[str]:
    start = 0
    for match in _END.finditer(line):
        if not _ABBREVIATION.search(line[start : match.start()]):
            yield line[start : match.end()]
            start = match.end()
    yield line[start:]


def _short(sentence: str) -> Iterator[str]:
    """The sentence, or its clauses put together as far as they go where it is too long."""
    if len(sentence.split()) <= MOST_WORDS:
        yield sentence
        return
    piece = ""
    for clause in _keeping(_CLAUSE, sentence):
        if piece and len((piece + clause).split()) > MOST_WORDS:
            yield from _by_words(piece)
            piece = ""
        piece += clause
    yield from _by_words(piece)


def _by_words(piece: str) -> Iterator[str]:
    words = re.findall(r"\s*\S+\s*", piece)
    for start in range(0, len(words), MOST_WORDS):
        yield "".join(words[start : start + MOST_WORDS])


def _keeping(separator: re.Pattern[str], text: str) -> Iterator[str]:
    """The parts of a text, each with the separator behind it."""
    start = 0
    for match in separator.finditer(text):
        yield text[start : match.end()]
        start = match.end()
    yield text[start:]


def _without_edges(piece: str) -> Iterator[str]:
    core = piece.strip()
    start = piece.index(core)
    yield from filter(None, (piece[:start], core, piece[start + len(core) :]))
