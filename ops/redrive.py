"""What was given up, brought back: messages out of a queue of the dead, and events that nobody was told of."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import boto3

from aig.aws.events import load_event
from aig.aws.table import load
from aig.dispatch import DispatchPorts, dispatch
from aig.events import Event
from aig.wiring import Container, queue
from ops.stack import credentials

QUEUES = {"jobs": "AIG_JOB", "webhooks": "AIG_WEBHOOK"}
_AT_ONCE = 10
_UNSEEN_S = 120  # while one is sent, nobody else shall
_EVENTS_AT_ONCE = 100


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


def moment(text: str) -> int:
    """Unix seconds of a time such as 2026-11-26T10:00, in UTC unless it says otherwise. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text} is no time. Write one such as 2026-11-26T10:00, in UTC") from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


async def redrive_events(container: Container, env: Mapping[str, str], start: int, end: int) -> int:
    """Dispatch the events that were written from `start` until before `end`, in unix seconds. How many there were.

    The whole table is read for them. Whoever was told of one is not told again: a delivery is made once, and ended or
    under way it stays so. Raises ValueError where some could not be dispatched.
    """
    if not env.get("AIG_WEBHOOK_QUEUE"):
        raise ValueError("say which queue: --stack NAME, or AIG_WEBHOOK_QUEUE")
    webhooks = queue("AIG_WEBHOOK_QUEUE", env, credentials=credentials())
    ports = DispatchPorts(container.deliveries, container.webhooks, webhooks, container.telemetry, container.clock)
    found = failed = 0
    try:
        for events in _some(_written(env, start, end)):
            found += len(events)
            failed += len(await dispatch(ports, events))
    finally:
        await webhooks.close()
    if failed:
        raise ValueError(f"{failed} of {found} events could not be dispatched. Try again")
    return found


def _written(env: Mapping[str, str], start: int, end: int) -> Iterator[Event]:
    dynamodb = boto3.client("dynamodb", endpoint_url=env.get("AIG_DYNAMODB_ENDPOINT") or None)
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=env["AIG_CORE_TABLE"],
        FilterExpression="#kind = :event AND created_at >= :start AND created_at < :end",
        ExpressionAttributeNames={"#kind": "kind"},
        ExpressionAttributeValues={":event": {"S": "event"}, ":start": {"N": str(start)}, ":end": {"N": str(end)}},
    )
    for page in pages:
        for item in page["Items"]:
            yield load_event(load(item))


def _some(events: Iterator[Event]) -> Iterator[list[Event]]:
    while some := list(islice(events, _EVENTS_AT_ONCE)):
        yield some
