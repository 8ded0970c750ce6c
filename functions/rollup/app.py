"""Counts the debits of the Core table's stream into usage. A record may come any number of times; it counts once."""

import asyncio
from typing import Any

from aig import wiring
from aig.aws.table import load
from aig.usage import Entry, Unreadable, entry

container = wiring.container()


def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """Takes a batch of stream records, oldest first; the answer names the one from which on to bring them again."""
    return asyncio.run(_roll_up(event["Records"]))


async def _roll_up(records: list[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    try:
        entries, sequence_numbers = _read(records)
        waiting = await container.usage.count(entries, int(container.clock.now()))
        again = [sequence_numbers[waiting[0].payer, waiting[0].id]] if waiting else []
        return {"batchItemFailures": [{"itemIdentifier": number} for number in again]}
    finally:
        await container.close()


def _read(records: list[dict[str, Any]]) -> tuple[list[Entry], dict[tuple[str, str], str]]:
    """The debits among the records, and where in the stream each is first.

    One that cannot be read would not be readable the next time either: it is told to the operator, and the rest go on.
    """
    entries: list[Entry] = []
    sequence_numbers: dict[tuple[str, str], str] = {}
    for record in records:
        change = record["dynamodb"]
        if record["eventName"] != "INSERT" or change["NewImage"].get("kind") != {"S": "debit"}:
            continue
        try:
            found = entry(load(change["NewImage"]))
        except ValueError as error:
            name = change["Keys"]["sk"]["S"]
            container.telemetry.alarm("DebitUnreadable", row=name, reason=_reason(error))
            continue
        entries.append(found)
        sequence_numbers.setdefault((found.payer, found.id), change["SequenceNumber"])
    return entries, sequence_numbers


def _reason(error: ValueError) -> str:
    return str(error) if isinstance(error, Unreadable) else type(error).__name__
