"""What environments share of their traffic: changes soon, the rest seldom, and nothing that a request waits for."""

import asyncio
from collections.abc import Mapping

from typing_extensions import override

from aig.breaker import Opening
from aig.ports import StoreBusy
from aig.traffic import CHANGE_EVERY_S, FLUSH_EVERY_S, STANDING_MIN, Traffic
from tests.unit.clock import FixedClock
from tests.unit.test_traffic import Log


def fail(traffic: Traffic, times: int = 5) -> None:
    for _ in range(times):
        traffic.record("p", "v/m", None, "unavailable")


async def done() -> str:
    return "result"


async def test_no_write_per_request_however_many_there_are() -> None:
    log, clock = Log(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    for _ in range(500):
        clock.time += 0.01
        traffic.record("p", "v/m", 20.0, None)
        await traffic.beside(done())
    assert (log.writes, log.breaker_writes) == (1, 0)


async def test_a_change_goes_out_beside_the_next_settle_after_a_second() -> None:
    log, clock = Log(), FixedClock(600.0)
    here, there = Traffic(log, clock), Traffic(log, clock)
    here.record("p", "v/m", 20.0, None)
    await here.beside(done())  # a flush; the next would be due in ten seconds
    fail(here)
    clock.time += CHANGE_EVERY_S / 2
    await here.beside(done())
    assert log.breaker_writes == 0
    clock.time += CHANGE_EVERY_S / 2
    await here.beside(done())
    assert (log.breaker_writes, log.writes) == (1, 2)
    await there.look(["p"])
    assert there.gate("p/v/m") == "open"


async def test_a_read_that_is_too_early_does_not_close_what_has_just_opened() -> None:
    """A query is eventually consistent: it need not see what was written a millisecond before."""

    class Stale(Log):
        @override
        async def breakers(self) -> Mapping[str, Opening]:
            return {}

    log, clock = Stale(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    await traffic.look(["p"])
    fail(traffic)
    await traffic.share_if_due()
    assert log.breaker_writes == 1
    assert traffic.gate("p/v/m") == "open"


async def test_what_another_has_closed_is_closed_here_with_the_next_read() -> None:
    log, clock = Log(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    await traffic.look(["p"])
    fail(traffic)
    await traffic.share_if_due()
    log.open.clear()
    clock.time += FLUSH_EVERY_S
    traffic.record("p", "v/other", 20.0, None)
    await traffic.share_if_due()
    assert traffic.gate("p/v/m") == "closed"


async def test_what_it_keeps_does_not_grow_while_it_cannot_read() -> None:
    class Unreadable(Log):
        @override
        async def breakers(self) -> Mapping[str, Opening]:
            raise StoreBusy("throttled")

    clock = FixedClock(600.0)
    traffic = Traffic(Unreadable(), clock)
    for _ in range(100):
        clock.time += 60
        traffic.record("p", "v/m", 20.0, None)
        await traffic.share_if_due()
    assert len(traffic._shared["p"]) == STANDING_MIN


async def test_a_change_that_is_not_told_yet_is_not_unlearned() -> None:
    log, clock = Log(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    fail(traffic)
    await traffic.look(["p"])
    assert traffic.gate("p/v/m") == "open"


async def test_a_throttled_store_makes_nobody_wait_twice_or_fail() -> None:
    log, clock = Log(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    log.busy = True
    await traffic.look(["p"])
    fail(traffic)
    for _ in range(3):
        assert await traffic.beside(done()) == "result"
    assert traffic.gate("p/v/m") == "open"
    assert log.open == {}


async def test_work_that_fails_fails_also_beside_a_write() -> None:
    class Refused(Exception):
        pass

    async def refused() -> None:
        raise Refused

    log = Log()
    traffic = Traffic(log, FixedClock(600.0))
    fail(traffic)
    try:
        await traffic.beside(refused())
    except Refused:
        await asyncio.sleep(0)
    else:
        raise AssertionError("it passed")
    assert log.breaker_writes == 1
