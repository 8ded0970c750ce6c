"""Webhooks in a world whose time the test moves: a queue, executions of the machine, and a receiver that is real."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aig.aws.deliveries import DynamoDeliveries
from aig.aws.events import event_item
from aig.deliveries import Deliverer
from aig.dispatch import DispatchPorts, dispatch
from aig.events import Event, EventType
from aig.ports import Post
from aig.webhooks import secret
from aig.webhooks.delivery import Delivery, delivery_id
from aig.webhooks.endpoint import Endpoint
from aig.wiring import Container, SystemResolver
from aig_providers.fetch import GuardedFetcher
from tests.builders import PEPPER, Account
from tests.unit.clock import FixedClock

TOTAL_S = 0.5  # of an attempt: what hangs is not to hang for long


class Lane:
    """A queue: messages and when they show."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self.messages: list[tuple[float, Mapping[str, Any]]] = []

    async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
        self.messages.append((self._clock.time + delay_s, body))

    async def send_all(self, bodies: Any) -> None:
        for body in bodies:
            await self.send(body)


class Executions:
    """A state machine as statemachines/webhook.asl.json has it: it waits, has an attempt made, and waits again."""

    def __init__(self, clock: FixedClock) -> None:
        self._clock = clock
        self.started: dict[str, Mapping[str, Any]] = {}
        self.due: dict[str, float] = {}

    async def start(self, name: str, given: Mapping[str, Any]) -> bool:
        if name in self.started:
            return self.started[name] == given and name in self.due
        self.started[name] = given
        self.due[name] = self._clock.time + given["seconds"]
        return True


class World:
    """One account's webhooks over moto's table."""

    def __init__(self, container: Container, account: Account, now: float, post: Post | None = None) -> None:
        self.clock = FixedClock(float(now))
        self.container = replace(container, clock=self.clock)
        self.account = account
        self.lane, self.machine = Lane(self.clock), Executions(self.clock)
        self.log = DynamoDeliveries(container.table)
        self.posts: Post = post or GuardedFetcher(SystemResolver(), allow_loopback=True, total_s=TOTAL_S)
        self.deliverer = self.worker()

    def worker(self, **more: Any) -> Deliverer:
        """Another environment of the worker's."""
        ports = self.container
        given: dict[str, Any] = {
            "log": self.log,
            "endpoints": ports.webhooks,
            "events": ports.events,
            "post": self.posts,
            "queue": self.lane,
            "machines": self.machine,
            "secrets": ports.secrets,
            "telemetry": ports.telemetry,
            "clock": self.clock,
            "ids": ports.ids,
            "chance": lambda: 0.0,
        }
        return Deliverer(**{**given, **more})

    async def endpoint(self, url: str, *events: str) -> Endpoint:
        made = Endpoint(
            self.container.ids.new("hook"),
            self.account.id,
            url,
            events or ("*",),
            self.account.key_id,
            int(self.clock.time),
        )
        assert await self.container.webhooks.create(made)
        return made

    async def now_is(self, endpoint: Endpoint) -> Endpoint:
        found = await self.container.webhooks.endpoint(self.account.id, endpoint.id)
        assert found is not None
        return found

    def event(self, type_: EventType = "balance.low", **more: Any) -> Event:
        data = {"balance": "0.97"}
        return Event(self.container.ids.new("evt"), type_, self.account.id, data, int(self.clock.time), **more)

    async def tell(self, *events: Event) -> None:
        """Writes events as whatever causes them does, and has the stream bring them to the dispatcher."""
        for event in events:
            await self.container.table.put_new(event_item(event))
        assert await dispatch(self.dispatching(), events) == []

    def dispatching(self, **more: Any) -> DispatchPorts:
        """What the dispatcher has."""
        ports = self.container
        return replace(DispatchPorts(self.log, ports.webhooks, self.lane, ports.telemetry, self.clock), **more)

    async def deliver(self, *, until: float | None = None) -> None:
        """Lets time pass until nothing is left to be done, or until then."""
        while True:
            name = min(self.machine.due, key=lambda name: self.machine.due[name], default=None)
            times = [time for time, _ in self.lane.messages] + ([self.machine.due[name]] if name else [])
            if not times or (until is not None and min(times) > until):
                self.clock.time = self.clock.time if until is None else until
                return
            self.clock.time = max(self.clock.time, min(times))
            shown = [body for time, body in self.lane.messages if time <= self.clock.time]
            if shown:
                await self.batch(shown)
            else:
                assert name is not None
                await self.execute(name)

    async def batch(self, shown: list[Mapping[str, Any]]) -> None:
        """One invocation with what the queue shows; what failed comes again."""
        self.lane.messages = [entry for entry in self.lane.messages if entry[1] not in shown]
        good = await asyncio.gather(
            *(self.deliverer.first(b["tenant"], b["delivery_id"], b.get("deferred", 0)) for b in shown)
        )
        self.lane.messages += [
            (self.clock.time + 240, body) for body, done in zip(shown, good, strict=True) if not done
        ]

    async def execute(self, name: str) -> None:
        """One attempt of an execution whose wait is over."""
        given = self.machine.started[name]
        step = await self.deliverer.next(given["tenant"], given["delivery_id"], given["round"])
        assert step.state in ("ended", "due")
        if step.state == "ended":
            del self.machine.due[name]
        else:
            self.machine.due[name] = self.clock.time + step.seconds

    async def delivery(self, event: Event, endpoint: Endpoint | None = None) -> Delivery:
        wanted = delivery_id(event.id, event.created_at, endpoint.id if endpoint else "url")
        found = await self.log.get(self.account.id, wanted)
        assert found is not None
        return found

    def secret(self, generation: int = 1, key_id: str | None = None) -> str:
        return secret.derived(PEPPER, key_id or self.account.key_id, generation)
