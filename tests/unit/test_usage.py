"""Debits in cells."""

from dataclasses import astuple
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.usage import MAX_ACTIONS, Cell, Counts, Unreadable, counted, distinct, entry, parts, period, prefix
from tests.unit.ledger_rows import NOVEMBER, added_up, debit, debits


def test_a_debit_of_an_account_counts_in_its_hour_and_its_day() -> None:
    found = entry(debit(tag="t", created_at=NOVEMBER + 90_061))
    cells = counted([found])
    assert {(cell.tenant, cell.granularity, cell.start, cell.tag, cell.sub_account) for cell in cells} == {
        ("acct_1", "hour", NOVEMBER + 90_000, "t", None),
        ("acct_1", "day", NOVEMBER + 86_400, "t", None),
    }
    assert all(
        counts == Counts(1, 8400, 8000, 0, 0, {"input_tokens": 2, "output_tokens": 3}) for counts in cells.values()
    )


def test_a_sub_account_s_debit_counts_with_its_payer_and_with_itself() -> None:
    cells = counted([entry(debit(sub_account="sub_1", cache_hit=True, estimated=True))])
    assert sorted((cell.tenant, cell.granularity, cell.sub_account or "") for cell in cells) == [
        ("acct_1", "day", "sub_1"),
        ("acct_1", "hour", "sub_1"),
        ("sub_1", "day", ""),
        ("sub_1", "hour", ""),
    ]
    assert {(counts.cache_hits, counts.estimated) for counts in cells.values()} == {(1, 1)}


def test_a_debit_without_tag_cache_hit_or_sub_account_has_none() -> None:
    found = entry(debit())
    assert (found.tag, found.cache_hit, found.sub_account) == (None, False, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": None},
        {"amount": "8400"},
        {"amount": True},
        {"amount": -1},
        {"upstream_cost": 0.5},
        {"created_at": None},
        {"created_at": -1},
        {"model": None},
        {"model": 7},
        {"tag": 7},
        {"sub_account": b"x"},
        {"key_id": None},
        {"estimated": None},
        {"units": None},
        {"units": "["},
        {"units": "[]"},
        {"units": '{"input_tokens":"2"}'},
        {"units": '{"input_tokens":-2}'},
        {"units": '{"input_tokens":true}'},
        {"units": '{"Input tokens":2}'},
        {"sk": "wallet"},
        {"sk": 7},
        {"pk": None},
    ],
)
def test_what_is_no_debit_is_not_counted(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        entry(debit(**wrong))


@given(debits())
def test_cells_hold_what_the_debits_come_to(rows: list[dict[str, Any]]) -> None:
    cells = counted(map(entry, rows))
    assert {_key(cell): counts for cell, counts in cells.items()} == added_up(rows)


@given(debits(), st.integers(5, 30))
def test_parts_keep_the_order_fit_and_lose_nothing(rows: list[dict[str, Any]], most: int) -> None:
    entries = [entry(row) for row in rows]
    split = list(parts(entries, most))
    assert [found for part in split for found in part] == entries
    assert all(len(part) + len(counted(part)) <= most for part in split)
    # None of them could have taken the next one's first.
    for part, following in pairwise(split):
        wider = [*part, following[0]]
        assert len(wider) + len(counted(wider)) > most


def test_a_part_is_one_transaction() -> None:
    entries = [entry(debit(number, tag=str(number))) for number in range(100)]
    assert [len(part) for part in parts(entries)] == [MAX_ACTIONS // 3] * 3 + [1]


@given(debits(), st.randoms(use_true_random=False))
def test_a_debit_that_comes_twice_is_one(rows: list[dict[str, Any]], random: Any) -> None:
    entries = [entry(row) for row in rows]
    again = [*entries, *random.sample(entries, len(entries) // 2)]
    assert distinct(again) == entries


@given(debits())
def test_different_cells_of_a_tenant_have_different_names(rows: list[dict[str, Any]]) -> None:
    cells = set(counted(map(entry, rows)))
    assert len({(cell.tenant, cell.name) for cell in cells}) == len(cells)


def test_no_tag_is_not_a_tag_that_reads_so() -> None:
    names = {Cell("acct_1", "day", 0, tag, "m", None, "k").name for tag in (None, "null", "None", "")}
    assert len(names) == 4


@given(st.integers(0, 10**11 - 1), st.integers(0, 10**11 - 1))
def test_names_of_cells_sort_by_time(one: int, other: int) -> None:
    assert (prefix("day", one) < prefix("day", other)) == (one < other)


@pytest.mark.parametrize(("granularity", "start"), [("hour", NOVEMBER - 3600), ("day", NOVEMBER - 86_400)])
def test_a_period_begins_at_its_first_second_and_not_before(granularity: Any, start: int) -> None:
    assert period(granularity, NOVEMBER - 1) == start
    assert period(granularity, NOVEMBER) == NOVEMBER


def _key(cell: Cell) -> tuple[Any, ...]:
    return astuple(cell)
