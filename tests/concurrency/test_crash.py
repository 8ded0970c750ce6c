"""A process killed in the middle of a call: the customer pays at most once, the hold comes back in one sweep."""

import asyncio
import json
import signal
from dataclasses import asdict

import pytest

from aig.clock import SystemClock
from tests.concurrency import processes
from tests.concurrency.core import Core, Tenant
from tests.concurrency.crash import POINTS, Job, Point

BALANCE = 10**9


async def killed(core: Core, tenant: Tenant, point: Point, *, streamed: bool) -> None:
    job = json.dumps(asdict(Job(core.endpoint, core.table, tenant.account.key, point, streamed)))
    async with asyncio.timeout(60):
        process = await processes.start("tests.concurrency.crash", job)
        await process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("point", POINTS)
async def test_calls_that_were_killed_leave_whole_books(core: Core, point: Point) -> None:
    tenants = [await core.tenant(BALANCE, cap=BALANCE) for _ in range(2)]
    await asyncio.gather(*[killed(core, tenant, point, streamed=bool(at)) for at, tenant in enumerate(tenants)])
    left = {"before the hold": {}, "after the settle": {"posted": 1}}.get(point, {"held": 1})
    for tenant in tenants:
        assert (await core.books(tenant)).phases() == left

    assert await core.sweep(SystemClock()) == 0  # they may still be alive
    held = left.get("held", 0)
    assert await core.sweep() == 2 * held
    assert core.alarms.raised == ["HoldExpired"] * 2 * held

    for tenant in tenants:
        books = await core.books(tenant)
        charged = sum(debit["amount"] for debit in books.debits)
        assert (charged > 0) == (point == "after the settle")
        assert (books.available, books.held) == (BALANCE - charged, 0)
        assert books.used(tenant.caller.key_id) == charged
        assert [loss["reason"] for loss in books.losses] == ["expired_hold"] * held


async def test_sweeps_after_the_first_change_nothing(core: Core) -> None:
    tenants = [await core.tenant(BALANCE) for _ in range(3)]
    await asyncio.gather(*[killed(core, tenant, "after the hold", streamed=False) for tenant in tenants])
    assert sum(await asyncio.gather(core.sweep(), core.sweep())) == 3
    rows = await core.rows()
    assert await core.sweep() == 0
    assert await core.rows() == rows
    for tenant in tenants:
        assert (await core.books(tenant)).available == BALANCE
