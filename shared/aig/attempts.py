"""Trying the candidates of a call until one answers: failover, retries within a budget, breakers, one deadline."""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from aig.call import ANSWER_S, OpenCall
from aig.catalog.routing import Candidate
from aig.errors import (
    AdapterBug,
    AIGError,
    InvalidRequest,
    ProviderUnavailable,
    RateLimited,
    RequestTooLarge,
    UpstreamError,
    UpstreamTimeout,
)
from aig.modalities.demand import Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.money.pricing import upstream_cost
from aig.ports import Adapter, StoreBusy

T = TypeVar("T")

MAX_ATTEMPTS = 3
BACK_OFF_S = 0.1  # doubled with every attempt; the wait is anything up to it
LONGEST_WAIT_S = 20.0  # a client that waits longer for nothing is better told to come back
REASONING_FIRST_BYTE_S = 60.0
REASONING_IDLE_S = 240.0  # some think for minutes behind their first event, and say nothing of it
LONGEST_RETRY_AFTER_S = 3600
ENOUGH_S = 30.0  # for another attempt: no reason to cut off an answer that takes long
GIVING_UP_S = 1.0  # an adapter has, to tell what an attempt that took too long has consumed
LEAST_ATTEMPT_S = 1.0  # in less, nobody could answer, and would be blamed for it

Start = Callable[[Adapter, Upstream, int], Awaitable[T]]


@dataclass(frozen=True, slots=True)
class Attempted(Generic[T]):
    """Who answered, at which attempt, with what, how long after it was asked. The success is still to be recorded."""

    candidate: Candidate
    attempts: int
    answer: T
    latency_ms: float


async def attempt_each(call: OpenCall, start: Start[T]) -> Attempted[T]:
    """The first answer of a candidate. `start` gets its adapter, upstream and output limit. Raises AIGError."""
    gateway, failures = call.gateway, list[UpstreamError]()
    gateway.retries.request(gateway.clock.monotonic())
    plan = _Plan(call)
    candidate: Candidate | None = await plan.first()
    while candidate is not None:
        started = gateway.clock.monotonic()
        try:
            with plan.asking(candidate):
                answer = await _ask(call, candidate, start, plan.patience())
        except UpstreamError as error:
            failures.append(error)
            candidate = await plan.after(candidate, error)
        else:
            latency_ms = (gateway.clock.monotonic() - started) * 1000
            return Attempted(candidate, len(failures) + 1, answer, latency_ms)
    attempts = len(failures)
    if call.left(ANSWER_S) < LEAST_ATTEMPT_S:
        failures.append(UpstreamError("timeout"))
    told = client_error(failures, call.demand)
    told.attempts = attempts
    raise told


async def _ask(call: OpenCall, candidate: Candidate, start: Start[T], patience: float) -> T:
    """One attempt. Raises UpstreamError; all that is to be known of it is recorded then."""
    provider, traffic = candidate.offer.provider, call.gateway.traffic
    adapter = call.gateway.adapters.get(provider)
    try:
        async with asyncio.timeout(patience):
            answer = await start(adapter, upstream_of(call, candidate, patience), call.max_output(candidate))
    except (AIGError, StoreBusy):
        raise  # ours, and no adapter's
    except Exception as raised:
        error = as_upstream(raised)
        record_failure(call, candidate, error)
        _book_loss(call, candidate, error)
        raise error from None
    traffic.answered(provider.name, candidate.model.slug)
    return answer


def as_upstream(raised: Exception) -> UpstreamError:
    """What an adapter has raised, whatever it is: what it should not have raised is a bug of it."""
    if isinstance(raised, UpstreamError):
        return raised
    return UpstreamError("timeout") if isinstance(raised, TimeoutError) else AdapterBug(raised)


def broken_off(error: UpstreamError) -> AIGError:
    """What the client is told of an answer that had begun."""
    kind = UpstreamTimeout if error.kind == "timeout" else ProviderUnavailable
    return kind("The provider broke off its answer. Nothing was charged; send the request again.")


