"""Failover, case by case, against two scripted providers: `make demo-failover`.

The pipeline, its adapters, HTTP and the ledger's transactions are the real ones, over the DynamoDB of `make run`.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

from aig import pipeline, stream, wiring
from aig.breaker import Opening
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
from local.deploy import create_tables
from local.embedded import EmbeddedAws, pretend_credentials
from local.scripted_provider import OK, Behaviour, ScriptedProvider, error, scripted
from local.template import load

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
Mode = Literal["whole", "stream"]
RESET = Behaviour(chunks=0, ending="reset")
SILENT = Behaviour(chunks=0, ending="silence")
SLOW = Behaviour(delay=0.8)
LIMITED, UNAVAILABLE = "429 upstream_rate_limited", "502 provider_unavailable"


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


def _alpha(name: str, behaviour: Behaviour, sees: str = "answer", *modes: Mode) -> Case:
    """Alpha answers, and beta is not asked."""
    return Case(
        name, [behaviour], sees=sees, by="alpha", asked=(1, 0), cost=ALPHA_COST, modes=modes or ("whole", "stream")
    )


def _again(name: str, behaviour: Behaviour) -> Case:
    """There is only alpha, and it answers the second time."""
    alone = {"model": "demo/alone"}
    return Case(name, [behaviour, OK], by="alpha", asked=(2, 0), cost=ALPHA_COST, body=alone)


def _refused(name: str, sees: str, *alpha: Behaviour, beta: Sequence[Behaviour] = (OK,), **more: Any) -> Case:
    """The client gets an error, and pays nothing."""
    return Case(name, alpha, beta, sees, None, **{"asked": (1, 0), "cost": None, **more})


def _broken(name: str, behaviour: Behaviour) -> Case:
    """A stream that has begun and does not end: nobody else can go on with it, and nobody pays."""
    return Case(name, [behaviour], (OK,), "broken off", "alpha", (1, 0), None, ("stream",), loss=True)


ALONE, ONLY_ALPHA = {"model": "demo/alone"}, {"model": "demo/both", "provider": {"only": ["alpha"]}}
CASES = [
    _alpha("all is well", OK),
    Case("429, another provider", [error(429)]),
    Case("429 with Retry-After, another provider", [error(429, retry_after="1")]),
    _again("429, alone", error(429)),
    _again("429 with Retry-After 0.3 s, alone", error(429, retry_after_ms="300")),
    _refused("429 with Retry-After 3600: not waited for", LIMITED, error(429, retry_after="3600"), body=ALONE),
    _refused(
        "all are rate limited", LIMITED, error(429, retry_after="60"), beta=[error(429, retry_after="60")], asked=(1, 1)
    ),
    _again("500 once, alone", error(500)),
    Case("503", [error(503)]),
    Case("529", [error(529)]),
    Case("the connection is reset", [RESET]),
    Case("no answer", [SILENT]),
    _refused("no answer, alone", "504 upstream_timeout", SILENT, body=ALONE),
    Case("a slow first byte", [SLOW]),
    Case("the answer is cut", [Behaviour(ending="reset")], modes=("whole",)),
    _broken("the stream is cut", Behaviour(chunks=2, ending="reset")),
    _broken("the stream stalls", Behaviour(chunks=2, ending="silence")),
    Case("a malformed answer", [Behaviour(ending="garbage")], modes=("whole",)),
    Case("a malformed first chunk", [Behaviour(chunks=0, ending="garbage")], modes=("stream",)),
    _broken("a malformed chunk later", Behaviour(chunks=2, ending="garbage")),
    _alpha("no [DONE], but a finish reason", Behaviour(ending="no-done")),
    _broken("no [DONE] and no finish reason", Behaviour(ending="bare")),
    _refused("the context is too long", "400 context_length_exceeded", error(400, "context_length_exceeded")),
    _refused("a prefill is refused", "400 invalid_value", error(400)),
    _refused("the request is refused as 422", "400 invalid_value", error(422)),
    _alpha("a content filter ends the answer", Behaviour(finish="content_filter"), "content_filter"),
    Case("our key is refused", [error(401)]),
    _refused("our key is refused everywhere", UNAVAILABLE, error(401), beta=[error(403)], asked=(1, 1)),
    _refused("all are down", UNAVAILABLE, error(500), beta=[error(503, retry_after="1")], asked=(2, 1)),
    Case("models: the first is down, the second serves", [error(500)], body={"models": ["demo/alone", "demo/other"]}),
    Case(
        "provider.order asks the dearer first", [OK], asked=(0, 1), body={**ONLY_ALPHA, "provider": {"order": ["beta"]}}
    ),
    _refused("provider.only keeps to one", UNAVAILABLE, error(500), asked=(3, 0), body=ONLY_ALPHA),
]


EVERY = [(case, mode) for case in CASES for mode in case.modes]


@dataclass(frozen=True)
class Outcome:
    """What the client saw and what was booked. `cost` is the one debit row's, None if there is none."""

    sees: str
    by: str | None
    attempts: int | None
    asked: tuple[int, int]
    cost: str | None
    loss: bool
    held: int
    seconds: float

    def fits(self, case: Case) -> bool:
        told = self.attempts is None or self.attempts == sum(case.asked)
        expected = (case.sees, case.by, case.asked, case.cost, case.loss, 0)
        return told and (self.sees, self.by, self.asked, self.cost, self.loss, self.held) == expected


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
        """One that knows of its providers what `log` knows: nothing, if there is none."""
        clock = clock or SystemClock()
        self.gateway = replace(
            self.container.gateway(Registry()),
            catalog=catalog.parse(CATALOG),
            secrets=self,
            telemetry=self,
            clock=clock,
            traffic=Traffic(log or _NoLog(), clock),
        )
        return self.gateway

    async def play(self, case: Case, mode: Mode) -> Outcome:
        """One call, at fresh providers and a fresh gateway."""
        self.alpha.reset(*case.alpha)
        self.beta.reset(*case.beta)
        self.alarms.clear()
        self.new_gateway()
        return await self.call(case.body or {"model": "demo/both"}, mode)

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


