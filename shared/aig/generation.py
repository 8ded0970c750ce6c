"""The metered call of minutes: what is taken on here, aig.jobsteps brings to its end."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from aig.attempts import client_error
from aig.call import Gateway, Options, Reach
from aig.catalog.routing import Candidate
from aig.clock import Clock
from aig.errors import Conflict, UpstreamError
from aig.holding import take_hold
from aig.jobs.job import Ending, Job, Order, Placed
from aig.jobs.kinds import Request
from aig.jobs.times import QUEUE_S
from aig.keys import Caller
from aig.limits import Rate
from aig.modalities.job import JobAdapter, JobKind
from aig.modalities.upstream import Upstream
from aig.pipeline import choose
from aig.ports import Adapter, Jobs, StoreBusy, Wallets


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a job: `body` is what it is made of again later, `request` the same, read."""

    job_id: str
    kind: JobKind
    body: dict[str, Any]
    request: Request
    media_url: str
    webhook_url: str | None = None
    sandbox_seconds: int = 3
    retain: bool = True


def job_adapter(adapter: Adapter, kind: JobKind) -> JobAdapter[Any]:
    """What of a provider's adapter makes jobs of a kind."""
    found: JobAdapter[Any] = getattr(adapter, kind)
    return found


async def able(gateway: Gateway, caller: Caller, asked: Asked, options: Options) -> Sequence[Candidate]:
    """Who may take the job on, best first. Raises AIGError, also for what none of them can do."""
    demand = asked.request.demand
    chosen, reaches = await choose(gateway, caller, demand, options.routing)
    fit: list[Candidate] = []
    refusals: list[UpstreamError] = []
    for candidate in chosen:
        adapter = job_adapter(gateway.adapters.get(candidate.offer.provider), asked.kind)
        try:
            adapter.check(_at(candidate, reaches[candidate.offer.provider.name]), asked.request)
            fit.append(candidate)
        except UpstreamError as error:
            refusals.append(error)
    if not fit:
        raise client_error(refusals, demand)
    return fit


def _at(candidate: Candidate, reach: Reach) -> Upstream:
    """Enough of where it is to tell what it can do: nobody is asked."""
    offer = candidate.offer
    quirks = offer.provider.quirks | offer.quirks
    return Upstream(offer.provider.name, offer.model_id, reach.base_url, quirks=quirks, credits=offer.credits)


async def take_on(
    gateway: Gateway, jobs: Jobs, caller: Caller, asked: Asked, options: Options, candidates: Sequence[Candidate]
) -> tuple[Job, Rate | None]:
    """The job, queued, with its money set aside: written at once or not at all. Raises AIGError, StoreBusy."""
    demand = asked.request.demand
    request_id, now = options.request_id or gateway.ids.new("req"), int(gateway.clock.now())
    picture = None if asked.kind == "music" else asked.request.picture  # type: ignore[union-attr]
    order = Order(
        id=asked.job_id,
        kind=asked.kind,
        account_id=caller.account_id,
        key_id=caller.key_id,
        request_id=request_id,
        trace_id=options.trace_id,
        model=candidates[0].model.slug,
        candidates=tuple(candidate.key for candidate in candidates),
        created_at=now,
        media_url=asked.media_url,
        picture=picture.media_type if picture else None,
        webhook_url=asked.webhook_url,
        tag=options.tag or caller.default_tag,
        retain=asked.retain,
        sandbox_seconds=asked.sandbox_seconds,
        session=options.session,
        parent_id=caller.parent_id,
        counts=demand.counts,
        tier=demand.service_tier,
    )
    job = Job(order, "queued", deadline_at=now + QUEUE_S)
    try:
        await take_hold(gateway, caller, candidates, demand, request_id, Placed(job, asked.body))
    except StoreBusy:
        # The reply may be what was lost: then it is going to be made, and whoever is told otherwise orders it twice.
        if await jobs.get(caller.account_id, job.id) is None:
            raise
    return job, gateway.rates.hit(caller.limits, gateway.clock.now())


async def cancel(wallets: Wallets, jobs: Jobs, clock: Clock, job: Job) -> Job:
    """A job that has not begun, ended at no cost; one that was cancelled before as it is.

    Raises Conflict, StoreBusy.
    """
    while job.status == "queued":
        now = int(clock.now())
        ending = Ending(job, "cancelled", now)
        hold = await wallets.held(job.order.account_id, job.order.request_id)
        done = await (wallets.void(hold, ending=ending) if hold else jobs.end(ending))
        if done:
            return replace(job, status="cancelled", ended_at=now)
        found = await jobs.get(job.order.account_id, job.id)
        assert found is not None, "it was there a moment ago"
        job = found
    if job.status != "cancelled":
        raise Conflict(
            f"The job is {job.status}: only a job that is still queued can be cancelled.", code="job_not_cancellable"
        )
    return job
