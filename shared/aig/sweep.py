"""Giving back what crashed calls hold, and seeing to jobs and deliveries that their machines have forgotten.

Whether the provider was reached nobody knows any more: a loss row says that it may have been.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from aig.clock import Clock
from aig.dispatch import message
from aig.ids import Ids
from aig.jobs.job import Job
from aig.jobs.times import SILENT_S
from aig.money.ledger import Loss
from aig.money.units import Nano
from aig.ports import Jobs, Queue, StoreBusy, Telemetry, Wallets
from aig.webhooks.delivery import MOST_REVIVALS, Delivery, given_up, revived

CLOCK_SKEW_S = 120
MOST_AT_ONCE = 25  # jobs of a bucket
MOST_DELIVERIES = 240  # of a run


class ForgottenDeliveries(Protocol):
    """Both raise StoreBusy. `aig.aws.deliveries` says what each does."""

    async def forgotten(self, now: float, most: int) -> Sequence[Delivery]: ...

    async def move(self, before: Delivery, after: Delivery) -> bool: ...


async def sweep(wallets: Wallets, telemetry: Telemetry, clock: Clock, ids: Ids) -> int:
    """Void every open hold that is past its time, clocks two minutes apart allowed for. How many were voided."""
    now = int(clock.now())
    voided, busy = 0, set[str]()
    for hold in await wallets.expired(now - CLOCK_SKEW_S):
        loss = Loss(
            id=ids.new("txn"),
            request_id=hold.request_id,
            account_id=hold.account_id,
            model=hold.model,
            provider=next(iter(hold.prices)).partition("/")[0],
            amount=Nano(0),
            reason="expired_hold",
            created_at=now,
        )
        if hold.account_id in busy:
            continue
        try:
            done = await wallets.void(hold, loss)
        except StoreBusy:
            busy.add(hold.account_id)  # the next run tries again; others do not wait for it
            continue
        if done:
            voided += 1
            telemetry.alarm("HoldExpired", request_id=hold.request_id, amount=str(hold.amount))
    return voided


async def see_to_jobs(jobs: Jobs, queue: Queue, clock: Clock) -> int:
    """Bring jobs that are due to the worker again: to get another machine, or ended if they are late. How many.

    Their machines are silent: their message was lost, or they were. Raises StoreBusy if none can be looked for.
    """
    now = int(clock.now())
    due = await jobs.due(now, MOST_AT_ONCE)
    done = await asyncio.gather(*(_brought(jobs, queue, job, now) for job in due))
    return sum(done)


async def _brought(jobs: Jobs, queue: Queue, job: Job, now: int) -> bool:
    """What cannot be brought now is due at the next run too; others do not wait for it."""
    how: dict[str, Any] = {"late": True} if now > job.deadline_at + CLOCK_SKEW_S else {"again": now // 60}
    try:
        await queue.send({"tenant": job.order.account_id, "job_id": job.id, **how})
        return await jobs.look_again(job, now + SILENT_S)
    except StoreBusy:
        return False


async def see_to_deliveries(log: ForgottenDeliveries, queue: Queue, telemetry: Telemetry, clock: Clock) -> int:
    """Bring back the webhooks that are an hour behind their time: a message, or an execution, was lost. How many.

    One that was brought back some times and has not come to an end is dead. Raises StoreBusy.
    """
    now = clock.now()
    brought = list[Delivery]()
    for delivery in await log.forgotten(now, MOST_DELIVERIES):
        again = delivery.revived < MOST_REVIVALS
        if await log.move(delivery, revived(delivery, now) if again else given_up(delivery, now)):
            telemetry.alarm("WebhookForgotten", delivery_id=delivery.id, times=delivery.revived + 1)
            brought += [delivery] if again else []
    await queue.send_all([message(delivery) for delivery in brought])
    return len(brought)
