"""Giving back what crashed calls hold, and seeing to jobs that their machines have forgotten.

Whether the provider was reached nobody knows any more: a loss row says that it may have been.
"""

from aig.clock import Clock
from aig.ids import Ids
from aig.jobs.times import UNSEEN_S
from aig.money.ledger import Loss
from aig.money.units import Nano
from aig.ports import Jobs, Queue, StoreBusy, Telemetry, Wallets

CLOCK_SKEW_S = 120


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
    """Bring every job that is due to the worker again: to be started, or ended if it is late. How many were brought.

    Before its first time that is one whose message was lost; then one that waits for a place, which its machine does
    anyway: to be started twice does no harm. Raises StoreBusy.
    """
    now = int(clock.now())
    due = await jobs.due(now)
    for job in due:
        late = {"late": True} if now > job.deadline_at + CLOCK_SKEW_S else {}
        await queue.send({"tenant": job.order.account_id, "job_id": job.id, **late})
        waited = now - job.order.created_at
        await jobs.look_again(job, now + max(UNSEEN_S, waited // 2))
    return len(due)
