"""Jobs on DynamoDB Local, as many workers and tenants see them: kills, duplicates, races, and who waits for whom."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aig.errors import Conflict
from aig.generation import cancel
from aig.jobs.job import Job
from tests.apps import serving
from tests.concurrency import processes
from tests.concurrency.core import Core, Tenant
from tests.concurrency.job_crash import POINTS, Plan, Point, Remote, shop_at
from tests.jobs import COST, MAKER, SPARE, UPSTREAM, Shop, done
from tests.unit.clock import FixedClock

BALANCE = 10**12
AT_ONCE = 8


@dataclass
class Server:
    """The maker's own: `jobs` by reference, or one for each POST of a reference where it knows no references."""

    url: str = ""
    idempotent: bool = True
    posts: Counter[str] = field(default_factory=Counter)

    @property
    def made(self) -> int:
        return len(self.posts) if self.idempotent else sum(self.posts.values())

    async def post(self, request: Request) -> Response:
        reference = request.query_params["reference"]
        self.posts[reference] += 1
        return JSONResponse({"id": reference if self.idempotent else f"{reference}-{self.posts[reference]}"})


@asynccontextmanager
async def server(*, idempotent: bool) -> AsyncIterator[Server]:
    found = Server(idempotent=idempotent)
    async with serving(Starlette(routes=[Route("/jobs", found.post, methods=["POST"])])) as port:
        found.url = f"http://127.0.0.1:{port}/jobs"
        yield found


def now() -> FixedClock:
    return FixedClock(float(int(time.time())))


async def order(shop: Shop, tenant: Tenant) -> Job:
    return await shop.order(tenant.caller)


async def at_rest(core: Core, *tenants: Tenant) -> None:
    """No place is taken, no money held, and every job that was delivered has one debit, no other any."""
    rows = await core.rows()
    assert [row["used"] for row in rows if row["sk"].startswith("slots#") and row["used"]] == []
    books = await core.audit()
    for tenant in tenants:
        jobs = [row for row in rows if row["pk"] == tenant.id and row["sk"].startswith("job#")]
        assert {job["status"] for job in jobs} <= {"completed", "failed", "cancelled"}
        delivered = {job["request_id"] for job in jobs if job["status"] == "completed"}
        debits = Counter(debit["request_id"] for debit in books[tenant.id].debits)
        assert debits == Counter(delivered)
        told = Counter((row["type"], json.loads(row["data"])["id"]) for row in books[tenant.id].events)
        assert told == Counter(
            (f"job.{job['status']}", job["sk"].partition("#")[2]) for job in jobs if job["status"] != "cancelled"
        )
        assert books[tenant.id].held == 0


async def killed(core: Core, tenant: Tenant, job: Job, maker: Server, point: Point) -> None:
    plan = Plan(core.endpoint, core.table, maker.url, tenant.id, job.id, point, maker.idempotent)
    async with asyncio.timeout(120):
        process = await processes.start("tests.concurrency.job_crash", json.dumps(asdict(plan)))
        await process.communicate()
    assert process.returncode == -signal.SIGKILL


class TestKills:
    """J1, and the same for all that comes later. What the dead have begun, the machine's next step goes on with."""

    async def run(self, core: Core, point: Point, *, idempotent: bool) -> tuple[Tenant, Job, Server]:
        clock = now()
        shop = shop_at(core, clock)
        tenant = await core.tenant(BALANCE)
        async with server(idempotent=idempotent) as maker:
            shop.makers.makers["maker"] = Remote(maker.url, "", idempotent=idempotent)
            job = await order(shop, tenant)
            await killed(core, tenant, job, maker, point)
            clock.time = time.time()
            return tenant, await shop.run(job), maker

    @pytest.mark.parametrize("point", POINTS)
    async def test_a_provider_that_knows_references_makes_one_job(self, core: Core, point: Point) -> None:
        tenant, seen, maker = await self.run(core, point, idempotent=True)
        assert seen.status == "completed"
        assert maker.made == 1
        assert sum(maker.posts.values()) == (2 if point == "after the POST" else 1)
        assert (await core.books(tenant)).available == BALANCE - COST
        await at_rest(core, tenant)

    @pytest.mark.parametrize("point", POINTS)
    async def test_one_that_knows_none_is_never_asked_twice(self, core: Core, point: Point) -> None:
        tenant, seen, maker = await self.run(core, point, idempotent=False)
        books = await core.books(tenant)
        if point in ("after claim", "before the POST", "after the POST"):
            assert seen.failure is not None
            assert (seen.status, seen.failure.code) == ("failed", "provider_unknown")
            assert maker.made == (point == "after the POST")
            assert books.available == BALANCE
            assert [(loss["reason"], loss["amount"]) for loss in books.losses] == [("abandoned_job", UPSTREAM)]
        else:
            assert (seen.status, maker.made) == ("completed", 1)
            assert books.available == BALANCE - COST
            assert books.losses == []
        await at_rest(core, tenant)