class _Plan:
    """Whom to ask next: those not asked yet, at once; then those that failed, after a wait."""

    def __init__(self, call: OpenCall) -> None:
        self._call = call
        self._fresh = list(call.candidates)
        self._again: dict[str, tuple[Candidate, float]] = {}  # with the time, by the clock, before which not
        self._asked = 0
        self._scouting: str | None = None  # the key of the candidate to which this call is sent ahead

    async def first(self) -> Candidate:
        """The first that its breaker lets through, or the first of all: one at least is asked."""
        return self._take(await self._next_fresh() or self._call.candidates[0])

    async def _next_fresh(self) -> Candidate | None:
        """The next that has not been asked, taken from the list with those whose breakers are open.

        A breaker's probe is claimed when its turn has come: behind one that is well it does not.
        """
        traffic = self._call.gateway.traffic
        while self._fresh:
            candidate = self._fresh.pop(0)
            gate = traffic.gate(candidate.key)
            if gate == "closed" or (gate == "probe" and await traffic.claim_probe(candidate.key)):
                return candidate
        return None

    def _take(self, candidate: Candidate) -> Candidate:
        self._asked += 1
        return candidate

    def patience(self) -> float:
        """Seconds for one attempt: those who come after must have their share of what is left, or enough of it."""
        left, after = self._call.left(ANSWER_S), len(self._fresh)
        return max(left / (1 + after), left - ENOUGH_S * after)

    @contextlib.contextmanager
    def asking(self, candidate: Candidate) -> Iterator[None]:
        """The time of an attempt, at whose end those are told who wait for word of it."""
        try:
            yield
        finally:
            if candidate.key == self._scouting:
                self._scouting = None
                self._call.gateway.scouts.back(candidate.key)

    async def after(self, failed: Candidate, error: UpstreamError) -> Candidate | None:
        """The next to ask, once it is time; None if that would help nobody."""
        left = self._call.left(ANSWER_S) - LEAST_ATTEMPT_S
        if not (error.retryable or error.unasked) or self._asked >= MAX_ATTEMPTS or left < 0:
            return None
        self._remember(failed, error)
        until = self._call.gateway.clock.monotonic() + min(LONGEST_WAIT_S, left)
        fresh = None
        while fresh is None and (candidate := await self._next_fresh()):
            fresh = candidate if error.unasked or await self._may_ask(candidate, until) else None
        return self._take(fresh) if fresh else await self._once_more(until)

    async def _may_ask(self, fresh: Candidate, until: float) -> bool:
        """Whether one that has not been asked is to be asked in the place of one that has failed.

        The budget is against asking more and more of providers that fail: one that answers costs none of it. Whether
        one does of which nobody has heard lately, a few find out; where there is no budget for them, they go all the
        same if its provider answers for other models, until one has failed. The rest wait for their word.
        """
        gateway, key = self._call.gateway, fresh.key
        scouts, traffic = gateway.scouts, gateway.traffic
        while not traffic.answers(key):
            now = gateway.clock.monotonic()
            provider_answers = traffic.well(key) and traffic.answers(fresh.offer.provider.name)
            if scouts.room(key) and (gateway.retries.take(now) or provider_answers):
                scouts.send(key)
                self._scouting = key
                return True
            if not await scouts.word(key, until - now):
                return False
            if not traffic.answers(key) and (self._fresh or traffic.gate(key) != "closed"):
                return False
        return True

    async def _once_more(self, until: float) -> Candidate | None:
        """One that has failed, after its wait; None if it may not be asked, or not so soon."""
        clock, traffic, retries = self._call.gateway.clock, self._call.gateway.traffic, self._call.gateway.retries
        waiting = [(at, candidate) for candidate, at in self._again.values() if traffic.gate(candidate.key) == "closed"]
        if not waiting:
            return None
        at, following = min(waiting, key=lambda pair: pair[0])
        now = clock.monotonic()
        if at > until or not retries.take(now):
            return None
        await asyncio.sleep(max(0.0, at - now))
        return self._take(following)

    def _remember(self, failed: Candidate, error: UpstreamError) -> None:
        """What refused our key, was silent for as long as it may be, or cannot do it, is not asked again."""
        if error.kind in ("auth", "timeout", "rejected") or isinstance(error, AdapterBug):
            self._again.pop(failed.key, None)
            return
        jitter = secrets.randbelow(1000) / 1000 * BACK_OFF_S * 2**self._asked
        wait = max(jitter, error.retry_after or 0.0)
        self._again[failed.key] = (failed, self._call.gateway.clock.monotonic() + wait)


