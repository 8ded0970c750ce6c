"""Jobs that nobody has brought on in time, models that left meanwhile, and what is kept of an order for how long."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from aig.catalog.model import Catalog
from aig.errors import UpstreamError
from aig.generation import cancel
from aig.jobfiles import ResultLost
from aig.jobs import failures, times
from aig.jobs.job import Ending
from aig.jobsteps import Next
from aig.modalities.job import Failed, Linked, Stage, Working
from aig.ports import StoreBusy
from aig.sweep import see_to_jobs
from tests.builders import PROMPT, Account, holds_of
from tests.jobs import COST, FILM, MAKER, ONE, UPSTREAM, VIDEO, Lane, Shop, done, failed, losses, spent

UNAVAILABLE = UpstreamError("unavailable", status=503)


class TestALateJob:
    """What the worker does with one that the sweeper brings as late."""

    async def test_whose_files_are_kept_is_settled(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store"):
            await shop.take(do, job)
        shop.clock.time = (await shop.look(job)).deadline_at + times.GRACE_S
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        seen = await shop.look(job)
        assert (seen.status, seen.cost, len(seen.files)) == ("completed", COST, 1)
        assert await spent(shop, buyer) == COST
        assert await losses(shop, buyer) == []

    async def test_that_is_just_being_submitted_is_left_alone(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        shop.clock.time = job.deadline_at
        submit, found = shop.maker.submit, list[Any]()

        async def slow(*given: Any) -> Any:
            shop.clock.time += times.STAMP_S - 1
            found.append(await shop.steps.late(buyer.id, job.id))
            return await submit(*given)

        shop.maker.submit = slow  # type: ignore[method-assign,assignment]
        assert (await shop.take("submit", job)).do == "poll"
        assert found == [Next("submit")]
        seen = await shop.run(job, "poll")
        assert (seen.status, await spent(shop, buyer)) == ("completed", COST)

    async def test_that_is_not_late_after_all_is_left_alone(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        seen = await shop.look(job)
        shop.clock.time = seen.deadline_at
        assert await shop.steps.late(buyer.id, job.id) == Next("submit")
        assert await shop.look(job) == seen

    @pytest.mark.parametrize("idempotent", [True, False])
    async def test_that_somebody_died_submitting_is_ended_and_booked(
        self, shop: Shop, buyer: Account, idempotent: bool
    ) -> None:
        shop.maker.idempotent = idempotent
        shop.maker.submitting = [UpstreamError("timeout")]
        job = await shop.order(buyer)
        shop.clock.time = job.deadline_at
        await shop.take("submit", job)
        shop.clock.time += times.STAMP_S + 1
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        assert await failed(shop, buyer, job) == ("upstream_timeout" if idempotent else "provider_unknown")
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_in_the_queue_is_ended_at_no_loss(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        shop.clock.time = job.deadline_at + 1
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        assert await failed(shop, buyer, job) == "queue_timeout"
        assert await losses(shop, buyer) == []
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        assert await shop.steps.late(buyer.id, "job_gone") == Next("ended")

    async def test_at_work_is_stopped_and_booked(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        shop.clock.time = (await shop.look(job)).deadline_at + 1
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        assert await failed(shop, buyer, job) == "upstream_timeout"
        assert (shop.maker.cancelled, await losses(shop, buyer)) == ([{"id": "1"}], [("abandoned_job", UPSTREAM)])


class TestAFileThatIsFetched:
    async def test_has_time_of_its_own_behind_the_provider_s(self, shop: Shop, buyer: Account) -> None:
        shop.downloads.there = {"https://a.example/1": UNAVAILABLE}
        shop.maker.polling = [done(Linked("https://a.example/1"))]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        until = shop.clock.time + times.WORK_S["video"]
        shop.clock.time = until
        assert (await shop.take("poll", job)).do == "store"
        with pytest.raises(ResultLost):
            await shop.take("store", job)
        seen = await shop.look(job)
        assert seen.deadline_at == until + times.KEEP_S
        assert seen.look_at == until + times.KEEP_S + times.GRACE_S
        shop.clock.time += times.KEEP_S
        assert await shop.steps.late(buyer.id, job.id) == Next("submit")
        shop.downloads.there = {"https://a.example/1": VIDEO}
        assert (await shop.run(job, "poll")).status == "completed"
        assert await spent(shop, buyer) == COST

    async def test_has_no_more_than_that(self, shop: Shop, buyer: Account) -> None:
        shop.downloads.there = {"https://a.example/1": UNAVAILABLE}
        shop.maker.polling = [done(Linked("https://a.example/1"))]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        for _ in range(3):  # however often it is begun
            with pytest.raises(ResultLost):
                await shop.take("store", job)
        shop.clock.time += times.WORK_S["video"] + times.KEEP_S + 1
        assert await shop.take("poll", job) == Next("ended")
        assert await failed(shop, buyer, job) == "upstream_timeout"


class TestAModelThatLeft:
    def leaves(self, shop: Shop) -> None:
        found = shop.gateway.catalog
        models = {slug: model for slug, model in found.models.items() if slug != FILM}
        shop.gateway = replace(shop.gateway, catalog=Catalog(found.providers, models))
        shop.steps = replace(shop.steps, gateway=shop.gateway)

    async def test_is_paid_for_what_it_has_made(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store"):
            await shop.take(do, job)
        self.leaves(shop)
        seen = await shop.run(job, "settle")
        assert (seen.status, seen.cost, seen.model) == ("completed", COST, FILM)
        assert await spent(shop, buyer) == COST
        assert [event.type for event in await shop.events(buyer.id)] == ["job.completed"]

    @pytest.mark.parametrize("do", ["poll", "store"])
    async def test_is_our_loss_while_it_works(self, shop: Shop, buyer: Account, do: str) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        self.leaves(shop)
        assert await shop.take(do, job) == Next("ended")
        assert await failed(shop, buyer, job) == "provider_not_configured"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]
        assert shop.maker.cancelled == []  # there is nobody to be asked

    async def test_is_no_loss_before_it_begins(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        self.leaves(shop)
        assert await shop.take("submit", job) == Next("ended")
        assert await failed(shop, buyer, job) == "provider_not_configured"
        assert await losses(shop, buyer) == []


class TestALookThatIsStale:
    async def test_writes_nothing_over_a_later_stage(self, shop: Shop, buyer: Account) -> None:
        """A poll that was asked before another worker brought the job on to its second paid step."""
        shop.maker.submitting = [Working({"id": "sketch"}), Working({"id": "whole"})]
        shop.maker.polling = [Stage({"sketch": 7}, ONE), Working({"id": "whole"}), done()]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        stale = await shop.look(job)
        await shop.take("poll", job)
        between = await shop.look(job)
        await shop.take("submit", job)
        seen = await shop.look(job)
        for old in (stale, between):
            assert not await shop.jobs.staged(old, {"sketch": 7}, {"assets": 1})
            assert not await shop.jobs.polled(old, 99, 2)
            assert not await shop.jobs.submitted(old, {"id": "another"}, 1, 2)
            assert not await shop.jobs.stored(old, [], ONE)
            assert not await shop.jobs.unclaimed(old)
            assert not await shop.jobs.doubtful(old, 1)
            assert not await shop.jobs.look_again(old, 1)
            assert not await shop.jobs.end(Ending(old, "failed", 1, failure=failures.INTERNAL))
        assert await shop.look(job) == seen
        assert (await shop.run(job, "poll")).cost == 2 * COST
        assert (len(shop.maker.references), await spent(shop, buyer)) == (2, 2 * COST)


class TestTheSweeper:
    async def test_is_not_held_up_by_one_job_that_is_busy(self, shop: Shop, buyer: Account) -> None:
        orders = [await shop.order(buyer) for _ in range(3)]
        stuck = orders[1].id
        shop.clock.time += times.UNSEEN_S + 1

        class Busy(Lane):
            @override
            async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
                if body["job_id"] == stuck:
                    raise StoreBusy
                await super().send(body, delay_s)

        busy = Busy()
        while await see_to_jobs(shop.jobs, busy, shop.clock):
            """Other tests have left theirs."""
        sent = [body["job_id"] for body in busy.sent]
        assert [sent.count(job.id) for job in orders] == [1, 0, 1]
        lane = Lane()
        assert await see_to_jobs(shop.jobs, lane, shop.clock) == 1
        assert [body["job_id"] for body in lane.sent] == [stuck]
        for job in orders:
            await shop.run(job)

    async def test_leaves_a_job_in_peace_that_is_heard_of(self, shop: Shop, buyer: Account) -> None:
        """However long it works: each poll says that its machine is alive."""
        shop.maker.polling = [Working({"id": "1"}, 5)]
        job = await shop.order(buyer)
        do, began = "submit", shop.clock.time
        while shop.clock.time < began + times.WORK_S["video"] - 30:
            told = await shop.take(do, job)
            do = told.do
            assert (await shop.look(job)).look_at > shop.clock.time + 30
            shop.clock.time += told.wait_s
        shop.maker.polling = [done()]
        assert (await shop.run(job, do)).status == "completed"

    async def test_leaves_a_job_in_peace_that_waits_for_its_turn(self, shop: Shop, buyer: Account) -> None:
        held = [await shop.order(buyer) for _ in range(4)]
        for one in held:
            await shop.take("submit", one)
        job = await shop.order(buyer)
        for _ in range(100):
            shop.clock.time += (await shop.take("submit", job)).wait_s
            assert (await shop.look(job)).look_at > shop.clock.time
        for one in [*held, job]:
            await shop.run(one)


class TestTheBodyOfAnOrder:
    """It lies in a row of its own, until the job has ended."""

    async def body(self, shop: Shop, buyer: Account, job_id: str) -> Any:
        row = await shop.container.table.get(buyer.id, f"order#{job_id}")
        assert (row is None) == (await shop.jobs.body(buyer.id, job_id) is None)
        return row

    @pytest.mark.parametrize("retain", [True, False])
    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "compensated", "unheld"])
    async def test_is_gone_after_every_end(self, shop: Shop, buyer: Account, end: str, retain: bool) -> None:
        job = await shop.order(buyer, retain=retain)
        assert PROMPT in (await self.body(shop, buyer, job.id))["body"]
        if end == "failed":
            shop.maker.polling = [Failed("unavailable")]
        if end == "cancelled":
            await cancel(shop.container.wallets, shop.jobs, shop.clock, job)
        elif end == "compensated":
            await shop.take("submit", job)
            assert await self.body(shop, buyer, job.id) is not None
            await shop.steps.fail(buyer.id, job.id, failures.INTERNAL)
        elif end == "unheld":
            hold = await shop.container.wallets.held(buyer.id, job.order.request_id)
            assert hold is not None
            await shop.container.wallets.void(hold)
        seen = await shop.run(job)
        expected = {"compensated": "failed", "unheld": "failed"}.get(end, end)
        assert seen.status == expected
        assert await self.body(shop, buyer, job.id) is None
        rows = await shop.container.table.query("pk = :pk", {":pk": buyer.id})
        assert PROMPT not in repr(rows)

    async def test_is_not_in_the_row_that_every_step_writes(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        row = await shop.container.table.get(buyer.id, f"job#{job.id}")
        assert PROMPT not in repr(row)

    async def test_that_is_gone_too_early_ends_the_job(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.container.table.transact([shop.container.table.delete_action(buyer.id, f"order#{job.id}")])
        assert (await shop.run(job)).status == "failed"
        assert [hold["phase"] for hold in await holds_of(shop.container, buyer)] == ["void"]
        assert (shop.maker.references, await shop.slots(MAKER)) == ([], 0)
