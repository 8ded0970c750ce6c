"""An account's endpoint: what it is told of, and when it is taken for gone. Pure.

An endpoint that answers 410 is switched off at once. So is one that has not taken a single delivery for five days,
if attempts failed all the while: failures are counted no more often than every twelve hours, so that one bad evening
never makes five days.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aig.events import EventType

MOST_ENDPOINTS = 20  # of an account
EVERYTHING = "*"
LONGEST_FAILING_S = 5 * 24 * 3600
APART_S = 12 * 3600
FEWEST_APART = 5
Reason = Literal["gone", "failing", "request"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`events` are types, or `*` for all; `key_id` is whose secret signs; `reason` is why it is not active.

    `failing_since` is the first failure behind its last success; `failures` counts those that lie APART_S apart, the
    last at `last_counted_at`.
    """

    id: str
    tenant: str
    url: str
    events: Sequence[str]
    key_id: str
    created_at: int
    description: str | None = None
    active: bool = True
    reason: Reason | None = None
    disabled_at: int | None = None
    failing_since: int | None = None
    failures: int = 0
    last_counted_at: int = 0
    version: int = 1  # goes up with every change that is stored

    def wants(self, event_type: EventType) -> bool:
        return self.active and (EVERYTHING in self.events or event_type in self.events)


def failed(endpoint: Endpoint, now: int) -> Endpoint:
    """With one more failed attempt; the same object where it changes nothing."""
    if endpoint.failing_since is None:
        return replace(endpoint, failing_since=now, failures=1, last_counted_at=now)
    if now - endpoint.last_counted_at < APART_S:
        return endpoint
    return replace(endpoint, failures=endpoint.failures + 1, last_counted_at=now)


def succeeded(endpoint: Endpoint) -> Endpoint:
    """The same object where it changes nothing."""
    if endpoint.failing_since is None:
        return endpoint
    return replace(endpoint, failing_since=None, failures=0, last_counted_at=0)


def is_lost(endpoint: Endpoint, now: int) -> bool:
    """Whether it has been failing for long enough to be switched off."""
    since = endpoint.failing_since
    return since is not None and now - since >= LONGEST_FAILING_S and endpoint.failures >= FEWEST_APART


def disabled(endpoint: Endpoint, reason: Reason, now: int) -> Endpoint:
    return replace(endpoint, active=False, reason=reason, disabled_at=now)


def enabled(endpoint: Endpoint) -> Endpoint:
    return succeeded(replace(endpoint, active=True, reason=None, disabled_at=None))
