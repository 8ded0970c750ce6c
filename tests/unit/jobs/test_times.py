"""How long jobs wait: for a poll, a turn, a stamp, another round; and how these times fit into each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.jobs import times
from aig.jobs.job import KINDS
from aig.modalities.job import JobKind

WAITS = st.none() | st.floats(0, 10**6)


@pytest.mark.parametrize(("worked", "wait"), [(0, 1), (8, 1), (16, 2), (60, 8), (119, 15), (120, 15), (3600, 15)])
def test_a_job_is_asked_for_less_often_the_longer_it_works(worked: float, wait: int) -> None:
    assert times.until_poll(worked) == wait


@given(st.floats(-100, 10**6), st.floats(0, 1000))
def test_a_poll_is_never_further_away_than_fifteen_seconds(worked: float, more: float) -> None:
    assert 1 <= times.until_poll(worked) <= times.until_poll(worked + more) <= 15


def test_all_that_wait_for_a_place_come_back_as_soon() -> None:
    assert times.until_turn() == 15


@pytest.mark.parametrize(("left", "wait"), [(-5, 1), (0, 1), (1, 1), (7, 7), (15, 15), (16, 15), (330, 15)])
def test_a_stamp_is_looked_at_again_within_fifteen_seconds(left: int, wait: int) -> None:
    assert times.until_free(1000 + left, 1000) == wait


@pytest.mark.parametrize(
    ("tries", "retry_after", "wait"),
    [
        (0, None, 5), (1, None, 10), (2, None, 20), (4, None, 80), (5, None, 120), (6, None, 120), (10**6, None, 120),
        (0, 0, 5), (0, 4.4, 5), (0, 30, 30), (5, 30, 120), (0, 899.6, 900), (0, 901, 900), (9, 10**9, 900),
    ],
)  # fmt: skip
def test_rounds_come_less_and_less_often_and_not_before_they_are_asked_for(
    tries: int, retry_after: float | None, wait: int
) -> None:
    assert times.until_again(tries, retry_after) == wait


@given(st.integers(0, 10**9), WAITS)
def test_another_round_is_due_within_a_quarter_of_an_hour(tries: int, retry_after: float | None) -> None:
    assert 5 <= times.until_again(tries, retry_after) <= 900


def test_a_machine_says_that_it_lives_when_half_of_its_time_is_over() -> None:
    assert not times.looks_silent(1000 + times.SILENT_S // 2, 1000)
    assert times.looks_silent(1000 + times.SILENT_S // 2 - 1, 1000)
    assert times.looks_silent(0, 1000)


@pytest.mark.parametrize("kind", KINDS)
def test_no_job_outlasts_its_hold(kind: JobKind) -> None:
    """One that is taken on in its last second in the queue, and whose files take as long as they may."""
    last_stamp = times.QUEUE_S + times.STAMP_S
    assert last_stamp + times.WORK_S[kind] + times.KEEP_S + times.GRACE_S < times.hold_s(kind) < times.ROW_S


def test_a_file_lasts_less_long_than_what_tells_of_it() -> None:
    assert times.FILES_S == 7 * 24 * 3600 < times.ROW_S


def test_the_longest_wait_leaves_no_machine_silent() -> None:
    """What waits for a round that is this far away is not taken for dead before that."""
    assert times.until_again(0, 10**6) <= times.SILENT_S
