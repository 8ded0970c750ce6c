"""Messages out of a queue of the dead, back to where they were not dealt with."""

from collections.abc import Mapping
from typing import Any

import boto3

QUEUES = {"jobs": "AIG_JOB", "webhooks": "AIG_WEBHOOK"}
_AT_ONCE = 10
_UNSEEN_S = 120  # while one is sent, nobody else shall


def redrive(env: Mapping[str, str], what: str) -> int:
    """How many were brought back. Raises ValueError where nobody says which queues those are.

    A message is sent before it is deleted here: one that comes twice does no harm, one that is lost would.
    """
    names = [f"{QUEUES[what]}_{end}" for end in ("FAILURES", "QUEUE")]
    dead, queue = (env.get(name) for name in names)
    if not dead or not queue:
        raise ValueError(f"say which queues: --stack NAME, or {' and '.join(names)}")
    sqs = boto3.client("sqs", endpoint_url=env.get("AIG_SQS_ENDPOINT") or None)
    brought = 0
    while messages := _received(sqs, dead):
        for message in messages:
            sqs.send_message(QueueUrl=queue, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
            brought += 1
    return brought


def _received(sqs: Any, queue: str) -> list[dict[str, Any]]:
    told = sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=_AT_ONCE, VisibilityTimeout=_UNSEEN_S, WaitTimeSeconds=1
    )
    messages: list[dict[str, Any]] = told.get("Messages", [])
    return messages
