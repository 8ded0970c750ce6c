"""Voids the holds of calls that crashed between the hold and the settle, and sees to forgotten jobs and webhooks."""

import asyncio
from typing import Any

from aig import wiring
from aig.aws.jobs import DynamoJobs
from aig.sweep import see_to_deliveries, see_to_jobs, sweep

container = wiring.container()
jobs = DynamoJobs(container.table)
queue = wiring.queue("AIG_JOB_QUEUE")
webhooks = wiring.queue("AIG_WEBHOOK_QUEUE")


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs once a minute on a schedule; the answer counts the holds given back, and the jobs and webhooks brought."""
    return asyncio.run(_sweep())


async def _sweep() -> dict[str, int]:
    try:
        voided = await sweep(container.wallets, container.telemetry, container.clock, container.ids)
        brought = await see_to_jobs(jobs, queue, container.clock)
        brought += await see_to_deliveries(container.deliveries, webhooks, container.telemetry, container.clock)
        return {"voided": voided, "brought": brought}
    finally:
        await queue.close()
        await webhooks.close()
        await container.close()
