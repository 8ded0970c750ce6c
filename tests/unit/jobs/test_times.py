"""How long jobs wait, and for what: as laws, for any job."""

from hypothesis import given
from hypothesis import strategies as st

from aig.jobs import times
from aig.jobs.job import KINDS
from aig.modalities.job import JobKind

SECONDS = st.floats(0, 10 * times.QUEUE_S)


@given(st.sampled_from(KINDS))
def test_no_job_outlasts_its_hold_nor_a_hold_the_job_s_row(kind: JobKind) -> None:
    longest = times.QUEUE_S + times.STAMP_S + times.WORK_S[kind] + times.KEEP_S
    assert longest + times.GRACE_S < times.hold_s(kind) < times.ROW_S
    assert times.FILES_S < times.ROW_S


@given(SECONDS, SECONDS)
def test_polls_come_at_longer_and_longer_intervals(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert 1 <= times.until_poll(less) <= times.until_poll(more) <= 15


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_turns_come_to_all_at_the_same_intervals(until: int, now: int) -> None:
    assert 1 <= times.until_free(until, now) <= times.until_turn() == 15


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_a_job_that_is_seen_to_is_said_to_be_before_anybody_doubts_it(now: int, passed: int) -> None:
    told = now + times.SILENT_S
    assert times.looks_silent(told, now + passed) == (passed > times.SILENT_S // 2)


@given(SECONDS)
def test_waits_are_whole_seconds(passed: float) -> None:
    """What a state machine takes for one."""
    assert type(times.until_poll(passed)) is int
    assert type(times.until_again(3, passed)) is int


@given(st.integers(0, 10**6), st.none() | SECONDS)
def test_rounds_are_repeated_within_a_quarter_of_an_hour_and_no_sooner_than_asked(
    tries: int, asked: float | None
) -> None:
    wait = times.until_again(tries, asked)
    assert 5 <= wait <= 900
    assert wait + 0.5 >= min(900, asked or 0)


def test_rounds_back_off() -> None:
    assert [times.until_again(tries, None) for tries in range(7)] == [5, 10, 20, 40, 80, 120, 120]
    assert (times.until_again(0, 30.0), times.until_again(3, 1.0), times.until_again(0, 901.0)) == (30, 40, 900)


@given(SECONDS)
def test_a_result_is_never_an_eighth_of_its_time_late(worked: float) -> None:
    assert times.until_poll(worked) <= max(1, worked / 8 + 0.5)
