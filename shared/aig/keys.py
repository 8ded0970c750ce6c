"""API keys: their form, their digest, and who a valid one stands for. Pure."""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

from typing_extensions import override

Scope = Literal["inference", "usage:read", "admin"]
SCOPES: frozenset[str] = frozenset(get_args(Scope))

_PATTERN = re.compile(r"sk-aig-([0-9a-z]{8})([0-9A-Za-z]{32,64})", re.ASCII)
_SECRET_ALPHABET = string.ascii_letters + string.digits
_PUBLIC_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Secret:
    """A whole key as its owner holds it. `public_id` may be logged, `text` never."""

    public_id: str
    text: str

    @override
    def __repr__(self) -> str:
        return f"Secret({self.public_id})"


def parse(text: str) -> Secret | None:
    """The key in `text`, or None if it does not have the form of one."""
    match = _PATTERN.fullmatch(text)
    return Secret(match[1], text) if match else None


def make() -> Secret:
    """A key nobody has seen: 8 public characters and 40 random ones (238 bits)."""
    public_id = "".join(secrets.choice(_PUBLIC_ALPHABET) for _ in range(8))
    tail = "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))
    return Secret(public_id, f"sk-aig-{public_id}{tail}")


def digest(secret: Secret, pepper: bytes) -> bytes:
    """What is stored in place of the key: HMAC-SHA-256 with a pepper that is not in the database."""
    return hmac.digest(pepper, secret.text.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. Every row that it reads or writes begins with `account_id`."""

    account_id: str
    key_id: str
    key_name: str
    hint: str
    scopes: frozenset[str]
    rpm: int | None = None  # requests a minute
    capped: bool = False  # whether the key has a spend cap
    default_tag: str | None = None
    allowed_models: tuple[str, ...] = ()  # globs over slugs; empty allows all
    expires_at: int | None = None

    def may_use(self, slug: str) -> bool:
        return not self.allowed_models or any(fnmatchcase(slug, glob) for glob in self.allowed_models)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the store knows of a key: enough to tell whether it is good, and for whom."""

    caller: Caller
    digest: bytes
    active: bool


_NOBODY = bytes(32)


def verify(secret: Secret, pepper: bytes, stored: StoredKey | None, now: float) -> Caller | None:
    """The caller if the key is good at unix time `now`. An unknown key costs the same work as a wrong one."""
    same = hmac.compare_digest(digest(secret, pepper), stored.digest if stored else _NOBODY)
    if stored is None or not same or not stored.active:
        return None
    if stored.caller.expires_at is not None and now >= stored.caller.expires_at:
        return None
    return stored.caller
