"""What attempts met is gathered in memory and written now and then, without making anyone wait or fail."""

import asyncio
from collections.abc import Iterable, Sequence

from typing_extensions import override

from aig.health import Minute
from aig.ports import HealthLog, StoreBusy
from aig.traffic import FLUSH_EVERY_S, Traffic
from tests.unit.clock import FixedClock


class Log(HealthLog):
    """Keeps what was written; refuses while `busy`."""

    def __init__(self) -> None:
        self.written: list[Minute] = []
        self.writes = 0
        self.busy = False

    @override
    async def add(self, minutes: Iterable[Minute]) -> None:
        if self.busy:
            raise StoreBusy("throttled")
        self.writes += 1
        self.written += minutes

    @override
    async def since(self, provider: str, minute: int) -> Sequence[Minute]:
        return [seen for seen in self.written if seen.provider == provider and seen.minute >= minute]


async def test_attempts_are_counted_by_provider_model_and_minute() -> None:
    log, clock = Log(), FixedClock(90.0)
    traffic = Traffic(log, clock)
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    traffic.record("sandbox", "sandbox/echo", None, "timeout")
    traffic.record("sandbox", "sandbox/slow", 2000.0, None)
    traffic.record("local", "sandbox/echo", 12.0, None)
    clock.time = 120.0
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    await traffic.flush_if_due()
    assert {(seen.provider, seen.model, seen.minute): (seen.succeeded, seen.failed) for seen in log.written} == {
        ("sandbox", "sandbox/echo", 1): (1, 1),
        ("sandbox", "sandbox/slow", 1): (1, 0),
        ("local", "sandbox/echo", 1): (1, 0),
        ("sandbox", "sandbox/echo", 2): (1, 0),
    }
    assert log.written[0].last_error == "timeout"


async def test_it_writes_at_most_every_ten_seconds_and_loses_nothing() -> None:
    log, clock = Log(), FixedClock(1000.0)
    traffic = Traffic(log, clock)
    for second in range(25):
        clock.time = 1000.0 + second
        traffic.record("sandbox", "sandbox/echo", 12.0, None)
        await traffic.flush_if_due()
    assert log.writes == 3
    clock.time += FLUSH_EVERY_S
    await traffic.flush_if_due()
    assert sum(seen.succeeded for seen in log.written) == 25


async def test_no_traffic_is_no_write() -> None:
    log = Log()
    await Traffic(log, FixedClock()).flush_if_due()
    assert log.writes == 0


async def test_a_write_that_fails_harms_nobody_and_is_not_tried_at_once_again() -> None:
    log, clock = Log(), FixedClock(1000.0)
    traffic = Traffic(log, clock)
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    log.busy = True
    await traffic.flush_if_due()
    log.busy = False
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    await traffic.flush_if_due()
    assert log.writes == 0
    clock.time += FLUSH_EVERY_S
    await traffic.flush_if_due()
    assert sum(seen.succeeded for seen in log.written) == 1


async def test_a_write_goes_out_beside_other_work_when_one_is_due() -> None:
    log, clock = Log(), FixedClock(1000.0)
    traffic = Traffic(log, clock)
    assert await traffic.beside(asyncio.sleep(0, "result")) == "result"
    assert log.writes == 0
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    assert await traffic.beside(asyncio.sleep(0, "result")) == "result"
    assert log.writes == 1
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    assert await traffic.beside(asyncio.sleep(0, "result")) == "result"
    assert log.writes == 1


async def test_a_write_that_fails_does_not_harm_the_work_beside_it() -> None:
    log = Log()
    log.busy = True
    traffic = Traffic(log, FixedClock(1000.0))
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    assert await traffic.beside(asyncio.sleep(0, "result")) == "result"
