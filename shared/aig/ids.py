"""Ids, the second impurity: a prefix and a ULID (48 bits of milliseconds, 80 random bits), sortable by time."""

import re
import secrets
from typing import Literal

from aig.clock import Clock

Prefix = Literal["acct", "evt", "key", "req", "sub", "topup", "txn"]

_ID = re.compile(r"([a-z]+)_[0-9A-HJKMNP-TV-Z]{26}", re.ASCII)
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32


def has_form(text: str, prefix: Prefix) -> bool:
    """Whether a text may be an id with this prefix: what may not need not be looked for."""
    match = _ID.fullmatch(text)
    return match is not None and match[1] == prefix


class Ids:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def new(self, prefix: Prefix) -> str:
        """`prefix_` and 26 characters, e.g. `req_01KAP6V3J8Q0ZB5N7E2XWY4T9C`."""
        value = int(self._clock.now() * 1000) << 80 | secrets.randbits(80)
        return prefix + "_" + "".join([_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5)])
