"""The stage of the failover demo: two scripted providers, a gateway that has never met them, and what came of a call.

The pipeline, its adapters, HTTP and the ledger's transactions are the real ones.
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from aig import pipeline, stream, wiring
from aig.breaker import PROBE_S, Opening
from aig.call import Gateway, Options
from aig.catalog import model as catalog
from aig.clock import Clock, SystemClock
from aig.errors import AIGError
from aig.health import Minute
from aig.keys import Caller
from aig.modalities import chat_body
from aig.money.ledger import Credit
from aig.money.units import Nano, usd
from aig.ports import HealthLog
from aig.traffic import Traffic
from aig_providers.registry import Registry
from aig_providers.wire import CLIENT
from local.scripted_provider import OK, Behaviour, ScriptedProvider, scripted

TIMEOUTS = {"connect": 1.0, "first_byte": 0.4, "idle": 0.4, "total": 0.4}
# 1,000 tokens in, 100 out, and five per cent: at 1 and 2 USD a million from alpha, at twice that from beta.
ALPHA_COST, BETA_COST = "0.00126", "0.00252"
_MODELS = {
    "demo/both": (("alpha", 1_000_000), ("beta", 2_000_000)),
    "demo/alone": (("alpha", 1_000_000),),
    "demo/other": (("beta", 2_000_000),),
}
CATALOG = {
    "providers": {
        name: {"title": name, "wire": "openai_compatible", "timeouts": TIMEOUTS} for name in ("alpha", "beta")
    },
    "models": [
        {
            "slug": slug,
            "title": slug,
            "modality": "text",
            "capabilities": ["chat", "stream"],
            "context": 100_000,
            "max_output": 1000,
            "offers": [
                {
                    "provider": name,
                    "id": "m",
                    "prices": {"rates": {"input_tokens": price, "output_tokens": 2 * price}},
                    "source": "demo",
                    "date": "2026-01-01",
                }
                for name, price in offers
            ],
        }
        for slug, offers in _MODELS.items()
    ],
}
BOTH = {"model": "demo/both"}
Mode = Literal["whole", "stream"]


@dataclass(frozen=True)
class Case:
    """What happens upstream, and what must come of it: by whom the answer is, how often each was asked, what it costs.

    `sees` is `answer`, another finish reason, `broken off`, or an error's status and code.
    """

    name: str
    alpha: Sequence[Behaviour]
    beta: Sequence[Behaviour] = (OK,)
    sees: str = "answer"
    by: str | None = "beta"
    asked: tuple[int, int] = (1, 1)
    cost: str | None = BETA_COST
    modes: tuple[Mode, ...] = ("whole", "stream")
    body: Mapping[str, Any] | None = None
    loss: bool = False
    alarm: bool = False  # whether the operator is told that the provider refuses our key or our account


@dataclass(frozen=True)
class Outcome:
    """What the client saw and what was booked. `cost` is the one debit row's, None if there is none."""

    sees: str
    by: str | None
    attempts: int | None
    asked: tuple[int, int]
    cost: str | None
    loss: bool
    alarm: bool
    held: int
    seconds: float

    def fits(self, case: Case) -> bool:
        told = self.attempts is None or self.attempts == sum(case.asked)
        expected = (case.sees, case.by, case.asked, case.cost, case.loss, case.alarm, 0)
        return told and (self.sees, self.by, self.asked, self.cost, self.loss, self.alarm, self.held) == expected


