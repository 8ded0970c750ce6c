"""What the metered call needs of the world, as protocols. aig.aws implements them; tests may too."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from aig.breaker import Opening
from aig.cached import CachedAnswer
from aig.catalog.model import Provider
from aig.health import Minute
from aig.keys import Caller, StoredKey
from aig.modalities.chat import ChatAdapter
from aig.modalities.embed import EmbedAdapter
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Credit, Debit, KeySpend, Loss, Wallet


class Keys(Protocol):
    async def find(self, public_id: str) -> StoredKey | None: ...


Limit = Literal["rate", "balance", "cap"]


class HoldRefused(Exception):
    """Nothing was taken, because of these limits."""

    def __init__(self, limits: Collection[Limit]) -> None:
        super().__init__(", ".join(sorted(limits)))
        self.limits = frozenset(limits)


class StoreBusy(Exception):
    """The store could not do it in time: throttled, in conflict, out of reach. Nothing was done, as far as we know."""


class Wallets(Protocol):
    """Money in the store. Each call is one transaction, all or nothing, safe to repeat; all raise StoreBusy."""

    async def take(self, hold: Hold, caller: Caller) -> None:
        """Rate counter, wallet, key cap and hold together. Raises HoldRefused."""
        ...

    async def post(self, hold: Hold, settlement: Settlement, debit: Debit, *losses: Loss) -> bool:
        """Resolve a hold by a charge. False if it was resolved before: nothing is done then."""
        ...

    async def charge(self, hold: Hold, caller: Caller, settlement: Settlement, debit: Debit) -> None:
        """Take and post at once, for what is there already: all limits, and a hold of what is charged.

        Raises HoldRefused, and StoreBusy: then nothing was charged.
        """
        ...

    async def void(self, hold: Hold, *losses: Loss) -> bool:
        """Give a hold back. False if it was resolved before: nothing is done then."""
        ...

    async def credit(self, account_id: str, credit: Credit) -> bool:
        """Add money. False if this payment was added before."""
        ...

    async def wallet(self, account_id: str) -> Wallet: ...

    async def key_spend(self, account_id: str, key_id: str) -> KeySpend: ...

    async def expired(self, now: int) -> Sequence[Hold]:
        """Holds that are past their time and still open."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """Somebody is making the answer, and has until then, in unix seconds. The time may be over."""

    until: float


class Cache(Protocol):
    """Answers by `tenant#key`. All may raise whatever they like; none of it is worth failing a request for."""

    async def find(self, key: str) -> CachedAnswer | Lease | None:
        """What is there and not past its time, read consistently."""
        ...

    async def claim(self, key: str, owner: str, until: float) -> bool:
        """Take the lease, unless there is an answer or a lease of somebody else's that has not run out."""
        ...

    async def release(self, key: str, owner: str) -> None:
        """Give the lease back, if it is still this owner's."""
        ...

    async def store(self, key: str, answer: CachedAnswer) -> None:
        """Keep an answer in place of whatever is there. One that is too large is not kept."""
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
