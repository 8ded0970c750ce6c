"""The patterns of the lexical moderation, read from lexicon.toml."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("lexicon.toml")
_PART = re.compile(r"<([a-z][a-z ]*)>")


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern, the categories that it speaks for, and how sure one match makes, from 0 to 1."""

    pattern: re.Pattern[str]
    weight: float
    categories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What is taken out of a text first, and what is then looked for."""

    harmless: re.Pattern[str]
    rules: tuple[Rule, ...]


def read() -> Lexicon:
    """Compile the file (a tenth of a second)."""
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    parts = content["parts"]
    rules = tuple(_rule(row, parts) for row in content["rules"])
    return Lexicon(_words(content["harmless"], parts), rules)


def _rule(row: Mapping[str, Any], parts: Mapping[str, Sequence[str]]) -> Rule:
    return Rule(_words(row["any"], parts), float(row["weight"]), tuple(row["categories"]))


def _words(patterns: Sequence[str], parts: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """Any of the patterns, between the bounds of words."""

    def insert(match: re.Match[str]) -> str:
        return f"(?:{'|'.join(parts[match[1]])})"

    return re.compile(rf"\b(?:{_PART.sub(insert, '|'.join(patterns))})\b")
