"""Rounds that end early, orders that nobody can do, cancels that come second, and what costs nothing."""

from dataclasses import replace
from typing import Any

import pytest

from aig.errors import Conflict, InvalidRequest, UpstreamError
from aig.generation import cancel
from aig.jobs import failures, times
from aig.jobsteps import Next
from aig.modalities.job import Linked, Stage, Working
from aig.modalities.usage import Usage
from tests.builders import Account, holds_of
from tests.jobs import COST, SPARE, VIDEO, Shop, done, failed, losses, spent

UNAVAILABLE = UpstreamError("unavailable", status=503)
CANNOT = UpstreamError("rejected", param="duration", message="It makes ten seconds.")


async def test_a_round_that_has_no_time_for_another_provider_ends(shop: Shop, buyer: Account) -> None:
    """It would be cut off in the middle, and then nobody knew whether it has taken the job."""
    job = await shop.order(buyer)
    submit = shop.maker.submit

    async def slow(*given: Any) -> Any:
        shop.clock.time += 211
        return await submit(*given)

    shop.maker.submitting = [UNAVAILABLE]
    shop.maker.submit = slow  # type: ignore[method-assign,assignment]
    assert await shop.take("submit", job) == Next("submit", 5)
    seen = await shop.look(job)
    assert (seen.status, seen.tries, shop.spare.references) == ("queued", 1, [])


async def test_an_order_goes_to_those_who_can_do_it(shop: Shop, buyer: Account) -> None:
    shop.maker.refuses = CANNOT
    seen = await shop.run(await shop.order(buyer))
    assert (seen.status, seen.provider, shop.maker.references) == ("completed", SPARE, [])


async def test_an_order_that_nobody_can_do_is_refused_and_holds_nothing(shop: Shop, buyer: Account) -> None:
    shop.maker.refuses = shop.spare.refuses = CANNOT
    with pytest.raises(InvalidRequest, match="ten seconds") as refused:
        await shop.order(buyer)
    assert refused.value.param == "duration"
    assert await holds_of(shop.container, buyer) == []


async def test_a_cancel_that_comes_second_to_a_provider_is_refused(shop: Shop, buyer: Account) -> None:
    job = await shop.order(buyer)
    await shop.take("submit", job)
    with pytest.raises(Conflict, match="processing"):
        await cancel(shop.container.wallets, shop.jobs, shop.clock, job)
    assert (await shop.run(job, "poll")).status == "completed"
    assert await spent(shop, buyer) == COST


async def test_a_cancel_that_comes_second_to_another_has_its_answer(shop: Shop, buyer: Account) -> None:
    job = await shop.order(buyer)
    first = await cancel(shop.container.wallets, shop.jobs, shop.clock, job)
    shop.clock.time += 5
    second = await cancel(shop.container.wallets, shop.jobs, shop.clock, job)
    assert (second.status, second.ended_at) == ("cancelled", first.ended_at)


async def test_what_the_sandbox_does_not_finish_is_no_loss(shop: Shop, buyer: Account) -> None:
    job = await shop.order(buyer, model="sandbox/video")
    assert (await shop.take("submit", job)).do == "poll"
    assert await shop.steps.fail(buyer.id, job.id, failures.INTERNAL) == Next("ended")
    assert await failed(shop, buyer, job) == "internal_error"
    assert await losses(shop, buyer) == []


async def test_a_step_that_was_given_away_is_no_loss(shop: Shop, buyer: Account) -> None:
    shop.maker.polling = [Stage({"sketch": 7}, Usage({}))]
    job = await shop.order(buyer)
    for do in ("submit", "poll"):
        await shop.take(do, job)
    await shop.steps.fail(buyer.id, job.id, failures.INTERNAL)
    assert await failed(shop, buyer, job) == "internal_error"
    assert await losses(shop, buyer) == []


async def test_a_file_is_fetched_again_within_one_step(shop: Shop, buyer: Account) -> None:
    """Where it is may not be told a second time."""
    shop.downloads.there = {"https://a.example/1": UNAVAILABLE}
    shop.maker.polling = [Working({"id": "1"}), done(Linked("https://a.example/1"))]
    there = shop.downloads.open

    def second(*given: Any) -> Any:
        if shop.downloads.opened:
            shop.downloads.there = {"https://a.example/1": VIDEO}
        return there(*given)

    shop.downloads.open = second  # type: ignore[method-assign,assignment]
    shop.steps = replace(shop.steps, insist_s=(0.0,))
    job = await shop.order(buyer)
    for do in ("submit", "poll", "poll"):
        await shop.take(do, job)
    assert await shop.take("store", job) == Next("settle")
    assert len(shop.downloads.opened) == 2


async def test_the_sweeper_looks_at_so_many_jobs_at_once(shop: Shop, buyer: Account) -> None:
    orders = [await shop.order(buyer) for _ in range(6)]
    now = int(shop.clock.time) + times.UNSEEN_S + 1
    assert 1 <= len(await shop.jobs.due(now, 1)) <= 4  # one of each bucket
    for job in orders:
        await cancel(shop.container.wallets, shop.jobs, shop.clock, job)
