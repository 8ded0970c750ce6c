"""Compares the deployed catalog with the one that it saw last, and tells accounts that want to know what has changed.

The first run of a stack only remembers. A run that fails is made up for by the next: each change is told once.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from aig import drift, wiring
from aig.catalog import model as catalog
from aig.drift import Change
from aig.events import Event
from aig.ports import StoreBusy

container = wiring.container()


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs every hour on a schedule.

    The answer says how many events were written, and with how many accounts it failed: they are left to the next run.
    """
    return asyncio.run(_look())


async def _look() -> dict[str, int]:
    try:
        current = catalog.builtin()
        before = await container.webhooks.seen_catalog()
        found = drift.changes(before, current) if before is not None else ()
        told = failed = 0
        for account_id in await container.webhooks.subscribers() if found else ():
            try:
                told += await _tell(account_id, found)
            except StoreBusy:
                failed += 1
                container.telemetry.alarm("NoticeFailed", notice="model")
        if not failed and (found or before is None):
            await container.webhooks.see_catalog(drift.seen(current))
        return {"told": told, "failed": failed}
    finally:
        await container.close()


async def _tell(account_id: str, changes: Sequence[Change]) -> int:
    """How many of them were news to an account, of those that an endpoint of its wants to know of."""
    endpoints = await container.webhooks.endpoints(account_id)
    wanted = [change for change in changes if any(endpoint.wants(change.type) for endpoint in endpoints)]
    return sum([await _write(account_id, change) for change in wanted])


async def _write(account_id: str, change: Change) -> bool:
    now = int(container.clock.now())
    event = Event(container.ids.new("evt"), change.type, account_id, change.data, now)
    return await container.events.once(change.name, event)
