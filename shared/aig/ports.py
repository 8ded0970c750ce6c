"""What the metered call needs of the world, as protocols. aig.aws implements them; tests may too."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from aig.breaker import Opening
from aig.cached import CachedAnswer
from aig.catalog.model import Provider
from aig.events import Event
from aig.health import Minute
from aig.jobs.job import Ending, File, Job, Placed, Stamp
from aig.keys import Caller, Credential
from aig.limits import Limits
from aig.modalities.job import Handle
from aig.modalities.usage import Unit, Usage
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Credit, Debit, Loss, Refund, Spend, Wallet
from aig.payments import Checkout, Phase, TopUp
from aig.records import Record
from aig.thresholds import Marker

if TYPE_CHECKING:  # which adapters there are costs every function time at its start, and most of them ask none
    from aig.modalities.chat import ChatAdapter
    from aig.modalities.classify import ClassifyAdapter
    from aig.modalities.detect import DetectAdapter
    from aig.modalities.embed import EmbedAdapter
    from aig.modalities.image import ImageAdapter
    from aig.modalities.job import JobAdapter
    from aig.modalities.moderate import ModerateAdapter
    from aig.modalities.music import MusicRequest
    from aig.modalities.ocr import OcrAdapter
    from aig.modalities.rerank import RerankAdapter
    from aig.modalities.speak import SpeakAdapter
    from aig.modalities.three_d import ThreeDRequest
    from aig.modalities.transcribe import TranscribeAdapter
    from aig.modalities.translate import TranslateAdapter
    from aig.modalities.video import VideoRequest
    from aig.webhooks.delivery import Failure


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


class NotCovered(Exception):
    """Nothing was taken: the wallet, or the payment that is to go back, has less than that."""


class StoreBusy(Exception):
    """The store could not do it in time: throttled, in conflict, out of reach. Nothing was done, as far as we know."""


class Wallets(Protocol):
    """Money in the store. What changes it is all or nothing, and safe to repeat; all raise StoreBusy.

    A change is one transaction; `take` and `charge` try anew where the money turns out to lie elsewhere in the wallet.
    """

    async def take(self, hold: Hold, caller: Caller, placed: Placed | None = None) -> Hold:
        """Rate counters, wallet, spend caps, hold and, if it is for one, the job: all together.

        The hold, as it was taken. Raises HoldRefused.
        """
        ...

    async def post(
        self,
        hold: Hold,
        settlement: Settlement,
        debit: Debit,
        *losses: Loss,
        record: Record | None = None,
        ending: Ending | None = None,
    ) -> bool:
        """Resolve a hold by a charge, keep the request's record, and end the job that it was for.

        False, and nothing done, if it was resolved, or the job is not as it was seen any more.
        """
        ...

    async def charge(
        self, hold: Hold, caller: Caller, settlement: Settlement, debit: Debit, record: Record | None = None
    ) -> None:
        """Take and post at once, for what is there already: all limits, and a hold of what is charged.

        Raises HoldRefused, and StoreBusy: then nothing was charged.
        """
        ...

    async def void(self, hold: Hold, *losses: Loss, record: Record | None = None, ending: Ending | None = None) -> bool:
        """Give a hold back, otherwise as `post`."""
        ...

    async def held(self, account_id: str, request_id: str) -> Hold | None:
        """A hold that is still open."""
        ...

    async def tell_spend_exceeded(self, account_id: str, counter: str, cap: int, event: Event) -> bool:
        """Mark a spend counter as having met its cap, and write the event. False if that was done before."""
        ...

    async def credit(self, account_id: str, credit: Credit) -> bool:
        """Add money. False if this credit, or its payment, was added before."""
        ...

    async def wallet(self, account_id: str) -> Wallet:
        """As it is at one moment: for whoever is about to say no. At a busy wallet it may be StoreBusy each time."""
        ...

    async def look(self, account_id: str) -> Wallet:
        """Without a wait for anybody, and so of no single moment: money that is being moved may be missing, or double.

        The balance of a wallet that is not split is exact.
        """
        ...

    async def spend(self, account_id: str, limits: Limits, now: float) -> Spend:
        """What a key or sub-account of this tenant has spent in the period that `now` lies in."""
        ...

    async def tell(self, marker: Marker, wallet: Wallet, event: Event) -> bool:
        """Write an event about a wallet as it was seen. False if the account was told since money last came in."""
        ...

    async def expired(self, now: int) -> Sequence[Hold]:
        """Holds that are past their time and still open."""
        ...


class Jobs(Protocol):
    """Jobs in the store. All raise StoreBusy; what changes one says False where it is not as it was seen any more."""

    async def get(self, account_id: str, job_id: str) -> Job | None: ...

    async def body(self, account_id: str, job_id: str) -> dict[str, Any] | None:
        """The body of its request; None once it has ended."""
        ...

    async def claim(
        self, job: Job, candidate: str, stamp: Stamp, concurrency: int
    ) -> Literal["claimed", "full", "changed"]:
        """The right to submit it to a candidate: one of `concurrency` places at its provider, and the stamp."""
        ...

    async def submitted(self, job: Job, handle: Handle, started_at: int, deadline_at: int) -> bool:
        """The provider has it."""
        ...

    async def staged(self, job: Job, stage: Handle, spent: Mapping[Unit, int]) -> bool:
        """One paid step is done, and the next is to be submitted."""
        ...

    async def unclaimed(self, job: Job) -> bool:
        """Nobody has taken it on in this round: it is queued again, unless a paid step binds it to its provider."""
        ...

    async def doubtful(self, job: Job, now: int) -> bool:
        """The provider may have taken it on, and can be asked again for the same job."""
        ...

    async def polled(self, job: Job, progress: int | None, lost: int) -> bool: ...

    async def stored(self, job: Job, files: Sequence[File], usage: Usage) -> bool:
        """Its files are kept."""
        ...

    async def end(self, ending: Ending) -> bool:
        """End it where its hold was resolved before."""
        ...

    async def due(self, now: int, most: int) -> Sequence[Job]:
        """Some of those that were to be looked at by then, about `most` of them."""
        ...

    async def look_again(self, job: Job, at: int, deadline_at: int | None = None) -> bool:
        """Not before `at` is it due again; with a deadline, it has until then."""
        ...


class TopUps(Protocol):
    """Top-ups that customers pay for. All raise StoreBusy."""

    async def begin(self, top_up: TopUp) -> TopUp:
        """The stored one: an earlier try may have made it."""
        ...

    async def get(self, account_id: str, top_up_id: str) -> TopUp | None: ...

    async def opened(self, top_up: TopUp, checkout: Checkout) -> None: ...

    async def move(self, top_up: TopUp, phase: Phase, before: Sequence[Phase]) -> bool:
        """False if it is in none of the phases `before`: it stays where it is."""
        ...

    async def pay(self, top_up: TopUp, credit: Credit) -> bool:
        """Credit it. False if it was paid before, or has gone back without ever having been credited."""
        ...

    async def paid_with(self, provider: str, payment: str) -> tuple[str, str] | None:
        """The account and the top-up that a provider's payment was for."""
        ...

    async def take_back(self, before: TopUp, after: TopUp, refund: Refund | None) -> bool:
        """Note what went back, and book it. False if another event was first, or the wallet has less by now."""
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """Somebody is making the answer, and has until then, in unix seconds. The time may be over."""

    owner: str
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


