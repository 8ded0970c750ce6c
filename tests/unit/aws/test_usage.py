"""Debits that are brought in any order, any number of times, to a store that may be busy: each counts once."""

from dataclasses import astuple
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aig.aws.usage import GUARD_KEPT_S, DynamoUsage, _load
from aig.usage import entry
from tests.unit.aws.memory_table import MemoryTable
from tests.unit.ledger_rows import Sums, added_up, debit, debits, expires

OUTCOMES = st.lists(st.sampled_from(["done", "busy", "done but busy"]), max_size=30)


def held(table: MemoryTable) -> Sums:
    """The cells of the table, found to go when they are to go."""
    cells = {place: item for place, item in table.items.items() if not place[1].startswith("seen#")}
    sums: Sums = {}
    for (tenant, name), item in cells.items():
        cell, counts = _load(item)
        assert (cell.tenant, cell.name) == (tenant, name)
        assert item.get("ttl") == expires(cell.granularity, cell.start)
        sums[astuple(cell)] = counts
    return sums


@given(debits(), OUTCOMES, st.randoms(use_true_random=False))
async def test_each_counts_once(rows: list[dict[str, Any]], outcomes: list[Any], random: Any) -> None:
    table = MemoryTable(outcomes)
    usage = DynamoUsage(table)
    deliveries = [entry(row) for row in rows] + [entry(row) for row in rows if random.random() < 0.5]
    random.shuffle(deliveries)
    while deliveries:
        batch, deliveries = deliveries[: (size := random.randint(1, 20))], deliveries[size:]
        for _ in range(40):  # as often as the stream brings a batch again
            batch = await usage.count(batch, 0)
            if not batch:
                break
            if random.random() < 0.3:  # a batch cut in two, the later half first
                middle = len(batch) // 2
                batch = batch[middle:] + batch[:middle]
        assert not batch
    assert held(table) == added_up(rows)


async def test_those_before_the_one_that_could_not_be_counted_do_not_come_again() -> None:
    entries = [entry(debit(number, tag=f"tag-{number}")) for number in range(100)]
    usage = DynamoUsage(table := MemoryTable(["done", "busy"]))
    waiting = await usage.count(entries, 0)
    assert waiting == entries[33:]
    assert await usage.count(waiting, 0) == []
    assert held(table) == added_up(debit(number, tag=f"tag-{number}") for number in range(100))


async def test_the_guards_outlive_the_stream() -> None:
    usage = DynamoUsage(table := MemoryTable())
    await usage.count([entry(debit(1, sub_account="sub_1"))], 1000)
    assert table.items["acct_1", "seen#txn_1"]["ttl"] == 1000 + GUARD_KEPT_S
    assert GUARD_KEPT_S > 24 * 3600


async def test_nothing_to_count_is_no_transaction() -> None:
    assert await DynamoUsage(MemoryTable(["busy"])).count([], 0) == []
