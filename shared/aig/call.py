"""What a metered call is made of, from its headers to its receipt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from aig.breaker import RetryBudget
from aig.cachekey import CacheChoice
from aig.catalog.model import Catalog
from aig.catalog.routing import Candidate, Routing
from aig.clock import Clock
from aig.flights import Flights
from aig.ids import Ids
from aig.keys import Caller
from aig.limits import FreeTier, Rate, RateCounts
from aig.modalities.demand import Demand
from aig.modalities.usage import COUNTED_EXACTLY, INPUT_UNITS, Unit, Usage
from aig.money.hold import Hold
from aig.money.ledger import Loss, LossReason
from aig.money.pricing import Prices, has_price
from aig.money.units import Nano
from aig.ports import Adapters, Cache, Keys, Once, Resolver, Secrets, Telemetry, Wallets
from aig.records import Record, Recording
from aig.scouts import Scouts
from aig.traffic import Traffic

# API Gateway cuts an answer that is silent for 300 s, Lambda a function after 900 s: we must be done before, and behind
# an answer there may be 20 s to settle it, and 5 to keep it.
ANSWER_S = 270.0  # until the first chunk of a stream or the whole of another answer, all attempts together
STREAM_S = 840.0  # until the end of a stream


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that a metered call needs, built once per container by aig.wiring."""

    catalog: Catalog
    adapters: Adapters
    secrets: Secrets
    keys: Keys
    wallets: Wallets
    traffic: Traffic
    once: Once
    resolver: Resolver
    telemetry: Telemetry
    clock: Clock
    ids: Ids
    free_tier: FreeTier | None = None
    retries: RetryBudget = field(default_factory=RetryBudget)
    rates: RateCounts = field(default_factory=RateCounts)
    told: set[str] = field(default_factory=set)  # the notices that this environment has written
    cache: Cache | None = None  # without one nothing is looked up
    flights: Flights = field(default_factory=Flights)
    scouts: Scouts = field(default_factory=Scouts)


@dataclass(frozen=True, slots=True)
class Options:
    """What a request's headers say. `trace_id` is the x-request-id that the client sees."""

    trace_id: str
    tag: str | None = None
    cache: CacheChoice = "auto"
    routing: Routing = "auto"
    session: str = ""
    request_id: str | None = None  # the id of ours that the client sees, where it sent none
    recording: Recording | None = None


CacheTold = Literal["hit", "miss", "skip"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the answer's headers tell. `cost` is None until the call is settled; a hit has made no attempts."""

    model: str
    provider: str
    attempts: int
    cost: Nano | None = None
    cache: CacheTold = "skip"
    rate: Rate | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a provider is and the key it wants; the names of what is missing if it is not set up."""

    base_url: str
    api_key: str | None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose hold is taken: it must be settled or voided. `candidates` are to be tried in their order."""

    gateway: Gateway
    caller: Caller
    options: Options
    demand: Demand
    candidates: Sequence[Candidate]
    reaches: Mapping[str, Reach]
    hold: Hold
    output_tokens: int
    began_at: float  # by the monotonic clock
    rate: Rate | None = None
    losses: list[Loss] = field(default_factory=list)  # of attempts that came to nothing

    def record(
        self, receipt: Receipt | None, usage: Usage | None, answer: Mapping[str, Any] | None, error: str | None
    ) -> Record | None:
        """The record of how it ended. `receipt` is None where nobody answered."""
        duration_s = self.gateway.clock.monotonic() - self.began_at
        return record_of(self.options, self.caller, self.hold, duration_s, receipt, usage, answer, error)

    def max_output(self, candidate: Candidate) -> int:
        """The output tokens that were paid for, or fewer where it cannot say as much."""
        return min(self.output_tokens, candidate.max_output)

    def left(self, seconds: float) -> float:
        """What is left of `seconds` after the call began."""
        return max(0.0, self.began_at + seconds - self.gateway.clock.monotonic())

    def priced(self, candidate: Candidate, usage: Usage) -> Usage:
        """What of `usage` has a price. What has none, no model of ours can have consumed: the operator is told.

        What we counted ourselves, we counted in every unit that it could be billed in.
        """
        prices = self.hold.prices[candidate.key]
        while unpriced := _unpriced(usage, prices):
            for unit in () if usage.estimated else unpriced:
                self.gateway.telemetry.alarm(
                    "UnpricedUnit",
                    request_id=self.hold.request_id,
                    model=candidate.model.slug,
                    provider=candidate.offer.provider.name,
                    unit=unit,
                    count=usage.units[unit],
                )
            usage = replace(usage, units={unit: n for unit, n in usage.units.items() if unit not in unpriced})
        counted = {unit for unit, count in usage.units.items() if count}
        if usage.estimated and counted and counted <= COUNTED_EXACTLY:
            return replace(usage, estimated=False)
        return usage

    def loss(self, candidate: Candidate, amount: Nano, reason: LossReason) -> Loss:
        return Loss(
            id=self.gateway.ids.new("txn"),
            request_id=self.hold.request_id,
            account_id=self.hold.account_id,
            model=candidate.model.slug,
            provider=candidate.offer.provider.name,
            amount=amount,
            reason=reason,
            created_at=int(self.gateway.clock.now()),
        )


def record_of(
    options: Options,
    caller: Caller,
    hold: Hold,
    duration_s: float,
    receipt: Receipt | None,
    usage: Usage | None,
    answer: Mapping[str, Any] | None,
    error: str | None = None,
) -> Record | None:
    """The record of a request and its end, where one is wanted."""
    recording = options.recording
    if recording is None:
        return None
    return Record(
        id=hold.request_id,
        account_id=hold.account_id,
        key_id=hold.key_id,
        trace_id=options.trace_id,
        operation=recording.operation,
        streamed=recording.streamed,
        created_at=hold.created_at,
        duration_ms=round(duration_s * 1000),
        model=receipt.model if receipt else hold.model,
        provider=receipt.provider if receipt else None,
        attempts=receipt.attempts if receipt else None,
        cost=(receipt.cost if receipt else None) or Nano(0),
        units={unit: count for unit, count in usage.units.items() if count} if usage else {},
        estimated=usage.estimated if usage else False,
        cache=receipt.cache if receipt else "skip",
        tag=options.tag or caller.default_tag,
        error=error,
        request=recording.request,
        answer=answer if recording.keeps_answer else None,
    )


def _unpriced(usage: Usage, prices: Prices) -> list[Unit]:
    rates = prices.rates_for(usage.total(INPUT_UNITS), usage.service_tier)
    return [unit for unit, count in usage.units.items() if count and not has_price(unit, rates)]
