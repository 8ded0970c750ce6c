"""A store that is busy, and replies that are lost, wherever a job is written: nothing is made, or paid for, twice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from aig.aws.jobs import PLATFORM
from aig.errors import UpstreamError
from aig.generation import cancel
from aig.jobs import times
from aig.jobs.job import Job
from aig.jobsteps import Next
from aig.modalities.job import Inline, Linked, Stage, Working
from aig.ports import StoreBusy
from tests.apps import App
from tests.builders import Account, a_sub_account, an_account, holds_of
from tests.integration.test_jobs import VIDEO as VIDEOS
from tests.integration.test_jobs import post
from tests.jobs import COST, MAKER, ONE, SPARE, VIDEO, Shop, Troubled, deafen, done, failed, losses, spent
from tests.logs import Log

THRICE = (0.0, 0.0, 0.0)
LIMITED = UpstreamError("rate_limited", status=429)
both = pytest.mark.parametrize("behind", [False, True], ids=["request", "reply"])


def troubled(shop: Shop, name: str, insist_s: Sequence[float] = THRICE, **trouble: Any) -> None:
    """From now on the store is busy three times at this method of jobs."""
    jobs: Any = Troubled(shop.jobs, name, 3, **trouble)
    shop.steps = replace(shop.steps, jobs=jobs, insist_s=insist_s)


async def completed(shop: Shop, buyer: Account, job: Job, cost: int = COST) -> Job:
    """Run to its end, at its price, with its file, its places free and its event told once."""
    seen = await shop.run(job)
    assert (seen.status, seen.cost) == ("completed", cost)
    assert await spent(shop, buyer) == cost
    assert await shop.container.files.there(f"{buyer.id}/{job.id}/video.mp4") == len(VIDEO)
    assert [event.type for event in await shop.events(buyer.id)] == ["job.completed"]
    return seen


class TestNoting:
    @both
    @pytest.mark.parametrize("what", ["submitted", "stored"])
    async def test_what_a_provider_has_done_is_insisted_on(
        self, shop: Shop, buyer: Account, what: str, behind: bool
    ) -> None:
        troubled(shop, what, behind=behind)
        await completed(shop, buyer, await shop.order(buyer))
        assert (len(shop.maker.references), shop.maker.cancelled) == (1, [])

    @both
    async def test_a_paid_step_is_insisted_on(self, shop: Shop, buyer: Account, behind: bool) -> None:
        shop.maker.submitting = [Working({"id": "sketch"}), Working({"id": "whole"})]
        shop.maker.polling = [Stage({"sketch": 7}, ONE), done()]
        troubled(shop, "staged", behind=behind)
        job = await shop.order(buyer)
        await completed(shop, buyer, job, 2 * COST)
        assert shop.maker.references == [job.id, f"{job.id}-2"]

    async def test_a_handle_that_cannot_be_noted_for_long_is_asked_for_by_the_same_name(
        self, shop: Shop, buyer: Account
    ) -> None:
        """It is the machine that then tries again, once the stamp is over."""
        troubled(shop, "submitted", insist_s=())
        job = await shop.order(buyer)
        for _ in range(3):
            with pytest.raises(StoreBusy):
                await shop.take("submit", job)
            assert (await shop.take("submit", job)).do == "submit"
            shop.clock.time += times.STAMP_S
        await completed(shop, buyer, job)
        assert shop.maker.references == [job.id] * 4

    @both
    async def test_a_settle_is_made_once(self, shop: Shop, buyer: Account, behind: bool) -> None:
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store"):
            await shop.take(do, job)
        wallets: Any = Troubled(shop.container.wallets, "post", behind=behind)
        shop.steps = replace(shop.steps, gateway=replace(shop.gateway, wallets=wallets))
        with pytest.raises(StoreBusy):
            await shop.take("settle", job)
        if behind:
            assert await shop.take("settle", job) == Next("ended")
        await completed(shop, buyer, job)

    @both
    async def test_an_end_without_a_result_is_written_once(self, shop: Shop, buyer: Account, behind: bool) -> None:
        shop.maker.polling = [done(Inline(b"no film"))]
        job = await shop.order(buyer)
        wallets: Any = Troubled(shop.container.wallets, "void", behind=behind)
        shop.steps = replace(shop.steps, gateway=replace(shop.gateway, wallets=wallets))
        for do in ("submit", "poll"):
            await shop.take(do, job)
        with pytest.raises(StoreBusy):
            await shop.take("store", job)
        assert (await shop.run(job)).status == "failed"
        assert await spent(shop, buyer) == 0
        assert len(await shop.events(buyer.id)) == 1


class TestARefusal:
    """Of a provider without keys: what is not noted of it, nobody could tell later from a yes."""

    @pytest.fixture(autouse=True)
    def without_keys(self, shop: Shop) -> None:
        shop.maker.idempotent = shop.spare.idempotent = False

    @both
    async def test_by_all_is_noted_and_leaves_it_in_the_queue(self, shop: Shop, buyer: Account, behind: bool) -> None:
        shop.maker.submitting, shop.spare.submitting = [LIMITED, Working({"id": "1"})], [LIMITED]
        troubled(shop, "unclaimed", behind=behind)
        job = await shop.order(buyer)
        assert await shop.take("submit", job) == Next("submit", 5)
        assert (await shop.look(job)).status == "queued"
        await completed(shop, buyer, job)
        assert await losses(shop, buyer) == []

    async def test_by_one_is_noted_with_the_claim_of_the_next(self, shop: Shop, buyer: Account) -> None:
        shop.maker.submitting = [LIMITED]
        job = await shop.order(buyer)
        shop.steps = replace(shop.steps, insist_s=THRICE)
        deafen(shop.container, f"slots#{SPARE}", 3, carried_out=False)
        assert await shop.take("submit", job) == Next("poll", 1)
        assert (await shop.look(job)).provider == SPARE
        await completed(shop, buyer, job, 2 * COST)
        assert await losses(shop, buyer) == []

    @both
    async def test_that_is_the_client_s_to_change_ends_it_as_that(
        self, shop: Shop, buyer: Account, behind: bool
    ) -> None:
        shop.maker.submitting = [UpstreamError("rejected", status=400, code="content_policy_violation")]
        job = await shop.order(buyer)
        wallets: Any = Troubled(shop.container.wallets, "void", 3, behind=behind)
        shop.steps = replace(shop.steps, gateway=replace(shop.gateway, wallets=wallets), insist_s=THRICE)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "content_policy_violation"
        assert await losses(shop, buyer) == []


class TestKeeping:
    def busy(self, shop: Shop, insist_s: Sequence[float]) -> None:
        files: Any = Troubled(shop.container.files, "keep_result", 3)
        shop.steps = replace(shop.steps, files=files, insist_s=insist_s)

    async def test_files_are_insisted_on_where_they_came_with_the_answer(self, shop: Shop, buyer: Account) -> None:
        """Nobody could ask for them again."""
        self.busy(shop, THRICE)
        shop.maker.idempotent = False
        shop.maker.submitting = [done()]
        await completed(shop, buyer, await shop.order(buyer))
        assert (len(shop.maker.references), shop.maker.polled) == (1, [])

    async def test_a_link_is_opened_anew_for_each_try(self, shop: Shop, buyer: Account) -> None:
        self.busy(shop, THRICE)
        shop.downloads.there = {"https://a.example/1": VIDEO}
        shop.maker.polling = [done(Linked("https://a.example/1"))]
        await completed(shop, buyer, await shop.order(buyer))
        assert shop.downloads.opened == ["https://a.example/1"] * 4

    async def test_a_bucket_that_stays_busy_is_left_to_the_machine(self, shop: Shop, buyer: Account) -> None:
        self.busy(shop, ())
        job = await shop.order(buyer)
        for do in ("submit", "poll"):
            await shop.take(do, job)
        for _ in range(3):
            with pytest.raises(StoreBusy):
                await shop.take("store", job)
        assert (await shop.look(job)).status == "processing"
        await completed(shop, buyer, job)
        assert len(shop.maker.references) == 1


class TestClaiming:
    async def test_a_reply_that_is_lost_leaves_the_stamp_with_who_made_it(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        deafen(shop.container, "slots#")
        assert await shop.take("submit", job) == Next("poll", 1)
        assert [await shop.slots(MAKER, owner) for owner in (PLATFORM, buyer.id)] == [1, 1]
        await completed(shop, buyer, job)
        assert shop.maker.references == [job.id]

    async def test_a_request_that_is_lost_leaves_it_as_it_was(self, shop: Shop, buyer: Account) -> None:
        job = await shop.look(await shop.order(buyer))
        deafen(shop.container, "slots#", carried_out=False)
        with pytest.raises(StoreBusy):
            await shop.take("submit", job)
        assert await shop.look(job) == job
        assert (await shop.slots(MAKER), shop.maker.references) == (0, [])
        await completed(shop, buyer, job)
        assert shop.maker.references == [job.id]

    async def test_nobody_takes_the_stamp_of_another_for_his(self, shop: Shop, buyer: Account) -> None:
        """His request is lost, and by the time that he looks another has the job."""
        job = await shop.order(buyer)
        jobs = shop.jobs

        class Jobs:
            def __getattr__(self, name: str) -> Any:
                return getattr(jobs, name)

            async def claim(self, *given: Any) -> Any:
                await shop.take("submit", job)
                deafen(shop.container, "slots#", carried_out=False)
                return await jobs.claim(*given)

        with pytest.raises(StoreBusy):
            await replace(shop.steps, jobs=Jobs()).submit(buyer.id, job.id)
        assert len(shop.maker.references) == 1
        await completed(shop, buyer, job)


class TestAnOrder:
    async def test_whose_reply_is_lost_is_taken_on(self, generations: App, account: Account) -> None:
        container = generations.module.container
        deafen(container, "order#")
        response = await post(generations, account, VIDEOS)
        assert (response.status_code, response.json()["status"]) == (202, "queued")
        assert generations.module.queue.sent == [{"tenant": account.id, "job_id": response.json()["id"]}]
        (hold,) = await holds_of(container, account)
        assert hold["phase"] == "held"

    async def test_that_comes_again_with_its_key_is_the_same(self, generations: App, account: Account) -> None:
        deafen(generations.module.container, "order#")
        first, second = [
            await post(generations, account, VIDEOS, {"idempotency-key": "a"}, prompt="a boat") for _ in range(2)
        ]
        assert (first.status_code, second.status_code, first.json()["id"]) == (202, 202, second.json()["id"])
        assert len(await holds_of(generations.module.container, account)) == 1

    async def test_that_is_lost_itself_is_an_error(self, generations: App, account: Account, logged: Log) -> None:
        deafen(generations.module.container, "order#", 50, carried_out=False)
        response = await post(generations, account, VIDEOS)
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert generations.module.queue.sent == []
        assert await holds_of(generations.module.container, account) == []

    async def test_of_a_sub_account_whose_reply_is_lost_is_taken_on(self, generations: App, account: Account) -> None:
        (child,) = await a_sub_account(generations.module.container, account.id, cap=10 * COST)
        deafen(generations.module.container, "order#")
        assert (await post(generations, child, VIDEOS)).status_code == 202
        assert len(await holds_of(generations.module.container, child)) == 1


@pytest.fixture
async def account(generations: App) -> Account:
    return await an_account(generations.module.container)


@both
async def test_a_cancel_whose_reply_is_lost_may_be_repeated(shop: Shop, buyer: Account, behind: bool) -> None:
    job = await shop.order(buyer)
    wallets: Any = Troubled(shop.container.wallets, "void", behind=behind)
    with pytest.raises(StoreBusy):
        await cancel(wallets, shop.jobs, shop.clock, job)
    ended = await cancel(wallets, shop.jobs, shop.clock, await shop.look(job))
    assert ended.status == "cancelled"
    assert await spent(shop, buyer) == 0
