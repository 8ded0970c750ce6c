"""Jobs in a world whose time the test moves, and a provider of videos that says what it is told to say."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from aig import generation
from aig.aws.jobs import PLATFORM, DynamoJobs
from aig.call import Gateway, Options
from aig.catalog import model as catalog
from aig.catalog.model import Catalog, Model, Offer, Provider
from aig.errors import UpstreamError
from aig.generation import Asked
from aig.jobfiles import ResultLost
from aig.jobs import failures
from aig.jobs.job import Job
from aig.jobs.kinds import OPERATIONS, request
from aig.jobsteps import Next, Steps
from aig.keys import Caller, parse
from aig.modalities.job import Finished, Handle, Inline, JobKind, Linked, Made, Source, State, Working
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.money.pricing import Prices
from aig.money.units import Nano, Pico
from aig.ports import Adapter
from aig.records import Recording
from aig.traffic import Traffic
from aig.wiring import Container
from aig_providers.registry import Registry
from aig_providers.sandbox_video import mp4
from tests.builders import PROMPT, Account, debits_of, holds_of, losses_of, wallet_of
from tests.unit.calls import Log
from tests.unit.clock import FixedClock

FILM: Final = "maker/film"
MAKER, SPARE = "maker", "spare"  # who offers it, the cheaper first
VIDEO: Final = mp4("a film", 1, 64, 36)
COST: Final = Nano(10_500_000)  # of a film by the maker: 0.01 USD, and the fee
UPSTREAM: Final = Nano(10_000_000)
BALANCE: Final = Nano(10**10)  # of the accounts that order
HELD: Final = Nano(21_000_000)  # what the dearer of the two would cost
ONE: Final = Usage({"assets": 1})

Said = State | Exception | Callable[[], State]


def done(*files: Inline | Linked, usage: Usage = ONE) -> Finished:
    return Finished(files or (Inline(VIDEO),), usage)


@dataclass
class Maker:
    """What `submit` and `poll` say, one after the other and the last for ever; and what it was asked."""

    submitting: Sequence[Said] = (Working({"id": "1"}, 0),)
    polling: Sequence[Said] = field(default_factory=lambda: [done()])
    idempotent: bool = True
    refuses: UpstreamError | None = None
    references: list[str] = field(default_factory=list)
    stages: list[Handle | None] = field(default_factory=list)
    polled: list[Handle] = field(default_factory=list)
    cancelled: list[Handle] = field(default_factory=list)
    cancelling: Exception | None = None
    asked: list[Any] = field(default_factory=list)

    def check(self, upstream: Upstream, request: Any) -> None:
        if self.refuses:
            raise self.refuses

    async def submit(self, upstream: Upstream, request: Any, reference: str, stage: Handle | None) -> State:
        self.references.append(reference)
        self.stages.append(stage)
        self.asked.append(request)
        answer, self.submitting = _next(self.submitting)
        return _said(answer)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        self.polled.append(handle)
        answer, self.polling = _next(self.polling)
        return _said(answer)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        self.cancelled.append(handle)
        if self.cancelling:
            raise self.cancelling


def _next(answers: Sequence[Said]) -> tuple[Said, Sequence[Said]]:
    return answers[0], answers[1:] or answers


def _said(answer: Said) -> State:
    if isinstance(answer, Exception):
        raise answer
    return answer() if callable(answer) else answer


@dataclass(frozen=True)
class _Every:
    """An adapter that makes everything."""

    video: Any
    music: Any
    three_d: Any


class Makers:
    """The adapters of the two makers, and of all others what they are."""

    def __init__(self, **makers: Any) -> None:
        self.makers = makers
        self._registry = Registry()

    def get(self, provider: Provider) -> Adapter:
        maker = self.makers.get(provider.name)
        return cast("Adapter", _Every(maker, maker, maker)) if maker else self._registry.get(provider)


def with_film(concurrency: int = 4) -> Catalog:
    """The catalog, and a film that both makers offer."""
    found = catalog.builtin()
    offers = []
    for name, price in ((MAKER, 10**10), (SPARE, 2 * 10**10)):
        provider = Provider(
            name, name, "none", f"https://{name}.example", None, "max_tokens", Timeouts(), concurrency=concurrency
        )
        offers.append(Offer(provider, "film-1", Prices({"assets": Pico(price)}), "test", "2026-01-01"))
    can = frozenset({"video", "music", "three_d", "from_text", "from_picture", "lyrics"})
    film = Model(FILM, "Film", "video", can, 0, 0, None, None, False, tuple(offers), most_seconds=60)
    return Catalog(
        {**found.providers, **{offer.provider.name: offer.provider for offer in offers}}, {**found.models, FILM: film}
    )


@dataclass
class Here:
    head: bytes
    pieces: AsyncIterator[bytes]


@dataclass
class Downloads:
    """Files by the URL that a maker names; one that is an exception cannot be had."""

    there: dict[str, bytes | Exception] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open(self, upstream: Upstream, source: Source) -> AsyncIterator[Here]:
        if isinstance(source, Inline):
            data: bytes | Exception = source.data
        elif isinstance(source, Made):
            data = source.make()
        else:
            self.opened.append(source.url)
            data = self.there[source.url]
        if isinstance(data, Exception):
            raise data

        async def pieces(data: bytes = data) -> AsyncIterator[bytes]:
            for at in range(0, len(data), 65_536):
                yield data[at : at + 65_536]

        yield Here(data[:4096], pieces())


class Lane:
    """A queue that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Mapping[str, Any]] = []

    async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
        self.sent.append(body)

    async def send_all(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        self.sent += bodies


class Shop:
    """Orders of one container's, and the steps that its jobs take. `maker` and `spare` are the two providers."""

    def __init__(self, container: Container, clock: FixedClock, concurrency: int = 4) -> None:
        self.clock = clock
        self.container = container
        self.maker, self.spare = Maker(), Maker()
        self.makers = Makers(maker=self.maker, spare=self.spare)
        traffic = Traffic(Log(), clock)  # a table outlives a test, and would tell of how the makers were in the last
        found = container.gateway(self.makers)
        self.gateway: Gateway = replace(found, catalog=with_film(concurrency), traffic=traffic)
        self.jobs = DynamoJobs(container.table)
        self.downloads = Downloads()
        self.steps = Steps(self.gateway, self.jobs, container.files, self.downloads, container.link_keys, ())

    async def caller(self, account: Account) -> Caller:
        secret = parse(account.key)
        assert secret is not None
        credential = await self.container.keys.find(secret.public_id)
        assert credential is not None
        caller = await self.container.keys.caller(credential)
        assert caller is not None
        return caller

    async def order(self, who: Account | Caller, kind: JobKind = "video", model: str = FILM, **more: Any) -> Job:
        """A job that has been taken on."""
        caller = who if isinstance(who, Caller) else await self.caller(who)
        body = {"model": model, "prompt": PROMPT}
        asked = Asked(self.container.ids.new("job"), kind, body, request(kind, body), "https://gateway.example", **more)
        recording = Recording(OPERATIONS[kind], False, body)
        options = Options("trace", tag="films", recording=recording)
        candidates = await generation.able(self.gateway, caller, asked, options)
        job, _ = await generation.take_on(self.gateway, self.jobs, caller, asked, options, candidates)
        return job

    async def look(self, job: Job) -> Job:
        """As it is now."""
        found = await self.jobs.get(job.order.account_id, job.id)
        assert found is not None
        return found

    async def take(self, do: str, job: Job) -> Next:
        """One step of the machine's."""
        step = {
            "submit": self.steps.submit,
            "poll": self.steps.poll,
            "store": self.steps.store,
            "settle": self.steps.settle,
        }[do]
        told: Next = await step(job.order.account_id, job.id)
        return told

    async def run(self, job: Job, do: str = "submit", most: int = 10_000) -> Job:
        """As the machine runs it, in the test's own time: every wait is over at once; a result that is lost is fetched
        seven times."""
        lost = 0
        for _ in range(most):
            try:
                told = await self.take(do, job)
            except ResultLost:
                lost += 1
                if lost <= 6:
                    continue
                told = await self.steps.fail(job.order.account_id, job.id, failures.of_cause("ResultLost"))
            if told.do == "ended":
                return await self.look(job)
            do = told.do
            self.clock.time += told.wait_s
        raise AssertionError(f"it goes on: {do}")

    async def slots(self, provider: str = MAKER, owner: str = PLATFORM) -> int:
        """How many places at a provider are taken."""
        item = await self.container.table.get(owner, f"slots#{provider}")
        return item["used"] if item else 0

    async def events(self, account_id: str) -> Sequence[Any]:
        """Newest first."""
        found, _ = await self.container.events.page(account_id, limit=100)
        return found


async def spent(shop: Shop, account: Account) -> int:
    """What the account has paid, found to be the same everywhere; nothing is held and no place is taken."""
    wallet = await wallet_of(shop.container, account)
    debits: int = sum(debit["amount"] for debit in await debits_of(shop.container, account))
    assert (wallet.available, wallet.held) == (BALANCE - debits, 0)
    for provider in (MAKER, SPARE):
        assert [await shop.slots(provider, owner) for owner in (PLATFORM, account.id)] == [0, 0]
    return debits


async def losses(shop: Shop, account: Account) -> list[tuple[str, int]]:
    return [(row["reason"], row["amount"]) for row in await losses_of(shop.container, account)]


async def failed(shop: Shop, account: Account, job: Job) -> str:
    """The code that a job has failed with: at no cost, with its money back, and told once."""
    seen = await shop.look(job)
    assert (seen.status, seen.cost) == ("failed", 0)
    assert await spent(shop, account) == 0
    assert [hold["phase"] for hold in await holds_of(shop.container, account)] == ["void"]
    (event,) = await shop.events(account.id)
    assert (event.type, event.data["id"], event.data["status"]) == ("job.failed", job.id, "failed")
    assert seen.failure is not None
    assert event.data["error"] == seen.failure.to_json()
    return seen.failure.code