class _NoLog:
    """A health log that keeps nothing: each case must find its providers unknown."""

    async def add(self, minutes: object) -> None:
        """Forgets them."""

    async def since(self, provider: str, minute: int) -> Sequence[Minute]:
        return ()

    async def breakers(self) -> Mapping[str, Opening]:
        return {}

    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        """Forgets it."""

    async def claim_probe(self, key: str, now: int) -> bool:
        return True


@asynccontextmanager
async def stage(container: wiring.Container) -> AsyncIterator[Stage]:
    """The scripted providers, for the length of the block."""
    async with scripted() as alpha, scripted() as beta:
        yield Stage(container, alpha, beta)
    await CLIENT.close()


async def _play_all() -> int:
    container, failed = wiring.container(), 0
    print(f"{'case':47} {'mode':7}{'the client sees':29}{'by':7}{'asked':7}{'cost USD':10}{'loss':6}{'s':>4}")
    async with stage(container) as played:
        for case, mode in EVERY:
            outcome = await played.play(case, mode)
            good = outcome.fits(case)
            failed += not good
            asked = f"{outcome.asked[0]} + {outcome.asked[1]}"
            print(
                f"{case.name:47} {mode:7}{outcome.sees:29}{outcome.by or '-':7}{asked:7}{outcome.cost or '-':10}"
                f"{'yes' if outcome.loss else '-':6}{outcome.seconds:4.1f}{'' if good else '  NOT AS IT SHOULD BE'}"
            )
    await container.close()
    print(f"\n{failed} not as they should be" if failed else "\nAll as it should be.")
    return 1 if failed else 0


def main() -> int:
    """Returns the exit code: 1 if a case is not as it should be."""
    pretend_credentials()
    aws, tables = EmbeddedAws(), load().tables
    endpoint = aws.start()
    create_tables(tables, endpoint)
    os.environ |= {"AIG_DYNAMODB_ENDPOINT": endpoint, "AIG_CORE_TABLE": tables[0].name, "AIG_KEY_PEPPER": "demo"}
    try:
        return asyncio.run(_play_all())
    finally:
        aws.stop()


if __name__ == "__main__":
    sys.exit(main())