async def test_five_workers_with_one_job_hand_it_over_once(core: Core) -> None:
    """J2: every step comes five times at once, by workers of their own."""
    clock = now()
    shops = [shop_at(core, clock, 1_000) for _ in range(5)]
    for shop in shops[1:]:
        shop.makers.makers["maker"] = shops[0].maker
    tenant = await core.tenant(BALANCE)
    jobs = [await order(shops[0], tenant) for _ in range(20)]
    for job in jobs:
        for do in ("submit", "poll", "store", "settle"):
            await asyncio.gather(*(shop.take(do, job) for shop in shops))
        assert (await shops[0].look(job)).status == "completed"
    assert Counter(shops[0].maker.references) == Counter(job.id for job in jobs)
    assert (await core.books(tenant)).available == BALANCE - len(jobs) * COST
    await at_rest(core, tenant)


async def test_a_cancel_and_a_start_at_once_have_one_winner(core: Core) -> None:
    """J3, a thousand times."""
    worker, front = shop_at(core, now(), 100_000), shop_at(core, now(), 100_000)
    worker.maker.submitting = [done()]
    tenants = [await core.tenant(BALANCE) for _ in range(AT_ONCE)]
    outcomes = Counter[str]()

    async def cancelled(job: Job) -> bool:
        try:
            return (await cancel(front.container.wallets, front.jobs, front.clock, job)).status == "cancelled"
        except Conflict as error:
            return error.code != "job_not_cancellable"

    async def race(tenant: Tenant, number: int) -> None:
        job = await order(front, tenant)
        start = worker.take("submit", job)
        if number % 2:
            told, is_cancelled = await asyncio.gather(start, cancelled(job))
        else:
            is_cancelled, told = await asyncio.gather(cancelled(job), start)
        begun = worker.maker.references.count(job.id)
        assert begun == (not is_cancelled)
        seen = await worker.run(job, told.do if told.do != "ended" else "submit")
        assert seen.status == ("cancelled" if is_cancelled else "completed")
        outcomes[seen.status] += 1

    for number in range(125):
        await asyncio.gather(*(race(tenant, number + at) for at, tenant in enumerate(tenants)))
    assert sum(outcomes.values()) == 1_000
    assert min(outcomes["cancelled"], outcomes["completed"]) > 0
    await at_rest(core, *tenants)


async def test_who_hears_of_an_end_sees_it(core: Core) -> None:
    """J9: readers in a loop of their own, while jobs end."""
    worker, reader = shop_at(core, now(), 1_000), shop_at(core, now(), 1_000)
    worker.maker.submitting = [done()]
    tenant = await core.tenant(BALANCE)
    jobs = [await order(worker, tenant) for _ in range(100)]
    over, seen = asyncio.Event(), set[str]()

    async def read() -> None:
        while not over.is_set() or len(seen) < len(jobs):
            for event in await reader.events(tenant.id):
                if event.data["id"] not in seen:
                    job = await reader.jobs.get(tenant.id, event.data["id"])
                    assert job is not None
                    assert job.status == "completed"
                    seen.add(event.data["id"])

    async def work() -> None:
        for job in jobs:
            await worker.run(job)
        over.set()

    async with asyncio.timeout(120):
        await asyncio.gather(work(), read(), read())
    await at_rest(core, tenant)


async def test_a_thousand_jobs_of_one_tenant_leave_room_for_another(core: Core) -> None:
    """J19: of four places at each provider two are left to others, whose jobs begin when they come."""
    clock = now()
    shop = shop_at(core, clock)
    many, few = await core.tenant(BALANCE), await core.tenant(BALANCE)
    waiting: list[Job] = []
    for _ in range(125):
        waiting += await asyncio.gather(*(order(shop, many) for _ in range(AT_ONCE)))
    begun = await _turns(shop, waiting)
    assert len(begun) == 4  # two places at each of two providers
    alone, beside = await _length(shop, few), list[float]()
    for _ in range(5):
        beside.append(await _length(shop, few))
        for job in begun:
            await shop.run(job, "poll")
        waiting = [job for job in waiting if job not in begun]
        begun = await _turns(shop, waiting[:40])
        assert len(begun) == 4
        assert max([await shop.slots(provider) for provider in (MAKER, SPARE)]) <= 4
    assert max(beside) <= 2 * alone
    for job in waiting:
        await cancel(shop.container.wallets, shop.jobs, clock, await shop.look(job)) if job not in begun else None
    for job in begun:
        await shop.run(job, "poll")
    await at_rest(core, many, few)


async def _turns(shop: Shop, waiting: Sequence[Job]) -> list[Job]:
    """Those that get a place when all of them ask for one."""
    begun: list[Job] = []
    for at in range(0, len(waiting), AT_ONCE):
        batch = waiting[at : at + AT_ONCE]
        told: list[Any] = await asyncio.gather(*(shop.take("submit", job) for job in batch))
        begun += [job for job, next_ in zip(batch, told, strict=True) if next_.do == "poll"]
    return begun


async def _length(shop: Shop, tenant: Tenant) -> float:
    """How long a job of the tenant's takes from its order to its end, in seconds of the test's time."""
    began = shop.clock.time
    seen = await shop.run(await order(shop, tenant))
    assert seen.status == "completed"
    return shop.clock.time - began
