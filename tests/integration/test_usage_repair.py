"""The operator's way to what the roll-up gave up on: the ledger has it, and the reports get it once."""

import time
from dataclasses import replace

import pytest

from aig.aws.usage import GUARD_KEPT_S, DynamoUsage
from aig.ports import StoreBusy
from aig.usage import Unreadable, entry
from aig.wiring import Container
from ops import usage
from tests.unit.aws.memory_table import MemoryTable
from tests.unit.clock import FixedClock
from tests.unit.ledger_rows import DAY_S, debit


async def counted(container: Container, tenant: str) -> int:
    """The requests of a tenant's days."""
    found = 0
    async for page in container.usage.cells(tenant, "day", 0, int(time.time()) + DAY_S):
        found += sum(counts.requests for _, counts in page)
    return found


async def test_what_is_missing_is_counted_and_what_is_not_stays(container: Container) -> None:
    tenant, now = container.ids.new("acct"), int(time.time())
    rows = [debit(number, tenant, created_at=now - number * DAY_S // 2) for number in range(20)]
    for row in rows:
        assert await container.table.put_new(row)
    assert await container.table.put_new({"pk": tenant, "sk": "txn#topup_1", "kind": "credit", "created_at": now})
    await container.usage.count([entry(row) for row in rows[::2]], now)
    before = await counted(container, tenant)
    still = replace(container, clock=FixedClock(now))
    for _ in range(2):
        assert await usage.repair(still, tenant) == 15  # those of seven days, their two ends among them
    # Of the fifteen the odd ones were missing: 1, 3, …, 13. What is older might have been counted: it is left alone.
    assert await counted(container, tenant) == before + 7


def test_a_debit_that_can_be_repaired_still_has_its_mark() -> None:
    assert usage.REPAIRABLE_S + DAY_S <= GUARD_KEPT_S


async def test_a_busy_table_and_a_row_that_cannot_be_read_are_said(container: Container) -> None:
    tenant, now = container.ids.new("acct"), int(time.time())
    assert await container.table.put_new(debit(1, tenant, created_at=now))
    with pytest.raises(StoreBusy):
        await usage.repair(replace(container, usage=DynamoUsage(MemoryTable(["busy"]))), tenant)
    assert await container.table.put_new(debit(2, tenant, created_at=now, units="["))
    with pytest.raises(Unreadable):
        await usage.repair(container, tenant)
