"""The operator's command that has dead messages tried again."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from aig.aws.events import event_item
from aig.dispatch import message
from aig.webhooks.delivery import delivery_id
from aig.wiring import Container
from local.embedded import EmbeddedAws
from ops import redrive
from ops.__main__ import main
from tests.builders import an_account
from tests.webhooks import World


@pytest.fixture
def sqs() -> Iterator[Any]:
    aws = EmbeddedAws()
    endpoint = aws.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIG_SQS_ENDPOINT", endpoint)
        yield boto3.client("sqs", endpoint_url=endpoint)
    aws.stop()


def _bodies(sqs: Any, queue: str) -> list[str]:
    found: list[str] = []
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        found += [message["Body"] for message in messages]
    return sorted(found)


def test_all_of_the_dead_are_brought_again_and_a_second_time_there_is_nothing(sqs: Any) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    queue = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    for number in range(23):
        sqs.send_message(QueueUrl=dead, MessageBody=f"message {number:02}")
    env = {"AIG_JOB_FAILURES": dead, "AIG_JOB_QUEUE": queue, "AIG_SQS_ENDPOINT": sqs.meta.endpoint_url}

    assert redrive.redrive(env, "jobs") == 23
    assert redrive.redrive(env, "jobs") == 0
    assert _bodies(sqs, queue) == [f"message {number:02}" for number in range(23)]


def test_queues_that_nobody_names_are_asked_for() -> None:
    with pytest.raises(ValueError, match="AIG_WEBHOOK_FAILURES and AIG_WEBHOOK_QUEUE"):
        redrive.redrive({"AIG_JOB_FAILURES": "x", "AIG_JOB_QUEUE": "y"}, "webhooks")


async def test_events_that_nobody_was_told_of_are_dispatched_and_others_not_twice(
    container: Container, dynamodb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("sqs", endpoint_url=dynamodb)
    queue = client.create_queue(QueueName="redriven")["QueueUrl"]
    monkeypatch.setenv("AIG_WEBHOOK_QUEUE", queue)
    noon = int(datetime(2031, 5, 17, 12, tzinfo=UTC).timestamp())  # no other test's time
    world = World(container, await an_account(container), noon)
    endpoint = await world.endpoint("https://a.example/")
    lost, late, told = world.event(), replace(world.event(), created_at=noon + 3600), world.event()
    for event in (lost, late):
        await container.table.put_new(event_item(event))
    await world.tell(told)
    done = await world.delivery(told, endpoint)
    assert await world.log.move(done, replace(done, status="delivered", attempts=1))

    def typed(*words: str) -> int:
        with ThreadPoolExecutor(1) as thread:  # a command has an event loop of its own
            return thread.submit(main, ["redrive", "events", *words]).result()

    assert typed("--from", "2031-05-17T12:00", "--to", "2031-05-17T13:00") == 0
    assert capsys.readouterr().out.startswith("2 events are dispatched again")
    assert (await world.delivery(lost, endpoint)).status == "pending"
    assert (await world.delivery(told, endpoint)).status == "delivered"
    wanted = delivery_id(late.id, late.created_at, endpoint.id)
    assert await world.log.get(world.account.id, wanted) is None
    assert message(await world.delivery(lost, endpoint)) in [json.loads(body) for body in _bodies(client, queue)]
    for words, problem in (([], "say which events"), (["--from", "noon", "--to", "2031-05-17"], "noon is no time")):
        assert typed(*words) == 1
        assert problem in capsys.readouterr().err
