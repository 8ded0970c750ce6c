"""What a report is asked for: which time, cut into which periods, grouped by what, of which part. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, get_args

from aig.errors import InvalidRequest
from aig.usage import HOURS_KEPT_S, PERIOD_S, Cell, Granularity, period

Dimension = Literal["tag", "model", "sub_account"]
Cut = Literal["hour", "day", "month"]

DAY_S = PERIOD_S["day"]
MOST_HOURS_DAYS, MOST_DAYS = 31, 400
DEFAULT_LIMIT, MAX_LIMIT = 100, 1000

# Query parameter -> the dimension of a cell that it picks by.
FILTERS: Mapping[str, str] = {"tag": "tag", "model": "model", "sub_account": "sub_account", "key": "key_id"}
PARAMETERS = ("from", "to", "granularity", *FILTERS, "limit", "after")

_UNIX = re.compile(r"[0-9]{1,11}", re.ASCII)
_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?(?:Z|\+00:00)?)?", re.ASCII
)
_LIMIT = re.compile(r"[0-9]{1,4}", re.ASCII)
_AFTER = re.compile(r"usage_([0-9]{1,11})_([0-9]{1,11})_([0-9a-f]{32})", re.ASCII)
_LONGEST_FILTER = 256
_LAST = 95_617_583_999  # the last second of 4999: names have eleven digits for it, which end in 5138


@dataclass(frozen=True, slots=True)
class Query:
    """`start` and `end` are those of whole days, or of whole hours where it is cut into hours (unix seconds, UTC)."""

    tenant: str
    by: Dimension | None
    start: int
    end: int
    cut: Cut | None
    filters: tuple[tuple[str, str | None], ...]
    limit: int
    after: str | None

    @property
    def cells(self) -> Granularity:
        """Which cells the report is summed from."""
        return "hour" if self.cut == "hour" else "day"

    def wants(self, cell: Cell) -> bool:
        return all(getattr(cell, name) == value for name, value in self.filters)

    def period(self, at: int) -> tuple[int, int]:
        """The period of the report that a cell's start lies in, cut to the report's own time."""
        if self.cut is None:
            return self.start, self.end
        if self.cut == "month":
            first = month(at)
            return max(first, self.start), min(month(first + 32 * DAY_S), self.end)
        return at, at + PERIOD_S[self.cells]

    def row_id(self, start: int, group: str | None) -> str:
        """A name for a row that no other tenant, query or row has. It also says of which time the report was."""
        told = [self.tenant, self.by, self.start, self.end, self.cut, self.filters, start, group]
        digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]
        return f"usage_{self.start}_{self.end}_{digest}"


def month(at: int) -> int:
    """The start of the month that a unix time lies in."""
    return int(datetime.fromtimestamp(at, UTC).replace(day=1, hour=0, minute=0, second=0).timestamp())


def parse(tenant: str, by: Dimension | None, sent: Iterable[tuple[str, str]], now: int) -> Query:
    """The query that the parameters make. Raises InvalidRequest."""
    given = _once(sent)
    cut = _cut(given.get("granularity"), by)
    after = given.get("after")
    start, end = _range(given, cut, _of_page(after), now)
    return Query(
        tenant=tenant,
        by=by,
        start=start,
        end=end,
        cut=cut,
        filters=tuple((name, _filter(parameter, given)) for parameter, name in FILTERS.items() if parameter in given),
        limit=_limit(given.get("limit")),
        after=after,
    )


def _once(sent: Iterable[tuple[str, str]]) -> dict[str, str]:
    given: dict[str, str] = {}
    for name, value in sent:
        if name not in PARAMETERS:
            raise InvalidRequest(
                f"There is no parameter {name[:64]!r}. Use {', '.join(PARAMETERS)}.",
                code="unsupported_parameter",
                param=name[:64],
            )
        if name in given:
            raise InvalidRequest(f"Send {name} once.", param=name)
        given[name] = value
    return given


def _cut(value: str | None, by: Dimension | None) -> Cut | None:
    if value is None:
        return None if by else "day"
    for known in get_args(Cut):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise InvalidRequest(f"granularity is one of {', '.join(get_args(Cut))}.", param="granularity")


def _limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not _LIMIT.fullmatch(value) or not 1 <= int(value) <= MAX_LIMIT:
        raise InvalidRequest(f"limit is a whole number from 1 to {MAX_LIMIT}.", param="limit")
    return int(value)


def _filter(parameter: str, given: Mapping[str, str]) -> str | None:
    """Literal, whatever characters it has. An empty one picks what has none."""
    value = given[parameter]
    if len(value) > _LONGEST_FILTER:
        raise InvalidRequest(f"{parameter} has at most {_LONGEST_FILTER} characters.", param=parameter)
    return value or None


def _of_page(after: str | None) -> tuple[int | None, int | None]:
    """The time of the report whose next page is asked for."""
    if after is None:
        return None, None
    match = _AFTER.fullmatch(after)
    if match is None or int(match[2]) > _LAST + 1:
        raise unknown_page()
    return int(match[1]), int(match[2])


def unknown_page() -> InvalidRequest:
    return InvalidRequest(
        "after is the last_id of the page before, of the same report. Leave it out to begin anew.", param="after"
    )


def _range(given: Mapping[str, str], cut: Cut | None, page: tuple[int | None, int | None], now: int) -> tuple[int, int]:
    """The time that is asked for, or that of the page before, or this month so far; widened to whole periods."""
    cells: Granularity = "hour" if cut == "hour" else "day"
    step = PERIOD_S[cells]
    first, last = (_time(given, "from", page[0]), _time(given, "to", page[1]))
    if last is None:
        last = period(cells, now) + step
    if first is None:
        first = month(max(last - 1, 0))
    if first >= last:
        raise InvalidRequest("from must be before to. Both are unix seconds or ISO 8601 in UTC.", param="from")
    most = MOST_HOURS_DAYS if cut == "hour" else MOST_DAYS
    if last - first > most * DAY_S:
        what = "hours of at most" if cut == "hour" else "at most"
        advice = "use granularity=day" if cut == "hour" else "ask for one part after the other"
        message = f"A report covers {what} {most} days. Bring from and to nearer to each other, or {advice}."
        raise InvalidRequest(message, param="from")
    if cut == "hour" and first < now - HOURS_KEPT_S:
        raise InvalidRequest("Hours are kept for 100 days. Use granularity=day for what is older.", param="from")
    return period(cells, first), period(cells, last + step - 1)


def _time(given: Mapping[str, str], name: str, otherwise: int | None) -> int | None:
    value = given.get(name)
    if value is None:
        return otherwise
    if _UNIX.fullmatch(value) and int(value) <= _LAST:
        return int(value)
    match = _ISO.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        moment = datetime(*(int(part or 0) for part in match.groups()), tzinfo=UTC)  # type: ignore[arg-type,misc]
        seconds = int(moment.timestamp())
        if not 0 <= seconds <= _LAST:
            raise ValueError
    except ValueError:
        raise InvalidRequest(
            f"{name} is unix seconds, or a date or time in UTC such as 2026-11-01 or 2026-11-01T15:00:00Z.", param=name
        ) from None
    return seconds
