"""What an owner may do: requests a minute, dollars a period. All windows are fixed, and in UTC. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, get_args

WINDOW_S = 60
DAY_S = 24 * 3600

Reset = Literal["daily", "weekly", "monthly", "never"]
RESETS: tuple[Reset, ...] = get_args(Reset)


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one owner, a key or a sub-account. `cap` is in nano-USD for each period; None is no limit.

    `allowed_models` are globs over slugs; none of them allows all.
    """

    owner: str
    rpm: int | None = None
    cap: int | None = None
    reset: Reset = "never"
    allowed_models: tuple[str, ...] = ()

    def may_use(self, slug: str) -> bool:
        return not self.allowed_models or any(fnmatchcase(slug, glob) for glob in self.allowed_models)


@dataclass(frozen=True, slots=True)
class Period:
    """`name` is unique among an owner's periods; `ends_at` is in unix seconds, None for one that never ends."""

    name: str
    ends_at: int | None


def window(now: float) -> int:
    """The number of the minute that a unix time lies in."""
    return int(now) // WINDOW_S


def retry_after(now: float) -> int:
    """Whole seconds until the window ends, at least 1."""
    return WINDOW_S - int(now) % WINDOW_S


def window_ends(number: int) -> int:
    """Unix time at which a window is over."""
    return (number + 1) * WINDOW_S


def period(now: float, reset: Reset) -> Period:
    """The period that a unix time lies in: a day, a week from Monday on, a month, or all time."""
    day = int(now) // DAY_S
    if reset == "daily":
        return Period(_date(day), (day + 1) * DAY_S)
    if reset == "weekly":
        monday = day - (day + 3) % 7  # the first of January 1970 was a Thursday
        return Period(f"week-{_date(monday)}", (monday + 7) * DAY_S)
    if reset == "monthly":
        year, month, day_of_month = _civil(day)
        next_month = day - day_of_month + 1 + _days_in(year, month)
        return Period(f"{year:04d}-{month:02d}", next_month * DAY_S)
    return Period("all", None)


def _days_in(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return (31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month - 1]


def _civil(day: int) -> tuple[int, int, int]:
    """Year, month and day of a day since 1970, by Howard Hinnant's `civil_from_days`."""
    day += 719_468
    era, day_of_era = divmod(day, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def _date(day: int) -> str:
    year, month, day_of_month = _civil(day)
    return f"{year:04d}-{month:02d}-{day_of_month:02d}"


@dataclass(frozen=True, slots=True)
class FreeTier:
    """So many requests a day to one model cost an account nothing, until a unix time."""

    model: str
    requests_per_day: int
    until: int

    def covers(self, models: Sequence[str], now: float) -> bool:
        """Whether a request for these models alone may be free now."""
        return tuple(models) == (self.model,) and now < self.until


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a minute: what is allowed, what is left of it in this minute at the most, seconds until it is over."""

    limit: int
    remaining: int
    reset_s: int


class RateCounts:
    """What this environment has let through in the current minute, by owner: others may have let through more."""

    def __init__(self) -> None:
        self._window = -1
        self._hits: dict[str, int] = {}

    def hit(self, limits: Sequence[Limits], now: float) -> Rate | None:
        """Counts a request; the tightest of the owners' rates, None if none of them has one."""
        if self._window != window(now):
            self._window, self._hits = window(now), {}
        rates: list[Rate] = []
        for one in limits:
            if one.rpm is not None:
                hits = self._hits[one.owner] = self._hits.get(one.owner, 0) + 1
                rates.append(Rate(one.rpm, max(0, one.rpm - hits), retry_after(now)))
        return min(rates, key=lambda rate: rate.remaining, default=None)
