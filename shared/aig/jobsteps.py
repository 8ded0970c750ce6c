"""What a job's machine has done: submit, poll, keep the files, settle, and fail where that is how it ends.

Each step reads the job anew, may be repeated, and may die anywhere. It answers what is to be done next.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

from aig import pipeline
from aig.attempts import as_upstream, client_error, record_failure
from aig.call import Gateway, OpenCall
from aig.catalog.routing import Candidate
from aig.errors import AdapterBug, UpstreamError
from aig.events import Event
from aig.jobcall import JobCalls, added
from aig.jobfiles import INSIST_S, JobFiles, ResultFiles, ResultLost, Results, insist, picture_of
from aig.jobs import failures, times
from aig.jobs.job import Ending, Failure, Job, Order, Stamp
from aig.jobs.kinds import Request, request
from aig.jobs.view import job_json, links_of
from aig.modalities.job import Failed, Finished, Stage, State, Working
from aig.money.ledger import Loss
from aig.ports import Jobs

T = TypeVar("T")

ASK_S = 270.0  # one round of submitting; a synchronous provider makes the whole of a track meanwhile
LEAST_ASK_S = 60.0  # of it, for another candidate
POLL_S = 30.0
_SAID_BY_EDGES = frozenset({408, 502, 504, *range(520, 525)})  # of what is behind them nobody knows then
Do = Literal["submit", "poll", "store", "settle", "ended"]


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done with the job, after so many seconds."""

    do: Do
    wait_s: int = 0


ENDED = Next("ended")


