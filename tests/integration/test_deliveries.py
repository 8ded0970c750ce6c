"""Events on their way to real receivers, over moto's table, through all that can go wrong with either."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from aig import deliveries
from aig.dispatch import dispatch, message
from aig.errors import InternalError
from aig.events import Event
from aig.ports import Posted, StoreBusy
from aig.webhooks.delivery import delivery_id, resent
from aig.webhooks.secret import BOTH_S
from aig.webhooks.signature import verifies
from aig.wiring import Container
from tests.builders import a_key, an_account
from tests.receiver import Answer, Receiver, Sent, receiving
from tests.webhooks import World

NOW = time.time()
FAILS = Answer(500)
OFFSETS = [0, 30, 150, 750, 4350, 25_950]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def world(container: Container) -> World:
    return World(container, await an_account(container), NOW)


def good(world: World, sent: Sent, *secrets: str) -> bool:
    at = dict(part.split("=") for part in sent.headers["x-aig-signature"].split(",")[:1])["t"]
    return verifies(sent.headers["x-aig-signature"], sent.body, secrets or [world.secret()], float(at))


async def test_an_event_arrives_signed_at_an_endpoint_and_at_its_own_url(world: World, receiver: Receiver) -> None:
    endpoint = await world.endpoint(receiver.url)
    event = world.event(webhook_url=receiver.url + "/own", key_id=world.account.key_id)
    await world.tell(event)
    await world.deliver()
    assert {sent.path for sent in receiver.sent} == {"/hook", "/hook/own"}
    for sent in receiver.sent:
        assert good(world, sent)
        assert json.loads(sent.body) == {
            "id": event.id,
            "object": "event",
            "type": "balance.low",
            "created": event.created_at,
            "data": {"balance": "0.97"},
        }
        assert sent.headers["x-aig-event-type"] == "balance.low"
        assert (sent.attempt, sent.headers["content-type"]) == (1, "application/json")
    assert {sent.headers["x-aig-delivery-id"] for sent in receiver.sent} == {
        (await world.delivery(event)).id,
        (await world.delivery(event, endpoint)).id,
    }
    assert (await world.delivery(event)).status == "delivered"
    assert world.machine.started == {}


async def test_an_endpoint_is_told_of_what_it_asked_for_alone(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url, "job.completed")
    await world.tell(world.event("balance.low"), world.event("job.completed"))
    await world.deliver()
    assert [sent.headers["x-aig-event-type"] for sent in receiver.sent] == ["job.completed"]


async def test_w01_five_failures_then_a_success_come_when_they_should(world: World, receiver: Receiver) -> None:
    receiver.script = [*([FAILS] * 5), Answer(204, pieces=())]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver()
    assert [sent.attempt for sent in receiver.sent] == [1, 2, 3, 4, 5, 6]
    assert len({sent.headers["x-aig-delivery-id"] for sent in receiver.sent}) == 1
    assert len({sent.body for sent in receiver.sent}) == 1
    times = [int(sent.headers["x-aig-signature"].split(",")[0][2:]) - int(NOW) for sent in receiver.sent]
    assert all(abs(time - offset) <= 2 for time, offset in zip(times, OFFSETS, strict=True))
    assert len(set(times)) == 6
    assert all(good(world, sent) for sent in receiver.sent)
    delivery = await world.delivery(event, endpoint)
    assert (delivery.status, delivery.attempts) == ("delivered", 6)
    logged = await world.log.attempts(world.account.id, delivery.id)
    assert [(one.number, one.status, one.failure) for one in logged] == [
        *((number, 500, "status") for number in range(1, 6)),
        (6, 204, None),
    ]
    assert logged[0].excerpt == b"ok"


async def test_w02_six_failures_are_the_end(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver()
    await world.deliver(until=NOW + 2 * 24 * 3600)
    assert len(receiver.sent) == 6
    assert (await world.delivery(event, endpoint)).status == "dead"
    assert (await world.now_is(endpoint)).active


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(cut=True), "connection"),  # w03
        (Answer(302, {"Location": "http://127.0.0.1:1/"}), "status"),  # w04
        (Answer(held=asyncio.Event()), "timeout"),  # w05
        (Answer(200, {}, (b"x",), pause_s=0.02, endless=True), "timeout"),  # w06
        (Answer(200, {}, (b"x" * 8192,), endless=True), "too_large"),  # w07
    ],
)
async def test_w03_to_w07_whatever_goes_wrong_is_tried_again(
    world: World, receiver: Receiver, answer: Answer, failure: str
) -> None:
    receiver.script = [answer, Answer()]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver()
    assert [sent.attempt for sent in receiver.sent] == [1, 2]
    assert len({sent.headers["x-aig-delivery-id"] for sent in receiver.sent}) == 1
    delivery = await world.delivery(event, endpoint)
    first, second = await world.log.attempts(world.account.id, delivery.id)
    assert (first.failure, second.failure, delivery.status) == (failure, None, "delivered")
    assert len(first.excerpt) <= 2048


async def test_w08_an_attempt_behind_a_rotation_verifies_with_both_secrets_for_a_day(
    world: World, receiver: Receiver
) -> None:
    receiver.script = [FAILS]
    await world.endpoint(receiver.url)
    await world.tell(world.event())
    await world.deliver(until=NOW + 1)
    store, key = world.container.webhooks, world.account.key_id
    before = await store.generation(world.account.id, key)
    assert await store.rotate(world.account.id, key, before, before.next(int(NOW) + 10, "evt_1"))
    await world.deliver(until=NOW + 3600)
    world.clock.time = NOW + 10 + BOTH_S + 1
    await world.deliver()
    old, new = world.secret(1), world.secret(2)
    assert good(world, receiver.sent[0], old)
    assert not good(world, receiver.sent[0], new)
    assert all(good(world, sent, old) and good(world, sent, new) for sent in receiver.sent[1:4])
    assert not good(world, receiver.sent[-1], old)
    assert good(world, receiver.sent[-1], new)


async def test_w13_five_copies_of_a_message_make_one_attempt(world: World, receiver: Receiver) -> None:
    held = asyncio.Event()
    receiver.script = [Answer(held=held)]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    ((_, message),) = world.lane.messages
    workers = [world.worker() for _ in range(5)]
    copies = [asyncio.create_task(worker.first(message["tenant"], message["delivery_id"])) for worker in workers]
    await receiver.arrived.wait()
    held.set()
    results = await asyncio.gather(*copies)
    assert len(receiver.sent) == 1
    assert results.count(True) >= 1
    assert (await world.delivery(event, endpoint)).attempts == 1


async def test_w12_a_worker_that_died_is_followed_by_another_once_its_lease_is_over(
    world: World, receiver: Receiver
) -> None:
    class Dies(BaseException):
        pass

    class Deadly:
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
            await world.posts.post(url, body, headers)
            raise Dies

    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    ((_, message),) = world.lane.messages
    with pytest.raises(Dies):
        await world.worker(post=Deadly()).first(message["tenant"], message["delivery_id"])
    assert not await world.deliverer.first(message["tenant"], message["delivery_id"])
    world.clock.time += deliveries.LEASE_S + 1
    assert await world.deliverer.first(message["tenant"], message["delivery_id"])
    one, other = receiver.sent
    assert one.headers["x-aig-delivery-id"] == other.headers["x-aig-delivery-id"]
    assert (one.attempt, other.attempt, one.body) == (1, 1, other.body)
    assert (await world.delivery(event, endpoint)).status == "delivered"


async def test_a_worker_that_died_before_the_machine_was_there_is_made_up_for(world: World, receiver: Receiver) -> None:
    class Busy:
        async def start(self, name: str, given: Mapping[str, Any]) -> bool:
            raise StoreBusy

    receiver.script = [FAILS, Answer()]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    ((_, message),) = world.lane.messages
    with pytest.raises(StoreBusy):
        await world.worker(machines=Busy()).first(message["tenant"], message["delivery_id"])
    await world.deliver()
    assert [sent.attempt for sent in receiver.sent] == [1, 2]
    assert (await world.delivery(event, endpoint)).status == "delivered"


async def test_w14_what_is_sent_is_what_was_written_and_nothing_goes_to_an_endpoint_that_is_gone(
    world: World, receiver: Receiver
) -> None:
    gone, stays = await world.endpoint(receiver.url + "/gone"), await world.endpoint(receiver.url)
    event = world.event()
    await world.tell(event)
    await world.container.webhooks.delete(gone)
    await world.deliver()
    assert [sent.path for sent in receiver.sent] == ["/hook"]
    assert json.loads(receiver.sent[0].body)["data"] == event.data
    assert (await world.delivery(event, gone)).status == "cancelled"
    assert (await world.delivery(event, stays)).status == "delivered"


async def test_w15_410_switches_an_endpoint_off_ends_what_waits_and_is_told(world: World, receiver: Receiver) -> None:
    async with receiving() as other:
        endpoint = await world.endpoint(receiver.url)
        watcher = await world.endpoint(other.url, "webhook.endpoint.disabled")
        receiver.script = [FAILS, FAILS, Answer(410)]
        first, second = world.event(), world.event("key.rotated")
        await world.tell(first)
        await world.tell(second)
        await world.deliver(until=NOW + 1)
        assert {(await world.delivery(event, endpoint)).status for event in (first, second)} == {"pending"}
        third = world.event()
        await world.tell(third)
        await world.deliver()
        assert len(receiver.sent) == 3
        off = await world.now_is(endpoint)
        assert (off.active, off.reason, off.disabled_at) == (False, "gone", int(NOW) + 1)
        statuses = [(await world.delivery(event, endpoint)).status for event in (first, second, third)]
        assert statuses == ["cancelled", "cancelled", "dead"]
        (told,), _ = await world.container.events.page(world.account.id, limit=9, type_="webhook.endpoint.disabled")
        assert (told.data["endpoint"], told.data["reason"]) == (endpoint.id, "gone")
        await dispatch(world.dispatching(), [told])
        await world.deliver()
        assert [sent.headers["x-aig-event-type"] for sent in other.sent] == ["webhook.endpoint.disabled"]
        assert (await world.delivery(told, watcher)).status == "delivered"


async def test_410_ends_a_delivery_to_a_url_of_its_own(world: World, receiver: Receiver) -> None:
    receiver.script = [Answer(410)]
    event = world.event(webhook_url=receiver.url, key_id=world.account.key_id)
    await world.tell(event)
    await world.deliver()
    assert (len(receiver.sent), (await world.delivery(event)).status) == (1, "dead")


async def test_five_days_without_a_single_success_switch_an_endpoint_off(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint = await world.endpoint(receiver.url)
    for day in range(6):
        world.clock.time = max(world.clock.time, NOW + day * 24 * 3600)
        assert (await world.now_is(endpoint)).active == (day < 6)
        await world.tell(world.event())
        await world.deliver()
    off = await world.now_is(endpoint)
    assert (off.active, off.reason) == (False, "failing")


async def test_one_success_begins_the_five_days_anew(world: World, receiver: Receiver) -> None:
    endpoint = await world.endpoint(receiver.url)
    for day in range(8):
        receiver.script = [Answer() if day == 4 else FAILS]
        world.clock.time = max(world.clock.time, NOW + day * 24 * 3600)
        await world.tell(world.event())
        await world.deliver()
    assert (await world.now_is(endpoint)).active


async def test_w18_events_in_another_order_lead_to_the_same(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS, Answer()]
    await world.endpoint(receiver.url)
    early = world.event()
    await world.tell(early)
    await world.deliver(until=NOW + 5)
    late = replace(world.event(), data={"balance": "0.50"})
    await world.tell(late)
    await world.deliver()
    arrived = [json.loads(sent.body) for sent in receiver.sent]
    assert [event["id"] for event in arrived] == [early.id, late.id, early.id]
    newest = max(arrived, key=lambda event: (event["created"], event["id"]))
    assert newest["data"] == {"balance": "0.50"}


async def test_w19_each_key_signs_with_a_secret_of_its_own(
    container: Container, world: World, receiver: Receiver
) -> None:
    other = await a_key(container, world.account.id)
    await world.tell(world.event(webhook_url=receiver.url, key_id=other.key_id))
    await world.deliver()
    assert good(world, receiver.sent[0], world.secret(key_id=other.key_id))
    assert not good(world, receiver.sent[0])


async def test_w20_the_long_wait_survives_whoever_began_it(container: Container, receiver: Receiver) -> None:
    account = await an_account(container)
    before = World(container, account, NOW)
    receiver.script = [*([FAILS] * 5), Answer()]
    endpoint, event = await before.endpoint(receiver.url), before.event()
    await before.tell(event)
    await before.deliver(until=NOW + 5000)
    assert len(receiver.sent) == 5
    after = World(container, account, NOW + 5000)  # all that there was is the table, and the execution
    after.machine.started, after.machine.due = before.machine.started, before.machine.due
    await after.deliver()
    assert receiver.sent[-1].attempt == 6
    assert (await after.delivery(event, endpoint)).status == "delivered"


async def test_a_receiver_that_asks_for_time_gets_up_to_twice_the_wait(world: World, receiver: Receiver) -> None:
    receiver.script = [Answer(429, {"Retry-After": "55"}), Answer(503, {"Retry-After": "9999"}), Answer()]
    await world.endpoint(receiver.url)
    await world.tell(world.event())
    await world.deliver()
    times = [int(sent.headers["x-aig-signature"].split(",")[0][2:]) - int(NOW) for sent in receiver.sent]
    assert times == [0, 55, 55 + 240] or times == [0, 56, 56 + 240]


async def test_a_resend_is_a_round_of_its_own(world: World, receiver: Receiver) -> None:
    receiver.script = [FAILS]
    endpoint, event = await world.endpoint(receiver.url), world.event()
    await world.tell(event)
    await world.deliver()
    dead = await world.delivery(event, endpoint)
    receiver.script = [FAILS, Answer()]
    assert await world.log.move(dead, resent(dead, world.clock.time))
    await world.lane.send(message(dead))
    await world.deliver()
    assert [sent.attempt for sent in receiver.sent] == [1, 2, 3, 4, 5, 6, 1, 2]
    assert len({sent.headers["x-aig-delivery-id"] for sent in receiver.sent}) == 1
    logged = await world.log.attempts(world.account.id, dead.id)
    assert [(one.round, one.number) for one in logged] == [*((1, n) for n in range(1, 7)), (2, 1), (2, 2)]


async def test_the_same_event_twice_makes_one_delivery(world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url)
    event = world.event()
    await world.tell(event)
    await world.tell(event)
    await world.deliver()
    await world.tell(event)
    await world.deliver()
    assert len(receiver.sent) == 1


async def test_an_event_that_nobody_can_read_any_more_ends_its_delivery(world: World, receiver: Receiver) -> None:
    endpoint, event = await world.endpoint(receiver.url), world.event()
    assert await dispatch(world.dispatching(), [event]) == []
    await world.deliver()
    assert (receiver.sent, (await world.delivery(event, endpoint)).status) == ([], "cancelled")


async def test_a_url_that_became_private_fails_and_is_tried_again(world: World) -> None:
    event = world.event(webhook_url="https://10.0.0.1/hook", key_id=world.account.key_id)
    await world.tell(event)
    await world.deliver()
    delivery = await world.delivery(event)
    logged = await world.log.attempts(world.account.id, delivery.id)
    assert (delivery.status, {one.failure for one in logged}) == ("dead", {"not_allowed"})


async def test_a_store_that_is_busy_has_events_brought_again(container: Container, world: World) -> None:
    class Busy:
        async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
            raise StoreBusy

        async def send_all(self, bodies: Any) -> None:
            raise StoreBusy

    other = World(container, await an_account(container), NOW)
    for one in (world, other):
        await one.endpoint("https://a.example/")
    events = [world.event(), other.event()]
    failed = await dispatch(world.dispatching(queue=Busy()), events)
    assert failed == events


async def test_without_a_pepper_nothing_is_sent_unsigned(world: World, receiver: Receiver) -> None:
    class Nothing:
        async def get(self, name: str) -> str | None:
            return None

    await world.endpoint(receiver.url)
    await world.tell(world.event())
    ((_, told),) = world.lane.messages
    with pytest.raises(InternalError):
        await world.worker(secrets=Nothing()).first(told["tenant"], told["delivery_id"])
    assert receiver.sent == []


def test_an_event_that_nobody_could_sign_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="whose secret"):
        Event("evt_1", "job.completed", "acct_1", {}, 5, webhook_url="https://a.example/")


async def test_another_account_is_told_nothing(container: Container, world: World, receiver: Receiver) -> None:
    await world.endpoint(receiver.url)
    stranger = World(container, await an_account(container), NOW)
    event = stranger.event()
    await stranger.tell(event)
    await stranger.deliver()
    assert receiver.sent == []
    assert await world.log.get(world.account.id, delivery_id(event.id, event.created_at, "url")) is None
