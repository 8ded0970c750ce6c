"""What a job's machine has done: submit, poll, keep the files, settle, and fail where that is how it ends.

Each step reads the job anew, may be repeated, and may die anywhere. It answers what is to be done next.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from aig import pipeline
from aig.attempts import as_upstream, client_error, record_failure, upstream_of
from aig.call import Gateway, OpenCall, Options
from aig.catalog.routing import Candidate
from aig.errors import UpstreamError
from aig.events import Event
from aig.generation import job_adapter
from aig.jobs import failures, times
from aig.jobs.job import Ending, Failure, File, Job, Stamp
from aig.jobs.kinds import OPERATIONS, RESULTS, Request, file_name, request
from aig.jobs.view import job_json, links_of
from aig.keys import Caller
from aig.modalities import image_header
from aig.modalities.files import Picture
from aig.modalities.job import Failed, Finished, JobAdapter, Source, Stage, State, Working
from aig.modalities.media.kinds import sniffed
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.money.hold import Hold
from aig.money.ledger import Loss
from aig.money.pricing import upstream_cost
from aig.ports import Jobs, StoreBusy
from aig.records import Recording

ASK_S = 270.0  # one submission; a synchronous provider makes the whole of a track meanwhile
POLL_S = 30.0
MOST_BYTES = 2 * 1024**3
Do = Literal["submit", "poll", "store", "settle", "ended"]


@dataclass(frozen=True, slots=True)
class Next:
    """What is to be done with the job, after so many seconds."""

    do: Do
    wait_s: int = 0


ENDED = Next("ended")


class ResultLost(Exception):
    """A result that is there could not be had, or kept: worth another try, whose poll tells where it is anew."""


class Opened(Protocol):
    """A file on its way: what its first bytes are, and all of them."""

    @property
    def head(self) -> bytes: ...

    @property
    def pieces(self) -> AsyncIterator[bytes]: ...


class Written(Protocol):
    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class Results(Protocol):
    """Where files come from. Raises UpstreamError."""

    def open(self, upstream: Upstream, source: Source) -> AbstractAsyncContextManager[Opened]: ...


class ResultFiles(Protocol):
    """Where files are kept. All raise StoreBusy."""

    async def keep_result(
        self, account_id: str, job_id: str, name: str, pieces: AsyncIterator[bytes], media_type: str, most: int
    ) -> Written:
        """Raises ValueError for a file that is empty or too large, and what `pieces` raises."""
        ...

    async def upload(self, account_id: str, upload_id: str) -> bytes | None: ...

    def upload_reading_link(self, account_id: str, upload_id: str) -> str: ...


@dataclass(frozen=True, slots=True)
class Steps:
    gateway: Gateway
    jobs: Jobs
    files: ResultFiles
    results: Results
    link_keys: Callable[[], Awaitable[Sequence[bytes]]]

    async def submit(self, account_id: str, job_id: str) -> Next:
        """Have a provider take it on. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended:
            return ENDED
        if job.files:
            return Next("settle")
        if job.handle is not None:
            return self._poll_later(job)
        now = self._now()
        if now > job.deadline_at:
            return await self.fail(account_id, job_id, failures.too_late(job))
        if job.stamp is not None and job.stamp.until > now:  # somebody is at it
            return Next("submit", job.stamp.until - now)
        hold = await self.gateway.wallets.held(account_id, job.order.request_id)
        if hold is None:
            return await self.fail(account_id, job_id, failures.EXPIRED)
        candidates = self._candidates(job)
        if not candidates:
            return await self.fail(account_id, job_id, failures.GONE)
        call = await self._call(job, hold, candidates)
        if job.stamp is not None and not self._adapter(job, candidates[0]).idempotent:
            return await self._end(job, failures.UNKNOWN, self._maybe_charged(job, call))
        return await self._round(job, call)

    async def poll(self, account_id: str, job_id: str) -> Next:
        """Ask its provider how it goes. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended or job.files or job.handle is None:
            return await self.submit(account_id, job_id)
        if self._now() > job.deadline_at:
            return await self.fail(account_id, job_id, failures.too_late(job))
        opened = await self._opened(job)
        if opened is None:
            return await self.fail(account_id, job_id, self._why_closed(job))
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
        opened = await self._opened(job)
        if opened is None:
            return await self.fail(account_id, job_id, self._why_closed(job))
        call, candidate = opened
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
        opened = await self._opened(job)
        if opened is None:
            return await self.fail(account_id, job_id, self._why_closed(job))
        if job.usage is None or not job.files:
            return await self.fail(account_id, job_id, failures.INTERNAL)
        call, candidate = opened
        bill = pipeline.bill(call, candidate, job.tries + 1, job.usage)
        now = self._now()
        done = replace(job, status="completed", ended_at=now, cost=bill.settlement.charged, usage=bill.usage)
        event = await self._event(done, "job.completed", now)
        ending = Ending(job, "completed", now, bill.settlement.charged, event=event)
        record = call.record(bill.receipt, bill.usage, None, None)
        wallets = self.gateway.wallets
        post = wallets.post(call.hold, bill.settlement, bill.debit, *bill.losses, record=record, ending=ending)
        if await self.gateway.traffic.beside(post):
            pipeline.tell_end(call, bill.receipt, "posted")
            return ENDED
        return Next("settle", 1)  # it was changed meanwhile, or its hold: the next look tells which

    async def fail(self, account_id: str, job_id: str, failure: Failure) -> Next:
        """End it without a result, whatever state it is in, and give its money back. Raises StoreBusy."""
        job = await self.jobs.get(account_id, job_id)
        if job is None or job.ended:
            return ENDED
        opened = await self._opened(job)
        if opened is None:
            return await self._end(job, failure, ())
        call, candidate = opened
        if job.handle is not None and not job.files:
            await self._stop(job, call, candidate)
        return await self._end(job, failure, self._maybe_charged(job, call))

    async def _round(self, job: Job, call: OpenCall) -> Next:
        """Ask the candidates in turn, until one takes it on."""
        refusals: list[UpstreamError] = []
        full = False
        for candidate in call.candidates:
            stamp = Stamp(secrets.token_hex(8), self._now() + times.STAMP_S)
            # However often it is handed in: its money is not held for longer.
            deadline = job.deadline_at if job.started_at else self._now() + times.WORK_S[job.order.kind]
            concurrency = candidate.offer.provider.concurrency
            claimed = await self.jobs.claim(job, candidate.key, stamp, self._now(), deadline, concurrency)
            if claimed == "changed":
                return Next("submit", 1)
            if claimed == "full":
                full = True
                continue
            job = replace(job, status="processing", candidate=candidate.key, stamp=stamp, deadline_at=deadline)
            job = replace(job, started_at=job.started_at or self._now())
            answer = await self._submitted(job, call, candidate)
            if not isinstance(answer, UpstreamError):
                return await self._took(job, call, candidate, answer)
            if _may_have_taken_it(answer) and not self._adapter(job, candidate).idempotent:
                return await self._end(job, failures.UNKNOWN, self._maybe_charged(job, call))
            refusals.append(answer)
            if not (answer.retryable or answer.unasked):
                break
        return await self._after_round(job, call, refusals, full=full)

    async def _after_round(self, job: Job, call: OpenCall, refusals: Sequence[UpstreamError], *, full: bool) -> Next:
        """Nobody has taken it on: again later, or never."""
        if not refusals:
            return Next("submit", times.until_turn(self._now() - job.order.created_at))
        worth_it = refusals[-1].retryable or full
        busy = all(refusal.kind == "rate_limited" for refusal in refusals)  # its turn will come
        if worth_it and (busy or job.tries + 1 < times.MOST_TRIES):
            await self.jobs.unclaimed(job)
            waits = [refusal.retry_after for refusal in refusals if refusal.retry_after is not None]
            return Next("submit", times.until_again(job.tries, min(waits, default=None)))
        error = client_error(refusals, call.demand)
        return await self._end(job, failures.of_error(error), self._charged_before(job, call))

    async def _submitted(self, job: Job, call: OpenCall, candidate: Candidate) -> State | UpstreamError:
        adapter, upstream = self._adapter(job, candidate), self._upstream(job, call, candidate, ASK_S)
        reference = f"{job.id}-2" if job.stage is not None else job.id
        asked = self.gateway.clock.monotonic()
        try:
            async with asyncio.timeout(ASK_S):
                state = await adapter.submit(upstream, await self._request(job), reference, job.stage)
        except StoreBusy:
            raise
        except Exception as raised:
            error = as_upstream(raised)
            record_failure(call, candidate, error)
            return error
        latency_ms = (self.gateway.clock.monotonic() - asked) * 1000
        self.gateway.traffic.record(candidate.offer.provider.name, candidate.model.slug, latency_ms, None)
        return state

    async def _polled(self, job: Job, call: OpenCall, candidate: Candidate) -> State:
        """Raises UpstreamError."""
        assert job.handle is not None
        try:
            async with asyncio.timeout(POLL_S):
                upstream = self._upstream(job, call, candidate, POLL_S)
                return await self._adapter(job, candidate).poll(upstream, job.handle)
        except Exception as raised:
            error = as_upstream(raised)
            record_failure(call, candidate, error)
            raise error from None

    async def _not_told(self, job: Job, call: OpenCall, error: UpstreamError) -> Next:
        """A poll that came to nothing says nothing of the job, unless it is that nobody knows it, again and again."""
        lost = job.lost + 1 if error.status == 404 else job.lost
        if lost >= times.MOST_LOST:
            return await self._end(job, failures.LOST, self._charged_before(job, call))
        if lost != job.lost:
            await self.jobs.polled(job, job.progress, lost)
        return self._poll_later(job)

    async def _took(self, job: Job, call: OpenCall, candidate: Candidate, state: State) -> Next:
        if isinstance(state, Working):
            return await self._works(job, call, candidate, state)
        if isinstance(state, Stage):
            spent = _sum(job.spent, state.usage.units)
            await self.jobs.staged(job, state.handle, spent)
            return Next("submit")
        if isinstance(state, Failed):
            return await self._end(job, failures.told(state), self._charged(job, call, candidate, state.usage))
        return await self._keep(job, call, candidate, state)

    async def _works(self, job: Job, call: OpenCall, candidate: Candidate, state: Working) -> Next:
        if job.handle != state.handle:
            if not await self.jobs.submitted(job, state.handle):
                await self._stop_if_failed(replace(job, handle=state.handle), call, candidate)
            return Next("poll", times.until_poll(0))
        if (state.progress, 0) != (job.progress, job.lost):
            await self.jobs.polled(job, state.progress, 0)
        return self._poll_later(job)

    async def _keep(self, job: Job, call: OpenCall, candidate: Candidate, done: Finished) -> Next:
        """The files of a result, one after the other. Raises ResultLost, StoreBusy."""
        upstream = self._upstream(job, call, candidate, ASK_S)
        files: list[File] = []
        for at, source in enumerate(done.files):
            try:
                async with self.results.open(upstream, source) as opened:
                    file = await self._kept(job, at, opened)
            except UpstreamError as error:
                if error.kind != "malformed":
                    raise ResultLost(error.kind) from None
                file = None
            except ValueError:
                file = None
            if file is None:
                return await self._end(job, failures.UNUSABLE, self._charged(job, call, candidate, done.usage))
            files.append(file)
        usage = replace(done.usage, units=_sum(job.spent, done.usage.units))
        await self.jobs.stored(job, files, usage)
        return Next("settle")

    async def _kept(self, job: Job, at: int, opened: Opened) -> File | None:
        """None for what is no file of the kind that was asked for. Raises ValueError for none at all, or too much."""
        kind = sniffed(opened.head)
        if kind is None or not kind.media_type.startswith(RESULTS[job.order.kind].types):
            return None
        name = file_name(job.order.kind, at, kind.ending)
        order = job.order
        written = await self.files.keep_result(
            order.account_id, order.id, name, opened.pieces, kind.media_type, MOST_BYTES
        )
        return File(name, kind.media_type, written.size, written.sha256)

    async def _end(self, job: Job, failure: Failure, losses: Sequence[Loss]) -> Next:
        """Failed, with its money given back and the event: once, from the state that it was seen in."""
        now = self._now()
        ended = replace(job, status="failed", ended_at=now, failure=failure, files=())
        ending = Ending(job, "failed", now, failure=failure, event=await self._event(ended, "job.failed", now))
        hold = await self.gateway.wallets.held(job.order.account_id, job.order.request_id)
        if hold is None:
            done = await self.jobs.end(ending)
        else:
            call = await self._call(job, hold, ())
            record = call.record(None, None, None, failure.code)
            void = self.gateway.wallets.void(hold, *losses, record=record, ending=ending)
            done = await self.gateway.traffic.beside(void)
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
                upstream = self._upstream(job, call, candidate, POLL_S)
                await self._adapter(job, candidate).cancel(upstream, job.handle)
        except Exception as raised:
            record_failure(call, candidate, as_upstream(raised))

    async def _stop_if_failed(self, job: Job, call: OpenCall, candidate: Candidate) -> None:
        """Have the provider stop what it has just begun, if nobody waits for that any more."""
        seen = await self.jobs.get(job.order.account_id, job.id)
        if seen is not None and seen.status == "failed":
            await self._stop(job, call, candidate)

    def _charged(self, job: Job, call: OpenCall, candidate: Candidate, usage: Usage | None) -> Sequence[Loss]:
        """What the provider charges us for, told by itself, beside the steps that it was paid for before."""
        units = _sum(job.spent, usage.units if usage else {})
        if not any(units.values()):
            return ()
        priced = call.priced(candidate, replace(usage or Usage({}), units=units))
        return [call.loss(candidate, upstream_cost(priced, call.hold.prices[candidate.key]), "abandoned_job")]

    def _charged_before(self, job: Job, call: OpenCall) -> Sequence[Loss]:
        """What the steps have cost us that were paid for before this one."""
        if not job.spent:
            return ()
        candidate = next(one for one in call.candidates if one.key == job.candidate)
        return self._charged(job, call, candidate, None)

    def _maybe_charged(self, job: Job, call: OpenCall) -> Sequence[Loss]:
        """What it may charge us for: of a job that was given to it, and of which nobody knows the end."""
        if job.candidate is None or (job.handle is None and job.stamp is None and not job.files and not job.spent):
            return ()
        candidate = next(one for one in call.candidates if one.key == job.candidate)
        if candidate.model.sandbox:
            return ()
        units = {**candidate.billed(call.demand.usual_units), "input_tokens": 0}
        usage = job.usage or Usage(units, estimated=True)
        return self._charged(replace(job, spent={}) if job.usage else job, call, candidate, usage)

    async def _event(self, job: Job, type_: Literal["job.completed", "job.failed"], now: int) -> Event:
        data = job_json(job, links_of(job, (await self.link_keys())[0]), now)
        order = job.order
        return Event(
            self.gateway.ids.new("evt"),
            type_,
            order.account_id,
            data,
            now,
            webhook_url=order.webhook_url,
            key_id=order.key_id,
        )

    def _candidates(self, job: Job) -> Sequence[Candidate]:
        """Who may still take it on: the one that has it, or perhaps has it, and else all that were chosen."""
        bound = job.stamp is not None or job.stage is not None or job.handle is not None or job.files
        keys = (job.candidate,) if bound else job.order.candidates
        return [found for key in keys if key is not None and (found := self._candidate(key)) is not None]

    def _candidate(self, key: str) -> Candidate | None:
        """None if the catalog has it no more."""
        provider, _, slug = key.partition("/")
        model = self.gateway.catalog.models.get(slug)
        offers = [offer for offer in model.offers if offer.provider.name == provider] if model else []
        return Candidate(model, offers[0]) if model and offers else None

    async def _opened(self, job: Job) -> tuple[OpenCall, Candidate] | None:
        """The call of a job that a candidate has. None if there is no such candidate, or its hold is gone."""
        candidate = self._candidate(job.candidate) if job.candidate else None
        hold = await self.gateway.wallets.held(job.order.account_id, job.order.request_id)
        if candidate is None or hold is None:
            return None
        return await self._call(job, hold, (candidate,)), candidate

    def _why_closed(self, job: Job) -> Failure:
        gone = job.candidate is None or self._candidate(job.candidate) is None
        return failures.GONE if gone else failures.EXPIRED

    async def _call(self, job: Job, hold: Hold, candidates: Sequence[Candidate]) -> OpenCall:
        """The metered call that the order began, as far as it is still needed."""
        gateway, order = self.gateway, job.order
        providers = {candidate.offer.provider.name: candidate.offer.provider for candidate in candidates}
        reaches = {name: await pipeline.reach(gateway, provider) for name, provider in providers.items()}
        caller = Caller(
            order.account_id, order.key_id, key_name="", hint="", scopes=frozenset(), parent_id=order.parent_id
        )
        recording = Recording(OPERATIONS[order.kind], False, order.body if order.retain else None)
        options = Options(order.trace_id, tag=order.tag, session=order.session, recording=recording)
        began_at = gateway.clock.monotonic() - (gateway.clock.now() - order.created_at)
        demand = request(order.kind, order.body).demand
        return OpenCall(gateway, caller, options, demand, candidates, reaches, hold, 0, began_at)

    async def _request(self, job: Job) -> Request:
        """Raises StoreBusy."""
        order = job.order
        if order.picture is None:
            return request(order.kind, order.body)
        data = await self.files.upload(order.account_id, order.id)
        if data is None:
            raise UpstreamError("rejected", code="picture_expired")
        header = image_header.read(data)
        picture = Picture(data, header.media_type, header.width, header.height)
        return request(order.kind, order.body, picture, self.files.upload_reading_link(order.account_id, order.id))

    def _adapter(self, job: Job, candidate: Candidate) -> JobAdapter[Any]:
        return job_adapter(self.gateway.adapters.get(candidate.offer.provider), job.order.kind)

    def _upstream(self, job: Job, call: OpenCall, candidate: Candidate, patience: float) -> Upstream:
        return replace(upstream_of(call, candidate, patience), sandbox_seconds=job.order.sandbox_seconds)

    def _poll_later(self, job: Job) -> Next:
        return Next("poll", times.until_poll(self._now() - (job.started_at or job.order.created_at)))

    def _now(self) -> int:
        return int(self.gateway.clock.now())


def _may_have_taken_it(error: UpstreamError) -> bool:
    """Whether the provider may be at work all the same."""
    return error.kind in ("timeout", "malformed") or (error.kind == "connect" and error.sent)


def _sum(before: Mapping[Any, int], more: Mapping[Any, int]) -> dict[Any, int]:
    return {unit: before.get(unit, 0) + more.get(unit, 0) for unit in {**before, **more}}
