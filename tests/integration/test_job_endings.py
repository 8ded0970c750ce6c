"""How jobs end: their files, what may be gone by then, who may come before, and the sweeper behind them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from aig.catalog.model import Catalog
from aig.errors import UpstreamError
from aig.generation import cancel
from aig.jobfiles import ResultLost
from aig.jobs import failures, times
from aig.jobs.job import Job
from aig.jobsteps import Next
from aig.modalities.job import Linked, Working
from aig.ports import StoreBusy
from aig.sweep import see_to_jobs, sweep
from tests.builders import Account
from tests.integration.operations import PICTURE
from tests.jobs import COST, UPSTREAM, VIDEO, Lane, Shop, done, failed, losses, spent
from tests.unit.clock import FixedClock

UNAVAILABLE = UpstreamError("unavailable", status=503)
REJECTED = UpstreamError("rejected", status=400, code="content_policy_violation")
BUSY = UpstreamError("rate_limited", status=429, retry_after=30)
CUT = UpstreamError("connect", sent=True)
NEVER_SENT = UpstreamError("connect", sent=False)
LOST = UpstreamError("rejected", status=404)


class TestFiles:
    async def test_one_that_cannot_be_had_now_is_fetched_again_from_where_it_then_is(
        self, shop: Shop, buyer: Account
    ) -> None:
        shop.downloads.there = {"https://a.example/1": UNAVAILABLE, "https://a.example/2": VIDEO}
        shop.maker.polling = [done(Linked("https://a.example/1"))] * 3 + [done(Linked("https://a.example/2"))]
        seen = await shop.run(await shop.order(buyer))
        assert (seen.status, shop.downloads.opened[-1]) == ("completed", "https://a.example/2")
        assert await spent(shop, buyer) == COST

    async def test_one_that_stays_out_of_reach_is_the_end_and_our_loss(self, shop: Shop, buyer: Account) -> None:
        shop.downloads.there = {"https://a.example/1": UNAVAILABLE}
        shop.maker.polling = [done(Linked("https://a.example/1"))]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "result_not_usable"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    @pytest.mark.parametrize(
        "data", [b"<html>no film</html>", b"\x89PNG\r\n\x1a\n" + bytes(100), b"", UpstreamError("malformed")], ids=repr
    )
    async def test_what_is_no_film_is_not_kept(self, shop: Shop, buyer: Account, data: bytes | Exception) -> None:
        shop.downloads.there = {"https://a.example/1": data}
        shop.maker.polling = [done(Linked("https://a.example/1"))]
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "result_not_usable"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]

    async def test_one_that_is_too_large_is_not_kept(
        self, shop: Shop, buyer: Account, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("aig.jobfiles.MOST_BYTES", 1000)
        job = await shop.order(buyer)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "result_not_usable"

    async def test_a_result_that_is_gone_after_all_goes_back_to_the_polls(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [done(), Working({"id": "1"}, 99), done()]
        assert (await shop.run(await shop.order(buyer))).status == "completed"

    async def test_a_poll_that_fails_before_the_files_is_tried_again(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [done(), UNAVAILABLE, KeyError("url"), done()]
        job = await shop.order(buyer)
        await shop.take("submit", job)
        await shop.take("poll", job)
        for _ in range(2):
            with pytest.raises(ResultLost):
                await shop.take("store", job)
        assert await shop.take("store", job) == Next("settle")


class TestWhatIsGone:
    async def test_a_model_that_left_the_catalog_ends_its_jobs(self, shop: Shop, buyer: Account) -> None:
        queued, polled, stored = [await shop.order(buyer) for _ in range(3)]
        for job in (polled, stored):
            await shop.take("submit", job)
        assert (await shop.take("poll", stored)).do == "store"
        steps = replace(shop.steps, gateway=replace(shop.gateway, catalog=Catalog({}, {})))
        for job, step in ((queued, steps.submit), (polled, steps.poll), (stored, steps.store)):
            assert (await step(buyer.id, job.id)).do == "ended"
            found = (await shop.look(job)).failure
            assert found is not None
            assert found.code == "provider_not_configured"
        assert await spent(shop, buyer) == 0

    @pytest.mark.parametrize("do", ["submit", "poll", "store", "settle"])
    async def test_a_job_that_is_not_there_has_ended(self, shop: Shop, buyer: Account, do: str) -> None:
        job = await shop.order(buyer)
        gone = replace(job, order=replace(job.order, id="job_gone"))
        assert await shop.take(do, gone) == Next("ended")
        assert await shop.steps.fail(buyer.id, gone.id, failures.INTERNAL) == Next("ended")

    async def test_a_hold_that_was_given_back_is_no_free_film(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        hold = await shop.container.wallets.held(buyer.id, job.order.request_id)
        assert hold is not None
        await shop.container.wallets.void(hold)
        await shop.run(job)
        assert await failed(shop, buyer, job) == "hold_expired"
        assert shop.maker.references == []

    @pytest.mark.parametrize("do", ["poll", "store", "settle"])
    async def test_a_hold_that_goes_on_the_way_ends_it(self, shop: Shop, buyer: Account, do: str) -> None:
        job = await shop.order(buyer)
        for step in ("submit", "poll", "store")[: ("poll", "store", "settle").index(do) + 1]:
            await shop.take(step, job)
        hold = await shop.container.wallets.held(buyer.id, job.order.request_id)
        assert hold is not None
        await shop.container.wallets.void(hold)
        seen = await shop.run(job, do)
        assert seen.status == "failed"
        assert await failed(shop, buyer, job) == "hold_expired"

    async def test_a_settle_without_files_is_no_charge(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        assert (await shop.take("settle", job)).do == "ended"
        assert await failed(shop, buyer, job) == "internal_error"

    async def test_a_compensation_after_the_files_books_what_they_cost(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store"):
            await shop.take(do, job)
        assert await shop.steps.fail(buyer.id, job.id, failures.INTERNAL) == Next("ended")
        assert await failed(shop, buyer, job) == "internal_error"
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]
        assert shop.maker.cancelled == []


class Changed:
    """Jobs that somebody else changes right before the first of these."""

    def __init__(self, shop: Shop, before: str, change: Callable[[], Awaitable[Any]]) -> None:
        self._shop, self._before, self._change = shop, before, change

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._shop.jobs, name)
        if name != self._before:
            return method

        async def changed(*given: Any, **named: Any) -> Any:
            self._before = ""
            await self._change()
            return await method(*given, **named)

        return changed


class TestRaces:
    async def test_a_cancel_before_the_claim_wins(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        change = lambda: cancel(shop.container.wallets, shop.jobs, shop.clock, job)  # noqa: E731
        steps = replace(shop.steps, jobs=Changed(shop, "claim", change))
        assert await steps.submit(buyer.id, job.id) == Next("submit", 1)
        assert (await shop.run(job)).status == "cancelled"
        assert shop.maker.references == []
        assert await spent(shop, buyer) == 0

    async def test_an_end_that_another_has_written_is_left(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        change = lambda: shop.steps.fail(buyer.id, job.id, failures.INTERNAL)  # noqa: E731
        held = shop.container.wallets.held

        class Wallets:
            """Whose hold goes, and the job with it, right behind the last look at it."""

            def __getattr__(self, name: str) -> Any:
                return getattr(shop.container.wallets, name)

            async def void(self, *given: Any, **named: Any) -> bool:
                await change()  # type: ignore[no-untyped-call]
                return await shop.container.wallets.void(*given, **named)

        steps = replace(shop.steps, gateway=replace(shop.gateway, wallets=Wallets()))
        assert await steps.fail(buyer.id, job.id, failures.INTERNAL) == Next("submit", 1)
        assert await shop.take("submit", job) == Next("ended")
        assert await held(buyer.id, job.order.request_id) is None
        assert await failed(shop, buyer, job) == "internal_error"

    async def test_a_settle_that_comes_second_does_nothing(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store"):
            await shop.take(do, job)

        class Wallets:
            def __getattr__(self, name: str) -> Any:
                return getattr(shop.container.wallets, name)

            async def post(self, *given: Any, **named: Any) -> bool:
                await shop.take("settle", job)
                return await shop.container.wallets.post(*given, **named)

        steps = replace(shop.steps, gateway=replace(shop.gateway, wallets=Wallets()))
        assert await steps.settle(buyer.id, job.id) == Next("submit", 1)
        assert await shop.take("settle", job) == Next("ended")
        assert await spent(shop, buyer) == COST
        assert len(await shop.events(buyer.id)) == 1


class TestTheSweeper:
    async def brought(self, shop: Shop, job: Job) -> list[Any]:
        """What the sweeper brings of this job now."""
        lane = Lane()
        await see_to_jobs(shop.jobs, lane, shop.clock)
        return [body for body in lane.sent if body["job_id"] == job.id]

    async def test_a_job_whose_message_was_lost_is_brought_again(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        shop.clock.time += times.UNSEEN_S
        assert await self.brought(shop, job) == []
        shop.clock.time += 1
        again = int(shop.clock.time) // 60
        assert await self.brought(shop, job) == [{"tenant": buyer.id, "job_id": job.id, "again": again}]
        assert await self.brought(shop, job) == []

    async def test_a_job_whose_machine_died_is_brought_as_late_and_fails(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        shop.clock.time += times.SILENT_S
        assert await self.brought(shop, job) == []
        shop.clock.time += 1
        again = int(shop.clock.time) // 60
        assert await self.brought(shop, job) == [{"tenant": buyer.id, "job_id": job.id, "again": again}]
        shop.clock.time += times.WORK_S["video"] + times.GRACE_S
        assert await self.brought(shop, job) == [{"tenant": buyer.id, "job_id": job.id, "late": True}]
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        assert await failed(shop, buyer, job) == "upstream_timeout"

    async def test_a_job_that_is_made_but_not_settled_is_settled_late(self, shop: Shop, buyer: Account) -> None:
        """Its machine died behind the files."""
        job = await shop.order(buyer)
        for do in ("submit", "poll", "store"):
            await shop.take(do, job)
        shop.clock.time += times.WORK_S["video"] + times.KEEP_S
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")
        assert (await shop.look(job)).status == "completed"
        assert await spent(shop, buyer) == COST
        assert await shop.steps.late(buyer.id, job.id) == Next("ended")

    async def test_a_job_that_is_not_late_after_all_goes_on(self, shop: Shop, buyer: Account) -> None:
        job = await shop.order(buyer)
        await shop.take("submit", job)
        assert await shop.steps.late(buyer.id, job.id) == Next("submit")
        assert (await shop.run(job, "poll")).status == "completed"

    async def test_a_machine_that_is_heard_of_is_left_alone(self, shop: Shop, buyer: Account) -> None:
        shop.maker.polling = [Working({"id": "1"}, 1)]
        job = await shop.order(buyer)
        told = await shop.take("submit", job)
        looked = shop.clock.time
        while shop.clock.time < job.order.created_at + times.WORK_S["video"] - 60:
            shop.clock.time += told.wait_s
            told = await shop.take(told.do, job)
            if shop.clock.time >= looked + 60:  # as often as the sweeper does
                looked = shop.clock.time
                assert await self.brought(shop, job) == []

    async def test_a_job_that_ended_is_not(self, shop: Shop, buyer: Account) -> None:
        job = await shop.run(await shop.order(buyer))
        shop.clock.time += 10 * times.QUEUE_S
        assert await self.brought(shop, job) == []

    async def test_no_hold_of_a_live_job_is_given_back(self, shop: Shop, buyer: Account) -> None:
        """J18: as late as a job may be, by a clock that is two minutes ahead."""
        job = await shop.order(buyer)
        shop.clock.time = job.deadline_at
        assert (await shop.take("submit", job)).do == "poll"
        shop.clock.time = (await shop.look(job)).deadline_at
        ahead = FixedClock(shop.clock.time + 120)
        await sweep(shop.container.wallets, shop.container.telemetry, ahead, shop.container.ids)
        assert (await shop.run(job, "poll")).status == "completed"
        assert await spent(shop, buyer) == COST


async def test_a_picture_goes_to_the_provider_as_it_came(shop: Shop, buyer: Account) -> None:
    job = await shop.order(buyer)
    pictured = replace(job, order=replace(job.order, picture="image/png"))
    await shop.container.files.keep_upload(buyer.id, job.id, PICTURE)
    made = await shop.steps._request(pictured)
    assert made.picture is not None  # type: ignore[union-attr]
    assert (made.picture.data, made.picture.width, made.picture.height) == (PICTURE, 64, 48)  # type: ignore[union-attr]
    assert job.id in (made.link or "")  # type: ignore[union-attr]


async def test_a_picture_that_is_gone_ends_the_job(shop: Shop, buyer: Account) -> None:
    job = await shop.order(buyer)
    change = shop.container.table.change_action(buyer.id, f"job#{job.id}", {"picture": "image/png"})
    await shop.container.table.transact([change])
    await shop.run(job)
    assert await failed(shop, buyer, job) == "picture_expired"


async def test_a_store_that_is_busy_is_said_to_be(shop: Shop, buyer: Account) -> None:
    job = await shop.order(buyer)

    async def busy(*_: Any) -> Any:
        raise StoreBusy

    class Files:
        upload = staticmethod(busy)

    change = shop.container.table.change_action(buyer.id, f"job#{job.id}", {"picture": "image/png"})
    await shop.container.table.transact([change])
    with pytest.raises(StoreBusy):
        await replace(shop.steps, files=Files()).submit(buyer.id, job.id)  # type: ignore[arg-type]
    assert (await shop.look(job)).status == "queued"
    assert shop.maker.references == []


@pytest.mark.parametrize("skew", [-600, 600])
@pytest.mark.parametrize("idempotent", [True, False])
async def test_clocks_that_differ_by_ten_minutes_charge_nobody_twice(
    shop: Shop, buyer: Account, skew: int, *, idempotent: bool
) -> None:
    """J18: another worker, whose clock is wrong, comes in the middle of a submission."""
    shop.maker.idempotent = idempotent
    job = await shop.order(buyer)
    wrong = replace(shop.steps, gateway=replace(shop.gateway, clock=FixedClock(shop.clock.time + skew)))
    submit = shop.maker.submit
    seen: list[str] = []

    async def slow(*given: Any) -> Any:
        if not seen:
            seen.append((await wrong.submit(buyer.id, job.id)).do)
        return await submit(*given)

    shop.maker.submit = slow  # type: ignore[method-assign,assignment]
    ended = await shop.run(job)
    too_early = skew > 0 and not idempotent  # it takes the one at work for dead
    assert ended.status == ("failed" if too_early else "completed")
    assert await spent(shop, buyer) == (0 if too_early else COST)
    assert set(shop.maker.references) == {job.id}
    assert len(shop.maker.references) == (2 if skew > 0 and idempotent else 1)
    assert [event.type for event in await shop.events(buyer.id)] == [f"job.{ended.status}"]
    if too_early:
        assert shop.maker.cancelled == [{"id": "1"}]
        assert await losses(shop, buyer) == [("abandoned_job", UPSTREAM)]
