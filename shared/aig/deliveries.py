"""Events on their way to those who want them: dispatched once, attempted until it is enough.

A receiver that is slow or dead delays nobody else. First attempts are made in the fast lane, a batch of messages at a
time; as soon as a receiver keeps an attempt waiting it is marked, and until it answers quickly again its attempts are
those of executions of their own, two at a time. docs/decisions/0018 says what that comes to.
"""

import asyncio
import math
import random
import secrets as randomness
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from aig.clock import Clock
from aig.errors import InternalError
from aig.events import Event
from aig.ids import Ids
from aig.ports import Machines, NotPosted, Post, Queue, Secrets, StoreBusy, Telemetry
from aig.webhooks import endpoint as health
from aig.webhooks import secret
from aig.webhooks.delivery import (
    GONE,
    Delivery,
    Failure,
    Outcome,
    after,
    cancelled,
    delivery_id,
    outcome_of,
)
from aig.webhooks.endpoint import Endpoint
from aig.webhooks.payload import payload
from aig.webhooks.receiver import receiver_of
from aig.webhooks.secret import Generation
from aig.webhooks.signature import HEADER, sign

LEASE_S = 25.0  # of an attempt that may take fifteen
HANGING_S = 2.0  # that long an attempt may keep the fast lane
SLOW_S, QUICK_S = 600, 3600  # so long a receiver is taken for what its last attempt was
MOST_AT_ONCE, FEWEST_AT_ONCE = 10, 2  # attempts on their way to a receiver: to one that is known to be quick, or not
EXCERPT_BYTES = 2048
# Between looks for a place: half of what an attempt is late. A thousand that wait for one receiver would look for it a
# hundred times a second otherwise.
BUSY_S, LONGEST_BUSY_S = 10, 600
_LOOK_AGAIN_S = 0.1
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

    async def add(self, delivery: Delivery) -> None: ...

    async def get(self, tenant: str, delivery_id: str) -> Delivery | None: ...

    async def claim(self, delivery: Delivery, number: int, lease: Lease, now: float) -> bool | float: ...

    async def record(self, before: Delivery, after: Delivery, attempt: Attempt) -> bool: ...

    async def move(self, before: Delivery, after: Delivery) -> bool: ...

    async def cancel_pending(self, tenant: str, endpoint_id: str, now: float) -> int: ...

    async def pace(self, tenant: str, receiver: str) -> Pace: ...

    async def set_pace(self, tenant: str, receiver: str, pace: Pace, now: float) -> None: ...

    async def take_slot(self, tenant: str, receiver: str, most: int, lease: Lease, now: float) -> int | None: ...

    async def give_slot(self, tenant: str, receiver: str, number: int, lease: Lease) -> None: ...


class Endpoints(Protocol):
    """All raise StoreBusy. `aig.aws.webhooks` says what each does."""

    async def endpoints(self, tenant: str) -> Sequence[Endpoint]: ...

    async def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint | None: ...

    async def change(self, before: Endpoint, after: Endpoint, event: Event | None = None) -> bool: ...

    async def generation(self, tenant: str, key_id: str) -> Generation: ...


class Events(Protocol):
    async def get(self, account_id: str, event_id: str) -> Event | None:
        """Raises StoreBusy."""
        ...


def message(delivery: Delivery) -> dict[str, Any]:
    """What the queue carries of a delivery."""
    return {"tenant": delivery.tenant, "delivery_id": delivery.id}


def made_for(event: Event, endpoint: Endpoint, now: float) -> Delivery:
    """The delivery of an event to an endpoint."""
    return _delivery(event, endpoint.url, endpoint.id, endpoint.key_id, now)


def _delivery(event: Event, url: str, endpoint_id: str | None, key_id: str, now: float) -> Delivery:
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
    )


async def dispatch(
    log: DeliveryLog, endpoints: Endpoints, queue: Queue, clock: Clock, events: Sequence[Event]
) -> list[Event]:
    """Write a delivery for each receiver of each event, and have each attempted. Those events that failed.

    It may be repeated: deliveries are made once, and a message for one that has ended does nothing.
    """
    accounts = dict[str, list[Event]]()
    for event in events:
        accounts.setdefault(event.account_id, []).append(event)
    failed = await asyncio.gather(*(_dispatch(log, endpoints, queue, clock, each) for each in accounts.values()))
    return [event for part in failed for event in part]


async def _dispatch(
    log: DeliveryLog, endpoints: Endpoints, queue: Queue, clock: Clock, events: Sequence[Event]
) -> Sequence[Event]:
    """Those of one account."""
    try:
        known = await endpoints.endpoints(events[0].account_id)
        deliveries = [delivery for event in events for delivery in _deliveries(event, known, clock.now())]
        await asyncio.gather(*(log.add(delivery) for delivery in deliveries))
        await queue.send_all([message(delivery) for delivery in deliveries])
    except StoreBusy:
        return events
    return ()


