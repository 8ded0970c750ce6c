"""What an account is told of its use: the day that is over, and thresholds that were passed. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aig.events import EventType
from aig.limits import period
from aig.money.units import usd
from aig.usage import PERIOD_S, Cell, Counts

MOST = 20  # of the models and of the tags, by what they cost: a summary is to be small
LATE_S = 3 * PERIOD_S["hour"]  # of a day: so late may a call of yesterday be counted, and still be told of
UsagePeriod = Literal["daily", "monthly"]
USAGE_PERIODS: tuple[UsagePeriod, ...] = ("daily", "monthly")


@dataclass(frozen=True, slots=True)
class Notice:
    """`name` is the same whenever the same thing is to be told."""

    name: str
    type: EventType
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """A day or a month as far as it has come: from its beginning to the second `last`, which counts."""

    of: UsagePeriod
    start: int
    last: int


def periods(now: int) -> Mapping[UsagePeriod, int]:
    """The beginnings, in unix seconds, of the day and of the month that a time lies in."""
    day = now - now % PERIOD_S["day"]
    first = day
    while period(first - 1, "monthly") == period(day, "monthly"):
        first -= PERIOD_S["day"]
    return {"daily": day, "monthly": first}


def watched(now: int) -> Sequence[Span]:
    """The periods that a time lies in; early in a day also those that ended with yesterday."""
    current = [Span(of, start, now) for of, start in periods(now).items()]
    if not is_early(now):
        return current
    last = periods(now)["daily"] - 1
    ended = [Span(of, start, last) for of, start in periods(last).items() if period(last, of) != period(now, of)]
    return [*current, *ended]


def is_early(now: int) -> bool:
    return now % PERIOD_S["day"] < LATE_S


def threshold_name(span: Span, limit: int) -> str:
    """Once for each period and threshold."""
    return f"threshold#{span.of}#{period(span.start, span.of).name}#{limit}"


def threshold(span: Span, limit: int, total: Counts) -> Notice:
    """`usage.threshold.exceeded`. Amounts in nano-USD."""
    data = {
        "period": span.of,
        "from": span.start,
        "threshold": usd(limit),
        "cost": usd(total.cost),
        "requests": total.requests,
    }
    return Notice(threshold_name(span, limit), "usage.threshold.exceeded", data)


class Day:
    """`usage.daily.summary`: all of an account's cells of one day, and what models and tags cost the most.

    It holds the sums only, one for each model and tag, so cells may be added as they are read.
    """

    def __init__(self, start: int) -> None:
        self.name = f"summary#{start}"
        self._start = start
        self._total = Counts()
        self._by_model: dict[str | None, Counts] = {}
        self._by_tag: dict[str | None, Counts] = {}

    def add(self, cells: Iterable[tuple[Cell, Counts]]) -> None:
        for cell, counts in cells:
            self._total.add(counts)
            self._by_model.setdefault(cell.model, Counts()).add(counts)
            self._by_tag.setdefault(cell.tag, Counts()).add(counts)

    def notice(self) -> Notice:
        data = {
            "date": period(self._start, "daily").name,
            **_figures(self._total),
            "by_model": [{"model": model, **_figures(counts)} for model, counts in _dearest(self._by_model)],
            "by_tag": [{"tag": tag, **_figures(counts)} for tag, counts in _dearest(self._by_tag)],
        }
        return Notice(self.name, "usage.daily.summary", data)


def _figures(counts: Counts) -> dict[str, Any]:
    return {"requests": counts.requests, "cost": usd(counts.cost), "cache_hits": counts.cache_hits}


def _dearest(groups: Mapping[str | None, Counts]) -> list[tuple[str | None, Counts]]:
    return sorted(groups.items(), key=lambda group: (-group[1].cost, group[0] or ""))[:MOST]
