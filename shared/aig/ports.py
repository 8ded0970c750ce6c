"""What the metered call needs of the world, as protocols. aig.aws implements them; tests may too."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol

from aig.breaker import Opening
from aig.catalog.model import Provider
from aig.events import Event
from aig.health import Minute
from aig.keys import Caller, Credential
from aig.limits import Limits
from aig.modalities.chat import ChatAdapter
from aig.modalities.embed import EmbedAdapter
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Credit, Debit, Loss, Spend, Wallet
from aig.records import Record


class Keys(Protocol):
    async def find(self, public_id: str) -> Credential | None:
        """What is stored of the secret with this public id."""
        ...

    async def caller(self, credential: Credential) -> Caller | None:
        """Whom a credential stands for, None if its key or whoever owns it has been switched off."""
        ...

    async def limits(self, caller: Caller) -> tuple[Limits, ...]:
        """A caller's limits as they are now."""
        ...


Limit = Literal["rate", "balance", "cap", "sub_account_cap", "free"]


class HoldRefused(Exception):
    """Nothing was taken, because of these limits."""

    def __init__(self, limits: Collection[Limit]) -> None:
        super().__init__(", ".join(sorted(limits)))
        self.limits = frozenset(limits)


class StoreBusy(Exception):
    """The store could not do it in time: throttled, in conflict, out of reach. Nothing was done, as far as we know."""


class Wallets(Protocol):
    """Money in the store. Each call is one transaction, all or nothing, safe to repeat; all raise StoreBusy."""

    async def take(self, hold: Hold, caller: Caller) -> Hold:
        """Rate counters, wallet, spend caps and hold together; the hold, as it was taken. Raises HoldRefused."""
        ...

    async def post(
        self, hold: Hold, settlement: Settlement, debit: Debit, *losses: Loss, record: Record | None = None
    ) -> bool:
        """Resolve a hold by a charge, and keep the request's record. False, and nothing done, if it was resolved."""
        ...

    async def void(self, hold: Hold, *losses: Loss, record: Record | None = None) -> bool:
        """Give a hold back, and keep the request's record. False, and nothing done, if it was resolved."""
        ...

    async def tell_spend_exceeded(self, account_id: str, counter: str, cap: int, event: Event) -> bool:
        """Mark a spend counter as having met its cap, and write the event. False if that was done before."""
        ...

    async def credit(self, account_id: str, credit: Credit) -> bool:
        """Add money. False if this payment was added before."""
        ...

    async def wallet(self, account_id: str) -> Wallet: ...

    async def spend(self, account_id: str, limits: Limits, now: float) -> Spend:
        """What a key or sub-account of this tenant has spent in the period that `now` lies in."""
        ...

    async def expired(self, now: int) -> Sequence[Hold]:
        """Holds that are past their time and still open."""
        ...


class HealthLog(Protocol):
    """What all environments know of the providers. All raise StoreBusy; none of it is worth failing a request for."""

    async def add(self, minutes: Iterable[Minute]) -> None: ...

    async def since(self, provider: str, minute: int) -> Sequence[Minute]: ...

    async def breakers(self) -> Mapping[str, Opening]:
        """Those that are open, by `provider/vendor/model`."""
        ...

    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        """None: it is closed. `now` in unix seconds."""
        ...

    async def claim_probe(self, key: str, now: int) -> bool:
        """Whether nobody else has a probe of this breaker on its way."""
        ...


class Once(Protocol):
    async def first_time(self, text: str) -> bool:
        """Whether nobody has asked with this text within the last day."""
        ...


class Secrets(Protocol):
    async def get(self, name: str) -> str | None:
        """A provider key or other secret by its name, None if it is not set."""
        ...


class Resolver(Protocol):
    async def addresses(self, host: str) -> Sequence[str]:
        """All IP addresses of a host. Raises OSError if there are none."""
        ...


class Telemetry(Protocol):
    """What is told to the operator. Never a key, a prompt or a provider's words."""

    def request(self, **fields: str | int | None) -> None:
        """A step of a call: `outcome` is posted, not_posted or attempt_failed."""
        ...

    def alarm(self, name: str, **fields: str | int | None) -> None:
        """Something that a person should look at: a log line and a metric of this name."""
        ...


class Adapter(Protocol):
    """What a provider's module offers; a modality it does not serve is an attribute it does not have."""

    @property
    def chat(self) -> ChatAdapter: ...

    @property
    def embed(self) -> EmbedAdapter: ...


class Adapters(Protocol):
    def get(self, provider: Provider) -> Adapter: ...
