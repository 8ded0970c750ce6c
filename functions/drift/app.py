"""Compares the deployed catalog with the one that it saw last, and tells accounts that want to know what has changed.

The first run of a stack only remembers. A run that fails is made up for by the next: each change is told once.
"""

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

from aig import drift, wiring
from aig.catalog import model as catalog
from aig.drift import Change
from aig.events import Event
from aig.ports import StoreBusy

container = wiring.container()
AT_ONCE = 8  # accounts


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs every hour on a schedule.

    The answer says how many events were written, and with how many accounts it failed: they are left to the next run.
    """
    return asyncio.run(_look())


async def _look() -> dict[str, int]:
    try:
        # Without what a provider has not; a key that is missing for an hour makes no model go and come again.
        current = catalog.builtin().narrowed(container.there)
        before = await container.webhooks.seen_catalog()
        found = drift.changes(before, current) if before is not None else ()
        told, failed = await _tell_all(found) if found else (0, 0)
        if not failed and (found or before is None):
            await container.webhooks.see_catalog(drift.seen(current))
        return {"told": told, "failed": failed}
    finally:
        await container.close()


async def _tell_all(changes: Sequence[Change]) -> tuple[int, int]:
    """How many events were written, and with how many accounts it failed."""
    accounts = list(await container.webhooks.subscribers())
    random.shuffle(accounts)  # whom a run does not reach in its time, another one does
    waiting = iter(accounts)
    parts = await asyncio.gather(*(_tell_some(changes, waiting) for _ in range(AT_ONCE)))
    return sum(told for told, _ in parts), sum(failed for _, failed in parts)


async def _tell_some(changes: Sequence[Change], waiting: Iterator[str]) -> tuple[int, int]:
    """As `_tell_all`. Others take accounts from `waiting` too."""
    told, failed, whole = 0, 0, drift.digest(changes)
    for account_id in waiting:
        try:
            if not await container.events.told(account_id, whole):
                told += await _tell(account_id, changes)
                await container.events.remember(account_id, whole, int(container.clock.now()))
        except StoreBusy:
            failed += 1
            container.telemetry.alarm("NoticeFailed", notice="model")
    return told, failed


async def _tell(account_id: str, changes: Sequence[Change]) -> int:
    """How many of them were news to an account, of those that an endpoint of its wants to know of."""
    endpoints = await container.webhooks.endpoints(account_id)
    wanted = [change for change in changes if any(endpoint.wants(change.type) for endpoint in endpoints)]
    return sum([await _write(account_id, change) for change in wanted])


async def _write(account_id: str, change: Change) -> bool:
    now = int(container.clock.now())
    event = Event(container.ids.new("evt"), change.type, account_id, change.data, now)
    return await container.events.once(change.name, event)
