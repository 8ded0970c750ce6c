"""What an account is told of its use: the day that is over, and thresholds that were passed. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aig.events import EventType
from aig.limits import period
from aig.money.units import usd
from aig.usage import PERIOD_S, Cell, Counts

MOST = 20  # of the models and of the tags, by what they cost: a summary is to be small
UsagePeriod = Literal["daily", "monthly"]
USAGE_PERIODS: tuple[UsagePeriod, ...] = ("daily", "monthly")


@dataclass(frozen=True, slots=True)
class Notice:
    """`name` is the same whenever the same thing is to be told."""

    name: str
    type: EventType
    data: Mapping[str, Any]


def periods(now: int) -> Mapping[UsagePeriod, int]:
    """The beginnings, in unix seconds, of the day and of the month that a time lies in."""
    day = now - now % PERIOD_S["day"]
    first = day
    while period(first - 1, "monthly") == period(day, "monthly"):
        first -= PERIOD_S["day"]
    return {"daily": day, "monthly": first}


def threshold(of: UsagePeriod, start: int, limit: int, total: Counts) -> Notice:
    """`usage.threshold.exceeded`: once for each period and threshold. Amounts in nano-USD."""
    name = period(start, of).name
    data = {"period": of, "from": start, "threshold": usd(limit), "cost": usd(total.cost), "requests": total.requests}
    return Notice(f"threshold#{of}#{name}#{limit}", "usage.threshold.exceeded", data)


def of_day(day: int, cells: Iterable[tuple[Cell, Counts]]) -> Notice:
    """`usage.daily.summary`: all of an account's cells of one day, and what models and tags cost the most."""
    total, by_model, by_tag = Counts(), dict[str | None, Counts](), dict[str | None, Counts]()
    for cell, counts in cells:
        total.add(counts)
        by_model.setdefault(cell.model, Counts()).add(counts)
        by_tag.setdefault(cell.tag, Counts()).add(counts)
    data = {
        "date": period(day, "daily").name,
        **_figures(total),
        "by_model": [{"model": model, **_figures(counts)} for model, counts in _dearest(by_model)],
        "by_tag": [{"tag": tag, **_figures(counts)} for tag, counts in _dearest(by_tag)],
    }
    return Notice(f"summary#{day}", "usage.daily.summary", data)


def _figures(counts: Counts) -> dict[str, Any]:
    return {"requests": counts.requests, "cost": usd(counts.cost), "cache_hits": counts.cache_hits}


def _dearest(groups: Mapping[str | None, Counts]) -> list[tuple[str | None, Counts]]:
    return sorted(groups.items(), key=lambda group: (-group[1].cost, group[0] or ""))[:MOST]
