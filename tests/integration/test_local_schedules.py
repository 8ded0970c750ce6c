"""The template's schedules."""

import threading
from datetime import UTC, datetime
from typing import Any

from local.schedules import Schedules, scheduled_event
from local.template import Schedule

MINUTE = Schedule("Rule", "Sweeper", "rate(1 minute)", 60.0, None)


class Ticks:
    """Lets each wait end when the test says so; `waits` are the intervals that were asked for."""

    def __init__(self) -> None:
        self._ticks = threading.Semaphore(0)
        self._over = False
        self.waits: list[float] = []

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        assert self._ticks.acquire(timeout=20)
        return self._over

    def tick(self, times: int = 1) -> None:
        self._ticks.release(times)

    def end(self) -> None:
        self._over = True
        self._ticks.release()


def test_a_function_runs_once_per_interval_and_a_failure_ends_nothing() -> None:
    ticks = Ticks()
    calls: list[tuple[str, str]] = []
    log: list[str] = []
    third = threading.Event()

    def invoke(function: str, event: dict[str, Any]) -> None:
        calls.append((function, event["source"]))
        if len(calls) == 3:
            third.set()
        raise RuntimeError(f"call {len(calls)}")

    schedules = Schedules([MINUTE], invoke, log.append, ticks.wait)
    schedules.start()
    ticks.tick(3)
    assert third.wait(20)
    ticks.end()
    schedules.join()
    assert calls == [("Sweeper", "aws.events")] * 3
    assert log == [f"Sweeper failed: RuntimeError: call {number}" for number in (1, 2, 3)]
    assert set(ticks.waits) == {60.0}


def test_the_next_run_waits_for_the_one_before() -> None:
    ticks = Ticks()
    running, release, done = threading.Event(), threading.Event(), threading.Event()
    at_a_time: list[int] = []
    now = 0

    def invoke(function: str, event: dict[str, Any]) -> None:
        nonlocal now
        now += 1
        at_a_time.append(now)
        running.set()
        release.wait(20)
        now -= 1
        if len(at_a_time) == 3:
            done.set()

    schedules = Schedules([MINUTE], invoke, print, ticks.wait)
    schedules.start()
    ticks.tick(3)
    assert running.wait(20)
    release.set()
    assert done.wait(20)
    ticks.end()
    schedules.join()
    assert at_a_time == [1, 1, 1]


def test_stop_ends_the_wait() -> None:
    schedules = Schedules([MINUTE], lambda function, event: None, print)
    schedules.start()
    schedules.stop()
    schedules.join()


def test_what_is_no_rate_is_said_and_left_out() -> None:
    log: list[str] = []
    cron = Schedule("Nightly", "Report", "cron(0 2 * * ? *)", None, None)
    schedules = Schedules([cron], lambda function, event: None, log.append)
    schedules.start()
    schedules.join()
    assert log == ["Nightly does not run locally: cron(0 2 * * ? *) is not a rate"]


def test_the_event_is_eventbridge_s_or_the_target_s_own() -> None:
    event = scheduled_event(MINUTE, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert event["detail-type"] == "Scheduled Event"
    assert event["time"] == "2026-01-02T03:04:05Z"
    assert event["resources"] == ["arn:aws:events:us-east-1:123456789012:rule/Rule"]
    own = Schedule("Rule", "F", "rate(1 minute)", 60.0, '{"a": 1}')
    assert scheduled_event(own, datetime.now(UTC)) == {"a": 1}
