"""One event on its way to one receiver: attempts until one succeeds, or none is left. Pure.

A delivery's id is the same at every attempt, and so is what is sent; the signature and its time are made anew.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from aig.events import Event, EventType
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
MOST_ROUNDS = 20
MOST_REVIVALS = 3  # in a round


@dataclass(frozen=True, slots=True)
class Delivery:
    """`attempts` have been made in this round; the next one is due at `due_ms`, in unix milliseconds.

    `endpoint_id` is None where the event brought the URL itself. `key_id` is whose secret signs. A resend begins
    another round: all attempts anew, under the same id. If nothing has come of it by `look_at`, in unix seconds, its
    message or its machine is lost, and it is to be brought back: `revived` says how often it was in this round.
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
    look_at: int = 0
    revived: int = 0

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


def made(event: Event, url: str, endpoint_id: str | None, key_id: str, now: float) -> Delivery:
    """An event's delivery to an endpoint, or to a URL of its own, due at once."""
    return Delivery(
        id=delivery_id(event.id, event.created_at, endpoint_id or "url"),
        tenant=event.account_id,
        event_id=event.id,
        event_type=event.type,
        url=url,
        endpoint_id=endpoint_id,
        key_id=key_id,
        created_at=int(now),
        due_ms=int(now * 1000),
        look_at=int(now) + OVERDUE_S,
    )


def after(delivery: Delivery, outcome: Outcome, now: float, chance: float, scale: float) -> Delivery:
    """The delivery behind one more attempt. `chance` and `scale` are those of `schedule.wait_s`."""
    number = delivery.attempts + 1
    if outcome.succeeded:
        return replace(delivery, status="delivered", attempts=number, ended_at=int(now))
    if number >= schedule.ATTEMPTS or outcome.status == GONE:
        return replace(delivery, status="dead", attempts=number, ended_at=int(now))
    asked = schedule.asked_s(outcome.status, outcome.headers, now)
    wait = schedule.wait_s(number + 1, chance, asked, scale)
    return replace(
        delivery, attempts=number, due_ms=math.floor((now + wait) * 1000), look_at=math.ceil(now + wait) + OVERDUE_S
    )


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
        look_at=int(now) + OVERDUE_S,
        revived=0,
    )


def waiting(delivery: Delivery, until: float) -> Delivery:
    """It is being seen to, and will be again at this time: its receiver has no place for it yet."""
    return replace(delivery, look_at=math.ceil(until) + OVERDUE_S)


def revived(delivery: Delivery, now: float) -> Delivery:
    """Brought back after its message or its machine was lost."""
    return replace(delivery, look_at=int(now) + OVERDUE_S, revived=delivery.revived + 1)


def given_up(delivery: Delivery, now: float) -> Delivery:
    """Dead, though not all attempts were made: it was brought back often enough."""
    return replace(delivery, status="dead", ended_at=int(now))
