"""From an event's row to its receiver, through the functions as Lambda runs them, the queue and the state machine."""

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from aig.aws.events import event_item
from aig.aws.table import dump
from aig.deliveries import FEWEST_AT_ONCE, Lease, Pace
from aig.dispatch import message
from aig.events import Event, EventType
from aig.ports import StoreBusy
from aig.webhooks.delivery import Delivery, delivery_id
from aig.webhooks.endpoint import Endpoint
from aig.webhooks.signature import verifies
from aig.wiring import Container
from local.embedded_queues import EmbeddedQueue
from local.machines import run_tasks
from local.stream_filters import passes
from local.template import Stack
from tests.apps import Handler, event
from tests.builders import Account, an_account
from tests.integration.test_rollup import record
from tests.logs import Log
from tests.receiver import Answer, Receiver, receiving
from tests.webhooks import World

NOTHING_FAILED = {"batchItemFailures": list[Any]()}
PATIENCE_S = 60.0


class Functions:
    """The dispatcher and the worker, and what brings them their events; a machine's waits are of a second each."""

    def __init__(self, deployed: Stack) -> None:
        self.dispatcher = Handler(deployed.functions["DispatcherFunction"])
        variables = {"AIG_ALLOW_LOOPBACK": "true", "AIG_TIME_SCALE": "0.0001"}
        self.worker = Handler(deployed.functions["WebhookWorkerFunction"], **variables)
        self.filters = next(one.filters for one in deployed.streams if one.function == "DispatcherFunction")
        (mapping,) = (one for one in deployed.queue_mappings if one.function == "WebhookWorkerFunction")
        self.queue = EmbeddedQueue(mapping.queue)
        run_tasks(deployed.machines, self._invoke, print)

    def _invoke(self, name: str, given: dict[str, Any]) -> object:
        """As the state machine's thread does."""
        assert name == "WebhookWorkerFunction"
        return self.worker._thread.submit(self.worker.module.handler, given, None).result()

    async def stream(self, *rows: dict[str, Any]) -> Any:
        """Brings rows that were inserted to the dispatcher, as its mapping would."""
        records = [record(row, number) for number, row in enumerate(rows, 1)]
        return await self.dispatcher.invoke({"Records": [one for one in records if passes(one, self.filters)]})

    async def take(self) -> list[dict[str, Any]]:
        """What the queue shows."""
        return await asyncio.to_thread(self.queue.receive, 10, 0.0)

    async def work(self) -> Any:
        """One batch of the queue to the worker; what is done is deleted."""
        records = await self.take()
        answer = await self.worker.invoke({"Records": records})
        failed = {one["itemIdentifier"] for one in answer["batchItemFailures"]}
        self.queue.delete([one["receiptHandle"] for one in records if one["messageId"] not in failed])
        return answer

    async def close(self) -> None:
        for handler in (self.dispatcher, self.worker):
            await handler.close()


