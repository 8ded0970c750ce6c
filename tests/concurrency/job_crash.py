"""A worker that brings one job to its end and kills itself on the way (`python -m tests.concurrency.job_crash`)."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import httpx
from typing_extensions import override

from aig.jobfiles import Written
from aig.modalities.job import Handle, State, Working
from aig.modalities.upstream import Upstream
from tests.concurrency.core import Core
from tests.concurrency.crash import die
from tests.jobs import Maker, Shop
from tests.unit.clock import FixedClock

Point = Literal[
    "before claim", "after claim", "before the POST", "after the POST", "after submitted", "before stored",
    "after stored", "before post", "after post",
]  # fmt: skip
POINTS: tuple[Point, ...] = get_args(Point)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the process is told, as JSON, in its only argument. `upstream` is the URL of the maker's server."""

    endpoint: str
    table: str
    upstream: str
    account_id: str
    job_id: str
    point: Point
    idempotent: bool


@dataclass(frozen=True, slots=True)
class Kept:
    size: int
    sha256: str


class Shelf:
    """Files that are counted and thrown away: there is no S3 beside the table."""

    async def keep_result(
        self, account_id: str, job_id: str, name: str, pieces: AsyncIterator[bytes], media_type: str, most: int
    ) -> Written:
        return Kept(sum([len(piece) async for piece in pieces]), "0" * 64)

    async def upload(self, account_id: str, upload_id: str) -> bytes | None:
        return None

    def upload_reading_link(self, account_id: str, upload_id: str) -> str:
        return ""


class Remote(Maker):
    """A maker behind HTTP, which outlives those who ask it."""

    def __init__(self, url: str, point: str, *, idempotent: bool) -> None:
        super().__init__(idempotent=idempotent)
        self.url, self.point = url, point

    @override
    async def submit(self, upstream: Upstream, request: Any, reference: str, stage: Handle | None) -> State:
        if self.point == "before the POST":
            die()
        async with httpx.AsyncClient() as client:
            answer = await client.post(self.url, params={"reference": reference})
        if self.point == "after the POST":
            die()
        return Working(answer.json())


class Deadly:
    """A port that dies before or after one of its methods."""

    def __init__(self, port: Any, point: str) -> None:
        self._port, self._point = port, point

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if self._point not in (f"before {name}", f"after {name}"):
            return method

        async def deadly(*given: Any, **named: Any) -> Any:
            if self._point == f"before {name}":
                die()
            await cast("Callable[..., Any]", method)(*given, **named)
            die()

        return deadly


def shop_at(core: Core, clock: FixedClock, concurrency: int = 4) -> Shop:
    """One worker's view of the table, and connections of its own."""
    shop = Shop(core.container(clock=clock), clock, concurrency)
    shop.steps = replace(shop.steps, files=Shelf())
    return shop


async def _main(plan: Plan) -> None:
    core = Core(plan.endpoint, plan.table)
    shop = shop_at(core, FixedClock(time.time()))
    shop.makers.makers["maker"] = Remote(plan.upstream, plan.point, idempotent=plan.idempotent)
    wallets = Deadly(shop.gateway.wallets, plan.point)
    gateway = replace(shop.gateway, wallets=wallets)
    shop.steps = replace(shop.steps, gateway=gateway, jobs=Deadly(shop.jobs, plan.point))
    job = await shop.jobs.get(plan.account_id, plan.job_id)
    assert job is not None
    await shop.run(job)


if __name__ == "__main__":
    asyncio.run(_main(Plan(**json.loads(sys.argv[1]))))
