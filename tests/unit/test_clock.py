"""The clock of the running system."""

import time

from aig.clock import SystemClock


def test_it_tells_the_time_of_the_machine() -> None:
    clock = SystemClock()
    before = time.time(), time.monotonic()
    shown = clock.now(), clock.monotonic()
    after = time.time(), time.monotonic()
    assert before[0] <= shown[0] <= after[0]
    assert before[1] <= shown[1] <= after[1]