class Queue(Protocol):
    """What is to be done by somebody else, soon: at least once, in no order."""

    async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
        """One message, which nobody sees for `delay_s` seconds, at most 900. Raises StoreBusy."""
        ...

    async def send_all(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Raises StoreBusy where one was not taken: any of them may have been."""
        ...


class Machines(Protocol):
    """What waits, and goes on after a crash of whoever began it."""

    async def start(self, name: str, given: Mapping[str, Any]) -> bool:
        """One execution for each name. False if it was there before, with another input or ended. Raises StoreBusy."""
        ...


class Secrets(Protocol):
    async def get(self, name: str) -> str | None:
        """A provider key or other secret by its name, None if it is not set."""
        ...


class Resolver(Protocol):
    async def addresses(self, host: str) -> Sequence[str]:
        """All IP addresses of a host. Raises OSError if there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Fetched:
    """What lay behind a URL. `content_type` is what its server says, without parameters: nobody should believe it."""

    data: bytes
    content_type: str | None


class Fetch(Protocol):
    async def fetch(self, url: str, param: str, limit: int = ...) -> Fetched:
        """What lies behind a URL that a client gave in `param`, at most `limit` bytes. Raises InvalidRequest."""
        ...


@dataclass(frozen=True, slots=True)
class Posted:
    """A receiver's answer. `headers` has lower-case names; `body` is whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotPosted(Exception):
    """There was no whole answer; `status` and the beginning of the body are there if it began."""

    def __init__(self, failure: "Failure", status: int | None = None, body: bytes = b"") -> None:
        super().__init__(failure)
        self.failure = failure
        self.status = status
        self.body = body


class Post(Protocol):
    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """Send to a URL that a client has given, within some seconds. Raises NotPosted."""
        ...


class Uploads(Protocol):
    async def upload(self, account_id: str, upload_id: str) -> bytes | None:
        """What this tenant has put there. Raises StoreBusy."""
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
    def chat(self) -> "ChatAdapter": ...

    @property
    def embed(self) -> "EmbedAdapter": ...

    @property
    def image(self) -> "ImageAdapter": ...

    @property
    def transcribe(self) -> "TranscribeAdapter": ...

    @property
    def speak(self) -> "SpeakAdapter": ...

    @property
    def moderate(self) -> "ModerateAdapter": ...

    @property
    def translate(self) -> "TranslateAdapter": ...

    @property
    def classify(self) -> "ClassifyAdapter": ...

    @property
    def detect(self) -> "DetectAdapter": ...

    @property
    def ocr(self) -> "OcrAdapter": ...

    @property
    def rerank(self) -> "RerankAdapter": ...

    @property
    def video(self) -> "JobAdapter[VideoRequest]": ...

    @property
    def music(self) -> "JobAdapter[MusicRequest]": ...

    @property
    def three_d(self) -> "JobAdapter[ThreeDRequest]": ...


class Adapters(Protocol):
    def get(self, provider: Provider) -> Adapter: ...
