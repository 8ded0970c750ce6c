"""Rows of the ledger: immutable, one debit at most per request, corrections are rows of their own."""

from dataclasses import dataclass
from typing import Literal

from aig.modalities.usage import Usage
from aig.money.units import Nano


@dataclass(frozen=True, slots=True)
class Debit:
    """What one delivered run cost: `amount` the customer, `upstream_cost` us."""

    id: str
    request_id: str
    model: str
    provider: str
    amount: Nano
    upstream_cost: Nano
    usage: Usage
    created_at: int
    tag: str | None = None
    cache_hit: bool = False


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that came in. `id` is the payment's: the same payment twice is the same row."""

    id: str
    amount: Nano
    created_at: int
    source: Literal["manual"] = "manual"
    note: str = ""


LossReason = Literal["broken_stream", "abandoned_attempt", "over_hold", "expired_hold"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What a provider charged us, or may have, that no customer pays. `amount` is our best knowledge of it."""

    id: str
    request_id: str
    account_id: str
    model: str
    provider: str
    amount: Nano
    reason: LossReason
    created_at: int


@dataclass(frozen=True, slots=True)
class Wallet:
    """`available` can be spent now; `held` is set aside for runs in flight. Their sum is what the ledger says."""

    available: Nano
    held: Nano


@dataclass(frozen=True, slots=True)
class Spend:
    """What an owner has spent in a period, what its runs in flight hold beside that, and its cap for the period."""

    spent: Nano
    held: Nano
    cap: int | None = None

    @property
    def room(self) -> Nano | None:
        """What the cap leaves; None without one. A cap that was lowered below what is spent leaves nothing."""
        return None if self.cap is None else Nano(max(0, self.cap - self.spent - self.held))
