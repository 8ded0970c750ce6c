"""Events become deliveries: a row and a message for each receiver. All of it may be repeated, and does no harm then."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aig.clock import Clock
from aig.events import Event
from aig.ports import Queue, StoreBusy, Telemetry
from aig.webhooks.delivery import Delivery, made
from aig.webhooks.endpoint import Endpoint

CALLS_AT_ONCE = 32  # to the store, of all accounts together: a small function has no time for more connections


class NewDeliveries(Protocol):
    async def add(self, delivery: Delivery) -> None:
        """One that is there already stays as it is. Raises StoreBusy."""
        ...


class Subscriptions(Protocol):
    async def endpoints(self, tenant: str) -> Sequence[Endpoint]:
        """Raises StoreBusy."""
        ...


def message(delivery: Delivery) -> dict[str, Any]:
    """What the queue carries of a delivery."""
    return {"tenant": delivery.tenant, "delivery_id": delivery.id}


def made_for(event: Event, endpoint: Endpoint, now: float) -> Delivery:
    """The delivery of an event to an endpoint."""
    return made(event, endpoint.url, endpoint.id, endpoint.key_id, now)


@dataclass(frozen=True, slots=True)
class DispatchPorts:
    log: NewDeliveries
    endpoints: Subscriptions
    queue: Queue
    telemetry: Telemetry
    clock: Clock


async def dispatch(ports: DispatchPorts, events: Sequence[Event]) -> list[Event]:
    """Write a delivery for each receiver of each event, and have each attempted. Those events that failed.

    Accounts do not wait for each other. An account's events are dispatched one after the other, so that a repeat finds
    less to do; where the store is too busy for one of them, it is for those behind it too.
    """
    accounts = dict[str, list[Event]]()
    for event in events:
        accounts.setdefault(event.account_id, []).append(event)
    run = _Run(ports)
    failed = await asyncio.gather(*(run.account(each) for each in accounts.values()))
    return [event for part in failed for event in part]


@dataclass(frozen=True, slots=True)
class _Run:
    ports: DispatchPorts
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE))

    async def account(self, events: Sequence[Event]) -> Sequence[Event]:
        """Those events of one account that failed."""
        failed = list[Event]()
        try:
            async with self.places:
                known = await self.ports.endpoints.endpoints(events[0].account_id)
        except Exception as error:
            self._tell(events[0], error)
            return events
        for at, event in enumerate(events):
            try:
                await self._event(event, known)
            except StoreBusy:
                return [*failed, *events[at:]]
            except Exception as error:
                self._tell(event, error)
                failed.append(event)
        return failed

    def _tell(self, event: Event, error: Exception) -> None:
        """What is more than a busy store is told: it may not pass by itself."""
        if not isinstance(error, StoreBusy):
            self.ports.telemetry.alarm("EventNotDispatched", event=event.id, error=type(error).__name__)

    async def _event(self, event: Event, known: Sequence[Endpoint]) -> None:
        deliveries = _deliveries(event, known, self.ports.clock.now())
        done = await asyncio.gather(*map(self._add, deliveries), return_exceptions=True)
        for result in done:
            if result is not None:
                raise result
        if deliveries:
            await self.ports.queue.send_all([message(delivery) for delivery in deliveries])

    async def _add(self, delivery: Delivery) -> None:
        async with self.places:
            await self.ports.log.add(delivery)


def _deliveries(event: Event, endpoints: Sequence[Endpoint], now: float) -> list[Delivery]:
    found = [made_for(event, endpoint, now) for endpoint in endpoints if endpoint.wants(event.type)]
    if event.webhook_url is not None and event.key_id is not None:
        found.append(made(event, event.webhook_url, None, event.key_id, now))
    return found
