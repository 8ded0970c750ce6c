"""One event on its way to one receiver: attempts until one succeeds, or none is left. Pure.

A delivery's id is the same at every attempt, and so is what is sent; the signature and its time are made anew.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from aig.events import EventType
from aig.ids import derived
from aig.webhooks import schedule

Status = Literal["pending", "delivered", "dead", "cancelled"]
STATUSES: tuple[Status, ...] = get_args(Status)
Failure = Literal[
    "status",  # an answer that is not 2xx, redirects included
    "timeout",
    "connection",  # none, or it broke before the answer was there
    "dns",
    "tls",
    "not_allowed",  # the URL leads where no webhook may go
    "too_large",  # more than 64 kB of an answer
]
GONE = 410
KEPT_S = 30 * 24 * 3600
OVERDUE_S = 3600  # behind its time: whatever should have gone on with it is dead


@dataclass(frozen=True, slots=True)
class Delivery:
    """`attempts` have been made in this round; the next one is due at `due_ms`, in unix milliseconds.

    `endpoint_id` is None where the event brought the URL itself. `key_id` is whose secret signs. A resend begins
    another round: all attempts anew, under the same id.
    """

    id: str
    tenant: str
    event_id: str
    event_type: EventType
    url: str
    endpoint_id: str | None
    key_id: str
    created_at: int
    due_ms: int
    status: Status = "pending"
    round: int = 1
    attempts: int = 0
    ended_at: int | None = None

    def seconds_until_due(self, now: float) -> float:
        return max(0.0, self.due_ms / 1000 - now)

    def may_resend(self, now: float) -> bool:
        return self.status != "pending" or now > self.due_ms / 1000 + OVERDUE_S


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt: an answer's status, or None and why there was none.

    `excerpt` is the beginning of the answer's body; `headers` has lower-case names.
    """

    status: int | None
    failure: Failure | None = None
    latency_ms: int = 0
    excerpt: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        return self.failure is None


def outcome_of(status: int, latency_ms: int, excerpt: bytes, headers: Mapping[str, str]) -> Outcome:
    """Of an answer that came whole: 2xx is success, and nothing else is."""
    return Outcome(status, None if 200 <= status < 300 else "status", latency_ms, excerpt, headers)


def delivery_id(event_id: str, created_at: int, receiver: str) -> str:
    """The same for the same event and receiver, however often it is dispatched."""
    return derived("whd", created_at, f"{event_id} {receiver}")


def after(delivery: Delivery, outcome: Outcome, now: float, chance: float, scale: float) -> Delivery:
    """The delivery behind one more attempt. `chance` and `scale` are those of `schedule.wait_s`."""
    made = delivery.attempts + 1
    if outcome.succeeded:
        return replace(delivery, status="delivered", attempts=made, ended_at=int(now))
    if made >= schedule.ATTEMPTS or outcome.status == GONE:
        return replace(delivery, status="dead", attempts=made, ended_at=int(now))
    asked = schedule.asked_s(outcome.status, outcome.headers, now)
    wait = schedule.wait_s(made + 1, chance, asked, scale)
    return replace(delivery, attempts=made, due_ms=math.floor((now + wait) * 1000))


def cancelled(delivery: Delivery, now: float) -> Delivery:
    return replace(delivery, status="cancelled", ended_at=int(now))


def resent(delivery: Delivery, now: float) -> Delivery:
    """In another round, due at once."""
    return replace(
        delivery,
        status="pending",
        round=delivery.round + 1,
        attempts=0,
        due_ms=math.floor(now * 1000),
        ended_at=None,
    )
