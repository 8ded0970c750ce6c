"""Health as windows over minutes of real traffic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.health import EDGES_MS, Minute, State, Window, summarise

NOW = 600 * 60 + 30.0  # half-way through minute 600


def minute(number: int, latencies: tuple[float, ...] = (), errors: tuple[str, ...] = ()) -> Minute:
    made = Minute("sandbox", "sandbox/echo", number)
    for latency in latencies:
        made.record(latency, None)
    for error in errors:
        made.record(None, error)
    return made


def test_nothing_seen_is_nothing_known() -> None:
    assert summarise([], NOW, 5) == Window(0, None, None, None, "unknown", None)


def test_counts_rates_and_percentiles_of_a_window() -> None:
    seen = [minute(600, (10.0,) * 9, ("timeout",)), minute(599, (800.0,) * 10)]
    assert summarise(seen, NOW, 5) == Window(20, 0.95, 850, 850, "healthy", "timeout")


@pytest.mark.parametrize(("length", "requests"), [(1, 1), (5, 2), (60, 3)])
def test_a_window_holds_the_running_minute_and_those_before_it(length: int, requests: int) -> None:
    seen = [minute(number, (10.0,)) for number in (600, 596, 541, 540, 595 - 60)]
    assert summarise(seen, NOW, length).requests == requests


@pytest.mark.parametrize(
    ("succeeded", "failed", "state"),
    [
        (1, 0, "healthy"),
        (95, 5, "healthy"),
        (94, 6, "degraded"),
        (1, 1, "degraded"),
        (49, 51, "down"),
        (0, 1, "down"),
    ],
)
def test_the_state_follows_the_success_rate(succeeded: int, failed: int, state: State) -> None:
    seen = [minute(600, (10.0,) * succeeded, ("connect",) * failed)]
    assert summarise(seen, NOW, 1).state == state


def test_the_last_error_is_the_latest_one_whatever_the_order_of_the_minutes() -> None:
    older, newer = minute(598, (), ("timeout",)), minute(599, (), ("connect", "rate_limited"))
    quiet = minute(600, (10.0,))
    assert summarise([quiet, newer, older], NOW, 5).last_error == "rate_limited"
    assert summarise([older, quiet, newer], NOW, 5).last_error == "rate_limited"
    assert summarise([quiet], NOW, 5).last_error is None


@pytest.mark.parametrize(
    ("latency", "shown"),
    [(0.0, 50), (50.0, 50), (50.1, 75), (849.9, 850), (60_000.0, 60_000), (10**7, 60_000)],
)
def test_a_latency_is_shown_as_the_upper_edge_of_its_bucket(latency: float, shown: int) -> None:
    window = summarise([minute(600, (latency,))], NOW, 1)
    assert (window.p50_ms, window.p95_ms) == (shown, shown)


def test_p95_sees_the_slow_twentieth_and_p50_does_not() -> None:
    window = summarise([minute(600, (10.0,) * 94), minute(599, (5_000.0,) * 6)], NOW, 5)
    assert (window.p50_ms, window.p95_ms) == (50, 6500)


def test_a_success_without_a_latency_cannot_be_recorded_as_one() -> None:
    seen = minute(600)
    seen.record(None, None)
    assert (seen.succeeded, seen.failed) == (0, 1)


@given(st.lists(st.floats(0, 10**6), min_size=1))
def test_percentiles_are_within_the_bucket_of_the_true_one(latencies: list[float]) -> None:
    window = summarise([minute(600, tuple(latencies))], NOW, 1)
    ordered = sorted(latencies)
    for share, shown in ((0.5, window.p50_ms), (0.95, window.p95_ms)):
        true = next(value for at, value in enumerate(ordered, 1) if at >= share * len(ordered))
        assert shown == next((edge for edge in EDGES_MS if true <= edge), EDGES_MS[-1])
