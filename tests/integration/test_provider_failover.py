"""Every failover case of the demo, and what only many calls show: breakers, budgets, a store that does not answer."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NoReturn

import pytest
from typing_extensions import override

from aig.breaker import EXTRA_FLOOR, EXTRA_SHARE, Opening
from aig.health import Minute
from aig.ports import StoreBusy
from aig.wiring import Container
from local.failover import EVERY, STORIES, Story
from local.failover_stage import ALPHA_COST, BETA_COST, BOTH, Case, MemoryLog, Mode, Stage, stage
from local.scripted_provider import OK, Behaviour, error
from tests.unit.clock import FixedClock


@pytest.fixture
async def played(container: Container) -> AsyncIterator[Stage]:
    async with stage(container) as made:
        yield made


@pytest.mark.parametrize(("case", "mode"), EVERY, ids=[f"{case.name}-{mode}" for case, mode in EVERY])
async def test_a_case(played: Stage, case: Case, mode: Mode) -> None:
    outcome = await played.play(case, mode)
    assert outcome.fits(case), outcome


@pytest.mark.parametrize("story", STORIES, ids=[story.name for story in STORIES])
async def test_a_story(played: Stage, story: Story) -> None:
    assert await story.play(played) == story.end


async def test_the_breaker_opens_is_shared_probes_and_closes(played: Stage) -> None:
    log, clock = MemoryLog(), FixedClock(1_000_000.0)
    played.new_gateway(log, clock)
    played.alpha.reset(error(500))
    played.beta.reset(OK)
    seen = []
    for _ in range(8):
        clock.time += 2
        seen.append((await played.call(BOTH, "whole")).attempts)
    assert seen == [2, 2, 2, 2, 2, 1, 1, 1]  # five in a row, and then beta at once
    assert played.alpha.asked == 5
    assert set(log.open) == {"alpha/demo/both"}

    # A cold environment knows it from the start.
    played.new_gateway(log, clock)
    outcome = await played.call(BOTH, "stream")
    assert (outcome.by, outcome.attempts, played.alpha.asked) == ("beta", 1, 5)

    clock.time += 31  # half open: one call finds out, in vain, and it is open for longer
    outcome = await played.call(BOTH, "whole")
    assert (outcome.by, outcome.attempts, played.alpha.asked) == ("beta", 2, 6)
    assert log.open["alpha/demo/both"].times == 2
    clock.time += 31
    assert (await played.call(BOTH, "whole")).attempts == 1
    assert played.alpha.asked == 6

    clock.time += 31  # well again
    played.alpha.reset(OK)
    outcome = await played.call(BOTH, "whole")
    assert (outcome.by, outcome.cost) == ("alpha", ALPHA_COST)
    clock.time += 2
    assert (await played.call(BOTH, "whole")).by == "alpha"
    assert log.open == {}


async def test_one_of_many_calls_probes(played: Stage) -> None:
    log, clock = MemoryLog(), FixedClock(1_000_000.0)
    log.open["alpha/demo/both"] = Opening(1, 999_999)
    played.new_gateway(log, clock)
    played.alpha.reset(Behaviour(delay=0.2))  # all have asked before the first has its answer
    outcomes = await asyncio.gather(*(played.call(BOTH, "whole") for _ in range(5)))
    assert sorted(str(outcome.by) for outcome in outcomes) == ["alpha", "beta", "beta", "beta", "beta"]


async def test_a_flapping_provider_costs_the_clients_nothing(played: Stage) -> None:
    clock = FixedClock(1_000_000.0)
    played.new_gateway(MemoryLog(), clock)
    played.alpha.reset(*([error(503), OK] * 30))
    played.beta.reset(OK)
    outcomes = []
    for _ in range(40):
        clock.time += 0.5
        outcomes.append(await played.call(BOTH, "whole"))
    assert {outcome.sees for outcome in outcomes} == {"answer"}
    assert {outcome.cost for outcome in outcomes} == {ALPHA_COST, BETA_COST}
    assert played.alpha.asked <= 20
    assert [outcome.by for outcome in outcomes[12:36]] == ["beta"] * 24


async def test_a_total_outage_is_not_answered_with_more_load(played: Stage) -> None:
    clock = FixedClock(1_000_000.0)
    played.new_gateway(MemoryLog(), clock)
    played.alpha.reset(error(500))
    played.beta.reset(error(500))
    calls = 60
    for _ in range(calls):
        clock.time += 0.1
        outcome = await played.call(BOTH, "whole")
        assert outcome.sees == "502 provider_unavailable"
        assert outcome.held == 0
    extra = played.alpha.asked + played.beta.asked - calls
    assert extra <= EXTRA_SHARE * calls + EXTRA_FLOOR
    assert len([key for key in ("alpha", "beta") if played.gateway.traffic.gate(f"{key}/demo/both") == "open"]) == 2


async def test_the_last_provider_is_never_left_alone(played: Stage) -> None:
    """Whoever has nobody else asks the one that fails, once a call; when it is well, the client sees it at once."""
    clock = FixedClock(1_000_000.0)
    played.new_gateway(MemoryLog(), clock)
    played.alpha.reset(*[error(500)] * 6, OK)
    for _ in range(4):
        await played.call({"model": "demo/alone"}, "whole")
    outcome = await played.call({"model": "demo/alone"}, "whole")
    assert (outcome.sees, outcome.attempts) == ("answer", 1)


class BrokenLog(MemoryLog):
    """A table that is throttled, or does not answer at all."""

    def __init__(self, *, silent: bool) -> None:
        super().__init__()
        self._silent = silent

    async def _break(self) -> NoReturn:
        if self._silent:
            await asyncio.Event().wait()
        raise StoreBusy("throttled")

    @override
    async def add(self, minutes: Any) -> None:
        await self._break()

    @override
    async def since(self, provider: str, minute: int) -> Sequence[Minute]:
        await self._break()

    @override
    async def breakers(self) -> Mapping[str, Opening]:
        await self._break()

    @override
    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        await self._break()

    @override
    async def claim_probe(self, key: str, now: int) -> bool:
        await self._break()


@pytest.mark.parametrize("silent", [False, True])
async def test_requests_are_served_where_health_cannot_be_shared(played: Stage, silent: bool) -> None:
    played.new_gateway(BrokenLog(silent=silent), FixedClock(1_000_000.0))
    played.alpha.reset(error(401))
    played.beta.reset(OK)
    first = await played.call(BOTH, "whole")
    assert (first.by, first.cost) == ("beta", BETA_COST)
    second = await played.call(BOTH, "stream")
    assert (second.by, second.attempts) == ("beta", 1)  # this environment has learned it all the same


async def test_health_is_no_write_per_request(played: Stage) -> None:
    log, clock = MemoryLog(), FixedClock(1_000_000.0)
    played.new_gateway(log, clock)
    played.alpha.reset(OK)
    for _ in range(30):
        clock.time += 1
        await played.call(BOTH, "whole")
    assert log.writes <= 4
