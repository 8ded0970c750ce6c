"""What attempts met is gathered in memory and written now and then, without making anyone wait or fail."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from typing_extensions import override

from aig.breaker import Opening
from aig.catalog.model import Model, Offer, Provider
from aig.catalog.routing import Candidate, Standing
from aig.health import Minute
from aig.modalities.upstream import Timeouts
from aig.money.pricing import Prices
from aig.ports import HealthLog, StoreBusy
from aig.traffic import FLUSH_EVERY_S, Traffic
from tests.unit.clock import FixedClock


class Log(HealthLog):
    """Keeps what was written; refuses while `busy`."""

    def __init__(self) -> None:
        self.written: list[Minute] = []
        self.writes = 0
        self.busy = False
        self.open: dict[str, Opening] = {}
        self.probes: set[str] = set()
        self.breaker_writes = 0

    @override
    async def add(self, minutes: Iterable[Minute]) -> None:
        if self.busy:
            raise StoreBusy("throttled")
        self.writes += 1
        self.written += minutes

    @override
    async def breakers(self) -> Mapping[str, Opening]:
        if self.busy:
            raise StoreBusy("throttled")
        return dict(self.open)

    @override
    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        if self.busy:
            raise StoreBusy("throttled")
        self.breaker_writes += 1
        self.open.pop(key, None)
        if opening:
            self.open[key] = opening

    @override
    async def claim_probe(self, key: str, now: int) -> bool:
        claimed = key not in self.probes
        self.probes.add(key)
        return claimed

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
    await traffic.share_if_due()
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
        await traffic.share_if_due()
    assert log.writes == 3
    clock.time += FLUSH_EVERY_S
    await traffic.share_if_due()
    assert sum(seen.succeeded for seen in log.written) == 25


async def test_no_traffic_is_no_write() -> None:
    log = Log()
    await Traffic(log, FixedClock()).share_if_due()
    assert log.writes == 0


async def test_a_write_that_fails_harms_nobody_and_is_not_tried_at_once_again() -> None:
    log, clock = Log(), FixedClock(1000.0)
    traffic = Traffic(log, clock)
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    log.busy = True
    await traffic.share_if_due()
    log.busy = False
    traffic.record("sandbox", "sandbox/echo", 12.0, None)
    await traffic.share_if_due()
    assert log.writes == 0
    clock.time += FLUSH_EVERY_S
    await traffic.share_if_due()
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


PROVIDER = Provider("p", "P", "openai_compatible", "https://p.example", None, "max_tokens", Timeouts())
CANDIDATE = Candidate(
    Model("v/m", "M", "text", frozenset(), 10, 10, None, None, False, ()),
    Offer(PROVIDER, "m", Prices({}), "test", "2026-01-01"),
)


async def test_what_one_environment_learns_another_knows() -> None:
    log, clock = Log(), FixedClock(600.0)
    here, there = Traffic(log, clock), Traffic(log, clock)
    for _ in range(5):
        here.record("p", "v/m", None, "unavailable")
    assert here.gate("p/v/m") == "open"
    assert here.standing(CANDIDATE).state == "down"
    assert not here.well("p/v/m")
    await here.share_if_due()
    assert log.breaker_writes == 1
    assert there.gate("p/v/m") == "closed"
    await there.look(["p"])
    assert there.gate("p/v/m") == "open"
    clock.time += 31
    assert there.gate("p/v/m") == "probe"
    assert await there.claim_probe("p/v/m")
    assert not await here.claim_probe("p/v/m")
    there.record("p", "v/m", 20.0, None)
    await there.share_if_due()
    assert log.open == {}


async def test_a_change_that_could_not_be_told_is_told_later() -> None:
    log, clock = Log(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    log.busy = True
    traffic.record("p", "v/m", None, "auth")
    await traffic.share_if_due()
    assert traffic.gate("p/v/m") == "open"
    log.busy = False
    await traffic.share_if_due()  # not at once again
    assert log.breaker_writes == 0
    clock.time += 1
    await traffic.share_if_due()
    assert set(log.open) == {"p/v/m"}


async def test_it_looks_once_a_minute_and_never_for_long() -> None:
    class Slow(Log):
        looks = 0

        @override
        async def since(self, provider: str, minute: int) -> Sequence[Minute]:
            self.looks += 1
            await asyncio.Event().wait()
            return ()

    log, clock = Slow(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    for second in (0, 1, 30, 61):
        clock.time = 600.0 + second
        await traffic.look(["p"])
    assert log.looks == 2
    assert traffic.standing(CANDIDATE) == Standing()


async def test_a_store_that_cannot_say_who_may_probe_leaves_it_to_us() -> None:
    class Broken(Log):
        @override
        async def claim_probe(self, key: str, now: int) -> bool:
            raise StoreBusy("throttled")

    traffic = Traffic(Broken(), FixedClock(600.0))
    traffic.record("p", "v/m", None, "auth")
    assert await traffic.claim_probe("p/v/m")


async def test_speed_is_told_of_what_ended() -> None:
    traffic = Traffic(Log(), FixedClock(600.0))
    for _ in range(5):
        traffic.record("p", "v/m", 240.0, None)
    traffic.record_speed("p", "v/m", 300, 1500.0)
    assert traffic.standing(CANDIDATE) == Standing("healthy", 250, 200.0)


async def test_the_minute_that_has_just_begun_does_not_make_well() -> None:
    clock = FixedClock(659.0)
    traffic = Traffic(Log(), clock)
    for number in range(20):
        traffic.record("p", "v/m", *((None, "unavailable") if number % 3 else (20.0, None)))
    assert traffic.standing(CANDIDATE).state == "down"
    clock.time = 661.0
    assert traffic.standing(CANDIDATE).state == "down"
    clock.time = 780.0
    assert traffic.standing(CANDIDATE).state == "unknown"


async def test_what_failed_before_its_breaker_closed_is_forgiven() -> None:
    clock = FixedClock(600.0)
    traffic = Traffic(Log(), clock)
    for _ in range(5):
        traffic.record("p", "v/m", None, "unavailable")
    assert traffic.standing(CANDIDATE).state == "down"
    clock.time = 631.0  # it is time to find out, which nobody would behind one that is well
    assert traffic.standing(CANDIDATE).state == "unknown"
    traffic.record("p", "v/m", 20.0, None)
    assert traffic.standing(CANDIDATE).state == "unknown"
    clock.time = 665.0
    for _ in range(5):
        traffic.record("p", "v/m", 20.0, None)
    assert traffic.standing(CANDIDATE).state == "healthy"


async def test_a_refusal_shows_that_somebody_is_there() -> None:
    log, clock = Log(), FixedClock(600.0)
    traffic = Traffic(log, clock)
    traffic.record_refusal("p", "v/m")  # of whom nothing is known
    traffic.record("p", "v/m", None, "auth")
    await traffic.share_if_due()
    assert set(log.open) == {"p/v/m"}
    clock.time += 31
    traffic.record_refusal("p", "v/m")
    assert traffic.gate("p/v/m") == "closed"
    await traffic.share_if_due()
    assert log.open == {}
    assert sum(seen.succeeded for seen in log.written) == 0


async def test_few_attempts_say_nothing_of_how_well_it_is() -> None:
    traffic = Traffic(Log(), FixedClock(600.0))
    for _ in range(4):
        traffic.record("p", "v/m", None, "timeout")
    assert traffic.standing(CANDIDATE).state == "unknown"
