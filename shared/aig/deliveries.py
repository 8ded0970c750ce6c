"""Deliveries on their way to those who want them: attempted until it is enough.

A receiver that is slow or dead delays nobody else. First attempts are made in the fast lane, a batch of messages at a
time; as soon as a receiver keeps an attempt waiting it is marked, and until it answers quickly again its attempts are
those of executions of their own, two at a time. docs/decisions/0018 says what that comes to.
"""

import asyncio
import math
import random
import secrets as randomness
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from aig.clock import Clock
from aig.dispatch import message
from aig.errors import InternalError
from aig.events import Event
from aig.ids import Ids
from aig.ports import Machines, NotPosted, Post, Queue, Secrets, StoreBusy, Telemetry
from aig.webhooks import endpoint as health
from aig.webhooks import secret
from aig.webhooks.delivery import (
    GONE,
    OVERDUE_S,
    Delivery,
    Failure,
    Outcome,
    after,
    cancelled,
    outcome_of,
    waiting,
)
from aig.webhooks.endpoint import Endpoint
from aig.webhooks.payload import payload
from aig.webhooks.receiver import receiver_of
from aig.webhooks.secret import Generation
from aig.webhooks.signature import HEADER, sign

LEASE_S = 40.0  # of an attempt that may take fifteen, beside what the store takes
HANGING_S = 2.0  # that long an attempt may keep the fast lane
SLOW_S, QUICK_S = 600, 3600  # so long a receiver is taken for what its last attempt was
MOST_AT_ONCE, FEWEST_AT_ONCE = 10, 2  # attempts on their way to a receiver: to one that is known to be quick, or not
EXCERPT_BYTES = 2048
# Between looks for a place: half of what an attempt is late. A thousand that wait for one receiver would look for it a
# hundred times a second otherwise.
BUSY_S, LONGEST_BUSY_S = 10, 600
_LOOK_AGAIN_S = 0.2
_TRIES = 3
_LONGEST_DEFERRAL_S = 60


@dataclass(frozen=True, slots=True)
class Lease:
    """Who does it, and until when nobody else may, in unix seconds."""

    holder: str
    until: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Until when a receiver is taken for slow, or for quick, in unix seconds."""

    slow_until: int = 0
    quick_until: int = 0

    def is_slow(self, now: float) -> bool:
        return now < self.slow_until

    def is_unknown(self, now: float) -> bool:
        return now >= max(self.slow_until, self.quick_until)

    def at_once(self, now: float) -> int:
        return MOST_AT_ONCE if now < self.quick_until and not self.is_slow(now) else FEWEST_AT_ONCE


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the log. `status` is the answer's, `failure` why it was none or not good enough."""

    round: int
    number: int
    started_ms: int
    url: str
    ended: bool = False
    status: int | None = None
    failure: Failure | None = None
    latency_ms: int | None = None
    excerpt: bytes = b""


class DeliveryLog(Protocol):
    """All raise StoreBusy. `aig.aws.deliveries` says what each does."""

    async def get(self, tenant: str, delivery_id: str) -> Delivery | None: ...

    async def claim(self, delivery: Delivery, number: int, lease: Lease, now: float) -> bool | float: ...

    async def record(self, before: Delivery, after: Delivery, attempt: Attempt) -> bool: ...

    async def move(self, before: Delivery, after: Delivery) -> bool: ...

    async def cancel_pending(self, tenant: str, endpoint_id: str, now: float) -> int: ...

    async def pace(self, tenant: str, receiver: str) -> Pace: ...

    async def set_pace(self, tenant: str, receiver: str, pace: Pace, now: float) -> None: ...

    async def begin_trial(self, tenant: str, now: float) -> bool: ...

    async def end_trial(self, tenant: str, now: float) -> None: ...

    async def take_slot(self, tenant: str, receiver: str, most: int, lease: Lease, now: float) -> int | None: ...

    async def give_slot(self, tenant: str, receiver: str, number: int, lease: Lease) -> None: ...


class Endpoints(Protocol):
    """All raise StoreBusy. `aig.aws.webhooks` says what each does."""

    async def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint | None: ...

    async def change(self, before: Endpoint, after: Endpoint, event: Event | None = None) -> bool: ...

    async def generation(self, tenant: str, key_id: str) -> Generation: ...


