"""Cells summed into rows, and rows written down."""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from aig.money.units import parse_usd
from aig.usage import Cell, Counts, counted, entry
from functions.usage import report
from functions.usage.query import Query, parse
from functions.usage.report import Report
from tests.unit.ledger_rows import DAY_S, NOVEMBER, debit, debits

NOW = NOVEMBER + 24 * DAY_S


async def pages(query: Query, rows: list[dict[str, Any]]) -> AsyncIterator[list[tuple[Cell, Counts]]]:
    cells = counted(map(entry, rows))
    for cell, counts in cells.items():
        if cell.tenant == query.tenant and cell.granularity == query.cells and query.start <= cell.start < query.end:
            yield [(cell, counts)]


async def made(rows: list[dict[str, Any]], by: Any = None, tenant: str = "acct_1", **sent: str) -> Report:
    asked = parse(tenant, by, [("from", "2026-10-01"), ("to", "2026-12-01"), *sent.items()], NOW)
    return await report.make(asked, pages(asked, rows))


@given(debits(), st.sampled_from([None, "tag", "model", "sub_account"]), st.sampled_from(["day", "month", None]))
async def test_the_rows_of_a_report_come_to_the_ledger(rows: list[dict[str, Any]], by: Any, cut: str | None) -> None:
    own = [row for row in rows if row["pk"] == "acct_1"]
    whole = await made(rows, by, **({"granularity": cut} if cut else {}), limit="1000")
    assert whole.total_cost == sum(row["amount"] for row in own)
    assert sum(row.counts.requests for row in whole.rows) == len(own)
    if by:
        for row in whole.rows:
            matching = [r for r in own if r.get(by) == row.group and row.start <= r["created_at"] < row.end]
            assert row.counts.cost == sum(r["amount"] for r in matching)
            assert row.counts.upstream_cost == sum(r["upstream_cost"] for r in matching)
            assert row.counts.cache_hits == sum(bool(r.get("cache_hit")) for r in matching)


@given(debits(), st.integers(1, 5))
async def test_pages_put_together_are_the_report(rows: list[dict[str, Any]], limit: int) -> None:
    whole = await made(rows, "tag", granularity="day", limit="1000")
    found, after = list[Any](), dict[str, str]()
    while True:
        page = await made(rows, "tag", granularity="day", limit=str(limit), **after)
        found += page.rows
        assert page.rows or not whole.rows
        assert page.total_cost == whole.total_cost
        if not page.has_more:
            break
        assert len(page.rows) == limit
        after = {"after": page.rows[-1].id}
    assert [row.id for row in found] == [row.id for row in whole.rows]


async def test_the_newest_period_is_first_and_within_it_what_has_no_name_is_last() -> None:
    rows = [debit(n, tag=tag, created_at=NOVEMBER + day * DAY_S)
            for n, (tag, day) in enumerate([("b", 0), (None, 0), ("a", 0), ("a", 1)])]  # fmt: skip
    found = await made(rows, "tag", granularity="day")
    assert [(row.group, row.start) for row in found.rows] == [
        ("a", NOVEMBER + DAY_S), ("a", NOVEMBER), ("b", NOVEMBER), (None, NOVEMBER)
    ]  # fmt: skip


async def test_a_star_is_a_tag_like_any_other() -> None:
    rows = [debit(1, tag="*", amount=1), debit(2, tag="a", amount=2), debit(3, amount=4)]
    assert (await made(rows, tag="*")).total_cost == 1
    assert (await made(rows, tag="")).total_cost == 4
    assert (await made(rows)).total_cost == 7


async def test_a_page_of_another_tenant_or_another_report_is_refused() -> None:
    rows = [debit(1, tag="a"), debit(2, "acct_2", tag="a")]
    foreign = (await made(rows, "tag", tenant="acct_2")).rows[0].id
    other = (await made(rows, "model")).rows[0].id
    for after in (foreign, other):
        with pytest.raises(InvalidRequest) as caught:
            await made(rows, "tag", after=after)
        assert caught.value.param == "after"


async def test_more_than_can_be_read_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MOST_CELLS", 2)
    rows = [debit(number, tag=str(number)) for number in range(3)]
    assert (await made(rows[:2])).total_cost == 16_800
    with pytest.raises(InvalidRequest, match="nearer to each other"):
        await made(rows)


async def test_json_keeps_the_upstream_s_price_to_ourselves() -> None:
    found = report.to_json(await made([debit(1, tag="a", cache_hit=True)], "tag"))
    (row,) = found["data"]
    assert row == {
        "object": "usage",
        "id": found["first_id"],
        "start": NOVEMBER - 31 * DAY_S,
        "end": NOVEMBER + 30 * DAY_S,
        "tag": "a",
        "requests": 1,
        "cache_hits": 1,
        "estimated": 0,
        "units": {"input_tokens": 2, "output_tokens": 3},
        "cost": "0.0000084",
    }
    assert found["total_cost"] == "0.0000084"
    assert (found["from"], found["to"], found["has_more"]) == (row["start"], row["end"], False)


async def test_an_empty_report_is_a_list() -> None:
    asked = parse("sub_1", "sub_account", [], NOW)
    found = report.to_json(await report.make(asked, report.nothing()))
    assert (found["data"], found["first_id"], found["last_id"], found["total_cost"]) == ([], None, None, "0.00")


@given(debits())
async def test_csv_reads_back_as_what_was_counted(rows: list[dict[str, Any]]) -> None:
    whole = await made(rows, "tag", granularity="day", limit="1000")
    read = list(csv.DictReader(io.StringIO(report.to_csv(whole), newline=""), strict=True))
    assert [(row["tag"], parse_usd(row["cost"]), int(row["requests"])) for row in read] == [
        (row.group or "", row.counts.cost, row.counts.requests) for row in whole.rows
    ]
    assert sum(int(row["input_tokens"]) for row in read) == sum(
        r.counts.units.get("input_tokens", 0) for r in whole.rows
    )
    assert "upstream_cost" not in report.to_csv(whole)


@pytest.mark.parametrize("tag", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
async def test_a_spreadsheet_runs_no_tag(tag: str) -> None:
    text = report.to_csv(await made([debit(tag=tag)], "tag"))
    (row,) = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert row["tag"] == f"'{tag}"


async def test_csv_is_that_of_rfc_4180() -> None:
    text = report.to_csv(await made([debit(tag='a,"b"\nc')], "tag"))
    assert text.startswith("start,end,tag,requests,cache_hits,estimated,cost,input_tokens,")
    assert text.endswith("\r\n")
    assert text.splitlines()[1].startswith('2026-10-01T00:00:00Z,2026-12-01T00:00:00Z,"a,""b""')
    assert "tag" not in report.to_csv(await made([debit()])).splitlines()[0]
