"""What the parameters of a report mean."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from functions.usage.query import Query, month, parse
from tests.unit.ledger_rows import DAY_S, NOVEMBER

NOW = NOVEMBER + 24 * DAY_S + 75_000  # the 25th, 20:50
HOUR_S = 3600


def query(by: Any = None, now: int = NOW, **sent: str) -> Query:
    return parse("acct_1", by, [(name.rstrip("_"), value) for name, value in sent.items()], now)


def refusal(by: Any = None, now: int = NOW, **sent: str) -> tuple[str | None, str]:
    with pytest.raises(InvalidRequest) as caught:
        query(by, now, **sent)
    return caught.value.param, caught.value.message


def test_without_parameters_it_is_this_month_day_by_day() -> None:
    asked = query()
    assert (asked.start, asked.end, asked.cut, asked.limit) == (NOVEMBER, NOVEMBER + 25 * DAY_S, "day", 100)


def test_a_group_has_one_row_for_the_whole_time() -> None:
    assert query("tag").cut is None
    assert query("tag").period(NOVEMBER + DAY_S) == (NOVEMBER, NOVEMBER + 25 * DAY_S)
    assert query("tag", granularity="hour").period(NOVEMBER) == (NOVEMBER, NOVEMBER + HOUR_S)


def test_in_the_first_second_of_a_month_it_has_a_day() -> None:
    asked = query(now=NOVEMBER)
    assert (asked.start, asked.end) == (NOVEMBER, NOVEMBER + DAY_S)


def test_a_month_that_is_over_begins_at_its_own_beginning() -> None:
    assert query(to="2026-11-01").start == NOVEMBER - 31 * DAY_S


@pytest.mark.parametrize(
    "text", [str(NOVEMBER), "2026-11-01", "2026-11-01T00:00", "2026-11-01T00:00:00", "2026-11-01T00:00:00Z",
             "2026-11-01T00:00:00+00:00"]
)  # fmt: skip
def test_times_in_all_their_forms(text: str) -> None:
    assert query(from_=text).start == NOVEMBER


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-13-01", "2026-02-30", "2026-11-01T24:00:00Z", "2026-11-01T00:00:00+01:00", "-1", "1e9",
     "2026-11-01T00:00:00 00:00", "2026-11-01 00:00", "1969-12-31", "9999-12-31", "123456789012", "20261101T000000Z",
     "²", "\uff11\uff17", "2026-11-01T00:00:00Europe/Berlin", "None"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["from", "to"])
def test_what_is_no_time_in_utc_is_refused(name: str, text: str) -> None:
    param, message = refusal(from_=text) if name == "from" else refusal(to=text)
    assert param == name
    assert "2026-11-01T15:00:00Z" in message


@pytest.mark.parametrize(("first", "last"), [("2026-11-02", "2026-11-01"), ("2026-11-02", "2026-11-02")])
def test_from_is_before_to(first: str, last: str) -> None:
    assert refusal(from_=first, to=last)[0] == "from"


def test_a_time_that_has_not_come_is_refused() -> None:
    assert refusal(from_="2026-12-01")[0] == "from"


def test_times_are_widened_to_whole_periods() -> None:
    asked = query(from_="2026-11-03T10:20:00Z", to="2026-11-04T00:00:01Z")
    assert (asked.start, asked.end) == (NOVEMBER + 2 * DAY_S, NOVEMBER + 4 * DAY_S)
    hours = query(from_="2026-11-03T10:20:00Z", to="2026-11-03T11:00:00Z", granularity="hour")
    assert (hours.start, hours.end) == (NOVEMBER + 2 * DAY_S + 10 * HOUR_S, NOVEMBER + 2 * DAY_S + 11 * HOUR_S)


@pytest.mark.parametrize(
    ("granularity", "days", "advice"),
    [("hour", 31, "granularity=day"), ("day", 400, "nearer to each other"), ("month", 400, "nearer to each other")],
)
def test_a_range_has_its_limit(granularity: str, days: int, advice: str) -> None:
    first, now = NOVEMBER, NOVEMBER + 40 * DAY_S
    asked = query(from_=str(first), to=str(first + days * DAY_S), granularity=granularity, now=now)
    assert asked.end - asked.start == days * DAY_S
    param, message = refusal(from_=str(first), to=str(first + days * DAY_S + 1), granularity=granularity, now=now)
    assert param == "from"
    assert advice in message
    assert str(days) in message


def test_ten_years_are_too_long_for_groups_too() -> None:
    assert refusal("tag", from_="2016-01-01", to="2026-01-01")[0] == "from"


def test_hours_that_are_gone_are_not_told_as_nothing() -> None:
    first = NOW - 100 * DAY_S
    assert query(from_=str(first), to=str(first + DAY_S), granularity="hour").cells == "hour"
    param, message = refusal(from_=str(first - 1), to=str(first + DAY_S), granularity="hour")
    assert param == "from"
    assert "granularity=day" in message


@pytest.mark.parametrize("value", ["0", "-1", "1001", "1e9", "1000000000", "ten", "", "1.5", "٣"])
def test_a_limit_is_a_whole_number_within_bounds(value: str) -> None:
    assert refusal(limit=value)[0] == "limit"


def test_both_ends_of_the_limit() -> None:
    assert (query(limit="1").limit, query(limit="1000").limit) == (1, 1000)


@pytest.mark.parametrize("value", ["minute", "Day", "", "week"])
def test_a_granularity_is_one_of_three(value: str) -> None:
    assert refusal(granularity=value)[0] == "granularity"


def test_a_parameter_that_is_not_known_is_named_and_one_is_sent_once() -> None:
    param, message = refusal(modle="sandbox/echo")
    assert param == "modle"
    assert "sub_account" in message
    with pytest.raises(InvalidRequest, match="once"):
        parse("acct_1", None, [("tag", "a"), ("tag", "b")], NOW)


def test_a_filter_is_literal_and_an_empty_one_picks_what_has_none() -> None:
    assert query(tag="*").filters == (("tag", "*"),)
    assert query(tag="").filters == (("tag", None),)
    assert query(key="key_1", model="v/m").filters == (("model", "v/m"), ("key_id", "key_1"))
    assert refusal(tag="x" * 257)[0] == "tag"


@pytest.mark.parametrize(
    "after", ["", "0", "usage_", "usage_1_2_3", "usage_1_2_" + "g" * 32, "usage_1_2_" + "a" * 33, "txn_1", "../x"]
)
def test_an_after_that_is_no_row_s_name_is_refused(after: str) -> None:
    assert refusal(after=after)[0] == "after"


def test_a_page_goes_on_with_the_time_of_the_one_before() -> None:
    before = query("tag")
    after = before.row_id(before.start, "a")
    later = query("tag", now=NOW + 40 * DAY_S, after=after)
    assert (later.start, later.end) == (before.start, before.end)
    assert later.row_id(later.start, "a") == after


def test_a_page_cannot_ask_for_more_than_a_query_can() -> None:
    assert refusal(after=f"usage_1_{NOVEMBER}_{'a' * 32}")[0] == "from"


def test_a_row_s_name_is_no_other_s() -> None:
    asked = [
        query(), query("tag"), query("model"), query(granularity="month"), query(tag="a"), query(tag=""),
        query(model="a"), query(to="2026-11-25"), query(from_="2026-11-02"), parse("acct_2", None, [], NOW),
    ]  # fmt: skip
    names = {each.row_id(start, group) for each in asked for start in (1, 2) for group in (None, "a", "null")}
    assert len(names) == len(asked) * 6


@given(st.integers(0, 99_999_999_999))
def test_a_month_begins_on_its_first(at: int) -> None:
    start = datetime.fromtimestamp(month(at), UTC)
    moment = datetime.fromtimestamp(at, UTC)
    assert start == datetime(moment.year, moment.month, 1, tzinfo=UTC)


@given(st.integers(0, 399), st.integers(1, 400))
def test_months_share_out_the_whole_time_between_them(offset: int, days: int) -> None:
    first = NOVEMBER + offset * DAY_S
    asked = query(from_=str(first), to=str(first + days * DAY_S), granularity="month")
    periods = sorted({asked.period(day) for day in range(asked.start, asked.end, DAY_S)})
    assert periods[0][0] == asked.start
    assert periods[-1][1] == asked.end
    assert all(one[1] == two[0] == month(two[0]) for one, two in pairwise(periods))
