"""The operator's command that has dead messages tried again."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.embedded import EmbeddedAws
from ops import redrive


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