def upstream_of(call: OpenCall, candidate: Candidate, patience: float) -> Upstream:
    """Where an attempt goes.

    Its adapter gives up before `patience` ends, so that it can tell what was consumed by then.
    """
    model, offer, provider = candidate.model, candidate.offer, candidate.offer.provider
    found, timeouts = call.reaches[provider.name], provider.timeouts
    if "reasoning" in model.capabilities:
        timeouts = replace(
            timeouts,
            first_byte=max(timeouts.first_byte, REASONING_FIRST_BYTE_S),
            idle=max(timeouts.idle, REASONING_IDLE_S),
        )
    longest = patience - min(GIVING_UP_S, patience / 10)
    timeouts = replace(timeouts, first_byte=min(timeouts.first_byte, longest), total=min(timeouts.total, longest))
    return Upstream(
        provider=provider.name,
        model_id=offer.model_id,
        base_url=found.base_url,
        api_key=found.api_key,
        timeouts=timeouts,
        session=f"{call.caller.key_id}/{call.options.session}",
        max_tokens_field=provider.max_tokens_field,
        quirks=provider.quirks | offer.quirks,
        max_output=call.max_output(candidate),
        max_batch=offer.max_batch,
        max_batch_tokens=offer.max_batch_tokens,
        dimensions=model.dimensions[0] if model.dimensions else None,
        credits=offer.credits,
        first_time=call.gateway.once.first_time,
        may_ask_again=lambda: call.gateway.retries.take(call.gateway.clock.monotonic()),
    )


def _book_loss(call: OpenCall, candidate: Candidate, error: UpstreamError) -> None:
    """What an attempt that came to nothing costs us all the same: what it tells, or what it may be billed for."""
    usage = error.usage
    if usage is None and error.kind in ("timeout", "malformed") and not candidate.model.sandbox:
        usual = call.demand.usual_units
        read = min(usual["input_tokens"], candidate.context)
        usage = Usage({**usual, "input_tokens": read}, estimated=True)
    if usage is not None:
        cost = upstream_cost(call.priced(candidate, usage), call.hold.prices[candidate.key])
        call.losses.append(call.loss(candidate, cost, "abandoned_attempt"))


def record_success(call: OpenCall, attempted: Attempted[T]) -> None:
    """Once the answer is whole: a stream that breaks off is none."""
    candidate = attempted.candidate
    call.gateway.traffic.record(candidate.offer.provider.name, candidate.model.slug, attempted.latency_ms, None)


def record_failure(call: OpenCall, candidate: Candidate, error: UpstreamError) -> None:
    """A request that is refused says nothing of the provider's health, nor does a bug of ours; all else does."""
    call.gateway.telemetry.request(
        outcome="attempt_failed",
        trace_id=call.options.trace_id,
        request_id=call.hold.request_id,
        model=candidate.model.slug,
        provider=candidate.offer.provider.name,
        error=error.kind,
        status=error.status,
        code=error.code,
    )
    provider, traffic = candidate.offer.provider, call.gateway.traffic
    if isinstance(error, AdapterBug):
        call.gateway.telemetry.alarm(
            "AdapterBug",
            request_id=call.hold.request_id,
            provider=provider.name,
            model=candidate.model.slug,
            error=error.error,
            where=error.where,
        )
        return
    if error.kind == "rejected":
        if not error.unasked:
            traffic.record_refusal(provider.name, candidate.model.slug)
        return
    traffic.record(provider.name, candidate.model.slug, None, error.kind)
    if error.kind == "auth" and not candidate.model.sandbox:
        call.gateway.telemetry.alarm("ProviderKeyRefused", provider=provider.name, status=error.status)


def client_error(failures: Sequence[UpstreamError], demand: Demand) -> AIGError:
    """One error of ours for all that went wrong upstream, in our words only."""
    asked = [failure for failure in failures if not failure.unasked]
    failures = asked or failures  # that one could not do it says less than what became of the others
    last = failures[-1]
    if last.kind == "rejected":
        kind = RequestTooLarge if last.status == 413 else InvalidRequest
        named = f" It names the field {last.param}." if last.param else ""
        ours = f"The provider refused the request (code {last.code or 'unknown'}).{named} Change the request."
        return kind(
            last.message or ours,
            code=last.code,
            param=last.param,
        )
    if all(failure.kind == "rate_limited" for failure in failures):
        wait = min((failure.retry_after for failure in failures if failure.retry_after is not None), default=1.0)
        return RateLimited(
            "Every provider of this model is rate limiting. Wait for the time in Retry-After, or use another model.",
            code="upstream_rate_limited",
            retry_after=min(max(1, -int(-wait // 1)), LONGEST_RETRY_AFTER_S),
        )
    if last.kind == "timeout":
        return UpstreamTimeout(f"The provider did not answer in time. Send it again, or {demand.smaller}.")
    if all(failure.kind == "auth" for failure in failures):
        return ProviderUnavailable(
            "Every provider of this model refuses the gateway's key or its account. Use another model until the "
            "operator has put that right."
        )
    return ProviderUnavailable(
        "No provider of this model could answer. Send the request again; GET /v1/health/providers says how they are."
    )