@pytest.fixture
async def functions(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[Functions]:
    made = Functions(deployed)
    while records := await made.take():  # those of other tests
        made.queue.delete([one["receiptHandle"] for one in records])
    yield made
    await made.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture
async def endpoint(container: Container, account: Account, receiver: Receiver) -> Endpoint:
    return await World(container, account, container.clock.now()).endpoint(receiver.url)


def told(container: Container, account: Account, type_: EventType = "balance.low") -> Event:
    data = {"balance": "0.97"}
    return Event(container.ids.new("evt"), type_, account.id, data, int(container.clock.now()))


async def ended(container: Container, event: Event, receiver: str) -> Delivery:
    """The delivery once it has ended."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = await container.deliveries.get(event.account_id, delivery_id(event.id, event.created_at, receiver))
            if found is not None and found.status != "pending":
                return found
            await asyncio.sleep(0.02)


async def test_an_event_arrives(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, receiver: Receiver
) -> None:
    event = told(container, account)
    await container.table.put_new(event_item(event))
    assert await functions.stream(event_item(event)) == NOTHING_FAILED
    assert await functions.work() == NOTHING_FAILED
    (sent,) = receiver.sent
    secret = World(container, account, 0).secret()
    assert verifies(sent.headers["x-aig-signature"], sent.body, [secret], container.clock.now())
    assert json.loads(sent.body)["id"] == event.id
    assert (await ended(container, event, endpoint.id)).status == "delivered"


async def test_the_machine_makes_the_other_attempts_in_scaled_time(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, receiver: Receiver
) -> None:
    receiver.script = [Answer(500), Answer(cut=True), Answer(302), Answer()]
    event = told(container, account)
    await container.table.put_new(event_item(event))
    await functions.stream(event_item(event))
    assert await functions.work() == NOTHING_FAILED
    delivery = await ended(container, event, endpoint.id)
    assert (delivery.status, delivery.attempts) == ("delivered", 4)
    assert [sent.attempt for sent in receiver.sent] == [1, 2, 3, 4]
    assert len({sent.headers["x-aig-delivery-id"] for sent in receiver.sent}) == 1
    logged = await container.deliveries.attempts(account.id, delivery.id)
    waits = [(after.started_ms - before.started_ms) / 1000 for before, after in pairwise(logged)]
    assert all(wait >= least for wait, least in zip(waits, (0.003, 0.012, 0.06), strict=True))


async def test_a_receiver_that_is_slow_is_attempted_by_the_machine_from_the_first(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, receiver: Receiver
) -> None:
    now = container.clock.now()
    await container.deliveries.set_pace(account.id, endpoint.id, Pace(slow_until=int(now) + 600), now)
    event = told(container, account)
    await container.table.put_new(event_item(event))
    await functions.stream(event_item(event))
    assert await functions.work() == NOTHING_FAILED
    assert (await ended(container, event, endpoint.id)).status == "delivered"
    assert [sent.attempt for sent in receiver.sent] == [1]


async def test_the_event_files_are_what_the_functions_take(functions: Functions) -> None:
    sent = event("dispatcher")
    assert all(passes(one, functions.filters) for one in sent["Records"])
    assert await functions.dispatcher.invoke(sent) == NOTHING_FAILED
    assert await functions.worker.invoke(event("webhookworker")) == NOTHING_FAILED


async def test_rows_that_are_no_new_events_are_nobodys_news(functions: Functions, container: Container) -> None:
    account = await an_account(container)
    event_row = event_item(told(container, account))
    private = {**event_row, "kind": "private"}
    assert await functions.stream(private, {"pk": account.id, "sk": "txn#1", "kind": "debit"}) == NOTHING_FAILED
    changed, removed = record(event_row, 1, "MODIFY"), record(event_row, 2, "REMOVE")
    assert not any(passes(one, functions.filters) for one in (changed, removed))
    assert await functions.take() == []


async def test_an_event_that_cannot_be_read_is_told_to_the_operator_and_the_rest_go_on(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, logged: Log
) -> None:
    good = told(container, account)
    broken = {**event_item(told(container, account)), "data": "{"}
    assert await functions.stream(broken, event_item(good)) == NOTHING_FAILED
    (line,) = logged.lines("EventUnreadable")
    assert line["row"] == broken["sk"]
    (record_,) = await functions.take()
    assert json.loads(record_["body"])["delivery_id"] == delivery_id(good.id, good.created_at, endpoint.id)


async def test_what_the_store_cannot_take_comes_again_from_the_first_that_failed(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    fine, fails = told(container, await an_account(container)), told(container, account)
    add = functions.dispatcher.module.container.deliveries.add

    async def busy(delivery: Delivery) -> None:
        if delivery.tenant == account.id:
            raise StoreBusy
        await add(delivery)

    monkeypatch.setattr(type(container.deliveries), "add", lambda self, delivery: busy(delivery))
    answer = await functions.stream(event_item(fine), event_item(fails), event_item(told(container, account)))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}


async def test_a_poisoned_message_fails_alone(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, receiver: Receiver, logged: Log
) -> None:
    made = told(container, account)
    await container.table.put_new(event_item(made))
    await functions.stream(event_item(made))
    (good,) = await functions.take()
    poison = [{**good, "messageId": name, "body": body} for name, body in (("1", "{"), ("2", "[]"), ("3", "{}"))]
    answer = await functions.worker.invoke({"Records": [*poison, good]})
    assert [one["itemIdentifier"] for one in answer["batchItemFailures"]] == ["1", "2", "3"]
    assert len(logged.lines("WebhookNotSent")) == 3
    assert len(receiver.sent) == 1


async def test_a_name_server_that_hangs_keeps_nobody_else(
    functions: Functions,
    container: Container,
    account: Account,
    endpoint: Endpoint,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers, true = threading.Event(), socket.getaddrinfo

    def look_up(host: Any, *args: Any, **more: Any) -> Any:
        if host == "hangs.example":
            answers.wait(PATIENCE_S)
            raise OSError
        return true(host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(functions.worker.module.deliverer._post, "_total_s", 0.3)
    hangs = replace(told(container, account), webhook_url="https://hangs.example/", key_id=account.key_id)
    await container.table.put_new(event_item(hangs))
    try:
        await functions.stream(event_item(hangs))
        assert await functions.work() == NOTHING_FAILED
        assert not answers.is_set()
    finally:
        answers.set()
    assert len(receiver.sent) == 1, "the endpoint, which is told of it too"
    dead = await ended(container, hangs, "url")
    first, *others = await container.deliveries.attempts(account.id, dead.id)
    assert (first.failure, {other.failure for other in others}) == ("timeout", {"dns"})


async def test_five_copies_of_a_message_in_one_batch_make_one_post(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, receiver: Receiver
) -> None:
    made = told(container, account)
    await container.table.put_new(event_item(made))
    await functions.stream(event_item(made))
    (good,) = await functions.take()
    copies = [{**good, "messageId": str(copy)} for copy in range(5)]
    await functions.worker.invoke({"Records": copies})
    assert len(receiver.sent) == 1


async def test_the_machine_is_told_to_end_where_there_is_nothing_to_do(
    functions: Functions, container: Container, account: Account
) -> None:
    given = {"tenant": account.id, "delivery_id": container.ids.new("whd"), "round": 1}
    assert await functions.worker.invoke(given) == {**given, "ended": True, "seconds": 0}


async def test_a_cap_on_attempts_puts_a_message_off(
    functions: Functions, container: Container, account: Account, endpoint: Endpoint, receiver: Receiver
) -> None:
    now = container.clock.now()
    for number in range(FEWEST_AT_ONCE):
        lease = Lease(f"another {number}", now + 60)
        assert await container.deliveries.take_slot(account.id, endpoint.id, FEWEST_AT_ONCE, lease, now) == number
    made = told(container, account)
    await container.table.put_new(event_item(made))
    await functions.stream(event_item(made))
    assert await functions.work() == NOTHING_FAILED
    assert receiver.sent == []
    found = await container.deliveries.get(account.id, delivery_id(made.id, made.created_at, endpoint.id))
    assert found is not None
    shown: list[Any] = []
    async with asyncio.timeout(PATIENCE_S):
        while {**message(found), "deferred": 1} not in shown:  # another test's may be there too
            records = await asyncio.to_thread(functions.queue.receive, 10, 1.0)
            shown += [json.loads(one["body"]) for one in records]


def test_dumped_events_carry_where_they_are_told(container: Container) -> None:
    event_ = replace(Event("evt_1", "job.completed", "acct_1", {}, 5), webhook_url="https://a.example/", key_id="key_1")
    item = dump(event_item(event_))
    assert (item["kind"], item["webhook_url"], item["key_id"]) == (
        {"S": "event"},
        {"S": "https://a.example/"},
        {"S": "key_1"},
    )
