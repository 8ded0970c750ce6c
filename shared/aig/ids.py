"""Ids, the second impurity: a prefix and a ULID (48 bits of milliseconds, 80 random bits), sortable by time."""

import hashlib
import re
import secrets
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aig.clock import Clock

Prefix = Literal[
    "acct", "adj", "evt", "file", "hook", "job", "key", "refund", "req", "sub", "topup", "txn", "upload", "whd"
]

_ID = re.compile(r"([a-z]+)_[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]


def has_form(text: str, prefix: Prefix) -> bool:
    """Whether a text may be an id with this prefix: what may not need not be looked for."""
    match = _ID.fullmatch(text)
    return match is not None and match[1] == prefix


def _written(prefix: Prefix, milliseconds: int, bits: int) -> str:
    value = milliseconds << 80 | bits
    return prefix + "_" + "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])


def derived(prefix: Prefix, seconds: int, text: str) -> str:
    """The id of what happened at that unix time and has this text for a name: the same whenever it is asked for."""
    digest = hashlib.sha256(text.encode()).digest()
    return _written(prefix, seconds * 1000, int.from_bytes(digest[:10]))


class Ids:
    def __init__(self, clock: "Clock") -> None:
        self._clock = clock

    def new(self, prefix: Prefix) -> str:
        """`prefix_` and 26 characters, e.g. `req_01KAP6V3J8Q0ZB5N7E2XWY4T9C`."""
        return _written(prefix, int(self._clock.now() * 1000), secrets.randbits(80))