class Events(Protocol):
    async def get(self, account_id: str, event_id: str) -> Event | None:
        """Raises StoreBusy."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """How a delivery stands: it has ended, or goes on in some seconds, which `next` gives whole: machines wait so.

    `busy`: it was not attempted, for enough others are on their way to its receiver; `held`: another makes the attempt.
    """

    state: Literal["ended", "due", "busy", "held"]
    seconds: float = 0


_ENDED = Step("ended")


class Deliverer:
    """Makes attempts. `scale` multiplies waits, `chance` gives numbers in 0 … 1 that spread them."""

    def __init__(
        self,
        *,
        log: DeliveryLog,
        endpoints: Endpoints,
        events: Events,
        post: Post,
        queue: Queue,
        machines: Machines,
        secrets: Secrets,
        telemetry: Telemetry,
        clock: Clock,
        ids: Ids,
        scale: float = 1.0,
        chance: Callable[[], float] = random.random,
        hanging_s: float = HANGING_S,
    ) -> None:
        self._log = log
        self._endpoints = endpoints
        self._events = events
        self._post = post
        self._queue = queue
        self._machines = machines
        self._secrets = secrets
        self._telemetry = telemetry
        self._clock = clock
        self._ids = ids
        self._scale = scale
        self._chance = chance
        self._hanging_s = hanging_s

    async def first(self, tenant: str, delivery_id: str, deferred: int = 0) -> bool:
        """The fast lane: the first attempt, and a machine for those to come. False: the message is to come again.

        `deferred` is how often it was put off. Raises StoreBusy.
        """
        delivery = await self._log.get(tenant, delivery_id)
        if delivery is None or delivery.status != "pending":
            return True
        now = self._clock.now()
        if delivery.attempts:  # whoever made the first attempt died before the machine was there
            await self._hand_over(delivery, delivery.seconds_until_due(now))
            return True
        if (await self._log.pace(tenant, receiver_of(delivery.url, delivery.endpoint_id))).is_slow(now):
            await self._hand_over(delivery, 0)
            return True
        step = await self._attempt(delivery, fast=True)
        if step.state == "due":
            await self._hand_over(delivery, step.seconds)
        elif step.state == "busy":
            wait = min(2 ** (deferred // 2), _LONGEST_DEFERRAL_S)
            await self._wait_for_a_place(delivery, wait)
            await self._queue.send({**message(delivery), "deferred": deferred + 1}, delay_s=wait)
        return step.state != "held"

    async def next(self, tenant: str, delivery_id: str, turn: int) -> Step:
        """The other lane: the next attempt of a round, if it is due. Never `held` nor `busy`. Raises StoreBusy."""
        delivery = await self._log.get(tenant, delivery_id)
        if delivery is None or delivery.status != "pending" or delivery.round != turn:
            return _ENDED
        now = self._clock.now()
        if seconds := delivery.seconds_until_due(now):
            return Step("due", math.ceil(seconds))
        step = await self._attempt(delivery, fast=False)
        if step.state == "busy":
            wait = min(max(BUSY_S, (now - delivery.due_ms / 1000) / 2), LONGEST_BUSY_S)
            seconds = math.ceil(wait * (1 + self._chance()) * self._scale)
            await self._wait_for_a_place(delivery, seconds)
            return Step("due", seconds)
        return _ENDED if step.state == "ended" else Step("due", math.ceil(step.seconds))

    async def _hand_over(self, delivery: Delivery, seconds: float) -> None:
        """To a machine, of which there is one for each round of a delivery, and each time that it was brought back.

        If the machine was there before, it may be at work or dead: the sweep will see if nothing comes of it.
        """
        named = {"tenant": delivery.tenant, "delivery_id": delivery.id, "round": delivery.round}
        life = f"-{delivery.revived}" if delivery.revived else ""
        await self._machines.start(f"{delivery.id}-{delivery.round}{life}", {**named, "seconds": math.ceil(seconds)})

    async def _wait_for_a_place(self, delivery: Delivery, seconds: float) -> None:
        """Have nobody take it for forgotten: it will be looked at in so many seconds."""
        until = self._clock.now() + seconds
        if delivery.look_at < until + OVERDUE_S / 2:
            await self._log.move(delivery, waiting(delivery, until))

    async def _attempt(self, delivery: Delivery, *, fast: bool) -> Step:
        """One attempt, unless there is no need or no place for it. `fast`: in the lane where others wait for it."""
        endpoint = None
        if delivery.endpoint_id is not None:
            endpoint = await self._endpoints.endpoint(delivery.tenant, delivery.endpoint_id)
            if endpoint is None or not endpoint.active:
                await self._log.move(delivery, cancelled(delivery, self._clock.now()))
                return _ENDED
            delivery = replace(delivery, url=endpoint.url, key_id=endpoint.key_id)
        event = await self._events.get(delivery.tenant, delivery.event_id)
        if event is None:  # thirty days are over
            await self._log.move(delivery, cancelled(delivery, self._clock.now()))
            return _ENDED
        return await self._attempt_at(delivery, endpoint, event, fast)

    async def _attempt_at(self, delivery: Delivery, endpoint: Endpoint | None, event: Event, fast: bool) -> Step:
        """With a place at its receiver, and nobody else at it."""
        receiver = receiver_of(delivery.url, delivery.endpoint_id)
        pace = await self._log.pace(delivery.tenant, receiver)
        holder = randomness.token_hex(8)
        slot = await self._slot(delivery.tenant, receiver, pace, holder)
        if slot is None:
            return Step("busy")
        now = self._clock.now()
        lease = Lease(holder, now + LEASE_S)
        try:
            on_trial = fast and pace.is_unknown(now)
            if on_trial and not await self._log.begin_trial(delivery.tenant, now):
                return Step("due")
            claimed = await self._log.claim(delivery, delivery.attempts + 1, lease, now)
            if claimed is not True:
                await self._end_trial(delivery, on_trial, now)
                return Step("held", max(1.0, claimed - now))
            outcome, quick = await self._posted(delivery, event, receiver, pace)
            await self._end_trial(delivery, on_trial and quick, now)
        finally:
            await self._log.give_slot(delivery.tenant, receiver, slot, lease)
        return await self._settle(delivery, endpoint, outcome, now)

    async def _end_trial(self, delivery: Delivery, passed: bool, began: float) -> None:
        """Who did not pass stays counted until the minutes are over. It is a help, and no delivery fails for it."""
        if passed:
            with suppress(StoreBusy):
                await self._log.end_trial(delivery.tenant, began)

    async def _slot(self, tenant: str, receiver: str, pace: Pace, holder: str) -> int | None:
        """A place on the way to a receiver. If it is known to be quick, one is waited for: it will not take long."""
        end, pause = self._clock.monotonic() + self._hanging_s, _LOOK_AGAIN_S
        while True:
            now = self._clock.now()
            most = pace.at_once(now)
            slot = await self._log.take_slot(tenant, receiver, most, Lease(holder, now + LEASE_S), now)
            if slot is not None or most < MOST_AT_ONCE or self._clock.monotonic() >= end:
                return slot
            await asyncio.sleep(pause * (1 + self._chance()))
            pause *= 2

    async def _posted(self, delivery: Delivery, event: Event, receiver: str, pace: Pace) -> tuple[Outcome, bool]:
        """What came of it, and whether it was quick, whatever it was."""
        body = payload(event)
        headers = await self._headers(delivery, body)
        started = self._clock.monotonic()
        posting = asyncio.create_task(self._send(delivery, body, headers))
        try:
            quick = bool((await asyncio.wait({posting}, timeout=self._hanging_s))[0])
            if not quick:
                await self._take_for(delivery, receiver, pace, quick=False)
            outcome = await posting
        finally:
            posting.cancel()
        if quick:
            await self._take_for(delivery, receiver, pace, quick=True)
        return replace(outcome, latency_ms=round((self._clock.monotonic() - started) * 1000)), quick

    async def _send(self, delivery: Delivery, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            posted = await self._post.post(delivery.url, body, headers)
        except NotPosted as error:
            return Outcome(error.status, error.failure, excerpt=error.body[:EXCERPT_BYTES])
        except Exception as error:  # a URL that we cannot handle fails like any other, and its delivery ends some day
            self._telemetry.alarm("WebhookNotPosted", delivery_id=delivery.id, error=type(error).__name__)
            return Outcome(None, "connection")
        return outcome_of(posted.status, 0, posted.body[:EXCERPT_BYTES], posted.headers)

    async def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        """Signed with the secrets of this moment: an attempt may be hours behind the event."""
        pepper, generation = await asyncio.gather(
            self._secrets.get("pepper"), self._endpoints.generation(delivery.tenant, delivery.key_id)
        )
        if pepper is None:
            raise InternalError("The gateway has no key pepper. The operator has to set it.", code="not_configured")
        now = self._clock.now()
        return {
            HEADER: sign(body, int(now), secret.live(pepper, delivery.key_id, generation, now)),
            "x-aig-event-type": delivery.event_type,
            "x-aig-delivery-id": delivery.id,
            "x-aig-attempt": str(delivery.attempts + 1),
            "content-type": "application/json",
        }

    async def _take_for(self, delivery: Delivery, receiver: str, pace: Pace, *, quick: bool) -> None:
        """Note how a receiver was, unless that is known. It is a help, and no delivery fails for it."""
        now = self._clock.now()
        if quick and (pace.is_slow(now) or pace.quick_until < now + QUICK_S / 2):
            known = Pace(0, int(now) + QUICK_S)
        elif not quick and pace.slow_until < now + SLOW_S / 2:
            known = Pace(int(now) + SLOW_S, 0)
        else:
            return
        with suppress(StoreBusy):
            await self._log.set_pace(delivery.tenant, receiver, known, now)

    async def _settle(self, delivery: Delivery, endpoint: Endpoint | None, outcome: Outcome, started: float) -> Step:
        now = self._clock.now()
        moved = after(delivery, outcome, now, self._chance(), self._scale)
        attempt = Attempt(
            delivery.round,
            moved.attempts,
            int(started * 1000),
            delivery.url,
            True,
            outcome.status,
            outcome.failure,
            outcome.latency_ms,
            outcome.excerpt,
        )
        if not await self._log.record(delivery, moved, attempt):  # ended, or taken over, while it was on its way
            found = await self._log.get(delivery.tenant, delivery.id)
            goes_on = found is not None and found.status == "pending" and found.round == delivery.round
            return Step("held", 1) if goes_on else _ENDED
        if endpoint is not None:
            await self._judge(endpoint, outcome, int(now))
        return _ENDED if moved.status != "pending" else Step("due", moved.seconds_until_due(now))

    async def _judge(self, endpoint: Endpoint, outcome: Outcome, now: int) -> None:
        """What an attempt says of its endpoint. If that cannot be noted, the next attempt will say it."""
        try:
            for _ in range(_TRIES):
                judged = _judged(endpoint, outcome, now)
                if judged is endpoint:
                    return
                told = None if judged.active else disabled_event(self._ids.new("evt"), judged, now)
                if await self._endpoints.change(endpoint, judged, told):
                    if not judged.active:
                        await self._log.cancel_pending(endpoint.tenant, endpoint.id, now)
                    return
                changed = await self._endpoints.endpoint(endpoint.tenant, endpoint.id)
                if changed is None or not changed.active or changed.url != endpoint.url:
                    return
                endpoint = changed
        except StoreBusy:
            self._telemetry.alarm("EndpointNotJudged", endpoint=endpoint.id)


def _judged(endpoint: Endpoint, outcome: Outcome, now: int) -> Endpoint:
    """The same object where an attempt changes nothing."""
    judged = health.succeeded(endpoint) if outcome.succeeded else health.failed(endpoint, now)
    if outcome.status == GONE:
        return health.disabled(judged, "gone", now)
    if health.is_lost(judged, now):
        return health.disabled(judged, "failing", now)
    return judged


def disabled_event(event_id: str, endpoint: Endpoint, now: int) -> Event:
    """`webhook.endpoint.disabled`, to the account whose endpoint it is."""
    data = {
        "endpoint": endpoint.id,
        "url": endpoint.url,
        "reason": endpoint.reason,
        "failing_since": endpoint.failing_since,
    }
    return Event(event_id, "webhook.endpoint.disabled", endpoint.tenant, data, now)
