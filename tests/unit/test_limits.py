"""Windows of one minute."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig import limits

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