class Stage:
    """Two scripted providers, and a gateway that has never met them, for each case anew. It is its own telemetry."""

    def __init__(self, container: wiring.Container, alpha: ScriptedProvider, beta: ScriptedProvider) -> None:
        self.container = container
        self.alpha = alpha
        self.beta = beta
        self.alarms: list[str] = []
        self.gateway = self.new_gateway()

    def request(self, **_: Any) -> None:
        """Telemetry: of no interest here."""

    def alarm(self, name: str, **_: Any) -> None:
        """Telemetry: what an operator would be woken for."""
        self.alarms.append(name)

    async def get(self, name: str) -> str | None:
        """A secret: there are none but where the providers are."""
        return {"AIG_ALPHA_BASE_URL": self.alpha.base_url, "AIG_BETA_BASE_URL": self.beta.base_url}.get(name)

    def new_gateway(self, log: HealthLog | None = None, clock: Clock | None = None) -> Gateway:
        """One that knows of its providers what `log` knows: nothing, if it is a new one."""
        clock = clock or SystemClock()
        self.gateway = replace(
            self.container.gateway(Registry()),
            catalog=catalog.parse(CATALOG),
            secrets=self,
            telemetry=self,
            clock=clock,
            traffic=Traffic(log or MemoryLog(), clock),
        )
        return self.gateway

    async def play(self, case: Case, mode: Mode) -> Outcome:
        """One call, at fresh providers and a fresh gateway."""
        self.alpha.reset(*case.alpha)
        self.beta.reset(*case.beta)
        self.alarms.clear()
        self.new_gateway()
        return await self.call(case.body or BOTH, mode)

    async def call(self, fields: Mapping[str, Any], mode: Mode) -> Outcome:
        """One call of a new account that has ten dollars."""
        account_id = self.container.ids.new("acct")
        await self.container.wallets.credit(account_id, Credit(f"demo-{account_id}", Nano(10 * 10**9), 0))
        caller = Caller(account_id, "key_demo", "demo", "", frozenset({"inference"}))
        began = time.perf_counter()
        sees, by, attempts = await self._ask(caller, fields, mode)
        seconds = time.perf_counter() - began
        debits = [row for row in await self._rows(account_id, "txn#") if row["kind"] == "debit"]
        losses = [row for row in await self._rows("platform", "loss#") if row["account_id"] == account_id]
        assert len(debits) <= 1
        return Outcome(
            sees=sees,
            by=by,
            attempts=attempts,
            asked=(self.alpha.asked, self.beta.asked),
            cost=usd(debits[0]["amount"]) if debits else None,
            loss=bool(losses),
            alarm="ProviderKeyRefused" in self.alarms,
            held=int((await self.container.wallets.wallet(account_id)).held),
            seconds=seconds,
        )

    async def _ask(self, caller: Caller, fields: Mapping[str, Any], mode: Mode) -> tuple[str, str | None, int | None]:
        # As long as what the providers say that they have read: a hold covers no more than was sent.
        messages = [{"role": "user", "content": "What is the capital of France? " * 40}]
        body = {"messages": messages, "max_tokens": 200, "stream": mode == "stream", **fields}
        request, options = chat_body.parse(body), Options(trace_id="demo")
        try:
            if mode == "stream":
                streamed = await stream.run(self.gateway, caller, request, options)
                chunks = [chunk async for chunk in streamed.chunks]
                reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
                finish, receipt = next(reason for reason in reversed(reasons) if reason), streamed.receipt
            else:
                whole = await pipeline.complete_chat(self.gateway, caller, request, options)
                finish, receipt = whole.body["choices"][0]["finish_reason"], whole.receipt
        except AIGError as failed:
            return f"{failed.status} {failed.code}", None, None
        return {"stop": "answer", "error": "broken off"}.get(finish, finish), receipt.provider, receipt.attempts

    async def _rows(self, pk: str, prefix: str) -> list[dict[str, Any]]:
        return await self.container.table.query("pk = :pk AND begins_with(sk, :sk)", {":pk": pk, ":sk": prefix})


class MemoryLog:
    """What all environments know of the providers, where there is no table for it."""

    def __init__(self) -> None:
        self.open: dict[str, Opening] = {}
        self.minutes: list[Minute] = []
        self.writes = 0
        self.probes: dict[str, int] = {}

    async def add(self, minutes: Iterable[Minute]) -> None:
        self.writes += 1
        self.minutes += minutes

    async def since(self, provider: str, minute: int) -> Sequence[Minute]:
        return [seen for seen in self.minutes if seen.provider == provider and seen.minute >= minute]

    async def breakers(self) -> Mapping[str, Opening]:
        return dict(self.open)

    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        self.open.pop(key, None)
        if opening:
            self.open[key] = opening

    async def claim_probe(self, key: str, now: int) -> bool:
        free = now - self.probes.get(key, now - PROBE_S) >= PROBE_S
        if free:
            self.probes[key] = now
        return free


@asynccontextmanager
async def stage(container: wiring.Container) -> AsyncIterator[Stage]:
    """The scripted providers, for the length of the block."""
    async with scripted() as alpha, scripted() as beta:
        yield Stage(container, alpha, beta)
    await CLIENT.close()
