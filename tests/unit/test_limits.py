"""Windows of one minute, periods of a day, a week and a month, and what may be done in them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig import limits
from aig.limits import FreeTier, Limits, Period, Rate, RateCounts, Reset

times = st.floats(0, 2**40, allow_nan=False)


@pytest.mark.parametrize(
    ("now", "window", "wait"), [(0, 0, 60), (59.999, 0, 1), (60, 1, 60), (61.5, 1, 59), (119, 1, 1), (120, 2, 60)]
)
def test_windows(now: float, window: int, wait: int) -> None:
    assert limits.window(now) == window
    assert limits.retry_after(now) == wait


@given(times)
def test_whoever_waits_as_told_lands_in_the_next_window(now: float) -> None:
    wait = limits.retry_after(now)
    assert 1 <= wait <= limits.WINDOW_S
    assert limits.window(int(now) + wait) == limits.window(now) + 1


@given(times)
def test_a_window_ends_where_the_next_begins(now: float) -> None:
    ends = limits.window_ends(limits.window(now))
    assert int(now) < ends <= int(now) + limits.WINDOW_S
    assert limits.window(ends) == limits.window(now) + 1
    assert limits.window(ends - 1) == limits.window(now)


PERIODS = [
    # a time, and the names and ends of its day, week and month
    ("1970-01-01T00:00:00", "1970-01-01", "week-1969-12-29", "1970-01", "1970-01-02", "1970-01-05", "1970-02-01"),
    ("2024-02-29T23:59:59", "2024-02-29", "week-2024-02-26", "2024-02", "2024-03-01", "2024-03-04", "2024-03-01"),
    ("2026-11-25T20:24:00", "2026-11-25", "week-2026-11-23", "2026-11", "2026-11-26", "2026-11-30", "2026-12-01"),
    ("2026-12-31T12:00:00", "2026-12-31", "week-2026-12-28", "2026-12", "2027-01-01", "2027-01-04", "2027-01-01"),
    ("2100-02-28T00:00:00", "2100-02-28", "week-2100-02-22", "2100-02", "2100-03-01", "2100-03-01", "2100-03-01"),
]


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(("time", "day", "week", "month", "day_ends", "week_ends", "month_ends"), PERIODS)
def test_periods(time: str, day: str, week: str, month: str, day_ends: str, week_ends: str, month_ends: str) -> None:
    now = unix(time)
    assert limits.period(now, "daily") == Period(day, unix(day_ends))
    assert limits.period(now, "weekly") == Period(week, unix(week_ends))
    assert limits.period(now, "monthly") == Period(month, unix(month_ends))
    assert limits.period(now, "never") == Period("all", None)


@given(st.integers(0, 2**33), st.sampled_from(["daily", "weekly", "monthly"]))
def test_a_period_ends_where_another_begins(now: int, reset: Reset) -> None:
    period = limits.period(now, reset)
    assert period.ends_at is not None
    assert now < period.ends_at <= now + 31 * limits.DAY_S
    assert limits.period(period.ends_at - 1, reset) == period
    assert limits.period(period.ends_at, reset).name > period.name
    at = datetime.fromtimestamp(now, UTC)
    name = {"daily": f"{at:%Y-%m-%d}", "weekly": f"week-{at - timedelta(days=at.weekday()):%Y-%m-%d}"}
    assert period.name == name.get(reset, f"{at:%Y-%m}")


@pytest.mark.parametrize(
    ("globs", "slug", "may"),
    [
        ((), "sandbox/echo", True),
        (("sandbox/*",), "sandbox/echo", True),
        (("sandbox/*",), "local/smollm2-135m-instruct", False),
        (("local/*", "sandbox/echo"), "sandbox/echo", True),
        (("sandbox/echo",), "sandbox/echo-2", False),
        (("SANDBOX/*",), "sandbox/echo", False),
        (("*",), "any/thing", True),
    ],
)
def test_allowed_models_are_globs(globs: tuple[str, ...], slug: str, may: bool) -> None:
    assert Limits("key_1", allowed_models=globs).may_use(slug) is may


def test_the_free_tier_is_for_its_model_alone_and_ends() -> None:
    tier = FreeTier("v/m", 100, until=1000)
    assert tier.covers(["v/m"], 999.9)
    assert not tier.covers(["v/m"], 1000)
    assert not tier.covers(["v/m", "v/other"], 1)
    assert not tier.covers([], 1)


def test_what_is_left_is_of_the_tightest_rate_and_of_this_minute() -> None:
    counts = RateCounts()
    both = (Limits("key_1", rpm=5), Limits("sub_1", rpm=3))
    assert counts.hit(both, 60) == Rate(3, 2, 60)
    assert counts.hit(both[:1], 61) == Rate(5, 3, 59)
    assert counts.hit((both[1],), 70) == Rate(3, 1, 50)
    assert [counts.hit(both, 119), counts.hit(both, 119)] == [Rate(3, 0, 1), Rate(3, 0, 1)]
    assert counts.hit(both, 120) == Rate(3, 2, 60)
    assert counts.hit((Limits("key_1"),), 120) is None
