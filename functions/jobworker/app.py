"""Starts the machine of each job that the queue brings, and takes the steps that machines ask for."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aig import wiring
from aig.aws.jobs import DynamoJobs
from aig.jobfiles import MOST_BYTES, Opened
from aig.jobs import failures
from aig.jobs.job import Order
from aig.jobsteps import Next, Steps
from aig.modalities.job import Inline, Made, Source
from aig.modalities.upstream import Upstream
from aig_providers.registry import Registry
from aig_providers.results import open_result
from aig_providers.wire import CLIENT

container = wiring.container()
gateway = container.gateway(Registry())
jobs = DynamoJobs(container.table)
machine = wiring.machine("AIG_JOB_MACHINE")
time_scale = wiring.time_scale()


class _Here:
    """A file that came with the provider's answer."""

    def __init__(self, data: bytes) -> None:
        self.head = data[:4096]
        self.pieces = self._whole(data)

    async def _whole(self, data: bytes) -> AsyncIterator[bytes]:
        yield data


class ProviderResults:
    @asynccontextmanager
    async def open(self, upstream: Upstream, source: Source) -> AsyncIterator[Opened]:
        """Raises UpstreamError."""
        if isinstance(source, Inline):
            yield _Here(source.data)
            return
        if isinstance(source, Made):
            yield _Here(await asyncio.to_thread(source.make))
            return
        async with open_result(upstream, source, gateway.resolver, most=MOST_BYTES) as opened:
            yield opened


async def is_off(order: Order) -> bool:
    """Whether the sub-account that ordered has been switched off."""
    if order.parent_id is None:
        return False
    found = await container.sub_accounts.get(order.parent_id, order.account_id)
    return found is not None and not found.active


steps = Steps(gateway, jobs, container.files, ProviderResults(), container.link_keys, is_off=is_off)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Takes a batch of the queue, or a step: `{"action", "tenant", "job_id"}`; a step answers `{"do", "wait_s"}`."""
    return asyncio.run(_start(event["Records"]) if "Records" in event else _take(event))


async def _start(records: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer names the messages that are to come again."""
    try:
        done = await asyncio.gather(*(_started(record) for record in records))
        failed = [record["messageId"] for record, is_done in zip(records, done, strict=True) if not is_done]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}
    finally:
        await _close()


async def _started(record: Mapping[str, Any]) -> bool:
    """One execution for each job, however often its message comes; another where the sweeper finds it silent."""
    try:
        message = json.loads(record["body"])
        tenant, job_id = str(message["tenant"]), str(message["job_id"])
        given = {"tenant": tenant, "job_id": job_id}
        if message.get("late"):
            await steps.late(tenant, job_id)
        elif not await machine.start(job_id, given) and (again := message.get("again")):
            await machine.start(f"{job_id}-{int(again)}", given)  # the first is silent, and its name is used up
    except Exception as error:
        container.telemetry.alarm("JobNotStarted", error=type(error).__name__)
        return False
    return True


async def _take(event: Mapping[str, Any]) -> dict[str, Any]:
    """One step. Raises what the machine's definition knows by name: StoreBusy, ResultLost."""
    tenant, job_id = event["tenant"], event["job_id"]
    step: Mapping[str, Callable[[str, str], Awaitable[Next]]] = {
        "submit": steps.submit,
        "poll": steps.poll,
        "store": steps.store,
        "settle": steps.settle,
    }
    try:
        if event["action"] == "compensate":
            failure = failures.of_cause(event.get("error"))
            container.telemetry.alarm("JobCompensated", error=event.get("error"))
            told = await steps.fail(tenant, job_id, failure)
        else:
            told = await step[event["action"]](tenant, job_id)
        return {"do": told.do, "wait_s": _scaled(told.wait_s)}
    finally:
        await _close()


def _scaled(seconds: int) -> int:
    """Whole seconds, as machines want them; none that are to be waited for become none."""
    return math.ceil(seconds * time_scale)


async def _close() -> None:
    """The next invocation has an event loop of its own."""
    await CLIENT.close()
    await machine.close()
    await container.close()
