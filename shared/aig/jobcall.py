"""The metered call of a job, opened again at each step: who has it, whose money it is, and what it may have cost us."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aig import pipeline
from aig.attempts import upstream_of
from aig.call import Gateway, OpenCall, Options
from aig.catalog.model import Model, Offer, Provider
from aig.catalog.routing import Candidate
from aig.generation import job_adapter
from aig.jobs.job import Job
from aig.jobs.kinds import OPERATIONS
from aig.keys import Caller
from aig.modalities.demand import Demand
from aig.modalities.job import JobAdapter
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.money.hold import Hold
from aig.money.ledger import Loss
from aig.money.pricing import upstream_cost
from aig.records import Recording


@dataclass(frozen=True, slots=True)
class JobCalls:
    """Opens the calls of jobs. A candidate that the catalog has no more is still one that can be charged."""

    gateway: Gateway

    def candidates(self, job: Job) -> Sequence[Candidate]:
        """Who may still take it on: the one that has it, or perhaps has it, and else all that were chosen."""
        bound = job.stamp is not None or job.stage is not None or job.handle is not None or job.files
        keys = (job.candidate,) if bound else job.order.candidates
        known = [self._known(key) for key in keys if key is not None]
        return [candidate for candidate in known if candidate is not None]

    def has(self, candidate: Candidate) -> bool:
        """Whether the catalog has it: else nobody can be asked for it."""
        return self._known(candidate.key) is not None

    async def opened(self, job: Job) -> tuple[OpenCall, Candidate] | None:
        """The call of a job that a candidate has. None if there is no candidate, or its hold is gone."""
        hold = await self.gateway.wallets.held(job.order.account_id, job.order.request_id)
        if hold is None or job.candidate is None:
            return None
        candidate = self._known(job.candidate) or _gone(job.candidate, hold)
        return await self.call(job, hold, (candidate,)), candidate

    async def call(
        self, job: Job, hold: Hold, candidates: Sequence[Candidate], body: Mapping[str, Any] | None = None
    ) -> OpenCall:
        """The metered call that the order began; `body` is for its record, where one may be kept."""
        gateway, order = self.gateway, job.order
        providers = {candidate.offer.provider.name: candidate.offer.provider for candidate in candidates}
        reaches = {name: await pipeline.reach(gateway, provider) for name, provider in providers.items()}
        caller = Caller(
            order.account_id, order.key_id, key_name="", hint="", scopes=frozenset(), parent_id=order.parent_id
        )
        recording = Recording(OPERATIONS[order.kind], False, body if order.retain else None)
        options = Options(order.trace_id, tag=order.tag, session=order.session, recording=recording)
        began_at = gateway.clock.monotonic() - (gateway.clock.now() - order.created_at)
        demand = Demand((order.model,), frozenset({order.kind}), 0, 0, counts=order.counts, service_tier=order.tier)
        return OpenCall(gateway, caller, options, demand, candidates, reaches, hold, 0, began_at)

    def adapter(self, job: Job, candidate: Candidate) -> JobAdapter[Any]:
        return job_adapter(self.gateway.adapters.get(candidate.offer.provider), job.order.kind)

    def upstream(self, job: Job, call: OpenCall, candidate: Candidate, patience: float) -> Upstream:
        return replace(upstream_of(call, candidate, patience), sandbox_seconds=job.order.sandbox_seconds)

    def charged(self, job: Job, call: OpenCall, candidate: Candidate, usage: Usage | None) -> Sequence[Loss]:
        """What the provider charges us for, told by itself, beside the steps that it was paid for before."""
        units = added(job.spent, usage.units if usage else {})
        if not any(units.values()):
            return ()
        priced = call.priced(candidate, replace(usage or Usage({}), units=units))
        return [call.loss(candidate, upstream_cost(priced, call.hold.prices[candidate.key]), "abandoned_job")]

    def charged_before(self, job: Job, call: OpenCall) -> Sequence[Loss]:
        """What the steps have cost us that were paid for before this one."""
        if not job.spent:
            return ()
        candidate = next(one for one in call.candidates if one.key == job.candidate)
        return self.charged(job, call, candidate, None)

    def maybe_charged(self, job: Job, call: OpenCall) -> Sequence[Loss]:
        """What it may charge us for: of a job that was given to it, and of which nobody knows the end."""
        if job.candidate is None or (job.handle is None and job.stamp is None and not job.files and not job.spent):
            return ()
        candidate = next(one for one in call.candidates if one.key == job.candidate)
        if candidate.model.sandbox:
            return ()
        whole = job.usage.units if job.usage else {**candidate.billed(call.demand.usual_units), "input_tokens": 0}
        usage = Usage(dict(whole), estimated=job.usage is None, service_tier=call.demand.service_tier)
        return self.charged(replace(job, spent={}), call, candidate, job.usage or usage)

    def _known(self, key: str) -> Candidate | None:
        provider, _, slug = key.partition("/")
        model = self.gateway.catalog.models.get(slug)
        offers = [offer for offer in model.offers if offer.provider.name == provider] if model else []
        return Candidate(model, offers[0]) if model and offers else None


def _gone(key: str, hold: Hold) -> Candidate:
    """As much of a candidate as a bill needs."""
    name, _, slug = key.partition("/")
    provider = Provider(name, name, "", None, None, "", Timeouts())
    model = Model(slug, slug, "", frozenset(), 0, 0, None, None, False, ())
    return Candidate(model, Offer(provider, "", hold.prices[key], "", ""))


def added(before: Mapping[Any, int], more: Mapping[Any, int]) -> dict[Any, int]:
    return {unit: before.get(unit, 0) + more.get(unit, 0) for unit in {**before, **more}}
