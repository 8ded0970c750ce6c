"""What goes wrong on our side of a webhook: what is lost is brought back, and what one does costs no other."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from aig import deliveries
from aig.aws.deliveries import MOST_TRIALS, TRIAL_S, DynamoDeliveries, hooks_key
from aig.deliveries import FEWEST_AT_ONCE, LEASE_S, LONGEST_BUSY_S, MOST_AT_ONCE, Lease, Pace
from aig.ports import Posted
from aig.sweep import see_to_deliveries
from aig.webhooks.delivery import MOST_REVIVALS, OVERDUE_S, Delivery, cancelled
from aig.webhooks.receiver import receiver_of
from aig.wiring import Container
from tests.builders import an_account
from tests.logs import Log
from tests.receiver import Answer, Receiver, receiving
from tests.webhooks import World

pytestmark = pytest.mark.usefixtures("logged")
FAILS = Answer(500)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def world(container: Container) -> World:
    return World(container, await an_account(container), time.time())


class OneTenants(DynamoDeliveries):
    """The table outlives a test: what others have left behind is none of its sweeps' business."""

    def __init__(self, world: World) -> None:
        super().__init__(world.container.table)
        self._tenant = world.account.id

    @override
    async def forgotten(self, now: float, most: int) -> Sequence[Delivery]:
        return [delivery for delivery in await super().forgotten(now, 50_000) if delivery.tenant == self._tenant]


async def swept(world: World) -> None:
    await see_to_deliveries(OneTenants(world), world.lane, world.container.telemetry, world.clock)


async def hourly(world: World, *, hours: int) -> None:
    """Lets hours go by, with a sweep and all that comes of it in each."""
    for _ in range(hours):
        world.clock.time += OVERDUE_S + 1
        await swept(world)
        await world.deliver(until=world.clock.time + 1)


class TestWhatIsLost:
    async def test_a_message_that_is_lost_is_made_up_for_after_an_hour(
        self, world: World, receiver: Receiver, logged: Log
    ) -> None:
        endpoint, event = await world.endpoint(receiver.url), world.event()
        await world.tell(event)
        world.lane.messages.clear()
        world.clock.time += OVERDUE_S - 1
        await swept(world)
        assert world.lane.messages == [], "it may only be late"
        await hourly(world, hours=1)
        assert [sent.attempt for sent in receiver.sent] == [1]
        assert (await world.delivery(event, endpoint)).status == "delivered"
        assert logged.lines("WebhookForgotten")
        await hourly(world, hours=2)
        assert len(receiver.sent) == 1

    async def test_an_execution_that_died_is_followed_by_another(self, world: World, receiver: Receiver) -> None:
        receiver.script = [FAILS, Answer()]
        endpoint, event = await world.endpoint(receiver.url), world.event()
        await world.tell(event)
        await world.deliver(until=world.clock.time + 1)
        world.machine.due.clear()  # failed, timed out or aborted: its name is used up all the same
        await hourly(world, hours=2)
        assert [sent.attempt for sent in receiver.sent] == [1, 2]
        assert (await world.delivery(event, endpoint)).status == "delivered"

    async def test_one_that_is_lost_again_and_again_is_dead(self, world: World, receiver: Receiver) -> None:
        receiver.script = [FAILS]
        endpoint, event = await world.endpoint(receiver.url), world.event()
        await world.tell(event)
        await world.deliver(until=world.clock.time + 1)
        for _ in range(MOST_REVIVALS + 1):
            assert (await world.delivery(event, endpoint)).status == "pending"
            world.machine.due.clear()
            world.clock.time += 2 * OVERDUE_S
            await swept(world)
            world.lane.messages.clear()
        dead = await world.delivery(event, endpoint)
        assert (dead.status, dead.ended_at, dead.may_resend(world.clock.time)) == ("dead", int(world.clock.time), True)

    async def test_who_waits_for_a_place_is_not_forgotten(self, world: World, receiver: Receiver) -> None:
        endpoint, event = await world.endpoint(receiver.url), world.event()
        slow = Pace(slow_until=int(world.clock.time) + 24 * 3600)
        await world.log.set_pace(world.account.id, endpoint.id, slow, world.clock.time)
        await occupied(world, endpoint.id, 24 * 3600)
        await world.tell(event)
        for _ in range(5):
            await world.deliver(until=world.clock.time + 4800)
            await swept(world)  # reads all that the session's tests have left, and takes seconds for it
        waiting = await world.delivery(event, endpoint)
        assert (waiting.status, waiting.revived, len(world.machine.started)) == ("pending", 0, 1)


