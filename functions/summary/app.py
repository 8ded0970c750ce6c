"""Tells accounts of yesterday's use, and of thresholds that their use has passed: each once, however often it runs."""

import asyncio
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from aig import summaries, wiring
from aig.events import Event
from aig.ports import StoreBusy
from aig.usage import PERIOD_S, Counts

container = wiring.container()
SETTLED_S = 3600  # behind a day's end: its last calls have ended and are counted by then
AT_ONCE = 4  # accounts: a page of cells, a megabyte on the wire, takes 16 MB of memory, of 256


@dataclass(frozen=True, slots=True)
class Run:
    """Whose thresholds are looked at, and who is told of the day that began at `yesterday`."""

    now: int
    watched: Collection[str]
    yesterday: int
    summed_up: Collection[str]


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs every quarter of an hour on a schedule.

    The answer says how many events were written, and with how many accounts the store was too busy: they are left to
    the next run. A run that does not even learn which accounts there are fails.
    """
    return asyncio.run(_tell())


async def _tell() -> dict[str, int]:
    try:
        run = await _run(int(container.clock.now()))
        accounts = list({*run.watched, *run.summed_up})
        random.shuffle(accounts)  # whom a run does not reach in its time, another one does
        waiting = iter(accounts)
        parts = await asyncio.gather(*(_tell_all(run, waiting) for _ in range(AT_ONCE)))
        return {"told": sum(told for told, _ in parts), "failed": sum(failed for _, failed in parts)}
    finally:
        await container.close()


async def _run(now: int) -> Run:
    today = now - now % PERIOD_S["day"]
    yesterday = today - PERIOD_S["day"]
    charged, before = [frozenset(await container.usage.active(day)) for day in (today, yesterday)]
    watched = charged | before if summaries.is_early(now) else charged
    return Run(now, watched, yesterday, before if now >= today + SETTLED_S else ())


async def _tell_all(run: Run, waiting: Iterator[str]) -> tuple[int, int]:
    """How many events were written, and for how many accounts it failed. Others take accounts from `waiting` too."""
    told = failed = 0
    for account_id in waiting:
        try:
            if account_id in run.watched:
                told += await _thresholds(account_id, run.now)
            if account_id in run.summed_up:
                told += await _summary(account_id, run.yesterday)
        except StoreBusy:
            failed += 1
            container.telemetry.alarm("NoticeFailed", notice="usage")
    return told, failed


async def _thresholds(account_id: str, now: int) -> int:
    account = await container.keys.account(account_id) or {}
    told = 0
    for span in summaries.watched(now):
        limit = account.get(f"{span.of}_usage_threshold")
        if limit is None or await container.events.told(account_id, summaries.threshold_name(span, limit)):
            continue
        total = Counts()
        async for page in container.usage.cells(account_id, "day", span.start, span.last + 1):
            for _, counts in page:
                total.add(counts)
        if total.requests and total.cost >= limit:
            told += await _write(account_id, summaries.threshold(span, limit, total))
    return told


async def _summary(account_id: str, start: int) -> int:
    day = summaries.Day(start)
    if await container.events.told(account_id, day.name):
        return 0
    async for page in container.usage.cells(account_id, "day", start, start + 1):
        day.add(page)
    return await _write(account_id, day.notice())


async def _write(account_id: str, notice: summaries.Notice) -> bool:
    """Whether it was news."""
    event = Event(container.ids.new("evt"), notice.type, account_id, notice.data, int(container.clock.now()))
    return await container.events.once(notice.name, event)
