"""Top-ups that a customer pays for: what a payment provider is asked, what it tells, and what that makes of a top-up.

Pure. A provider is an adapter (aig_providers.payments); amounts are nano-USD, times unix seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from aig.errors import InvalidRequest
from aig.ids import has_form
from aig.money.units import NOTHING, Nano, parse_usd

MIN_TOP_UP = Nano(5 * 10**9)
MAX_TOP_UP = Nano(10_000 * 10**9)
CENT = 10**7
CHECKOUT_S = 23 * 3600  # a provider may allow a day at most, and a request that is sent again comes later
CURRENCY = "usd"

Phase = Literal["pending", "processing", "paid", "failed"]


@dataclass(frozen=True, slots=True)
class TopUp:
    """`credit_id` is the ledger's row once it is paid; `refunded` and `disputed` are what the provider told of it."""

    id: str
    account_id: str
    provider: str
    amount: Nano
    created_at: int
    phase: Phase = "pending"
    session: str | None = None
    checkout_url: str | None = None
    credit_id: str | None = None
    refunded: Nano = NOTHING
    disputed: Nano = NOTHING

    @property
    def expires_at(self) -> int:
        return self.created_at + CHECKOUT_S

    def status(self, now: float) -> str:
        return "expired" if self.phase == "pending" and now >= self.expires_at else self.phase

    @property
    def returned(self) -> Nano:
        """What of it went back, a refund or a dispute."""
        return Nano(min(self.amount, self.refunded + self.disputed))


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the customer's browser goes from the provider's page."""

    success_url: str
    cancel_url: str | None = None


@dataclass(frozen=True, slots=True)
class Checkout:
    """The provider's page for one payment."""

    session: str
    url: str


NewsKind = Literal["paid", "processing", "failed", "refunded", "disputed"]


@dataclass(frozen=True, slots=True)
class News:
    """What a provider's event says of a payment. None: nothing of that is in it.

    `amount` is what was paid, the sum of all that was refunded so far, or what is disputed; None unless it is in USD.
    """

    kind: NewsKind
    at: int
    amount: Nano | None
    payment: str | None
    session: str | None = None
    account_id: str | None = None
    top_up_id: str | None = None


class InvalidSignature(Exception):
    """The event is not the provider's, or too old."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a provider is, and the keys to it."""

    base_url: str
    api_key: str


class PaymentAdapter(Protocol):
    """What a payment provider's module offers. The names are those of secrets."""

    @property
    def key_name(self) -> str: ...

    @property
    def webhook_secret_name(self) -> str: ...

    @property
    def base_url_name(self) -> str: ...

    @property
    def base_url(self) -> str: ...

    @property
    def signature_header(self) -> str: ...

    async def checkout(self, access: Access, top_up: TopUp, pages: Pages) -> Checkout:
        """The same for the same top-up, however often it is asked. Raises UpstreamError."""
        ...

    def news(self, raw: bytes, signature: str, secret: str, now: float) -> News | None:
        """What a signed event says, None for one that is not about payments. Raises InvalidSignature."""
        ...


class PaymentAdapters(Protocol):
    def names(self) -> Sequence[str]: ...

    def get(self, name: str) -> PaymentAdapter | None: ...


def amount(text: str) -> Nano:
    """Whole cents from 5.00 to 10,000.00 USD. Raises InvalidRequest."""
    try:
        parsed = parse_usd(text)
    except ValueError:
        parsed = Nano(-1)
    if parsed < 0 or parsed % CENT or not MIN_TOP_UP <= parsed <= MAX_TOP_UP:
        raise InvalidRequest('amount is US dollars as a string, whole cents from "5.00" to "10000.00".', param="amount")
    return parsed


def is_reference(account_id: str | None, top_up_id: str | None) -> bool:
    """Whether the two can name a top-up of ours."""
    return has_form(account_id or "", "acct") and has_form(top_up_id or "", "topup")


def with_return(top_up: TopUp, news: News) -> TopUp:
    """What the news of a refund or dispute make of it. Neither shrinks: events come twice, and in any order."""
    assert news.amount is not None
    if news.kind == "refunded":
        return replace(top_up, refunded=max(top_up.refunded, news.amount))
    return replace(top_up, disputed=max(top_up.disputed, news.amount))


def with_part(top_up: TopUp, kind: NewsKind, part: int) -> TopUp:
    """The same where only a part of what is news can be booked yet."""
    if kind == "refunded":
        return replace(top_up, refunded=Nano(top_up.refunded + part))
    return replace(top_up, disputed=Nano(top_up.disputed + part))
