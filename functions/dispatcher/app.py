"""Takes the events of the Core table's stream, and has each sent to whoever wants it.

An event may come any number of times; each receiver has one delivery of it.
"""

import asyncio
from typing import Any

from aig import wiring
from aig.aws.events import load_event
from aig.aws.table import load
from aig.dispatch import DispatchPorts, dispatch
from aig.events import Event

container = wiring.container()
queue = wiring.queue("AIG_WEBHOOK_QUEUE")
ports = DispatchPorts(container.deliveries, container.webhooks, queue, container.telemetry, container.clock)


def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """Takes a batch of stream records, oldest first; the answer names the one from which on to bring them again."""
    return asyncio.run(_dispatch(event["Records"]))


async def _dispatch(records: list[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    try:
        found = _read(records)
        failed = await dispatch(ports, [event for _, event in found])
        again = [number for number, event in found if event in failed][:1]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in again]}
    finally:
        await queue.close()
        await container.close()


def _read(records: list[dict[str, Any]]) -> list[tuple[str, Event]]:
    """The events among the records, with their places in the stream.

    One that cannot be read would not be readable the next time either: it is told to the operator, and the rest go on.
    """
    found: list[tuple[str, Event]] = []
    for record in records:
        change = record["dynamodb"]
        if record["eventName"] != "INSERT" or change["NewImage"].get("kind") != {"S": "event"}:
            continue
        try:
            found.append((change["SequenceNumber"], load_event(load(change["NewImage"]))))
        except (KeyError, ValueError) as error:
            container.telemetry.alarm("EventUnreadable", row=change["Keys"]["sk"]["S"], error=type(error).__name__)
    return found
