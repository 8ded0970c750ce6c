"""The steps of a job over moto's table: what each of them does next, what it costs, and where it may die."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from aig.aws.jobs import PLATFORM
from aig.errors import UpstreamError
from aig.generation import cancel
from aig.jobs import failures, times
from aig.jobs.job import Job
from aig.jobs.view import job_json, links_of
from aig.jobsteps import Next
from aig.modalities.job import Failed, Inline, Linked, Stage, Working
from aig.modalities.usage import Usage
from tests.builders import Account, an_account, debits_of, holds_of, wallet_of
from tests.jobs import BALANCE, COST, FILM, HELD, MAKER, ONE, SPARE, UPSTREAM, VIDEO, Shop, done, failed, losses, spent

UNAVAILABLE = UpstreamError("unavailable", status=503)
REJECTED = UpstreamError("rejected", status=400, code="content_policy_violation")
BUSY = UpstreamError("rate_limited", status=429, retry_after=30)
CUT = UpstreamError("connect", sent=True)
NEVER_SENT = UpstreamError("connect", sent=False)
EDGE = UpstreamError("unavailable", status=502)
LOST = UpstreamError("rejected", status=404)


class TestAJobThatWorks:
    async def test_it_is_charged_once_and_its_place_is_free_again(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Working({"id": "1"}, 10), Working({"id": "1"}, 60), done()]
        job = await shop.order(buyer)
        wallet = await wallet_of(shop.container, buyer)
        assert (wallet.held, job.status) == (HELD, "queued")

        seen = await shop.run(job)

        assert (seen.status, seen.cost, seen.progress) == ("completed", COST, 100)
        (file,) = seen.files
        assert (file.name, file.media_type, file.size) == ("video.mp4", "video/mp4", len(VIDEO))
        assert await spent(shop, buyer) == COST
        assert shop.maker.references == [job.id]
        (event,) = await shop.events(buyer.id)
        assert (event.type, event.data["usage"]["cost"]) == ("job.completed", "0.0105")
        (debit,) = await debits_of(shop.container, buyer)
        assert (debit["tag"], debit["provider"], debit["upstream_cost"]) == ("films", MAKER, UPSTREAM)
        assert await losses(shop, buyer) == []

    async def test_while_it_is_made_its_place_is_taken_and_its_money_held(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        assert await shop.take("submit", job) == Next("poll", 1)
        seen = await shop.look(job)
        assert (seen.status, seen.model, seen.provider, seen.stamp) == ("processing", FILM, MAKER, None)
        assert [await shop.slots(MAKER, owner) for owner in (PLATFORM, buyer.id)] == [1, 1]
        assert (await wallet_of(shop.container, buyer)).held == HELD

    async def test_a_provider_that_has_it_at_once_is_not_polled(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [done()]
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, shop.maker.polled) == ("completed", [])
        assert await spent(shop, buyer) == COST

    async def test_every_step_may_be_repeated(self, shop: Shop, buyer: Account) -> None:
        """As queues and machines do: each step is taken again in every state that comes later."""
        job = await shop.order(buyer)
        told: list[str] = []
        for do in ("submit", "submit", "poll", "store", "store", "poll", "submit", "settle", "settle", "store", "poll"):
            told.append((await shop.take(do, job)).do)
        assert told == [
            "poll", "poll", "store", "settle", "settle", "settle", "settle", "ended", "ended", "ended", "ended",
        ]  # fmt: skip
        assert len(shop.maker.references) == 1
        assert await spent(shop, buyer) == COST
        assert len(await shop.events(buyer.id)) == 1

    async def test_steps_that_come_five_times_at_once_are_taken_once(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store", "settle"):
            await asyncio.gather(*(shop.take(do, job) for _ in range(5)))
        assert (await shop.look(job)).status == "completed"
        assert len(shop.maker.references) == 1
        assert await spent(shop, buyer) == COST
        assert len(await shop.events(buyer.id)) == 1

    async def test_two_paid_steps_cost_what_both_cost(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [Working({"id": "sketch"}), Working({"id": "whole"})]
        shop.maker.polling = [Stage({"sketch": 7}, ONE), done()]
        job = await shop.order(buyer)
        seen = await shop.run(job)
        assert shop.maker.references == [job.id, f"{job.id}-2"]
        assert shop.maker.stages == [None, {"sketch": 7}]
        assert (seen.status, seen.cost) == ("completed", 2 * COST)
        assert await spent(shop, buyer) == 2 * COST

    async def test_all_its_files_are_kept_by_names_of_ours(self, shop: Shop, buyer: Account) -> None:
        shop.downloads.there = {"https://x.example/<img onerror=1>.exe": VIDEO}
        shop.maker.polling = [done(Inline(VIDEO), Linked("https://x.example/<img onerror=1>.exe"))]
        seen = await shop.run(await shop.order(buyer))
        assert [file.name for file in seen.files] == ["video.mp4", "video-2.mp4"]
        for file in seen.files:
            path = f"{buyer.id}/{seen.id}/{file.name}"
            assert await shop.container.files.there(path) == len(VIDEO) == file.size

    async def test_the_event_says_what_a_look_says(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [done(usage=Usage({"assets": 1}, estimated=True))]
        seen = await shop.run(await shop.order(buyer))
        (event,) = await shop.events(buyer.id)
        key = (await shop.container.link_keys())[0]
        told = job_json(seen, links_of(seen, key), shop.clock.now())
        assert event.data == {name: value for name, value in told.items() if name != "webhook_url"}

    async def test_what_a_provider_gives_away_costs_nothing(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [done(usage=Usage({"assets": 0}))]
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, seen.cost) == ("completed", 0)
        assert await spent(shop, buyer) == 0

    async def test_what_costs_more_than_was_held_is_our_loss(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [done(usage=Usage({"assets": 5}))]
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, seen.cost) == ("completed", HELD)
        assert [reason for reason, _ in await losses(shop, buyer)] == ["over_hold"]
        assert await spent(shop, buyer) == HELD


class TestProvidersThatRefuse:
    async def test_the_next_is_asked_and_the_place_moves_with_it(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [UNAVAILABLE]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        assert [await shop.slots(MAKER), await shop.slots(SPARE)] == [0, 1]
        seen = await shop.run(job, "poll")
        assert (seen.status, seen.provider, seen.cost) == ("completed", SPARE, 2 * COST)
        assert await spent(shop, buyer) == 2 * COST

    async def test_what_the_client_has_to_change_is_said_at_once(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [REJECTED]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "content_policy_violation"
        assert shop.spare.references == []

    async def test_a_wire_that_cannot_do_it_leaves_it_to_the_next(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [UpstreamError("rejected", param="duration", message="It makes ten seconds.")]
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, seen.provider) == ("completed", SPARE)

    @pytest.mark.parametrize("error", [UNAVAILABLE, NEVER_SENT], ids=str)
    async def test_five_rounds_of_nobody_are_the_end(self, shop: Shop, buyer: Account, error: UpstreamError) -> None:
        shop.maker.submitting, shop.spare.submitting = [error], [error]
        job = await shop.order(buyer)
        began = shop.clock.time
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_unavailable"
        assert (len(shop.maker.references), len(shop.spare.references)) == (5, 5)
        assert shop.clock.time - began == 5 + 10 + 20 + 40
        assert await losses(shop, buyer) == []

    async def test_one_that_limits_its_rate_is_asked_again_for_longer(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting, shop.spare.submitting = [BUSY] * 9 + [Working({"id": "1"})], [BUSY]
        job = await shop.order(buyer)
        assert await shop.take("submit", job) == Next("submit", 30)
        assert (await shop.run(job)).status == "completed"

    async def test_rates_that_stay_limited_end_it_before_its_money_comes_back(self, shop: Shop, buyer: Account) -> None:
        """What nobody takes on waits as if nobody had room; the hold outlasts that."""
        shop.maker.submitting, shop.spare.submitting = [BUSY], [BUSY]
        job = await shop.order(buyer)
        (hold,) = await holds_of(shop.container, buyer)
        await shop.run(job)
        assert shop.clock.time < hold["expires_at"]
        assert await failed(shop, buyer, job) == "queue_timeout"

    async def test_what_nobody_takes_on_leaves_its_place_to_others(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting, shop.spare.submitting = [BUSY], [BUSY]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        seen = await shop.look(job)
        assert (seen.status, seen.candidate, seen.tries) == ("queued", None, 1)
        assert [await shop.slots(MAKER), await shop.slots(SPARE)] == [0, 0]
        assert (await cancel(shop.container.wallets, shop.jobs, shop.clock, seen)).status == "cancelled"
        assert await spent(shop, buyer) == 0

    async def test_one_that_is_full_is_passed_over(self, shop: Shop, buyer: Account) -> None:
        others = [await an_account(shop.container) for _ in range(2)]
        for other in [others[0], others[0], others[1], others[1]]:
            await shop.take("submit", await shop.order(other))
        assert await shop.slots(MAKER) == 4
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, seen.provider) == ("completed", SPARE)

    async def test_half_of_the_places_are_one_tenants(self, shop: Shop, buyer: Account) -> None:
        jobs = [await shop.order(buyer) for _ in range(5)]
        told = [await shop.take("submit", job) for job in jobs]
        assert [next_.do for next_ in told] == ["poll"] * 4 + ["submit"]  # two at each provider
        assert [await shop.slots(provider, buyer.id) for provider in (MAKER, SPARE)] == [2, 2]
        assert (await shop.look(jobs[-1])).status == "queued"
        other = await shop.order(await an_account(shop.container))
        assert (await shop.take("submit", other)).do == "poll"
        for job in jobs[:4]:
            await shop.run(job, "poll")
        assert (await shop.run(jobs[-1])).status == "completed"
        assert (await shop.run(other, "poll")).status == "completed"
        assert await spent(shop, buyer) == 5 * COST + 2 * COST

    async def test_nobody_has_room_for_hours(self, shop: Shop, buyer: Account) -> None:
        other = await an_account(shop.container)
        shop.maker.polling = shop.spare.polling = [Working({"id": "1"})]
        for _ in range(4):
            await shop.take("submit", await shop.order(other))
        for _ in range(4):
            await shop.take("submit", await shop.order(await an_account(shop.container)))
        job = await shop.order(buyer)
        began = shop.clock.time
        assert (await shop.take("submit", job)).wait_s == 15
        seen = await shop.run(job)
        assert 0 < shop.clock.time - began - times.QUEUE_S <= 30
        assert (seen.status, seen.failure and seen.failure.code, seen.started_at) == ("failed", "queue_timeout", None)
        assert (await wallet_of(shop.container, buyer)).available == BALANCE

    async def test_a_refusal_of_the_second_paid_step_books_the_first(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [Working({"id": "sketch"}), REJECTED]
        shop.maker.polling = [Stage({"sketch": 7}, ONE)]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "content_policy_violation"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]


class TestAProviderThatMayHaveTakenIt:
    @pytest.mark.parametrize(
        "error",
        [UpstreamError("timeout"), UpstreamError("malformed"), CUT, EDGE, KeyError("id"), TimeoutError()],
        ids=repr,
    )
    async def test_one_without_keys_is_not_asked_twice(self, shop: Shop, buyer: Account, error: Exception) -> None:
        shop.maker.idempotent = False
        shop.maker.submitting = [error]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_unknown"
        assert (len(shop.maker.references), shop.spare.references) == (1, [])
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_one_that_was_never_reached_has_not_taken_it(self, shop: Shop, buyer: Account) -> None:
        shop.maker.idempotent = False
        shop.maker.submitting = [NEVER_SENT]
        assert (await shop.run(await shop.order(buyer))).provider == SPARE

    @pytest.mark.parametrize("error", [UpstreamError("timeout"), CUT, EDGE], ids=str)
    async def test_one_with_keys_is_asked_by_the_same_name_and_nobody_else_is(
        self, shop: Shop, buyer: Account, error: UpstreamError
    ) -> None:
        shop.maker.submitting = [error, error, Working({"id": "1"})]
        job = await shop.order(buyer)
        assert (await shop.run(job)).status == "completed"
        assert (shop.maker.references, shop.spare.references) == ([job.id] * 3, [])
        assert await spent(shop, buyer) == COST

    async def test_doubt_that_stays_is_the_end(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [UpstreamError("timeout")]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_unknown"
        assert shop.maker.references == [job.id] * times.MOST_TRIES
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_a_death_in_between_is_waited_out_and_then_asked_by_the_same_name(
        self, shop: Shop, buyer: Account
    ) -> None:
        job = await shop.order(buyer)
        died = Dying(shop)
        with pytest.raises(Died):
            await died.take("submit", job)
        stamped = shop.clock.time
        assert (await shop.take("submit", job)) == Next("submit", 15)
        assert len(shop.maker.references) == 1
        seen = await shop.run(job)
        assert seen.status == "completed"
        assert seen.started_at is not None
        assert seen.started_at >= stamped + times.STAMP_S
        assert shop.maker.references == [job.id, job.id]
        assert await spent(shop, buyer) == COST

    async def test_a_death_in_between_at_one_without_keys_is_the_end(self, shop: Shop, buyer: Account) -> None:
        shop.maker.idempotent = False
        job = await shop.order(buyer)
        with pytest.raises(Died):
            await Dying(shop).take("submit", job)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_unknown"
        assert len(shop.maker.references) == 1
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_what_is_given_up_while_it_is_handed_over_is_stopped_and_booked(
        self, shop: Shop, buyer: Account
    ) -> None:
        """A compensation in the middle of a submission: what the provider then has, nobody waits for."""
        job = await shop.order(buyer)

        def given_up() -> Working:
            return Working({"id": "late"})

        submit = shop.maker.submit

        async def slow(*given: Any) -> Any:
            await shop.steps.fail(job.order.account_id, job.id, failures.INTERNAL)
            return await submit(*given)

        shop.maker.submit = slow  # type: ignore[method-assign,assignment]
        shop.maker.submitting = [given_up]
        assert (await shop.run(job)).status == "failed"
        assert await failed(shop, buyer, job) == "internal_error"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]
        assert shop.maker.cancelled == [{"id": "late"}]


class Died(Exception):
    """As good as a kill."""


class Dying:
    """A worker that dies behind the provider's answer, before it is written down."""

    def __init__(self, shop: Shop) -> None:
        class Jobs:
            def __getattr__(self, name: str) -> Any:
                if name == "submitted":
                    raise Died
                return getattr(shop.jobs, name)

        self._steps = replace(shop.steps, jobs=Jobs())

    async def take(self, do: str, job: Job) -> Next:
        step: Callable[[str, str], Awaitable[Next]] = getattr(self._steps, do)
        return await step(job.order.account_id, job.id)


