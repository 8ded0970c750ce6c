"""The same request twice, one effect and one answer: what an `Idempotency-Key` stands for, for a day. Pure."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aig.errors import Conflict, InvalidRequest

KEPT_S = 24 * 3600
LEASE_S = 60  # no function that creates anything lives longer: after that, who claimed the key is dead
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is JSON as text. It lies in the table for a day: a secret must not be in it."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a key. `subject` is the id of what the first request began to make; a retry goes on with it."""

    fingerprint: str
    subject: str
    claimed_until: int
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right, for LEASE_S, to do what the request asks for, to `subject`."""

    tenant: str
    name: str
    subject: str
    token: str


class IdempotencyLog(Protocol):
    async def claim(self, tenant: str, name: str, fingerprint: str, subject: str, now: int) -> Claim | Answer:
        """The right to do it, or the answer of who did. Raises Conflict."""
        ...

    async def finish(self, claim: Claim, answer: Answer) -> None: ...

    async def release(self, claim: Claim) -> None:
        """It came to nothing: the next request with this key and body may try again, with the same subject."""
        ...


def name(operation: str, key: str) -> str:
    """What a key is stored under. Raises InvalidRequest. One key may be used with several operations."""
    if not _KEY.fullmatch(key):
        raise InvalidRequest("Idempotency-Key takes 1 to 255 printable ASCII characters.", param="Idempotency-Key")
    return hashlib.sha256(f"{operation}\n{key}".encode()).hexdigest()


def fingerprint(body: Mapping[str, Any]) -> str:
    """Equal for bodies that say the same, in whatever order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def judge(record: Record, sent: str, now: int) -> Answer | None:
    """What a key that was used before answers to the fingerprint `sent`; None: whoever claimed it has died or failed.

    Raises Conflict for another body, and while the first request is being worked on.
    """
    if record.fingerprint != sent:
        raise Conflict(
            "This Idempotency-Key came with another body before. Use another key for another request.",
            code="idempotency_mismatch",
            param="Idempotency-Key",
        )
    if record.answer is None and record.claimed_until > now:
        raise in_progress()
    return record.answer


def in_progress() -> Conflict:
    return Conflict(
        "A request with this Idempotency-Key is being worked on. Send this one again after the time in Retry-After.",
        code="idempotency_in_progress",
        retry_after=1,
    )
