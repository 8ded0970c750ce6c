"""Events of many accounts at once: what fails for one keeps nobody else's."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from typing_extensions import override

from aig.aws.deliveries import DynamoDeliveries
from aig.aws.webhooks import DynamoWebhooks
from aig.dispatch import CALLS_AT_ONCE, dispatch
from aig.ports import StoreBusy
from aig.webhooks.delivery import Delivery
from aig.webhooks.endpoint import Endpoint
from aig.wiring import Container
from tests.builders import an_account
from tests.logs import Log
from tests.webhooks import World

pytestmark = pytest.mark.usefixtures("logged")
NOW = time.time()  # what is behind is brought back by sweeps of other tests


class Small(DynamoDeliveries):
    """A store that is busy for whoever asks while so many others do, and for some tenants, from some event on."""

    def __init__(self, container: Container, *, most: int = CALLS_AT_ONCE) -> None:
        super().__init__(container.table)
        self._most = most
        self._at_once = 0
        self.added: list[Delivery] = []
        self.busy: set[str] = set()
        self.fails: set[str] = set()

    @override
    async def add(self, delivery: Delivery) -> None:
        self._at_once += 1
        try:
            if self._at_once > self._most or delivery.event_id in self.busy:
                raise StoreBusy
            if delivery.event_id in self.fails:
                raise KeyError("pk")
            await super().add(delivery)
            self.added.append(delivery)
        finally:
            self._at_once -= 1


async def a_world(container: Container, endpoints: int) -> World:
    world = World(container, await an_account(container), NOW)
    for number in range(endpoints):
        await world.endpoint(f"https://a.example/{number}")
    return world


def tenants(world: World) -> Sequence[str]:
    return [body["tenant"] for _, body in world.lane.messages]


async def test_a_whole_batch_of_an_account_with_all_its_endpoints_is_not_too_much_at_once(container: Container) -> None:
    world = await a_world(container, 20)
    store = Small(container)
    events = [world.event() for _ in range(5)]
    assert await dispatch(world.dispatching(log=store), events) == []
    assert (len(store.added), len(world.lane.messages)) == (100, 100)


async def test_what_is_done_before_the_store_is_busy_is_done_and_only_the_rest_comes_again(
    container: Container,
) -> None:
    world, other = await a_world(container, 2), await a_world(container, 1)
    store = Small(container)
    events = [world.event() for _ in range(5)]
    others = [other.event() for _ in range(3)]
    store.busy = {events[2].id}
    assert await dispatch(world.dispatching(log=store), [*events, *others]) == events[2:]
    assert tenants(world).count(world.account.id) == 4
    assert tenants(world).count(other.account.id) == 3


async def test_a_failure_that_nobody_expects_is_told_and_keeps_no_other_event(
    container: Container, logged: Log
) -> None:
    world, other = await a_world(container, 1), await a_world(container, 1)
    store = Small(container)
    bad, good, others = world.event(), world.event(), [other.event()]
    store.fails = {bad.id}
    assert await dispatch(world.dispatching(log=store), [bad, good, *others]) == [bad]
    assert sorted(tenants(world)) == sorted([world.account.id, other.account.id])
    (line,) = logged.lines("EventNotDispatched")
    assert (line["event"], line["error"]) == (bad.id, "KeyError")


async def test_endpoints_that_cannot_be_read_are_one_accounts_trouble(container: Container, logged: Log) -> None:
    world, other = await a_world(container, 1), await a_world(container, 1)

    class Broken(DynamoWebhooks):
        @override
        async def endpoints(self, tenant: str) -> Sequence[Endpoint]:
            if tenant == world.account.id:
                raise KeyError("url")
            return await super().endpoints(tenant)

    events = [world.event(), world.event()]
    ports = world.dispatching(endpoints=Broken(container.table))
    assert await dispatch(ports, [*events, other.event()]) == events
    assert tenants(world) == [other.account.id]
    assert len(logged.lines("EventNotDispatched")) == 1


async def test_an_endpoint_that_was_just_made_is_told(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """DynamoDB's reads are up to a second behind unless they are asked not to be."""
    world = World(container, await an_account(container), NOW)
    call = container.table._api.call

    async def behind(operation: str, request: dict[str, Any], *more: Any) -> Mapping[str, Any]:
        if operation == "Query" and not request["ConsistentRead"]:
            return {"Items": []}
        return await call(operation, request, *more)

    monkeypatch.setattr(container.table._api, "call", behind)
    endpoint, event = await world.endpoint("https://a.example/"), world.event()
    await world.tell(event)
    assert (await world.delivery(event, endpoint)).status == "pending"
