"""A worker that has one attempt made and may kill itself behind it (`python -m tests.concurrency.webhook_worker`)."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aig.deliveries import Deliverer
from aig.ports import Post, Posted
from aig.wiring import Container, SystemResolver
from aig_providers.fetch import GuardedFetcher
from tests.concurrency.core import Core


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is told, as JSON, in its only argument."""

    endpoint: str
    table: str
    tenant: str
    delivery_id: str


class Nowhere:
    """A queue and a machine that remember what they were given."""

    def __init__(self) -> None:
        self.given: list[Mapping[str, Any]] = []

    async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
        self.given.append(body)

    async def send_all(self, bodies: Any) -> None:
        self.given += bodies

    async def start(self, name: str, given: Mapping[str, Any]) -> bool:
        self.given.append(given)
        return True


class _Deadly:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        await self._post.post(url, body, headers)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def worker(ports: Container, lane: Nowhere, post: Post | None = None) -> Deliverer:
    return Deliverer(
        log=ports.deliveries,
        endpoints=ports.webhooks,
        events=ports.events,
        post=post or GuardedFetcher(SystemResolver(), allow_loopback=True),
        queue=lane,
        machines=lane,
        secrets=ports.secrets,
        telemetry=ports.telemetry,
        clock=ports.clock,
        ids=ports.ids,
    )


async def _main(job: Job) -> None:
    ports = Core(job.endpoint, job.table).container()
    post = _Deadly(GuardedFetcher(SystemResolver(), allow_loopback=True))
    await worker(ports, Nowhere(), post).first(job.tenant, job.delivery_id)


if __name__ == "__main__":
    asyncio.run(_main(Job(**json.loads(sys.argv[1]))))