def _deliveries(event: Event, endpoints: Sequence[Endpoint], now: float) -> list[Delivery]:
    found = [made_for(event, endpoint, now) for endpoint in endpoints if endpoint.wants(event.type)]
    if event.webhook_url is not None and event.key_id is not None:
        found.append(_delivery(event, event.webhook_url, None, event.key_id, now))
    return found


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
        step = await self._attempt(delivery)
        if step.state == "due":
            await self._hand_over(delivery, step.seconds)
        elif step.state == "busy":
            wait = min(2 ** (deferred // 2), _LONGEST_DEFERRAL_S)
            await self._queue.send({**message(delivery), "deferred": deferred + 1}, delay_s=wait)
        return step.state != "held"

    async def next(self, tenant: str, delivery_id: str, turn: int) -> Step:
        """The other lane: the next attempt of a round, if it is due. Never `held` nor `busy`. Raises StoreBusy."""
        delivery = await self._log.get(tenant, delivery_id)
        if delivery is None or delivery.status != "pending" or delivery.round != turn:
            return _ENDED
        if seconds := delivery.seconds_until_due(self._clock.now()):
            return Step("due", math.ceil(seconds))
        step = await self._attempt(delivery)
        if step.state == "busy":
            overdue = self._clock.now() - delivery.due_ms / 1000
            wait = min(max(BUSY_S, overdue / 2), LONGEST_BUSY_S)
            return Step("due", math.ceil(wait * (1 + self._chance()) * self._scale))
        return _ENDED if step.state == "ended" else Step("due", math.ceil(step.seconds))

    async def _hand_over(self, delivery: Delivery, seconds: float) -> None:
        """To a machine, of which there is one for each round of a delivery."""
        named = {"tenant": delivery.tenant, "delivery_id": delivery.id, "round": delivery.round}
        await self._machines.start(f"{delivery.id}-{delivery.round}", {**named, "seconds": math.ceil(seconds)})

    async def _attempt(self, delivery: Delivery) -> Step:
        """One attempt, unless there is no need or no place for it."""
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
        receiver = receiver_of(delivery.url, delivery.endpoint_id)
        pace = await self._log.pace(delivery.tenant, receiver)
        lease = Lease(randomness.token_hex(8), self._clock.now() + LEASE_S)
        slot = await self._slot(delivery.tenant, receiver, pace, lease)
        if slot is None:
            return Step("busy")
        now = self._clock.now()
        try:
            claimed = await self._log.claim(delivery, delivery.attempts + 1, lease, now)
            if claimed is not True:
                return Step("held", max(1.0, claimed - now))
            outcome = await self._posted(delivery, event, receiver, pace)
        finally:
            await self._log.give_slot(delivery.tenant, receiver, slot, lease)
        return await self._settle(delivery, endpoint, outcome, now)

    async def _slot(self, tenant: str, receiver: str, pace: Pace, lease: Lease) -> int | None:
        """A place on the way to a receiver. If it is known to be quick, one is waited for: it will not take long."""
        end = self._clock.monotonic() + self._hanging_s
        while True:
            now = self._clock.now()
            most = pace.at_once(now)
            slot = await self._log.take_slot(tenant, receiver, most, lease, now)
            if slot is not None or most < MOST_AT_ONCE or self._clock.monotonic() >= end:
                return slot
            await asyncio.sleep(_LOOK_AGAIN_S * (1 + self._chance()))

    async def _posted(self, delivery: Delivery, event: Event, receiver: str, pace: Pace) -> Outcome:
        body = payload(event)
        headers = await self._headers(delivery, body)
        started = self._clock.monotonic()
        posting = asyncio.create_task(self._send(delivery.url, body, headers))
        try:
            quick = bool((await asyncio.wait({posting}, timeout=self._hanging_s))[0])
            if not quick:
                await self._take_for(delivery, receiver, pace, quick=False)
            outcome = await posting
        finally:
            posting.cancel()
        if quick and outcome.succeeded:
            await self._take_for(delivery, receiver, pace, quick=True)
        return replace(outcome, latency_ms=round((self._clock.monotonic() - started) * 1000))

    async def _send(self, url: str, body: bytes, headers: dict[str, str]) -> Outcome:
        try:
            posted = await self._post.post(url, body, headers)
        except NotPosted as error:
            return Outcome(error.status, error.failure, excerpt=error.body[:EXCERPT_BYTES])
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
        if not await self._log.record(delivery, moved, attempt):
            return Step("held", 1)  # ended, or taken over, while it was on its way
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
                if changed is None or not changed.active:
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