@dataclass(frozen=True, slots=True)
class Steps:
    """`insist_s` are the waits between tries to note, or keep, what a provider has made.

    `is_off` tells whether who ordered has been switched off since: what is not begun by then is not.
    """

    gateway: Gateway
    jobs: Jobs
    files: ResultFiles
    results: Results
    link_keys: Callable[[], Awaitable[Sequence[bytes]]]
    insist_s: Sequence[float] = INSIST_S
    is_off: Callable[[Order], Awaitable[bool]] | None = None

    @property
    def _calls(self) -> JobCalls:
        return JobCalls(self.gateway)

    async def submit(self, account_id: str, job_id: str) -> Next:
        """Have a provider take it on. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended:
            return ENDED
        if job.files:
            return Next("settle")
        if job.handle is not None:
            return self._poll_later(job)
        now, stamp = self._now(), job.stamp
        if stamp is not None and stamp.until > now:  # somebody is at it
            return Next("submit", times.until_free(stamp.until, now))
        if now > job.deadline_at:
            return await self.fail(account_id, job_id, failures.too_late(job))
        if job.status == "queued" and self.is_off is not None and await self.is_off(job.order):
            return await self._end(job, failures.SWITCHED_OFF, ())
        hold = await self.gateway.wallets.held(account_id, job.order.request_id)
        if hold is None:
            return await self.fail(account_id, job_id, failures.EXPIRED)
        candidates = self._calls.candidates(job)
        if not candidates:
            return await self.fail(account_id, job_id, failures.GONE)
        call = await self._calls.call(job, hold, candidates)
        if stamp is not None and not self._calls.adapter(job, candidates[0]).idempotent:
            return await self._end(job, failures.UNKNOWN, self._calls.maybe_charged(job, call))
        asked = await self._request(job)
        if asked is None:
            return await self._end(job, failures.PICTURE_GONE, ())
        return await self._round(job, call, asked)

    async def poll(self, account_id: str, job_id: str) -> Next:
        """Ask its provider how it goes. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended or job.files or job.handle is None:
            return await self.submit(account_id, job_id)
        if self._now() > job.deadline_at:
            return await self.fail(account_id, job_id, failures.too_late(job))
        opened = await self._calls.opened(job)
        if opened is None or not self._calls.has(opened[1]):
            return await self.fail(account_id, job_id, failures.GONE if opened else failures.EXPIRED)
        call, candidate = opened
        try:
            state = await self._polled(job, call, candidate)
        except UpstreamError as error:
            return await self._not_told(job, call, error)
        if isinstance(state, Finished):
            return Next("store")
        return await self._took(job, call, candidate, state)

    async def store(self, account_id: str, job_id: str) -> Next:
        """Keep its files, from where its provider says they are. Raises ResultLost, StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended or job.files or job.handle is None:
            return await self.submit(account_id, job_id)
        opened = await self._calls.opened(job)
        if opened is None or not self._calls.has(opened[1]):
            return await self.fail(account_id, job_id, failures.GONE if opened else failures.EXPIRED)
        call, candidate = opened
        # Its provider has done its part in time: keeping takes the time that it takes.
        until = (job.started_at or job.order.created_at) + times.WORK_S[job.order.kind] + times.KEEP_S
        await self.jobs.look_again(job, max(until, self._now() + times.KEEP_S) + times.GRACE_S, until)
        try:
            state = await self._polled(job, call, candidate)
        except UpstreamError as error:
            raise ResultLost(error.kind) from None
        return await self._took(job, call, candidate, state)

    async def settle(self, account_id: str, job_id: str) -> Next:
        """Charge it, and with that have it completed and told. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended:
            return ENDED
        opened = await self._calls.opened(job)
        if opened is None or job.usage is None or not job.files:
            return await self.fail(account_id, job_id, failures.INTERNAL if opened else failures.EXPIRED)
        call, candidate = opened
        bill = pipeline.bill(call, candidate, job.tries + 1, job.usage)
        now = self._now()
        done = replace(job, status="completed", ended_at=now, cost=bill.settlement.charged, usage=bill.usage)
        event = await self._event(done, "job.completed", now)
        ending = Ending(job, "completed", now, bill.settlement.charged, event=event)
        recorded = await self._calls.call(job, call.hold, (candidate,), await self._body(job))
        record = recorded.record(bill.receipt, bill.usage, None, None)
        post = self.gateway.wallets.post(
            call.hold, bill.settlement, bill.debit, *bill.losses, record=record, ending=ending
        )
        if await self.gateway.traffic.beside(post):
            pipeline.tell_end(call, bill.receipt, "posted")
            return ENDED
        return Next("submit", 1)  # it was changed meanwhile, or its hold: the next look tells which

    async def late(self, account_id: str, job_id: str) -> Next:
        """See to a job that nobody has seen to in time: settle what is made, end what is too late. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended:
            return ENDED
        now = self._now()
        if job.files:
            return await self.settle(account_id, job_id)
        if now <= job.deadline_at or (job.stamp is not None and job.stamp.until > now):
            return Next("submit")
        return await self.fail(account_id, job_id, failures.too_late(job))

    async def fail(self, account_id: str, job_id: str, failure: Failure) -> Next:
        """End it without a result, whatever state it is in, and give its money back. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended:
            return ENDED
        opened = await self._calls.opened(job)
        if opened is None:
            return await self._end(job, failure, ())
        call, candidate = opened
        if job.handle is not None and not job.files and self._calls.has(candidate):
            await self._stop(job, call, candidate)
        return await self._end(job, failure, self._calls.maybe_charged(job, call))

    async def _round(self, job: Job, call: OpenCall, asked: Request) -> Next:
        """Ask the candidates in turn, until one takes it on, or there is no time for another."""
        refusals: list[UpstreamError] = []
        full, began = False, self.gateway.clock.monotonic()
        for candidate in call.candidates:
            left = ASK_S - (self.gateway.clock.monotonic() - began)
            if refusals and left < LEAST_ASK_S:
                break
            # That the one before has refused it is noted with this claim, or by nobody.
            patience = self.insist_s if refusals else ()
            stamp = Stamp(secrets.token_hex(8), self._now() + times.STAMP_S)
            claimed = await insist(patience, partial(self._claim, job, candidate, stamp))
            if claimed == "changed":
                return Next("submit", 1)
            if claimed == "full":
                full = True
                continue
            job = replace(job, status="processing", candidate=candidate.key, stamp=stamp)
            left = ASK_S - (self.gateway.clock.monotonic() - began)
            answer = await self._submitted(job, call, candidate, asked, left)
            if not isinstance(answer, UpstreamError):
                return await self._took(job, call, candidate, answer)
            if may_have_taken_it(answer):
                return await self._in_doubt(job, call, candidate)
            refusals.append(answer)
            if not (answer.retryable or answer.unasked):
                break
        return await self._after_round(job, call, refusals, full=full)

    async def _claim(self, job: Job, candidate: Candidate, stamp: Stamp) -> Literal["claimed", "full", "changed"]:
        return await self.jobs.claim(job, candidate.key, stamp, candidate.offer.provider.concurrency)

    async def _in_doubt(self, job: Job, call: OpenCall, candidate: Candidate) -> Next:
        """The provider may have it, or not: it is asked again if that makes no second job, and else nobody is."""
        again = self._calls.adapter(job, candidate).idempotent and job.tries + 1 < times.MOST_TRIES
        if again and await self.jobs.doubtful(job, self._now()):
            return Next("submit", times.until_again(job.tries, None))
        return await self._end(job, failures.UNKNOWN, self._calls.maybe_charged(job, call))

    async def _after_round(self, job: Job, call: OpenCall, refusals: Sequence[UpstreamError], *, full: bool) -> Next:
        """Nobody has taken it on: again later, or never."""
        if not refusals:
            now = self._now()
            if times.looks_silent(job.look_at, now):
                await self.jobs.look_again(job, now + times.SILENT_S)
            return Next("submit", times.until_turn())
        worth_it = refusals[-1].retryable or full
        busy = all(refusal.kind == "rate_limited" for refusal in refusals)  # its turn will come
        if worth_it and (busy or job.tries + 1 < times.MOST_TRIES):
            await insist(self.insist_s, lambda: self.jobs.unclaimed(job))
            waits = [refusal.retry_after for refusal in refusals if refusal.retry_after is not None]
            return Next("submit", times.until_again(job.tries, min(waits, default=None)))
        error = client_error(refusals, call.demand)
        return await self._end(job, failures.of_error(error), self._calls.charged_before(job, call))

    async def _submitted(
        self, job: Job, call: OpenCall, candidate: Candidate, asked: Request, patience: float
    ) -> State | UpstreamError:
        adapter, upstream = self._calls.adapter(job, candidate), self._calls.upstream(job, call, candidate, patience)
        reference = f"{job.id}-2" if job.stage is not None else job.id
        began = self.gateway.clock.monotonic()
        try:
            async with asyncio.timeout(patience):
                state = await adapter.submit(upstream, asked, reference, job.stage)
        except Exception as raised:
            error = as_upstream(raised)
            record_failure(call, candidate, error)
            return error
        latency_ms = (self.gateway.clock.monotonic() - began) * 1000
        self.gateway.traffic.record(candidate.offer.provider.name, candidate.model.slug, latency_ms, None)
        return state

    async def _polled(self, job: Job, call: OpenCall, candidate: Candidate) -> State:
        """Raises UpstreamError. How one job does says nothing of how others would, unless it is our key."""
        assert job.handle is not None
        try:
            async with asyncio.timeout(POLL_S):
                upstream = self._calls.upstream(job, call, candidate, POLL_S)
                return await self._calls.adapter(job, candidate).poll(upstream, job.handle)
        except Exception as raised:
            error = as_upstream(raised)
            self._tell_poll_failed(job, call, candidate, error)
            raise error from None

    def _tell_poll_failed(self, job: Job, call: OpenCall, candidate: Candidate, error: UpstreamError) -> None:
        if error.kind == "auth" or isinstance(error, AdapterBug):
            record_failure(call, candidate, error)
            return
        self.gateway.telemetry.request(
            outcome="poll_failed",
            request_id=job.order.request_id,
            model=candidate.model.slug,
            provider=candidate.offer.provider.name,
            error=error.kind,
            status=error.status,
        )

    async def _not_told(self, job: Job, call: OpenCall, error: UpstreamError) -> Next:
        """A poll that came to nothing says nothing of the job, unless it is that nobody knows it, again and again."""
        lost = job.lost + 1 if error.status == 404 else job.lost
        if lost >= times.MOST_LOST:
            return await self._end(job, failures.LOST, self._calls.maybe_charged(job, call))
        if lost != job.lost:
            await self.jobs.polled(job, job.progress, lost)
        await self._heard(job)
        return self._poll_later(job)

    async def _took(self, job: Job, call: OpenCall, candidate: Candidate, state: State) -> Next:
        if isinstance(state, Working):
            return await self._works(job, call, candidate, state)
        if isinstance(state, Stage):
            spent = added(job.spent, state.usage.units)
            await insist(self.insist_s, lambda: self.jobs.staged(job, state.handle, spent))
            return Next("submit")
        if isinstance(state, Failed):
            losses = self._calls.charged(job, call, candidate, state.usage)
            return await self._end(job, failures.told(state), losses)
        return await self._keep(job, call, candidate, state)

    async def _works(self, job: Job, call: OpenCall, candidate: Candidate, state: Working) -> Next:
        if job.handle != state.handle:
            now = self._now()
            started_at = job.started_at or now
            deadline_at = job.deadline_at if job.started_at else now + times.WORK_S[job.order.kind]
            if not await insist(self.insist_s, lambda: self.jobs.submitted(job, state.handle, started_at, deadline_at)):
                await self._stop_if_failed(replace(job, handle=state.handle), call, candidate)
            return Next("poll", times.until_poll(0))
        if (state.progress, 0) != (job.progress, job.lost):
            await self.jobs.polled(job, state.progress, 0)
        await self._heard(job)
        return self._poll_later(job)

    async def _heard(self, job: Job) -> None:
        """Say that its machine is alive, before somebody gives it another."""
        now = self._now()
        at = min(now + times.SILENT_S, job.deadline_at + times.GRACE_S)
        if times.looks_silent(job.look_at, now) and at > job.look_at:
            await self.jobs.look_again(job, at)

    async def _keep(self, job: Job, call: OpenCall, candidate: Candidate, done: Finished) -> Next:
        """Raises ResultLost, StoreBusy."""
        upstream = self._calls.upstream(job, call, candidate, ASK_S)
        files = await JobFiles(self.files, self.results, self.insist_s).keep(job, upstream, done.files)
        if files is None:
            losses = self._calls.charged(job, call, candidate, done.usage)
            return await self._end(job, failures.UNUSABLE, losses)
        usage = replace(done.usage, units=added(job.spent, done.usage.units))
        await insist(self.insist_s, lambda: self.jobs.stored(job, files, usage))
        return Next("settle")

    async def _end(self, job: Job, failure: Failure, losses: Sequence[Loss]) -> Next:
        """Failed, with its money given back and the event: once, from the state that it was seen in."""
        now = self._now()
        ended = replace(job, status="failed", ended_at=now, failure=failure, files=())
        ending = Ending(job, "failed", now, failure=failure, event=await self._event(ended, "job.failed", now))
        hold = await self.gateway.wallets.held(job.order.account_id, job.order.request_id)
        if hold is None:
            done = await self.jobs.end(ending)
        else:
            call = await self._calls.call(job, hold, (), await self._body(job))
            record = call.record(None, None, None, failure.code)
            void = partial(self.gateway.wallets.void, hold, *losses, record=record, ending=ending)
            done = await insist(self.insist_s, lambda: self.gateway.traffic.beside(void()))
        if not done:
            return Next("submit", 1)  # it was changed meanwhile: the next look tells to what
        self.gateway.telemetry.request(
            outcome="job_failed",
            trace_id=job.order.trace_id,
            request_id=job.order.request_id,
            model=job.model,
            provider=job.provider,
            code=failure.code,
        )
        return ENDED

    async def _stop(self, job: Job, call: OpenCall, candidate: Candidate) -> None:
        """Have the provider stop, as far as it can: what it does then is its business."""
        assert job.handle is not None
        try:
            async with asyncio.timeout(POLL_S):
                upstream = self._calls.upstream(job, call, candidate, POLL_S)
                await self._calls.adapter(job, candidate).cancel(upstream, job.handle)
        except Exception as raised:
            self._tell_poll_failed(job, call, candidate, as_upstream(raised))

    async def _stop_if_failed(self, job: Job, call: OpenCall, candidate: Candidate) -> None:
        """Have the provider stop what it has just begun, if nobody waits for that any more."""
        seen = await self.jobs.get(job.order.account_id, job.id)
        if seen is not None and seen.status == "failed":
            await self._stop(job, call, candidate)

    async def _event(self, job: Job, type_: Literal["job.completed", "job.failed"], now: int) -> Event:
        """With the job as a poll shows it, but for the URL of its own, which is nobody else's business."""
        order = job.order
        data = job_json(job, links_of(job, (await self.link_keys())[0]), now)
        told = {name: value for name, value in data.items() if name != "webhook_url"}
        event_id = self.gateway.ids.new("evt")
        return Event(event_id, type_, order.account_id, told, now, webhook_url=order.webhook_url, key_id=order.key_id)

    async def _request(self, job: Job) -> Request | None:
        """What is asked for, with its picture; None if that is there no more. Raises StoreBusy."""
        body = await self.jobs.body(job.order.account_id, job.id)
        if body is None or job.order.picture is None:
            return None if body is None else request(job.order.kind, body)
        found = await picture_of(job, self.files)
        return None if found is None else request(job.order.kind, body, *found)

    async def _body(self, job: Job) -> dict[str, Any] | None:
        """For the record, where one is to have it."""
        return await self.jobs.body(job.order.account_id, job.id) if job.order.retain else None

    def _poll_later(self, job: Job) -> Next:
        return Next("poll", times.until_poll(self._now() - (job.started_at or job.order.created_at)))

    def _now(self) -> int:
        return int(self.gateway.clock.now())


def may_have_taken_it(error: UpstreamError) -> bool:
    """Whether a provider that has not said yes may be at work all the same: it may be its edge that has not."""
    if error.kind == "connect":
        return error.sent
    if error.kind == "unavailable" and error.status is not None:
        return error.status < 400 or error.status in _SAID_BY_EDGES
    return error.kind in ("timeout", "malformed")
