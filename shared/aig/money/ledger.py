"""Rows of the ledger: immutable, one debit at most per request, corrections are rows of their own.

credits - debits - refunds + adjustments == available + held: rows hold what moved, and only adjustments have a sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aig.modalities.usage import Usage
from aig.money.units import NOTHING, Nano


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
    source: str = "manual"  # or the name of the payment provider
    note: str = ""
    payment: str | None = None  # the provider's own id of it, or the operator's: credited once, whatever the row's id


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that went back to who paid it. `amount` left the wallet; `uncovered` went back too, but was spent."""

    id: str
    credit_id: str
    amount: Nano
    created_at: int
    source: str = "manual"
    note: str = ""
    uncovered: Nano = NOTHING


@dataclass(frozen=True, slots=True)
class Adjustment:
    """The operator's correction: `amount` is added, or taken away where it is below zero."""

    id: str
    amount: Nano
    created_at: int
    note: str = ""


Kind = Literal["credit", "debit", "refund", "adjustment"]
# The first part of a row's id: rows of a kind lie together, and within it by time.
PREFIXES: Mapping[Kind, str] = {"credit": "topup", "debit": "txn", "refund": "refund", "adjustment": "adj"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as it is read: `amount` with its sign for the wallet, `more` what rows of its kind have beside it."""

    id: str
    kind: Kind
    amount: Nano
    created_at: int
    more: Mapping[str, Any]


def signed(kind: Kind, amount: int) -> Nano:
    """What a row of this amount did to the wallet."""
    return Nano(-amount if kind in ("debit", "refund") else amount)


LossReason = Literal["broken_stream", "abandoned_attempt", "over_hold", "expired_hold", "abandoned_job"]


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


DEFAULT_LOW_THRESHOLD = Nano(10**9)


@dataclass(frozen=True, slots=True)
class Wallet:
    """`available` can be spent now; `held` is set aside for runs in flight. Their sum is what the ledger says.

    `low` and `exhausted`: the account has been told so since money last came in. `era` counts how often it came in, and
    the changes of the threshold: what was decided about an earlier era is void.
    """

    available: Nano
    held: Nano
    low_threshold: Nano = DEFAULT_LOW_THRESHOLD
    low: bool = False
    exhausted: bool = False
    era: int = 0

    @property
    def total(self) -> Nano:
        return Nano(self.available + self.held)


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
