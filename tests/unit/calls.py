"""Calls that need no provider and no store: candidates whose answers are scripted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

from aig.breaker import Opening
from aig.call import Gateway, OpenCall, Options, Reach
from aig.catalog.model import Catalog, Model, Offer, Provider
from aig.catalog.routing import Candidate
from aig.errors import UpstreamError
from aig.ids import Ids
from aig.keys import Caller
from aig.modalities.demand import Demand
from aig.modalities.upstream import Timeouts, Upstream
from aig.money.hold import Hold
from aig.money.pricing import Prices
from aig.money.units import Nano, Pico
from aig.ports import Adapter
from aig.traffic import Traffic
from tests.unit.clock import FixedClock

CALLER = Caller("acct_1", "key_1", "name", "hint", frozenset({"inference"}))
PRICES = Prices({"input_tokens": Pico(1_000_000), "output_tokens": Pico(2_000_000)})
HANGS = "hangs"  # says nothing until it is given up


class Telemetry:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []

    @property
    def alarms(self) -> list[str]:
        return [name for name, _ in self.told]

    def request(self, **fields: str | int | None) -> None:
        self.steps.append(fields)

    def alarm(self, name: str, **fields: str | int | None) -> None:
        self.told.append((name, fields))


class Log:
    """A health log that knows nothing and lets `claims` say who may probe."""

    def __init__(self, *, claims: bool = True) -> None:
        self.claims = claims
        self.claimed: list[str] = []
        self.open: dict[str, Opening] = {}

    async def add(self, minutes: Any) -> None:
        """Forgets them."""

    async def since(self, provider: str, minute: int) -> Sequence[Any]:
        return ()

    async def breakers(self) -> Mapping[str, Opening]:
        return self.open

    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        """Forgets it."""

    async def claim_probe(self, key: str, now: int) -> bool:
        self.claimed.append(key)
        return self.claims


class _Once:
    async def first_time(self, text: str) -> bool:
        return True


class _Adapters:
    def get(self, provider: Provider) -> Adapter:
        return cast("Adapter", provider.name)


def candidate(name: str, slug: str = "v/m", *, can: tuple[str, ...] = ("chat",), max_output: int = 1000) -> Candidate:
    """The model `slug` at the provider `name`."""
    provider = Provider(name, name, "openai_compatible", f"https://{name}.example", None, "max_tokens", Timeouts())
    offer = Offer(provider, f"{name}-id", PRICES, "test", "2026-01-01")
    return Candidate(Model(slug, slug, "text", frozenset(can), 100_000, max_output, None, None, False, (offer,)), offer)


class Scene:
    """A gateway of one environment, and what each provider says: its answers in order, the last one for ever."""

    def __init__(self, **script: Sequence[UpstreamError | str]) -> None:
        self.script = {name: list(answers) for name, answers in script.items()}
        self.clock = FixedClock(1_000_000.0)
        self.log = Log()
        self.telemetry = Telemetry()
        self.asked: list[str] = []
        self.upstreams: list[Upstream] = []
        self.limits: list[int] = []
        self.takes: dict[str, float] = {}  # seconds by the clock that a provider's failure takes
        self.gateway = Gateway(
            catalog=Catalog({}, {}),
            adapters=_Adapters(),
            secrets=cast("Any", None),
            keys=cast("Any", None),
            wallets=cast("Any", None),
            traffic=Traffic(self.log, self.clock),
            once=_Once(),
            resolver=cast("Any", None),
            telemetry=self.telemetry,
            clock=self.clock,
            ids=Ids(self.clock),
        )

    def call(self, *candidates: Candidate, output_tokens: int = 500) -> OpenCall:
        """A call whose hold is taken, for these candidates or one of each provider in the script."""
        chosen = candidates or tuple(candidate(name) for name in self.script)
        prices = {one.key: one.offer.prices for one in chosen}
        hold = Hold("req_1", "acct_1", "key_1", Nano(10**9), "v/m", prices, 0, 960)
        demand = Demand(("v/m",), frozenset({"chat"}), 10, output_tokens)
        reaches = {one.offer.provider.name: Reach(f"https://{one.offer.provider.name}.example", "k") for one in chosen}
        return OpenCall(
            self.gateway, CALLER, Options("trace", session="s"), demand, chosen, reaches, hold, output_tokens,
            self.clock.monotonic(),
        )  # fmt: skip

    async def start(self, adapter: Adapter, upstream: Upstream, max_output_tokens: int) -> str:
        """What `attempt_each` is to call: the provider's next answer."""
        name = cast("str", adapter)
        self.asked.append(name)
        self.upstreams.append(upstream)
        self.limits.append(max_output_tokens)
        answers = self.script[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, UpstreamError):
            self.clock.time += self.takes.get(name, 0.0)
            raise answer
        if answer == HANGS:
            try:
                await asyncio.Event().wait()
            finally:
                self.clock.time += self.takes.get(name, 0.0)
        return answer

    def opened(self, name: str, *, ago: float = 0.0) -> None:
        """The breaker of v/m at this provider opens, `ago` seconds before now."""
        self.clock.time -= ago
        self.gateway.traffic.record(name, "v/m", None, "auth")
        self.clock.time += ago
