"""Voids the holds whose time has passed, whose calls crashed between the hold and the settle, and sees to jobs."""

import asyncio
from typing import Any

from aig import wiring
from aig.aws.jobs import DynamoJobs
from aig.sweep import see_to_jobs, sweep

container = wiring.container()
jobs = DynamoJobs(container.table)
queue = wiring.queue("AIG_JOB_QUEUE")


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs once a minute on a schedule; the answer says how many holds were given back, and jobs brought back."""
    return asyncio.run(_sweep())


async def _sweep() -> dict[str, int]:
    try:
        voided = await sweep(container.wallets, container.telemetry, container.clock, container.ids)
        brought = await see_to_jobs(jobs, queue, container.clock)
        return {"voided": voided, "brought": brought}
    finally:
        await queue.close()
        await container.close()
