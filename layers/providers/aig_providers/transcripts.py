"""What providers tell of a recording: when which words were said, and how long it is."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.transcript import Segment, Word
from aig.modalities.usage import Usage
from aig_providers.shapes import string, unsupported

LONGEST_S = 10**6


def moment(value: Any) -> float:
    """Seconds from the beginning, or a length. Raises TypeError or ValueError for what cannot be that."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not 0 <= value <= LONGEST_S:
        raise ValueError
    return float(value)


def words(entries: Iterable[Mapping[str, Any]], *names: str) -> list[Word]:
    """Of entries with start and end; the word by the first of these names that is there. Raises as `moment` does."""
    return [Word(_text(entry, names), moment(entry["start"]), moment(entry["end"])) for entry in entries]


def segments(entries: Iterable[Mapping[str, Any]], name: str) -> list[Segment]:
    return [Segment(moment(entry["start"]), moment(entry["end"]), string(entry[name]).strip()) for entry in entries]


def _text(entry: Mapping[str, Any], names: Iterable[str]) -> str:
    return string(next((entry[name] for name in names if entry.get(name) is not None), None)).strip()


def heard(seconds: float | None) -> Usage | None:
    """The bill of a recording of that length; None where nobody told it."""
    return None if seconds is None else Usage({"seconds": math.ceil(seconds)})


def refuse(request: TranscribeRequest, *names: str) -> None:
    """Raises for each of the fields that asks for something. Translation into English is a choice of model."""
    for name in names:
        if getattr(request, name):
            raise unsupported("model" if name == "into_english" else name)
