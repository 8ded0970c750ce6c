"""A process that makes one metered call and kills itself on the way (`python -m tests.concurrency.crash`)."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any, Literal, NoReturn, cast, get_args

from typing_extensions import override

from aig import pipeline, stream
from aig.aws.records import DynamoRecords
from aig.aws.table import Table
from aig.aws.wallets import DynamoWallets
from aig.catalog.model import Provider
from aig.jobs.job import Ending, Placed
from aig.keys import Caller
from aig.modalities.chat import ChatAdapter, ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedAdapter
from aig.modalities.upstream import Upstream
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Debit, Loss
from aig.ports import Adapter
from aig.records import Record
from aig_providers.registry import Registry
from tests.concurrency.core import OPTIONS, Core, chat

Point = Literal["before the hold", "after the hold", "during the run", "after the answer", "after the settle"]
POINTS: tuple[Point, ...] = get_args(Point)


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is told, as JSON, in its only argument. `streamed` calls die after their second chunk."""

    endpoint: str
    table: str
    key: str
    point: Point
    streamed: bool
    cached: bool = False  # whether the call is one that the cache would keep


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class _Wallets(DynamoWallets):
    def __init__(self, table: Table, records: DynamoRecords, point: Point) -> None:
        super().__init__(table, records)
        self._point = point

    @override
    async def take(self, hold: Hold, caller: Caller, placed: Placed | None = None) -> Hold:
        if self._point == "before the hold":
            die()
        taken = await super().take(hold, caller, placed)
        if self._point == "after the hold":
            die()
        return taken

    @override
    async def post(
        self,
        hold: Hold,
        settlement: Settlement,
        debit: Debit,
        *losses: Loss,
        record: Record | None = None,
        ending: Ending | None = None,
    ) -> bool:
        if self._point == "after the answer":
            die()
        await super().post(hold, settlement, debit, *losses, record=record, ending=ending)
        die()


class _Upstream:
    """The real adapters; the process may die while one of them is at work."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._registry = Registry()

    def get(self, provider: Provider) -> Adapter:
        real = self._registry.get(provider)
        return cast("Adapter", _DeadlyAdapter(_DeadlyChat(real.chat, self._point), real.embed))


@dataclass(frozen=True, slots=True)
class _DeadlyAdapter:
    chat: ChatAdapter
    embed: EmbedAdapter


@dataclass(frozen=True, slots=True)
class _DeadlyChat:
    real: ChatAdapter
    point: Point

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        if self.point == "during the run":
            die()
        return await self.real.complete(upstream, request, max_output_tokens)

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        seen = 0
        async for chunk in self.real.stream(upstream, request, max_output_tokens):
            if self.point == "during the run" and seen == 2:
                die()
            seen += 1
            yield chunk


async def _main(job: Job) -> None:
    core = Core(job.endpoint, job.table)
    caller = await core.caller(job.key)
    ports = core.container()
    gateway = replace(ports.gateway(_Upstream(job.point)), wallets=_Wallets(ports.table, ports.records, job.point))
    more: dict[str, Any] = {"seed": 1} if job.cached else {}
    if job.streamed:
        streamed = await stream.run(gateway, caller, chat(stream=True, **more), OPTIONS)
        async for _ in streamed.chunks:
            pass
    else:
        await pipeline.complete_chat(gateway, caller, chat(**more), OPTIONS)


if __name__ == "__main__":
    asyncio.run(_main(Job(**json.loads(sys.argv[1]))))
