"""Whom a call asks, in which order, how often, for how long, and what its client is told when nobody answers."""

import asyncio
from dataclasses import replace

import pytest

from aig import attempts
from aig.attempts import (
    LEAST_ATTEMPT_S,
    MAX_ATTEMPTS,
    REASONING_FIRST_BYTE_S,
    REASONING_IDLE_S,
    attempt_each,
    record_success,
)
from aig.call import ANSWER_S
from aig.errors import (
    AIGError,
    InvalidRequest,
    ProviderUnavailable,
    RateLimited,
    RequestTooLarge,
    UpstreamError,
    UpstreamTimeout,
)
from aig.modalities.upstream import Upstream
from aig.ports import Adapter, StoreBusy
from tests.unit.calls import HANGS, Scene, candidate

DOWN = UpstreamError("unavailable", status=500)
BUSY = UpstreamError("rate_limited", status=429)
LOST = UpstreamError("connect")
KEY = UpstreamError("auth", status=401)
REFUSED = UpstreamError("rejected", status=400, code="bad_value", param="tools")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for its own sake: the back-off is nothing, and only a Retry-After is waited for."""
    monkeypatch.setattr(attempts, "BACK_OFF_S", 0.0)


async def failure(scene: Scene, **more: int) -> AIGError:
    """What the client of a call that nobody answers is told."""
    with pytest.raises(AIGError) as raised:
        await attempt_each(scene.call(**more), scene.start)
    return raised.value


def busy(seconds: float | None) -> UpstreamError:
    return UpstreamError("rate_limited", status=429, retry_after=seconds)


class TestOrder:
    async def test_the_first_that_answers(self) -> None:
        scene = Scene(a=[DOWN], b=["from b"], c=["from c"])
        done = await attempt_each(scene.call(), scene.start)
        assert (done.candidate.key, done.attempts, done.answer) == ("b/v/m", 2, "from b")
        assert scene.asked == ["a", "b"]

    @pytest.mark.parametrize("error", [DOWN, BUSY, LOST, UpstreamError("malformed")], ids=lambda error: error.kind)
    async def test_one_that_failed_is_asked_again_if_there_is_nobody_else(self, error: UpstreamError) -> None:
        scene = Scene(a=[error, "well"])
        done = await attempt_each(scene.call(), scene.start)
        assert (done.attempts, scene.asked) == (2, ["a", "a"])

    async def test_who_has_not_been_asked_comes_before_who_failed(self) -> None:
        scene = Scene(a=[DOWN, "well"], b=[DOWN])
        done = await attempt_each(scene.call(), scene.start)
        assert (done.attempts, scene.asked) == (3, ["a", "b", "a"])

    async def test_who_may_be_asked_sooner_is(self) -> None:
        scene = Scene(a=[busy(19.0)], b=[DOWN, "well"])
        await attempt_each(scene.call(), scene.start)
        assert scene.asked == ["a", "b", "b"]

    async def test_three_attempts_and_no_more(self) -> None:
        alone, three = Scene(a=[DOWN]), Scene(a=[DOWN], b=[DOWN], c=[DOWN])
        assert (await failure(alone)).attempts == MAX_ATTEMPTS
        assert (await failure(three)).attempts == MAX_ATTEMPTS
        assert alone.asked == ["a"] * MAX_ATTEMPTS
        assert three.asked == ["a", "b", "c"]

    async def test_a_request_that_is_refused_is_refused_everywhere(self) -> None:
        scene = Scene(a=[REFUSED], b=["never"])
        error = await failure(scene)
        assert isinstance(error, InvalidRequest)
        assert (error.code, error.param, scene.asked) == ("bad_value", "tools", ["a"])
        assert scene.gateway.traffic.well("a/v/m")  # it says nothing of the provider

    async def test_who_refuses_our_key_is_not_asked_again(self) -> None:
        scene = Scene(a=[KEY], b=[DOWN, "well"])
        await attempt_each(scene.call(), scene.start)
        assert scene.asked == ["a", "b", "b"]
        assert scene.telemetry.alarms == ["ProviderKeyRefused"]
        alone = Scene(a=[KEY])
        error = await failure(alone)
        assert isinstance(error, ProviderUnavailable)
        assert "refuses the gateway's key" in error.message
        assert (error.attempts, alone.asked) == (1, ["a"])
        assert "refuses the gateway's key" not in (await failure(Scene(a=[KEY], b=[DOWN]))).message

    async def test_who_was_silent_is_not_asked_again(self) -> None:
        scene = Scene(a=[UpstreamError("timeout")])
        assert isinstance(await failure(scene), UpstreamTimeout)
        assert scene.asked == ["a"]

    async def test_what_failed_at_first_and_was_silent_then_is_not_asked_a_third_time(self) -> None:
        scene = Scene(a=[DOWN, UpstreamError("timeout")])
        assert isinstance(await failure(scene), UpstreamTimeout)
        assert scene.asked == ["a", "a"]

    async def test_an_adapter_that_cannot_read_an_answer_is_passed_over(self) -> None:
        scene, call = Scene(a=["odd"], b=["well"]), None

        async def start(adapter: Adapter, upstream: Upstream, limit: int) -> str:
            answer = await scene.start(adapter, upstream, limit)
            return answer if answer == "well" else {"key": f"of {upstream.api_key}"}["no"]

        call = scene.call()
        done = await attempt_each(call, start)
        assert (done.answer, done.attempts, scene.asked) == ("well", 2, ["a", "b"])
        ((name, alarm),) = scene.telemetry.told
        assert (name, alarm["error"], alarm["provider"]) == ("AdapterBug", "KeyError", "a")
        assert str(alarm["where"]).startswith("test_attempts.py:")
        assert "of k" not in str(alarm)
        assert [loss.amount for loss in call.losses] == [2000]  # it may be billed
        assert scene.gateway.traffic.well("a/v/m")  # what one client sends must not shut it for all

    async def test_a_bug_is_not_met_twice(self) -> None:
        scene = Scene(a=["odd"])

        async def start(adapter: Adapter, upstream: Upstream, limit: int) -> str:
            await scene.start(adapter, upstream, limit)
            raise RuntimeError(upstream.api_key)

        with pytest.raises(ProviderUnavailable):
            await attempt_each(scene.call(), start)
        assert scene.asked == ["a"]

    @pytest.mark.parametrize("ours", [StoreBusy("throttled"), InvalidRequest("no")], ids=["store", "refusal"])
    async def test_an_error_of_ours_ends_the_call(self, ours: Exception) -> None:
        async def start(*_: object) -> str:
            raise ours

        scene = Scene(a=[DOWN], b=["never"])
        with pytest.raises(type(ours)):
            await attempt_each(scene.call(), start)
        assert scene.telemetry.alarms == []


class TestWaiting:
    async def test_a_retry_after_is_honoured(self) -> None:
        scene, over, seen = Scene(a=[busy(0.05), "well"]), asyncio.Event(), list[bool]()

        async def start(adapter: Adapter, upstream: Upstream, limit: int) -> str:
            seen.append(over.is_set())
            asyncio.get_running_loop().call_later(0.04, over.set)
            return await scene.start(adapter, upstream, limit)

        await attempt_each(scene.call(), start)
        assert seen == [False, True]

    @pytest.mark.parametrize("seconds", [20.1, 3600.0])
    async def test_one_that_is_too_long_is_not_waited_for(self, seconds: float) -> None:
        scene = Scene(a=[busy(seconds)])
        error = await failure(scene)
        assert isinstance(error, RateLimited)
        assert scene.asked == ["a"]

    async def test_nor_is_one_that_ends_after_the_deadline(self) -> None:
        scene = Scene(a=[busy(10.0)])
        scene.takes["a"] = ANSWER_S - 9.0
        assert isinstance(await failure(scene), RateLimited)
        assert scene.asked == ["a"]

    async def test_a_wait_that_is_not_made_costs_none_of_the_budget(self) -> None:
        scene = Scene(a=[busy(3600.0)])
        for _ in range(4):  # one less than opens the breaker
            await failure(scene)
        scene.script["a"] = [DOWN, "well"]
        scene.clock.time += 0.1
        scene.gateway.traffic.record("a", "v/m", 1.0, None)
        assert (await attempt_each(scene.call(), scene.start)).attempts == 2

    async def test_the_back_off_doubles(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends after what must be over by then, which is set going as each attempt fails."""
        monkeypatch.setattr(attempts, "BACK_OFF_S", 0.01)
        monkeypatch.setattr("aig.attempts.secrets.randbelow", lambda bound: bound - 1)
        scene, over, seen = Scene(a=[DOWN]), asyncio.Event(), list[bool]()

        async def start(adapter: Adapter, upstream: Upstream, limit: int) -> str:
            seen.append(over.is_set())
            over.clear()
            asyncio.get_running_loop().call_later(0.018 * len(seen), over.set)
            return await scene.start(adapter, upstream, limit)

        with pytest.raises(ProviderUnavailable):
            await attempt_each(scene.call(), start)
        assert seen == [False, True, True]

    @pytest.mark.parametrize(("drawn", "asked"), [(0, 3), (999, 1)])
    async def test_the_back_off_is_anything_up_to_its_bound(
        self, monkeypatch: pytest.MonkeyPatch, drawn: int, asked: int
    ) -> None:
        monkeypatch.setattr(attempts, "BACK_OFF_S", 10.02)  # twice that is just more than the longest wait
        monkeypatch.setattr("aig.attempts.secrets.randbelow", lambda _: drawn)
        scene = Scene(a=[DOWN])
        await failure(scene)
        assert len(scene.asked) == asked


