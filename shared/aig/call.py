"""What a metered call is made of, from its headers to its receipt."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aig.breaker import RetryBudget
from aig.catalog.model import Catalog
from aig.catalog.routing import Candidate, Routing
from aig.clock import Clock
from aig.ids import Ids
from aig.keys import Caller
from aig.modalities.demand import Demand
from aig.money.hold import Hold
from aig.money.ledger import Loss, LossReason
from aig.money.units import Nano
from aig.ports import Adapters, Once, Resolver, Secrets, Telemetry, Wallets
from aig.traffic import Traffic

# API Gateway cuts an answer that is silent for 300 s, Lambda a function after 900 s: we must be done before.
ANSWER_S = 280.0  # until the first chunk of a stream or the whole of another answer, all attempts together
STREAM_S = 840.0  # until the end of a stream


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that a metered call needs, built once per container by aig.wiring."""

    catalog: Catalog
    adapters: Adapters
    secrets: Secrets
    wallets: Wallets
    traffic: Traffic
    once: Once
    resolver: Resolver
    telemetry: Telemetry
    clock: Clock
    ids: Ids
    retries: RetryBudget = field(default_factory=RetryBudget)


@dataclass(frozen=True, slots=True)
class Options:
    """What a request's headers say. `trace_id` is the x-request-id that the client sees."""

    trace_id: str
    tag: str | None = None
    cache: Literal["auto", "force", "skip"] = "auto"
    routing: Routing = "auto"
    session: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the answer's headers tell. `cost` is None until the call is settled."""

    model: str
    provider: str
    attempts: int
    cost: Nano | None = None
    cache: Literal["hit", "miss", "skip"] = "skip"


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
    losses: list[Loss] = field(default_factory=list)  # of attempts that came to nothing

    def max_output(self, candidate: Candidate) -> int:
        """The output tokens that were paid for, or fewer where it cannot say as much."""
        return min(self.output_tokens, candidate.max_output)

    def left(self, seconds: float) -> float:
        """What is left of `seconds` after the call began."""
        return max(0.0, self.began_at + seconds - self.gateway.clock.monotonic())

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
