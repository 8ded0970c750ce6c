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
    cache_hit: bool = False  # no provider was asked: `usage` is what the answer consumed when it was made


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
class KeySpend:
    """What a key has spent, what its cap leaves it (None without a cap), and what its runs in flight hold of it."""

    spent: Nano
    room: Nano | None = None
    held: Nano | None = None
