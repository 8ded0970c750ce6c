"""Cells summed into the rows of a report, and the rows as JSON and as CSV. Pure."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from aig.errors import InvalidRequest
from aig.modalities.usage import CountUnit, TokenUnit
from aig.money.units import usd
from aig.usage import Cell, Counts
from functions.usage.query import Query, unknown_page

MOST_CELLS = 200_000  # what can be read and summed within an answer's 29 seconds, four times over
_UNITS: tuple[str, ...] = (*get_args(TokenUnit), *get_args(CountUnit))
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Row:
    """What was used in a period (unix seconds), by one value of the query's dimension if it has one."""

    id: str
    start: int
    end: int
    group: str | None
    counts: Counts


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of one page, the newest period first and by name within it; the total is that of all pages."""

    query: Query
    rows: Sequence[Row]
    has_more: bool
    total_cost: int


async def make(query: Query, pages: AsyncIterator[list[tuple[Cell, Counts]]]) -> Report:
    """Raises InvalidRequest for an `after` that is none of the report's rows, and for more cells than can be read."""
    sums: dict[tuple[int, int, str | None], Counts] = {}
    read = 0
    async for page in pages:
        read += len(page)
        if read > MOST_CELLS:
            raise InvalidRequest(
                "This time has more combinations of tag, model and key than one report can sum. "
                "Bring from and to nearer to each other.",
                param="from",
            )
        for cell, counts in page:
            if query.wants(cell):
                group = getattr(cell, query.by) if query.by else None
                sums.setdefault((*query.period(cell.start), group), Counts()).add(counts)
    rows = [
        Row(query.row_id(start, group), start, end, group, counts)
        for (start, end, group), counts in sorted(sums.items(), key=lambda item: _order(*item[0]))
    ]
    total = sum(row.counts.cost for row in rows)
    first = 0
    if query.after is not None:
        ids = [row.id for row in rows]
        if query.after not in ids:
            raise unknown_page()
        first = ids.index(query.after) + 1
    return Report(query, rows[first : first + query.limit], len(rows) > first + query.limit, total)


async def nothing() -> AsyncIterator[list[tuple[Cell, Counts]]]:
    """The cells of who has none."""
    yield []


def _order(start: int, _: int, group: str | None) -> tuple[int, bool, str]:
    return -start, group is None, group or ""


def to_json(report: Report) -> dict[str, Any]:
    """The list, its rows with their units, and what all its pages come to."""
    data = [_row(row, report.query) for row in report.rows]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {
        "object": "list",
        "data": data,
        "has_more": report.has_more,
        "first_id": first,
        "last_id": last,
        "from": report.query.start,
        "to": report.query.end,
        "total_cost": usd(report.total_cost),
    }


def _row(row: Row, query: Query) -> dict[str, Any]:
    return {
        "object": "usage",
        "id": row.id,
        "start": row.start,
        "end": row.end,
        **({query.by: row.group} if query.by else {}),
        "requests": row.counts.requests,
        "cache_hits": row.counts.cache_hits,
        "estimated": row.counts.estimated,
        "units": dict(sorted(row.counts.units.items())),
        "cost": usd(row.counts.cost),
    }


def to_csv(report: Report) -> str:
    """RFC 4180, with a header row; the columns are the same whatever was used."""
    by = report.query.by
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["start", "end", *([by] if by else []), "requests", "cache_hits", "estimated", "cost", *_UNITS])
    for row in report.rows:
        counts = row.counts
        group = [_harmless(row.group or "")] if by else []
        units = [counts.units.get(unit, 0) for unit in _UNITS]
        numbers = [counts.requests, counts.cache_hits, counts.estimated, usd(counts.cost), *units]
        writer.writerow([_iso(row.start), _iso(row.end), *group, *numbers])
    return text.getvalue()


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _harmless(text: str) -> str:
    """Behind an apostrophe a spreadsheet takes for text what it would run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text
