"""Second attempts while much fails: within a budget, and yet all of a burst finds the provider that is well."""

import asyncio
from typing import Any

import pytest

from aig import attempts
from aig.attempts import Attempted, Start, attempt_each
from aig.breaker import EXTRA_FLOOR, EXTRA_SHARE
from aig.errors import AIGError, ProviderUnavailable, UpstreamError
from aig.modalities.upstream import Upstream
from aig.ports import Adapter
from tests.unit.calls import HANGS, Scene, candidate

DOWN = UpstreamError("unavailable", status=500)
LOST = UpstreamError("connect")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for its own sake."""
    monkeypatch.setattr(attempts, "BACK_OFF_S", 0.0)


async def failure(scene: Scene) -> AIGError:
    """What the client of a call that nobody answers is told."""
    with pytest.raises(AIGError) as raised:
        await attempt_each(scene.call(), scene.start)
    return raised.value


def spent(scene: Scene) -> None:
    """The budget of all calls is used up."""
    while scene.gateway.retries.take(scene.clock.monotonic()):
        """Until there is none."""


def at_a_time(scene: Scene) -> Start[str]:
    """All who are asked at a time answer at that time."""

    async def start(adapter: Adapter, upstream: Upstream, limit: int) -> str:
        for _ in range(20):
            await asyncio.sleep(0)
        return await scene.start(adapter, upstream, limit)

    return start


class TestBudget:
    async def test_an_outage_gets_a_fifth_more_load(self) -> None:
        """Every call is for another model, so that no breaker helps."""
        scene = Scene(a=[DOWN])
        calls = 300
        for number in range(calls):
            scene.clock.time += 0.05
            with pytest.raises(ProviderUnavailable):
                await attempt_each(scene.call(candidate("a", f"v/m{number}")), scene.start)
        windows = calls * 0.05 / 10 + 1  # each of which has its floor
        assert len(scene.asked) - calls <= EXTRA_SHARE * calls + EXTRA_FLOOR * windows
        assert len(scene.asked) > calls

    async def test_breakers_make_it_less(self) -> None:
        scene = Scene(a=[DOWN], b=[DOWN])
        calls = 200
        for _ in range(calls):
            scene.clock.time += 0.1
            await failure(scene)
        assert len(scene.asked) <= calls * (1 + EXTRA_SHARE)

    async def test_one_that_answers_is_asked_whatever_the_budget(self) -> None:
        scene = Scene(a=[LOST], b=["well"])
        scene.gateway.traffic.answered("b", "v/m")
        spent(scene)
        done = await attempt_each(scene.call(), scene.start)
        assert done.attempts == 2

    @pytest.mark.parametrize(("ago", "asked"), [(9.9, ["a", "b"]), (10.0, ["a"])])
    async def test_it_must_have_answered_lately(self, ago: float, asked: list[str]) -> None:
        scene = Scene(a=[LOST], b=[LOST])
        scene.gateway.traffic.answered("b", "v/m")
        scene.clock.time += ago
        spent(scene)
        await failure(scene)
        assert scene.asked == asked

    async def test_one_that_refuses_requests_answers(self) -> None:
        scene = Scene(a=[LOST], b=["well"])
        scene.gateway.traffic.record_refusal("b", "v/m")
        spent(scene)
        assert (await attempt_each(scene.call(), scene.start)).attempts == 2

    async def test_so_may_one_whose_provider_answers_for_another_model(self) -> None:
        """When a provider is down, all of its models turn to others at once."""
        scene = Scene(a=[LOST], b=["well"])
        scene.gateway.traffic.answered("b", "v/other")
        spent(scene)
        assert (await attempt_each(scene.call(), scene.start)).attempts == 2
        scene.gateway.traffic.record("b", "v/m", None, "unavailable")
        await failure(scene)
        assert scene.asked == ["a", "b", "a"]  # until it has failed

    async def test_resends_of_an_adapter_are_of_the_same_budget(self) -> None:
        scene = Scene(a=["well"])
        await attempt_each(scene.call(), scene.start)
        (upstream,) = scene.upstreams
        assert [upstream.may_ask_again() for _ in range(EXTRA_FLOOR + 1)] == [True] * EXTRA_FLOOR + [False]
        assert not scene.gateway.retries.take(scene.clock.monotonic())

    async def test_one_that_failed_lately_is_not(self) -> None:
        scene = Scene(a=[LOST], b=["never"])
        scene.gateway.traffic.record("b", "v/m", None, "unavailable")
        spent(scene)
        await failure(scene)
        assert scene.asked == ["a"]


class TestBurst:
    """Many calls turn to the next provider at once, before anybody knows how it does."""

    CALLS = 100

    async def play(self, scene: Scene, calls: int = CALLS) -> list[Attempted[str] | BaseException]:
        """All calls ask, and all that are asked at a time answer at that time."""
        async with asyncio.timeout(30):
            done = (attempt_each(scene.call(), at_a_time(scene)) for _ in range(calls))
            return await asyncio.gather(*done, return_exceptions=True)

    async def test_a_total_outage_gets_a_fifth_more_load(self) -> None:
        scene = Scene(a=[DOWN], b=[DOWN], c=[DOWN])
        assert {type(ended) for ended in await self.play(scene)} == {ProviderUnavailable}
        assert self.CALLS < len(scene.asked) <= self.CALLS * (1 + EXTRA_SHARE)
        assert scene.asked.count("b") <= 20
        assert scene.asked.count("c") <= 20

    async def test_all_of_it_goes_to_the_one_that_is_well(self) -> None:
        scene = Scene(a=[DOWN], b=["well"])
        assert all(isinstance(ended, Attempted) and ended.answer == "well" for ended in await self.play(scene))
        assert len(scene.asked) == 2 * self.CALLS

    async def test_also_past_one_that_is_not(self) -> None:
        scene = Scene(a=[DOWN], b=[DOWN], c=["well"])
        ended = await self.play(scene)
        assert all(isinstance(one, Attempted) and one.answer == "well" for one in ended)
        assert scene.asked.count("b") <= 2  # those who went ahead

    async def test_the_first_word_may_be_bad_luck(self) -> None:
        scene = Scene(a=[DOWN], b=[DOWN, DOWN, "well"])
        ended = await self.play(scene)
        assert sum(isinstance(one, Attempted) for one in ended) >= self.CALLS - 2

    async def test_a_small_one_has_some_of_its_budget_left_for_the_last(self) -> None:
        scene = Scene(a=[DOWN], b=[DOWN], c=["well"])
        assert all(isinstance(one, Attempted) for one in await self.play(scene, 10))

    async def test_word_that_does_not_come_is_not_waited_for_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attempts, "LONGEST_WAIT_S", 0.02)
        scene, given_up, calls = Scene(a=[DOWN], b=[HANGS]), asyncio.Event(), list[asyncio.Task[Any]]()
        for _ in range(20):
            calls.append(asyncio.create_task(attempt_each(scene.call(), at_a_time(scene))))
            calls[-1].add_done_callback(lambda _: given_up.set() if sum(call.done() for call in calls) == 18 else None)
        async with asyncio.timeout(30):
            await given_up.wait()
        assert scene.asked.count("b") == 2
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert scene.gateway.scouts.room("b/v/m")  # who is cancelled is back

    async def test_bad_word_of_the_last_ends_the_call(self) -> None:
        scene = Scene(a=[DOWN], b=["never"])
        spent(scene)
        scene.gateway.scouts.send("b/v/m")
        waiting = asyncio.create_task(attempt_each(scene.call(), scene.start))
        await asyncio.sleep(0)
        assert not waiting.done()
        scene.gateway.scouts.back("b/v/m")
        with pytest.raises(ProviderUnavailable):
            await waiting
        assert scene.asked == ["a"]