async def occupied(world: World, receiver: str, seconds: float, most: int = FEWEST_AT_ONCE) -> None:
    """All places on the way to a receiver are taken, for so long."""
    now = world.clock.time
    for number in range(most):
        lease = Lease(f"another {number}", now + seconds)
        assert await world.log.take_slot(world.account.id, receiver, most, lease, now) == number


async def test_who_waits_long_looks_seldom(world: World, receiver: Receiver) -> None:
    endpoint, event = await world.endpoint(receiver.url), world.event()
    slow = Pace(slow_until=int(world.clock.time) + 24 * 3600)
    await world.log.set_pace(world.account.id, endpoint.id, slow, world.clock.time)
    await occupied(world, endpoint.id, 24 * 3600)
    await world.tell(event)
    delivery, waits = await world.delivery(event, endpoint), list[float]()
    for _ in range(80):
        step = await world.deliverer.next(delivery.tenant, delivery.id, 1)
        waits.append(step.seconds)
        world.clock.time += step.seconds
    assert waits[0] == deliveries.BUSY_S
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BUSY_S
    assert sum(waits) > 11 * 3600, "an execution has room for 2,700 looks"


async def test_a_receiver_that_fails_quickly_is_quick(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint = await world.endpoint(receiver.url)
    await world.tell(world.event())
    await world.deliver(until=world.clock.time + 1)
    pace = await world.log.pace(world.account.id, endpoint.id)
    assert pace.at_once(world.clock.time) == MOST_AT_ONCE


async def test_a_url_that_we_cannot_handle_fails_as_any_other_and_is_told(
    world: World, receiver: Receiver, logged: Log
) -> None:
    class Stumbles:
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
            raise ValueError("no such URL")

    world.deliverer = world.worker(post=Stumbles())
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver()
    delivery = await world.delivery(event, endpoint)
    logged_ = await world.log.attempts(world.account.id, delivery.id)
    assert (delivery.status, [one.failure for one in logged_]) == ("dead", ["connection"] * 6)
    assert logged.lines("WebhookNotPosted")[0]["error"] == "ValueError"


class TestOneAmongMany:
    async def test_hosts_that_hang_each_under_another_name_do_not_stop_the_fast_lane(
        self, world: World, receiver: Receiver
    ) -> None:
        receiver.script = [Answer(held=asyncio.Event())]
        key = world.account.key_id
        urls = [f"http://localhost:{receiver.port}/", f"http://127.0.0.1:{receiver.port}/"]
        async with receiving() as quick:
            known = await world.endpoint(quick.url, "key.rotated")
            await world.tell(world.event("key.rotated"))
            await world.deliver()
            for number in range(MOST_TRIALS):
                assert await world.log.begin_trial(world.account.id, world.clock.time), number
            await world.tell(*(world.event(webhook_url=url, key_id=key) for url in urls))
            await world.batch([body for _, body in world.lane.messages])
            assert receiver.sent == [], "nobody's batch waits for it"
            assert len(world.machine.due) == len(urls)
            event = world.event("key.rotated")
            await world.tell(event)
            await world.batch([body for _, body in world.lane.messages])
            assert (await world.delivery(event, known)).status == "delivered"
            later = world.clock.time + TRIAL_S
            assert await world.log.begin_trial(world.account.id, later)

    async def test_who_answers_quickly_does_not_count(self, world: World, receiver: Receiver) -> None:
        for number in range(MOST_TRIALS + 5):
            event = world.event(webhook_url=receiver.url, key_id=world.account.key_id)
            await world.tell(event)
            await world.deliver(until=world.clock.time)
            assert (await world.delivery(event)).status == "delivered", number
            await forget(world, receiver)

    async def test_who_hangs_counts(self, world: World, receiver: Receiver) -> None:
        receiver.script = [Answer(held=asyncio.Event())]
        world.deliverer = world.worker(hanging_s=0.02)
        event = world.event(webhook_url=receiver.url, key_id=world.account.key_id)
        await world.tell(event)
        await world.batch([body for _, body in world.lane.messages])
        left = [await world.log.begin_trial(world.account.id, world.clock.time) for _ in range(MOST_TRIALS)]
        assert left.count(True) == MOST_TRIALS - 1


async def forget(world: World, receiver: Receiver) -> None:
    """Nobody knows the receiver any more."""
    await world.log.set_pace(world.account.id, receiver_of(receiver.url, None), Pace(), world.clock.time)


class TestUnderWay:
    async def test_410_of_the_url_before_leaves_an_endpoint_on_that_has_another(
        self, world: World, receiver: Receiver
    ) -> None:
        held = asyncio.Event()
        receiver.script = [Answer(410, held=held)]
        endpoint, event = await world.endpoint(receiver.url), world.event()
        await world.tell(event)
        ((_, sent),) = world.lane.messages
        attempt = asyncio.create_task(world.deliverer.first(sent["tenant"], sent["delivery_id"]))
        await receiver.arrived.wait()
        moved = replace(endpoint, url=receiver.url + "/new")
        assert await world.container.webhooks.change(await world.now_is(endpoint), moved)
        held.set()
        assert await attempt
        assert (await world.now_is(endpoint)).active

    async def test_what_came_of_an_attempt_is_shown_though_its_delivery_was_cancelled_meanwhile(
        self, world: World, receiver: Receiver
    ) -> None:
        held = asyncio.Event()
        receiver.script = [Answer(202, held=held)]
        endpoint, event = await world.endpoint(receiver.url), world.event()
        await world.tell(event)
        ((_, sent),) = world.lane.messages
        attempt = asyncio.create_task(world.deliverer.first(sent["tenant"], sent["delivery_id"]))
        await receiver.arrived.wait()
        before = await world.delivery(event, endpoint)
        assert await world.log.move(before, cancelled(before, world.clock.time))
        held.set()
        assert await attempt, "its message need not come again"
        (shown,) = await world.log.attempts(world.account.id, before.id)
        assert (shown.ended, shown.status) == (True, 202)
        assert (await world.delivery(event, endpoint)).status == "cancelled"

    async def test_an_attempt_that_waited_for_its_place_has_its_whole_time(
        self, world: World, receiver: Receiver
    ) -> None:
        held = asyncio.Event()
        receiver.script = [Answer(held=held), Answer()]

        class Slow(DynamoDeliveries):
            """Takes its time for a place."""

            @override
            async def take_slot(self, *given: Any) -> int | None:
                found = await super().take_slot(*given)
                world.clock.time += 15
                return found

        await world.endpoint(receiver.url)
        await world.tell(world.event())
        ((_, sent),) = world.lane.messages
        slow = world.worker(log=Slow(world.container.table))
        attempt = asyncio.create_task(slow.first(sent["tenant"], sent["delivery_id"]))
        await receiver.arrived.wait()
        world.clock.time += LEASE_S - 1
        assert not await world.deliverer.first(sent["tenant"], sent["delivery_id"])
        held.set()
        assert await attempt
        assert len(receiver.sent) == 1


async def test_an_endpoint_with_more_waiting_than_there_is_time_for_is_gone_all_the_same(
    world: World, receiver: Receiver
) -> None:
    class Hangs(DynamoDeliveries):
        @override
        async def move(self, before: Delivery, after: Delivery) -> bool:
            if before.id == last.id:
                await asyncio.Event().wait()
            return await super().move(before, after)

    endpoint = await world.endpoint(receiver.url)
    events = [world.event() for _ in range(3)]
    await world.tell(*events)
    last = await world.delivery(events[0], endpoint)
    await world.container.webhooks.delete(endpoint)
    await Hangs(world.container.table).cancel_pending(world.account.id, endpoint.id, world.clock.time, 0.2)
    assert (await world.delivery(events[0], endpoint)).status == "pending"
    assert (await world.delivery(events[2], endpoint)).status == "cancelled"
    await world.deliver()
    assert ((await world.delivery(events[0], endpoint)).status, receiver.sent) == ("cancelled", [])


async def test_a_wallets_partition_has_none_of_it(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS, Answer()]
    await world.endpoint(receiver.url)
    await world.tell(world.event())
    await world.deliver()
    rows = await world.container.table.query("pk = :pk", {":pk": world.account.id})
    kinds = {row["sk"].partition("#")[0] for row in rows}
    assert kinds.isdisjoint({"delivery", "attempt", "slot", "receiver", "trials"})
    hooks = await world.container.table.query("pk = :pk", {":pk": hooks_key(world.account.id)})
    assert {row["sk"].partition("#")[0] for row in hooks} == {"delivery", "attempt", "slot", "receiver", "trials"}
