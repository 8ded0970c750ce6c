"""What a provider's answer to an order leaves open: whether it has it, whether it may be asked again, who waits how."""

from dataclasses import replace

import pytest

from aig.aws.jobs import PLATFORM
from aig.catalog.model import Catalog
from aig.errors import Conflict, UpstreamError
from aig.generation import cancel
from aig.jobs import times
from aig.jobsteps import Next, may_have_taken_it
from aig.modalities.job import Stage, Working
from aig.money.pricing import Prices
from aig.money.units import Pico
from aig_providers.wire import status_error
from tests.builders import Account, a_sub_account, an_account, wallet_of
from tests.jobs import COST, FILM, MAKER, ONE, SPARE, UPSTREAM, Shop, done, failed, losses, spent, with_film

EDGES = (408, 502, 504, *range(520, 525))
REFUSALS = (429, 500, 503, 529)
TIMEOUT = UpstreamError("timeout")


def said(status: int) -> UpstreamError:
    """As the wire has it from an edge that answers with a page of its own."""
    return status_error(status, {}, b"<html>")


def limited(retry_after: float | None = None) -> UpstreamError:
    return UpstreamError("rate_limited", status=429, retry_after=retry_after)


class TestWhetherItWasTaken:
    @pytest.mark.parametrize("status", [*EDGES, 201, 202, 204])
    async def test_an_edge_that_gives_up_on_a_provider_does_not_know(
        self, shop: Shop, buyer: Account, status: int
    ) -> None:
        """Nor does a success that was not to be expected: asking anybody again may be paid for twice."""
        shop.maker.idempotent = False
        shop.maker.submitting = [said(status)]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_unknown"
        assert (len(shop.maker.references), shop.spare.references) == (1, [])
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    @pytest.mark.parametrize("status", REFUSALS)
    async def test_a_provider_that_says_no_has_not_taken_it(self, shop: Shop, buyer: Account, status: int) -> None:
        shop.maker.idempotent = False
        shop.maker.submitting = [said(status)]
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, seen.provider, len(shop.maker.references)) == ("completed", SPARE, 1)
        assert await losses(shop, buyer) == []

    @pytest.mark.parametrize(
        ("error", "taken"),
        [
            (UpstreamError("connect", sent=True), True),
            (UpstreamError("connect", sent=False), False),
            (UpstreamError("malformed"), True),
            (UpstreamError("unavailable"), False),
            (UpstreamError("auth", status=401), False),
            (UpstreamError("rejected", status=400), False),
        ],
        ids=str,
    )
    def test_what_else_an_answer_says_of_it(self, error: UpstreamError, taken: bool) -> None:
        assert may_have_taken_it(error) is taken

    @pytest.mark.parametrize("error", [TIMEOUT, said(504)], ids=str)
    async def test_one_with_keys_is_asked_again_and_not_passed_over(
        self, shop: Shop, buyer: Account, error: UpstreamError
    ) -> None:
        shop.maker.submitting = [error, Working({"id": "1"})]
        job = await shop.order(buyer)
        assert await shop.take("submit", job) == Next("submit", 5)
        seen = await shop.look(job)
        assert (seen.status, seen.provider) == ("processing", MAKER)
        assert (await shop.run(job)).status == "completed"
        assert (shop.maker.references, shop.spare.references) == ([job.id, job.id], [])
        assert await spent(shop, buyer) == COST
        assert await losses(shop, buyer) == []

    async def test_one_with_keys_is_given_up_after_five_times(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [TIMEOUT]
        job = await shop.order(buyer)
        began = shop.clock.time
        await shop.run(job)
        assert shop.clock.time - began == 5 + 10 + 20 + 40
        assert await failed(shop, buyer, job) == "provider_unknown"
        assert (shop.maker.references, shop.spare.references) == ([job.id] * 5, [])
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_one_in_doubt_cannot_be_cancelled(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [TIMEOUT, Working({"id": "1"})]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        with pytest.raises(Conflict):
            await cancel(shop.container.wallets, shop.jobs, shop.clock, await shop.look(job))

    async def test_a_model_that_left_while_it_was_in_doubt_is_our_loss(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [TIMEOUT]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        shop.steps = replace(shop.steps, gateway=replace(shop.gateway, catalog=Catalog({}, {})))
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_not_configured"
        assert [reason for reason, _ in await losses(shop, buyer)] == ["abandoned_job"]


class TestRatesThatAreLimited:
    async def test_between_rounds_it_is_queued_and_its_place_is_free(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting, shop.spare.submitting = [limited()], [limited()]
        job = await shop.order(buyer)
        assert (await shop.take("submit", job)).do == "submit"
        seen = await shop.look(job)
        assert (seen.status, seen.candidate, seen.stamp, seen.tries) == ("queued", None, None, 1)
        for provider in (MAKER, SPARE):
            assert [await shop.slots(provider, owner) for owner in (PLATFORM, buyer.id)] == [0, 0]

    async def test_between_rounds_it_can_be_cancelled(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting, shop.spare.submitting = [limited()], [limited()]
        job = await shop.order(buyer)
        for _ in range(3):
            await shop.take("submit", job)
        ended = await cancel(shop.container.wallets, shop.jobs, shop.clock, await shop.look(job))
        assert ended.status == "cancelled"
        assert await shop.take("submit", job) == Next("ended")
        assert await spent(shop, buyer) == 0

    async def test_one_that_is_taken_after_hours_has_all_of_its_time(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        began, late = shop.clock.time, shop.clock.time + times.QUEUE_S - 600
        busy = [limited(30)]
        shop.maker.submitting, shop.spare.submitting = busy, busy
        while shop.clock.time < late:
            shop.clock.time += (await shop.take("submit", job)).wait_s
        shop.maker.submitting = [Working({"id": "1"})]
        shop.maker.polling = [Working({"id": "1"})]
        assert (await shop.take("submit", job)).do == "poll"
        taken = shop.clock.time
        seen = await shop.look(job)
        assert (seen.started_at, seen.deadline_at) == (taken, taken + times.WORK_S["video"])
        shop.clock.time = taken + times.WORK_S["video"]
        assert shop.clock.time - began > times.QUEUE_S
        assert (await shop.take("poll", job)).do == "poll"
        shop.maker.polling = [done()]
        assert (await shop.run(job, "poll")).status == "completed"
        assert await spent(shop, buyer) == COST

    @pytest.mark.parametrize(
        ("waits", "told"),
        [((600, 900), 600), ((900, None), 900), ((901, 5000), 900), ((None, None), 5), ((1, 700), 5), ((0.5, 0), 5)],
        ids=str,
    )
    async def test_it_waits_as_long_as_the_first_asks_for_up_to_a_quarter_of_an_hour(
        self, shop: Shop, buyer: Account, waits: tuple[float | None, float | None], told: int
    ) -> None:
        shop.maker.submitting, shop.spare.submitting = [limited(waits[0])], [limited(waits[1])]
        assert await shop.take("submit", await shop.order(buyer)) == Next("submit", told)

    async def test_a_paid_step_stays_with_its_provider(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [Working({"id": "sketch"}), limited(), Working({"id": "whole"})]
        shop.maker.polling = [Stage({"sketch": 7}, ONE), done()]
        job = await shop.order(buyer)
        for do in ("submit", "poll", "submit"):
            await shop.take(do, job)
        seen = await shop.look(job)
        assert (seen.status, seen.provider, seen.stage, seen.stamp) == ("processing", MAKER, {"sketch": 7}, None)
        assert await shop.slots(MAKER) == 1
        assert (await shop.run(job)).cost == 2 * COST
        assert (shop.spare.references, await spent(shop, buyer)) == ([], 2 * COST)

    async def test_limits_here_and_troubles_there_end_after_five_rounds(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting, shop.spare.submitting = [limited()], [said(503)]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "provider_unavailable"
        assert len(shop.spare.references) == 5


class TestPlaces:
    async def test_half_of_them_are_all_that_one_payer_s_accounts_have_together(self, shop: Shop) -> None:
        parent = await an_account(shop.container)
        children = [(await a_sub_account(shop.container, parent.id))[0] for _ in range(2)]
        orders = [await shop.order(child) for child in children * 3]
        told = [(await shop.take("submit", job)).do for job in orders]
        assert told == ["poll"] * 4 + ["submit"] * 2  # two at each provider
        for provider in (MAKER, SPARE):
            owners = (PLATFORM, parent.id, *(child.id for child in children))
            assert [await shop.slots(provider, owner) for owner in owners] == [2, 2, 0, 0]
        for at, job in enumerate(orders):
            await shop.run(job, "poll" if at < 4 else "submit")
        for provider in (MAKER, SPARE):
            assert [await shop.slots(provider, owner) for owner in (PLATFORM, parent.id)] == [0, 0]

    async def test_one_that_is_refused_where_another_is_full_is_tried_again(self, shop: Shop, buyer: Account) -> None:
        """A client's mistake may be one provider's opinion: the one that is full is still to be heard."""
        other = await an_account(shop.container)
        shop.spare.submitting = [Working({"id": "1"})]
        shop.maker.submitting = [said(503)]
        held = [await shop.order(who) for who in (other, other, await an_account(shop.container))]
        for job in held:
            await shop.take("submit", job)
        mine = [await shop.order(buyer) for _ in range(2)]
        told = [await shop.take("submit", job) for job in mine]
        assert [next_.do for next_ in told] == ["poll", "submit"]
        seen = await shop.look(mine[1])
        assert (seen.status, seen.tries) == ("queued", 1)
        for at, job in enumerate([*held, *mine]):
            await shop.run(job, "submit" if at == 4 else "poll")


async def test_polls_that_fail_say_nothing_of_how_other_jobs_would_do(shop: Shop, buyer: Account) -> None:
    shop.maker.polling = [said(500)]
    job = await shop.order(buyer)
    await shop.take("submit", job)
    for _ in range(50):
        await shop.take("poll", job)
    assert shop.gateway.traffic.gate(f"{MAKER}/{FILM}") == "closed"
    other = await shop.order(buyer)
    await shop.take("submit", other)
    assert (await shop.look(other)).provider == MAKER


async def test_polls_that_our_key_fails_do(shop: Shop, buyer: Account) -> None:
    shop.maker.polling = [UpstreamError("auth", status=401)]
    job = await shop.order(buyer)
    await shop.take("submit", job)
    for _ in range(50):
        await shop.take("poll", job)
    assert shop.gateway.traffic.gate(f"{MAKER}/{FILM}") != "closed"


@pytest.mark.parametrize(("usual", "held"), [(5, 5), (None, 60)])
async def test_where_no_duration_is_asked_for_the_usual_one_is_held(
    shop: Shop, buyer: Account, usual: int | None, held: int
) -> None:
    """And not the longest that the model could make."""
    catalog = with_film()
    film = catalog.models[FILM]
    offers = tuple(replace(offer, prices=Prices({"seconds": Pico(10**9)})) for offer in film.offers)
    timed = replace(film, offers=offers, usual_seconds=usual)
    shop.gateway = replace(shop.gateway, catalog=Catalog(catalog.providers, {**catalog.models, FILM: timed}))
    await shop.order(buyer)
    assert (await wallet_of(shop.container, buyer)).held == held * 1_050_000
