"""API keys: their form, their digest, and who a valid one stands for. Pure."""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass
from typing import Literal, get_args

from typing_extensions import override

from aig.limits import Limits

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


def derived(seed: bytes, pepper: bytes) -> Secret:
    """The key of a seed that nobody else has: the same whenever it is asked for, though it is stored nowhere."""
    stream = int.from_bytes(hashlib.shake_256(hmac.digest(pepper, seed, hashlib.sha256)).digest(64))
    characters: list[str] = []
    for size, alphabet in ((8, _PUBLIC_ALPHABET), (40, _SECRET_ALPHABET)):
        for _ in range(size):
            stream, at = divmod(stream, len(alphabet))
            characters.append(alphabet[at])
    text = "".join(characters)
    return Secret(text[:8], f"sk-aig-{text}")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. Every row that it reads or writes begins with `account_id`, its tenant's.

    A sub-account is a tenant without a wallet: `parent_id` is the account that pays. `limits` are those of the key and,
    of a sub-account's, those of the sub-account too: all of them bind.
    """

    account_id: str
    key_id: str
    key_name: str
    hint: str
    scopes: frozenset[str]
    limits: tuple[Limits, ...] = ()
    default_tag: str | None = None
    expires_at: int | None = None
    parent_id: str | None = None
    retain: bool = True  # whether records of its requests may hold their bodies
    wallet_shards: int = 1  # into how many the payer's wallet is split, as far as we know

    @property
    def payer_id(self) -> str:
        """The account whose wallet pays."""
        return self.parent_id or self.account_id

    @property
    def own(self) -> Limits:
        """The key's own limits."""
        return next((one for one in self.limits if one.owner == self.key_id), Limits(self.key_id))

    def may_use(self, slug: str) -> bool:
        return all(one.may_use(slug) for one in self.limits)

    def is_current(self, now: float) -> bool:
        """Whether the key has not expired at unix time `now`."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class Credential:
    """What is stored of a secret: enough to tell whether one is it, and which key it opens.

    `expires_at` is set when it has been rotated.
    """

    digest: bytes
    account_id: str
    key_id: str
    parent_id: str | None = None
    expires_at: int | None = None


_NOBODY = bytes(32)


def opens(digest: bytes, credential: Credential | None) -> bool:
    """Whether a digest is the credential's. An unknown key costs the same comparison as a wrong one."""
    same = hmac.compare_digest(digest, credential.digest if credential else _NOBODY)
    return same and credential is not None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as its owner sees it; `former_until` is when the secret before the last rotation ends."""

    account_id: str
    name: str
    hint: str
    scopes: frozenset[str]
    limits: Limits
    created_at: int
    active: bool = True
    default_tag: str | None = None
    expires_at: int | None = None
    former_until: int | None = None
    parent_id: str | None = None

    @property
    def id(self) -> str:
        return self.limits.owner


def hint_of(secret: Secret) -> str:
    """What of a key may be shown for good."""
    return f"sk-aig-{secret.public_id}…"
