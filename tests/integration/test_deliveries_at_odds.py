"""Workers at odds with slow receivers, with each other, and with changes that are made meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from aig import deliveries
from aig.ports import Posted, StoreBusy
from aig.webhooks.delivery import cancelled
from aig.webhooks.receiver import receiver_of
from aig.wiring import Container
from tests.builders import an_account
from tests.receiver import Answer, Receiver, receiving
from tests.webhooks import World

NOW = time.time()
FAILS = Answer(500)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def world(container: Container) -> World:
    return World(container, await an_account(container), NOW)


class TestSlowReceivers:
    async def test_w08_who_hangs_is_marked_while_it_hangs_and_others_pass_by(
        self, world: World, receiver: Receiver
    ) -> None:
        held = asyncio.Event()
        receiver.script = [Answer(held=held)]
        async with receiving() as healthy:
            hanging, quick = await world.endpoint(receiver.url), await world.endpoint(healthy.url)
            world.deliverer = world.worker(hanging_s=0.05)
            await world.tell(*(world.event() for _ in range(4)))
            await world.deliver(until=NOW + 25)
            assert len(healthy.sent) == 4
            assert receiver.most_at_once <= deliveries.FEWEST_AT_ONCE
            pace = await world.log.pace(world.account.id, hanging.id)
            assert pace.slow_until > NOW
            assert (await world.log.pace(world.account.id, quick.id)).quick_until > NOW
            events = len(healthy.sent)
            await world.tell(world.event())
            first = len(receiver.sent)
            await world.batch([body for _, body in world.lane.messages])
            assert len(receiver.sent) == first, "the fast lane does not ask it"
            assert len(healthy.sent) == events + 1

    async def test_who_answers_quickly_again_is_marked_no_more(self, world: World, receiver: Receiver) -> None:
        endpoint = await world.endpoint(receiver.url)
        receiver.script = [Answer(held=asyncio.Event()), Answer()]
        world.deliverer = world.worker(hanging_s=0.05)
        await world.tell(world.event())
        await world.deliver()
        assert len(receiver.sent) == 2
        pace = await world.log.pace(world.account.id, endpoint.id)
        assert (pace.slow_until, pace.at_once(world.clock.time)) == (0, deliveries.MOST_AT_ONCE)

    async def test_no_more_than_ten_are_on_their_way_to_a_receiver(self, world: World, receiver: Receiver) -> None:
        endpoint = await world.endpoint(receiver.url)
        await world.tell(world.event())
        await world.deliver()
        receiver.script = [Answer(pieces=(b"ok",), pause_s=0.05)]
        world.deliverer = world.worker(hanging_s=5.0)
        await world.tell(*(world.event() for _ in range(25)))
        await world.deliver()
        assert len(receiver.sent) == 26
        assert 2 < receiver.most_at_once <= deliveries.MOST_AT_ONCE
        assert (await world.log.pace(world.account.id, endpoint.id)).slow_until == 0

    @pytest.mark.parametrize(("late", "seconds"), [(0, 10), (60, 30), (600, 300), (7200, 600)])
    async def test_who_waits_for_a_place_looks_for_one_less_often_the_longer_it_takes(
        self, world: World, receiver: Receiver, late: int, seconds: int
    ) -> None:
        endpoint = await world.endpoint(receiver.url)
        event = world.event()
        await world.tell(event)
        delivery = await world.delivery(event, endpoint)
        world.clock.time += late
        for holder in ("one", "another"):
            lease = deliveries.Lease(holder, world.clock.time + deliveries.LEASE_S)
            await world.log.take_slot(world.account.id, endpoint.id, deliveries.FEWEST_AT_ONCE, lease, world.clock.time)
        step = await world.deliverer.next(world.account.id, delivery.id, delivery.round)
        assert (step.state, receiver.sent) == ("due", [])
        assert seconds <= step.seconds <= seconds + 1

    async def test_urls_of_one_host_share_what_is_known_of_it(self, world: World, receiver: Receiver) -> None:
        receiver.script = [Answer(held=asyncio.Event())]
        world.deliverer = world.worker(hanging_s=0.05)
        await world.tell(world.event(webhook_url=receiver.url + "/1", key_id=world.account.key_id))
        await world.deliver(until=NOW)
        key = receiver_of(receiver.url + "/2", None)
        assert (await world.log.pace(world.account.id, key)).slow_until > NOW


async def test_a_machine_that_wakes_early_or_again_waits(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver(until=NOW + 1)
    delivery = await world.delivery(event, endpoint)
    step = await world.deliverer.next(delivery.tenant, delivery.id, delivery.round)
    assert (step.state, step.seconds) == ("due", 29)
    assert (await world.deliverer.next(delivery.tenant, delivery.id, 7)).state == "ended"
    assert len(receiver.sent) == 1


async def test_a_machine_whose_receiver_is_busy_asks_again(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver(until=NOW + 1)
    world.clock.time = NOW + 31
    for number in range(deliveries.MOST_AT_ONCE):
        lease = deliveries.Lease(f"another {number}", world.clock.time + 60)
        await world.log.take_slot(world.account.id, endpoint.id, deliveries.MOST_AT_ONCE, lease, world.clock.time)
    delivery = await world.delivery(event, endpoint)
    step = await world.worker(hanging_s=0.0).next(delivery.tenant, delivery.id, delivery.round)
    assert (step.state, step.seconds, len(receiver.sent)) == ("due", deliveries.BUSY_S, 1)


async def test_a_machine_that_finds_another_at_work_waits_for_the_end_of_its_lease(
    world: World, receiver: Receiver
) -> None:
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    delivery = await world.delivery(event, endpoint)
    now = world.clock.time
    assert await world.log.claim(delivery, 1, deliveries.Lease("another", now + 20), now) is True
    step = await world.deliverer.next(delivery.tenant, delivery.id, 1)
    assert (step.state, step.seconds, receiver.sent) == ("due", 20, [])
    assert await world.log.claim(delivery, 1, deliveries.Lease("another", now + 20), now) is True, "it is its own"


async def test_an_attempt_that_was_overtaken_changes_nothing(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    delivery = await world.delivery(event, endpoint)

    class Overtaken:
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
            await world.log.move(delivery, cancelled(delivery, world.clock.time))
            return await world.posts.post(url, body, headers)

    assert await world.worker(post=Overtaken()).first(delivery.tenant, delivery.id), "it is over, and not to come again"
    assert (await world.delivery(event, endpoint)).status == "cancelled"
    assert (await world.now_is(endpoint)).failing_since is None


class TestJudging:
    async def test_an_endpoint_that_is_changed_meanwhile_is_judged_as_it_is_then(
        self, world: World, receiver: Receiver
    ) -> None:
        endpoint, event = await world.endpoint(receiver.url), world.event()
        receiver.script = [Answer(410)]
        await world.tell(event)

        class Changes:
            async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
                before = await world.now_is(endpoint)
                await world.container.webhooks.change(before, replace(before, description="changed"))
                return await world.posts.post(url, body, headers)

        world.deliverer = world.worker(post=Changes())
        await world.deliver()
        off = await world.now_is(endpoint)
        assert (off.active, off.reason, off.description) == (False, "gone", "changed")

    async def test_one_that_was_deleted_meanwhile_is_not_judged(self, world: World, receiver: Receiver) -> None:
        endpoint, event = await world.endpoint(receiver.url), world.event()
        receiver.script = [Answer(410)]
        await world.tell(event)

        class Deletes:
            async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
                await world.container.webhooks.delete(endpoint)
                return await world.posts.post(url, body, headers)

        world.deliverer = world.worker(post=Deletes())
        await world.deliver()
        assert await world.container.webhooks.endpoint(world.account.id, endpoint.id) is None
        assert (await world.container.events.page(world.account.id, limit=9))[0] == [event]

    async def test_a_store_that_is_busy_then_leaves_the_judgement_to_the_next_attempt(
        self, world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        endpoint, event = await world.endpoint(receiver.url), world.event()
        receiver.script = [FAILS]
        await world.tell(event)

        async def busy(*_: Any) -> bool:
            raise StoreBusy

        with monkeypatch.context() as patch:
            patch.setattr(type(world.container.webhooks), "change", busy)
            await world.deliver(until=NOW + 1)
        assert (await world.delivery(event, endpoint)).attempts == 1
        assert (await world.now_is(endpoint)).failing_since is None
        await world.deliver()
        assert (await world.now_is(endpoint)).failing_since is not None


async def test_what_waits_is_cancelled_page_by_page(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aig.aws.deliveries._READ_AT_ONCE", 2)
    endpoint, other = await world.endpoint(receiver.url), await world.endpoint(receiver.url + "/other")
    events = [world.event() for _ in range(5)]
    await world.tell(*events)
    assert await world.log.cancel_pending(world.account.id, endpoint.id, NOW) == 5
    assert {(await world.delivery(event, endpoint)).status for event in events} == {"cancelled"}
    assert {(await world.delivery(event, other)).status for event in events} == {"pending"}


async def test_an_attempt_that_is_made_is_nobodys_to_make(world: World, receiver: Receiver) -> None:
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    before = await world.delivery(event, endpoint)
    await world.deliver()
    late = deliveries.Lease("late", world.clock.time + 99)
    assert await world.log.claim(before, 1, late, world.clock.time + 60) == world.clock.time + 60