class TestPolls:
    async def test_three_that_find_nobody_who_knows_it_are_the_end(self, shop: Shop, buyer: Account) -> None:
        """J7."""
        shop.maker.polling = [LOST]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "job_lost"
        assert len(shop.maker.polled) == 3
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]  # what became of it nobody knows

    async def test_one_that_finds_it_again_makes_good_for_those_before(self, shop: Shop, buyer: Account) -> None:
        working = Working({"id": "1"}, 5)
        shop.maker.polling = [LOST, LOST, working, LOST, LOST, working, done()]
        assert (await shop.run(await shop.order(buyer))).status == "completed"

    async def test_a_job_that_is_lost_after_a_paid_step_books_that(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [Working({"id": "sketch"}), Working({"id": "whole"})]
        shop.maker.polling = [Stage({"sketch": 7}, ONE), LOST]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "job_lost"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_a_provider_that_is_down_is_asked_until_it_is_up(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [UNAVAILABLE, UpstreamError("auth", status=401), KeyError("status"), CUT] * 5 + [done()]
        assert (await shop.run(await shop.order(buyer))).status == "completed"
        assert await spent(shop, buyer) == COST

    @pytest.mark.parametrize(
        ("said", "code"),
        [
            (Failed("unavailable"), "provider_failed"),
            (Failed("unavailable", "out_of_capacity"), "out_of_capacity"),
            (Failed("rejected", "content_policy_violation"), "content_policy_violation"),
            (Failed("rejected"), "invalid_value"),
        ],
        ids=str,
    )
    async def test_what_the_provider_ends_costs_nothing(
        self, shop: Shop, buyer: Account, said: Failed, code: str
    ) -> None:
        shop.maker.polling = [said]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == code
        assert await losses(shop, buyer) == []

    async def test_what_it_charges_for_a_failure_is_our_loss(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Failed("unavailable", usage=ONE)]
        job = await shop.order(buyer)
        await shop.run(job)
        await failed(shop, buyer, job)
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_a_handle_that_changes_is_the_one_that_is_asked_by(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Working({"id": "2"}), done()]
        assert (await shop.run(await shop.order(buyer))).status == "completed"
        assert shop.maker.polled == [{"id": "1"}, {"id": "2"}, {"id": "2"}]

    async def test_a_provider_that_never_ends_is_stopped_at_the_deadline(self, shop: Shop, buyer: Account) -> None:
        """J8: it fails, stays failed whatever comes later, and what it may have cost is ours."""
        shop.maker.polling = [Working({"id": "1"}, 99)]
        shop.maker.cancelling = UNAVAILABLE
        job = await shop.order(buyer)
        began = shop.clock.time
        await shop.run(job)
        assert 0 < shop.clock.time - began - times.WORK_S["video"] <= 15
        assert await failed(shop, buyer, job) == "upstream_timeout"
        assert shop.maker.cancelled == [{"id": "1"}]
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]
        shop.maker.polling = [done()]
        for do in ("poll", "store", "settle", "submit"):
            assert (await shop.take(do, job)).do == "ended"
        assert (await shop.look(job)).status == "failed"
        assert await shop.container.files.there(f"{buyer.id}/{job.id}/video.mp4") is None
        assert await spent(shop, buyer) == 0
