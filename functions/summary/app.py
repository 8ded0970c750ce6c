"""Tells accounts of yesterday's use, and of thresholds that their use has passed: each once, however often it runs."""

import asyncio
from typing import Any

from aig import summaries, wiring
from aig.events import Event
from aig.ports import StoreBusy
from aig.usage import PERIOD_S, Counts

container = wiring.container()
SETTLED_S = 3600  # behind a day's end: its last calls have ended and are counted by then


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs every quarter of an hour on a schedule; the answer says how many events were written."""
    return asyncio.run(_tell())


async def _tell() -> dict[str, int]:
    now = int(container.clock.now())
    today = now - now % PERIOD_S["day"]
    try:
        told = 0
        for account_id in await container.usage.active(today):
            told += sum([await _told(account_id, notice) for notice in await _thresholds(account_id, now)])
        if now >= today + SETTLED_S:
            yesterday = today - PERIOD_S["day"]
            for account_id in await container.usage.active(yesterday):
                told += await _told(account_id, await _summary(account_id, yesterday))
        return {"told": told}
    finally:
        await container.close()


async def _thresholds(account_id: str, now: int) -> list[summaries.Notice]:
    account = await container.keys.account(account_id) or {}
    notices = []
    for period, start in summaries.periods(now).items():
        threshold = account.get(f"{period}_usage_threshold")
        if threshold is not None:
            total = Counts()
            async for page in container.usage.cells(account_id, "day", start, now + 1):
                for _, counts in page:
                    total.add(counts)
            if total.cost >= threshold:
                notices.append(summaries.threshold(period, start, threshold, total))
    return notices


async def _summary(account_id: str, day: int) -> summaries.Notice:
    cells = [pair async for page in container.usage.cells(account_id, "day", day, day + 1) for pair in page]
    return summaries.of_day(day, cells)


async def _told(account_id: str, notice: summaries.Notice) -> bool:
    """Whether it was news. What the store is too busy for is left to the next run."""
    now = int(container.clock.now())
    event = Event(container.ids.new("evt"), notice.type, account_id, notice.data, now)
    try:
        return await container.events.once(notice.name, event)
    except StoreBusy:
        container.telemetry.alarm("NoticeFailed", notice=notice.type)
        return False
