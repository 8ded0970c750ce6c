"""What an account is told of its use, and under which name, so that it is told once."""

from datetime import UTC, datetime

import pytest

from aig.summaries import LATE_S, MOST, Day, Span, periods, threshold, threshold_name, watched
from aig.usage import Cell, Counts

DAY = 1_796_083_200  # the first of December 2026


def cell(model: str, tag: str | None) -> Cell:
    return Cell("acct_1", "day", DAY, tag, model, None, "key_1")


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        ("2026-12-01T00:00:00", "2026-12-01", "2026-12-01"),
        ("2026-11-25T20:24:00", "2026-11-25", "2026-11-01"),
        ("2024-02-29T23:59:59", "2024-02-29", "2024-02-01"),
    ],
)
def test_the_beginnings_of_day_and_month(now: str, day: str, month: str) -> None:
    def unix(text: str) -> int:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())

    assert periods(unix(now)) == {"daily": unix(day), "monthly": unix(month)}


def test_a_threshold_has_a_name_for_each_period_and_amount() -> None:
    total = Counts(requests=3, cost=12_000_000_000)
    month = Span("monthly", DAY, DAY + 5)
    notice = threshold(month, 10_000_000_000, total)
    assert notice.name == threshold_name(month, 10_000_000_000)
    assert notice.type == "usage.threshold.exceeded"
    assert notice.data == {"period": "monthly", "from": DAY, "threshold": "10.00", "cost": "12.00", "requests": 3}
    assert threshold_name(Span("monthly", DAY, DAY + 6), 10_000_000_000) == notice.name
    others = {threshold_name(Span("daily", DAY, DAY), 10**10), threshold_name(month, 10**9)}
    others.add(threshold_name(Span("monthly", DAY - 1, DAY - 1), 10**10))
    assert len({notice.name, *others}) == 4


def test_early_in_a_day_the_periods_that_ended_are_watched_too() -> None:
    november = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    yesterday = DAY - 86_400
    for now in (DAY, DAY + LATE_S - 1):
        current, ended = {Span("daily", DAY, now), Span("monthly", DAY, now)}, DAY - 1
        assert {*watched(now)} == {*current, Span("daily", yesterday, ended), Span("monthly", november, ended)}
    late = DAY + LATE_S
    assert {*watched(late)} == {Span("daily", DAY, late), Span("monthly", DAY, late)}
    second = DAY + 86_400  # of December, which has not ended with its first
    assert {*watched(second)} == {
        Span("daily", second, second), Span("monthly", DAY, second), Span("daily", DAY, second - 1)
    }  # fmt: skip


def test_a_summary_adds_up_and_names_the_dearest() -> None:
    cells = [
        (cell("v/a", "x"), Counts(requests=2, cost=5, cache_hits=1)),
        (cell("v/b", None), Counts(requests=1, cost=9)),
        (cell("v/a", None), Counts(requests=1, cost=1)),
    ]
    day = Day(DAY)
    for page in (cells[:1], [], cells[1:]):
        day.add(page)
    notice = day.notice()
    assert notice.name == day.name
    assert (notice.type, notice.name) == ("usage.daily.summary", f"summary#{DAY}")
    assert notice.data == {
        "date": "2026-12-01",
        "requests": 4,
        "cost": "0.000000015",
        "cache_hits": 1,
        "by_model": [
            {"model": "v/b", "requests": 1, "cost": "0.000000009", "cache_hits": 0},
            {"model": "v/a", "requests": 3, "cost": "0.000000006", "cache_hits": 1},
        ],
        "by_tag": [
            {"tag": None, "requests": 2, "cost": "0.00000001", "cache_hits": 0},
            {"tag": "x", "requests": 2, "cost": "0.000000005", "cache_hits": 1},
        ],
    }


def test_a_summary_of_many_tags_stays_small() -> None:
    cells = [(cell("v/m", f"tag-{number}"), Counts(requests=1, cost=number)) for number in range(3 * MOST)]
    day = Day(DAY)
    day.add(cells)
    data = day.notice().data
    assert (data["requests"], len(data["by_tag"])) == (3 * MOST, MOST)
    assert data["by_tag"][0]["tag"] == f"tag-{3 * MOST - 1}"