class TestDeadline:
    async def test_one_that_hangs_leaves_time_for_those_after_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attempts, "ANSWER_S", 0.06)
        monkeypatch.setattr(attempts, "LEAST_ATTEMPT_S", 0.0)
        scene = Scene(a=[HANGS], b=[HANGS], c=["well"])
        scene.takes = {"a": 0.02, "b": 0.02}
        done = await attempt_each(scene.call(), scene.start)
        assert (done.answer, done.attempts) == ("well", 3)

    async def test_out_of_time_nobody_is_asked_or_blamed(self) -> None:
        scene = Scene(a=[DOWN], b=["never"])
        scene.takes["a"] = ANSWER_S
        error = await failure(scene)
        assert isinstance(error, UpstreamTimeout)
        assert scene.asked == ["a"]
        assert scene.gateway.traffic.well("b/v/m")

    @pytest.mark.parametrize(("left", "asked"), [(LEAST_ATTEMPT_S, ["a", "b"]), (LEAST_ATTEMPT_S - 0.1, ["a"])])
    async def test_with_too_little_time_nobody_is_asked_either(self, left: float, asked: list[str]) -> None:
        scene = Scene(a=[DOWN], b=[REFUSED])
        scene.takes["a"] = ANSWER_S - left
        await failure(scene)
        assert scene.asked == asked

    async def test_all_hang(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(attempts, "ANSWER_S", 0.06)
        monkeypatch.setattr(attempts, "LEAST_ATTEMPT_S", 0.0)
        scene = Scene(a=[HANGS], b=[HANGS])
        assert isinstance(await failure(scene), UpstreamTimeout)
        assert scene.asked == ["a", "b"]
        assert [step["error"] for step in scene.telemetry.steps] == ["timeout", "timeout"]


class TestBreakers:
    async def test_one_that_is_open_is_passed_over(self) -> None:
        scene = Scene(a=["never"], b=["well"])
        scene.opened("a")
        done = await attempt_each(scene.call(), scene.start)
        assert (done.candidate.key, done.attempts, scene.asked) == ("b/v/m", 1, ["b"])

    async def test_all_open_is_one_attempt_at_the_first(self) -> None:
        scene = Scene(a=[DOWN], b=["never"])
        scene.opened("a")
        scene.opened("b")
        await failure(scene)
        assert scene.asked == ["a"]

    async def test_a_half_open_one_that_is_first_is_probed_by_whoever_claims_it(self) -> None:
        scene = Scene(a=["well"], b=["also"])
        scene.opened("a", ago=31)
        done = await attempt_each(scene.call(), scene.start)
        assert (done.candidate.key, scene.log.claimed) == ("a/v/m", ["a/v/m"])
        record_success(scene.call(), done)
        assert scene.gateway.traffic.gate("a/v/m") == "closed"

    async def test_and_passed_over_by_the_others(self) -> None:
        scene = Scene(a=["never"], b=["well"])
        scene.opened("a", ago=31)
        scene.log.claims = False
        done = await attempt_each(scene.call(), scene.start)
        assert (done.candidate.key, scene.asked) == ("b/v/m", ["b"])
        assert scene.gateway.traffic.gate("a/v/m") == "open"  # another's probe is on its way

    async def test_a_probe_that_is_refused_closes_it(self) -> None:
        """Whoever refuses a request has read it."""
        scene = Scene(a=[REFUSED])
        scene.opened("a", ago=31)
        assert isinstance(await failure(scene), InvalidRequest)
        assert scene.gateway.traffic.gate("a/v/m") == "closed"

    async def test_but_not_one_that_its_own_adapter_refuses(self) -> None:
        scene = Scene(a=[UpstreamError("rejected", code="unsupported_parameter", param="n")])
        scene.opened("a", ago=31)
        await failure(scene)
        assert scene.gateway.traffic.gate("a/v/m") == "open"

    async def test_behind_one_that_is_well_no_probe_is_claimed(self) -> None:
        scene = Scene(a=["well"], b=["never"])
        scene.opened("b", ago=31)
        await attempt_each(scene.call(), scene.start)
        assert (scene.asked, scene.log.claimed) == (["a"], [])

    async def test_one_that_opens_on_the_way_is_not_asked_again(self) -> None:
        scene = Scene(a=[DOWN])
        for _ in range(3):
            scene.gateway.traffic.record("a", "v/m", None, "unavailable")
        await failure(scene)
        assert scene.asked == ["a", "a"]  # the fourth and the fifth in a row
        assert scene.gateway.traffic.gate("a/v/m") == "open"


class TestWhatTheClientIsTold:
    @pytest.mark.parametrize(
        ("told", "seconds"),
        [(busy(None), 1), (busy(30.0), 30), (busy(30.2), 31), (busy(10**6), 3600), (busy(0.0), 1)],
    )
    async def test_all_rate_limited(self, told: UpstreamError, seconds: int) -> None:
        scene = Scene(a=[told])
        error = await failure(scene)
        assert isinstance(error, RateLimited)
        assert (error.code, error.retry_after) == ("upstream_rate_limited", seconds)

    async def test_the_soonest_of_several(self) -> None:
        error = await failure(Scene(a=[busy(50.0)], b=[busy(40.0)]))
        assert error.retry_after == 40

    async def test_not_all_rate_limited(self) -> None:
        assert isinstance(await failure(Scene(a=[busy(50.0)], b=[KEY])), ProviderUnavailable)

    async def test_what_a_server_of_ours_says_is_for_the_client(self) -> None:
        said = "The voices are joe and alloy."
        error = await failure(Scene(a=[UpstreamError("rejected", status=400, code="invalid_value", message=said)]))
        assert (error.message, error.code) == (said, "invalid_value")

    async def test_a_refusal_names_its_field_only_if_it_told_one(self) -> None:
        error = await failure(Scene(a=[UpstreamError("rejected", status=422)]))
        assert "names the field" not in error.message
        assert "code unknown" in error.message

    async def test_a_request_that_is_too_large_for_the_provider(self) -> None:
        assert isinstance(await failure(Scene(a=[UpstreamError("rejected", status=413)])), RequestTooLarge)

    @pytest.mark.parametrize(("short", "told"), [(True, "a smaller max_tokens"), (False, "a smaller request")])
    async def test_who_waited_in_vain_is_told_what_would_help(self, short: bool, told: str) -> None:
        scene = Scene(a=[UpstreamError("timeout")])
        call = scene.call()
        with pytest.raises(UpstreamTimeout) as raised:
            await attempt_each(replace(call, demand=replace(call.demand, may_be_short=short)), scene.start)
        assert raised.value.message.endswith(f"or {told}.")

    async def test_a_test_model_alarms_nobody(self) -> None:
        scene = Scene(a=[KEY])
        tested = candidate("a")
        sandbox = replace(tested, model=replace(tested.model, sandbox=True))
        with pytest.raises(ProviderUnavailable):
            await attempt_each(scene.call(sandbox), scene.start)
        assert scene.telemetry.alarms == []

    async def test_every_failed_attempt_is_logged_and_counted(self) -> None:
        scene = Scene(a=[DOWN, "well"])
        await attempt_each(scene.call(), scene.start)
        (step,) = scene.telemetry.steps
        assert (step["outcome"], step["provider"], step["model"], step["error"], step["status"]) == (
            "attempt_failed", "a", "v/m", "unavailable", 500
        )  # fmt: skip


class TestUpstream:
    async def test_each_attempt_knows_its_own_provider(self) -> None:
        scene = Scene(a=[DOWN], b=["well"])
        await attempt_each(scene.call(), scene.start)
        assert [(seen.provider, seen.model_id, seen.base_url) for seen in scene.upstreams] == [
            ("a", "a-id", "https://a.example"),
            ("b", "b-id", "https://b.example"),
        ]
        assert scene.upstreams[0].session == "key_1/s"
        assert await scene.upstreams[0].first_time("text")

    async def test_a_model_that_can_say_less_is_asked_for_less(self) -> None:
        scene = Scene(a=[DOWN], b=["well"])
        await attempt_each(scene.call(candidate("a", max_output=100), candidate("b")), scene.start)
        assert scene.limits == [100, 500]

    async def test_and_so_is_one_whose_provider_allows_less(self) -> None:
        scene, made = Scene(a=["well"]), candidate("a")
        await attempt_each(scene.call(replace(made, offer=replace(made.offer, max_output=50))), scene.start)
        assert scene.limits == [50]

    async def test_one_that_reasons_may_be_silent_for_longer(self) -> None:
        scene = Scene(a=["well"])
        await attempt_each(scene.call(candidate("a", can=("chat", "reasoning"))), scene.start)
        await attempt_each(scene.call(candidate("a")), scene.start)
        reasoning, plain = scene.upstreams
        assert reasoning.timeouts.first_byte == REASONING_FIRST_BYTE_S > plain.timeouts.first_byte
        assert reasoning.timeouts.idle == REASONING_IDLE_S > plain.timeouts.idle

    @pytest.mark.parametrize(("left", "seconds"), [(ANSWER_S, ANSWER_S - 1.0), (5.0, 4.5)])
    async def test_an_adapter_gives_up_before_the_attempt_is_over(self, left: float, seconds: float) -> None:
        scene = Scene(a=["well"])
        call = scene.call()
        scene.clock.time += ANSWER_S - left
        await attempt_each(call, scene.start)
        (seen,) = scene.upstreams
        assert seen.timeouts.total == pytest.approx(seconds)
        assert seen.timeouts.first_byte == pytest.approx(min(30.0, seconds))


class TestUnasked:
    """What an adapter refuses because its wire cannot do it, another's may."""

    CANNOT = UpstreamError("rejected", code="unsupported_parameter", param="n")

    async def test_the_next_is_asked_whatever_the_budget(self) -> None:
        scene = Scene(a=[self.CANNOT], b=["well"])
        while scene.gateway.retries.take(scene.clock.monotonic()):
            """Spent."""
        done = await attempt_each(scene.call(), scene.start)
        assert (done.candidate.key, done.attempts) == ("b/v/m", 2)

    async def test_who_cannot_is_not_asked_again(self) -> None:
        scene = Scene(a=[self.CANNOT])
        error = await failure(scene)
        assert isinstance(error, InvalidRequest)
        assert (error.param, scene.asked) == ("n", ["a"])

    async def test_what_became_of_the_others_says_more(self) -> None:
        scene = Scene(a=[KEY], b=[self.CANNOT])
        assert isinstance(await failure(scene), ProviderUnavailable)
        assert scene.asked == ["a", "b"]


class TestPatience:
    @pytest.mark.parametrize(
        ("left", "fresh", "seconds"), [(280.0, 2, 220.0), (280.0, 0, 280.0), (60.0, 1, 30.0), (30.0, 2, 10.0)]
    )
    async def test_an_answer_may_take_long_if_there_is_enough_for_another(
        self, left: float, fresh: int, seconds: float
    ) -> None:
        scene = Scene(**{f"p{at}": ["well"] for at in range(fresh + 1)})
        call = scene.call()
        scene.clock.time += ANSWER_S - left
        plan = attempts._Plan(call)
        await plan.first()
        assert plan.patience() == pytest.approx(seconds)


async def test_a_second_that_was_open_has_its_probe_when_its_turn_comes() -> None:
    scene = Scene(a=[DOWN], b=["well"])
    scene.opened("b", ago=31)
    done = await attempt_each(scene.call(), scene.start)
    assert (done.candidate.key, scene.asked, scene.log.claimed) == ("b/v/m", ["a", "b"], ["b/v/m"])
