"""Workers that race for an attempt, or die in the middle of one, on a table that is atomic as the real one."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, replace

import pytest

from aig.aws.events import event_item
from aig.deliveries import LEASE_S, MOST_AT_ONCE, Lease, disabled_event
from aig.dispatch import DispatchPorts, dispatch
from aig.events import Event
from aig.ports import StoreBusy
from aig.webhooks.delivery import Delivery, delivery_id
from aig.webhooks.endpoint import MOST_ENDPOINTS, Endpoint, disabled, failed
from aig.webhooks.secret import Generation
from aig.wiring import Container
from tests.concurrency import processes
from tests.concurrency.core import Core, Tenant
from tests.concurrency.webhook_worker import Job, Nowhere, worker
from tests.receiver import Answer, Receiver, receiving
from tests.unit.clock import FixedClock


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


def dispatching(ports: Container) -> DispatchPorts:
    return DispatchPorts(ports.deliveries, ports.webhooks, Nowhere(), ports.telemetry, ports.clock)


async def dispatched(core: Core, tenant: Tenant, receiver: Receiver) -> Delivery:
    ports = core.container()
    now, url = int(time.time()), receiver.url
    event = Event(ports.ids.new("evt"), "balance.low", tenant.id, {}, now, url, tenant.caller.key_id)
    await ports.table.put_new(event_item(event))
    assert await dispatch(dispatching(ports), [event]) == []
    found = await ports.deliveries.get(tenant.id, delivery_id(event.id, now, "url"))
    assert found is not None
    return found


async def test_w12_a_worker_killed_behind_its_post_is_followed_by_a_second_post(core: Core, receiver: Receiver) -> None:
    tenant = await core.tenant(0)
    delivery = await dispatched(core, tenant, receiver)
    job = json.dumps(asdict(Job(core.endpoint, core.table, tenant.id, delivery.id)))
    async with asyncio.timeout(60):
        process = await processes.start("tests.concurrency.webhook_worker", job)
        await process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert len(receiver.sent) == 1

    early = worker(core.container(), Nowhere())
    assert not await early.first(tenant.id, delivery.id), "another may still be at it"
    late = worker(core.container(clock=FixedClock(time.time() + LEASE_S + 1)), Nowhere())
    assert await late.first(tenant.id, delivery.id)
    one, other = receiver.sent
    assert one.headers["x-aig-delivery-id"] == other.headers["x-aig-delivery-id"] == delivery.id
    assert (one.attempt, other.attempt, one.body) == (1, 1, other.body)
    found = await core.container().deliveries.get(tenant.id, delivery.id)
    assert found is not None
    assert (found.status, found.attempts) == ("delivered", 1)


async def test_w13_of_five_copies_of_each_message_one_posts(core: Core, receiver: Receiver) -> None:
    tenant = await core.tenant(0)
    receiver.script = [Answer(pause_s=0.05)]
    deliveries = [await dispatched(core, tenant, receiver) for _ in range(8)]
    lanes = [Nowhere() for _ in range(5)]
    workers = [worker(core.container(), lane) for lane in lanes]
    await asyncio.gather(*(one.first(tenant.id, delivery.id) for delivery in deliveries for one in workers))
    for _ in range(40):
        if len(receiver.sent) == len(deliveries):
            break
        await asyncio.gather(*(workers[0].first(tenant.id, delivery.id) for delivery in deliveries))
    assert Counter(sent.headers["x-aig-delivery-id"] for sent in receiver.sent) == Counter(
        delivery.id for delivery in deliveries
    )


async def test_no_more_places_are_given_than_there_are(core: Core) -> None:
    tenant, now = await core.tenant(0), time.time()
    stores = [core.container().deliveries for _ in range(8)]
    leases = [Lease(f"holder {number}", now + LEASE_S) for number in range(40)]
    taken = await asyncio.gather(
        *(
            stores[at % len(stores)].take_slot(tenant.id, "host", MOST_AT_ONCE, lease, now)
            for at, lease in enumerate(leases)
        )
    )
    given = [slot for slot in taken if slot is not None]
    assert sorted(given) == sorted(set(given))
    assert len(given) <= MOST_AT_ONCE
    holder = next(at for at, slot in enumerate(taken) if slot is not None)
    slot = taken[holder]
    assert slot is not None
    stranger = Lease("a stranger", now + LEASE_S)
    await stores[0].give_slot(tenant.id, "host", slot, stranger)
    full = [await stores[0].take_slot(tenant.id, "host", len(given), stranger, now)]
    assert full == [None], "who does not hold it cannot give it back"
    await stores[0].give_slot(tenant.id, "host", slot, leases[holder])
    assert await stores[0].take_slot(tenant.id, "host", MOST_AT_ONCE, stranger, now) == slot
    later = now + LEASE_S + 1
    assert await stores[0].take_slot(tenant.id, "host", MOST_AT_ONCE, Lease("late", later + 9), later) is not None


async def test_of_rotations_at_once_one_is_made(core: Core) -> None:
    tenant = await core.tenant(0)
    now, before = int(time.time()), Generation()
    done = await asyncio.gather(
        *(
            core.container().webhooks.rotate(tenant.id, "key_1", before, before.next(now, f"evt_{number}"))
            for number in range(6)
        )
    )
    assert done.count(True) >= 1
    found = await core.container().webhooks.generation(tenant.id, "key_1")
    assert found.number == 2


async def test_of_endpoints_made_at_once_there_are_twenty_and_each_that_goes_makes_room_once(core: Core) -> None:
    tenant, stores = await core.tenant(0), [core.container() for _ in range(4)]
    now = int(time.time())
    wanted = [
        Endpoint(stores[0].ids.new("hook"), tenant.id, "https://a.example/", ("*",), tenant.caller.key_id, now)
        for _ in range(40)
    ]
    pending = [one for one in wanted for _ in range(2)]  # each request twice
    done = await asyncio.gather(
        *(stores[at % 4].webhooks.create(one) for at, one in enumerate(pending)), return_exceptions=True
    )
    assert {type(one) for one in done} <= {bool, StoreBusy}
    there = await stores[0].webhooks.endpoints(tenant.id)
    assert len(there) <= MOST_ENDPOINTS
    for one in wanted:
        if len(there) < MOST_ENDPOINTS and await stores[0].webhooks.create(one):
            there = await stores[0].webhooks.endpoints(tenant.id)
    assert len(there) == MOST_ENDPOINTS
    await asyncio.gather(*(store.webhooks.delete(there[0]) for store in stores), return_exceptions=True)
    await stores[0].webhooks.delete(there[0])
    left = [one for one in wanted if one.id not in {other.id for other in there}]
    assert await stores[0].webhooks.create(left[0])
    assert not await stores[0].webhooks.create(left[1])


async def test_of_changes_of_an_endpoint_at_once_each_is_made_on_what_is_there(core: Core, receiver: Receiver) -> None:
    tenant, ports = await core.tenant(0), core.container()
    now = int(time.time())
    made = Endpoint(ports.ids.new("hook"), tenant.id, receiver.url, ("*",), tenant.caller.key_id, now)
    assert await ports.webhooks.create(made)
    event = Event(ports.ids.new("evt"), "balance.low", tenant.id, {}, now)
    assert await dispatch(dispatching(ports), [event]) == []
    off, worse = disabled(made, "gone", now), failed(made, now)
    told = disabled_event(ports.ids.new("evt"), off, now)
    done = await asyncio.gather(
        ports.webhooks.change(made, off, told), core.container().webhooks.change(made, worse), return_exceptions=True
    )
    assert done.count(True) == 1
    before = await ports.webhooks.endpoint(tenant.id, made.id)
    assert before is not None
    if before.active:
        assert await ports.webhooks.change(before, replace(off, version=before.version), told)
    assert await ports.events.get(tenant.id, told.id) == told
    assert await ports.deliveries.cancel_pending(tenant.id, made.id, now) == 1
    await ports.webhooks.delete(made)
    assert await ports.webhooks.endpoints(tenant.id) == []
    assert not await ports.webhooks.change(before, replace(before, description="x"))
    listed = await ports.deliveries.page(tenant.id, limit=5, endpoint_id=made.id, status="cancelled", event=event)
    assert len(listed.deliveries) == 1
    assert tenant.id in await ports.webhooks.subscribers()
