"""Counts the debits of the Core table's stream into usage, and tells accounts whose balance they made low.

A record may come any number of times; it counts once, and is told of once.
"""

import asyncio
from typing import Any

from aig import notices, wiring
from aig.aws.table import load
from aig.ports import StoreBusy
from aig.usage import Entry, Unreadable, entry, period

MOST_MARKED = 10_000
NOTICE_S = 1.5  # the next debits wait as long

container = wiring.container()
_marked = set[tuple[str, int]]()  # the accounts and days that this environment has noted


def handler(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """Takes a batch of stream records, oldest first; the answer names the one from which on to bring them again."""
    return asyncio.run(_roll_up(event["Records"]))


async def _roll_up(records: list[dict[str, Any]]) -> dict[str, list[dict[str, str]]]:
    try:
        entries, sequence_numbers = _read(records)
        waiting = await container.usage.count(entries, int(container.clock.now()))
        await asyncio.gather(*(_tell_if_low(payer) for payer in {found.payer for found in entries}))
        days = {(found.payer, period("day", found.created_at)) for found in entries}
        await asyncio.gather(*(_mark(account_id, day) for account_id, day in days))
        again = [sequence_numbers[waiting[0].payer, waiting[0].id]] if waiting else []
        return {"batchItemFailures": [{"itemIdentifier": number} for number in again]}
    finally:
        await container.close()


async def _mark(account_id: str, day: int) -> None:
    """Who was charged on a day is told of it when it is over."""
    if (account_id, day) in _marked:
        return
    if len(_marked) >= MOST_MARKED:
        _marked.clear()
    try:
        await container.usage.mark_active(account_id, day)
        _marked.add((account_id, day))
    except StoreBusy:
        container.telemetry.alarm("NoticeFailed", notice="active")


async def _tell_if_low(account_id: str) -> None:
    """What cannot be written, or not at once, is left to the account's next debit."""
    try:
        async with asyncio.timeout(NOTICE_S):
            await notices.balance_low(container.wallets, container.clock, container.ids, account_id)
    except (StoreBusy, TimeoutError):
        container.telemetry.alarm("NoticeFailed", notice="low")


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
