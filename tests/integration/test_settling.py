"""How calls end when something goes wrong around them: readers that leave, stores that are busy, crashes."""

import asyncio
import json
import math
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
from typing_extensions import override

from aig.aws.wallets import DynamoWallets
from aig.catalog.model import Provider
from aig.holding import HOLD_TTL_S
from aig.jobs.job import Ending, Placed
from aig.keys import Caller
from aig.modalities.chat import ChatChunk, ChatResult
from aig.modalities.embed import EmbedResult
from aig.modalities.usage import Usage
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Debit, Loss
from aig.ports import Adapter, StoreBusy
from aig.records import Record
from aig.sweep import CLOCK_SKEW_S
from aig.wiring import Container
from local.template import Stack
from tests import apps
from tests.apps import App, Handler, event, events, said, serving
from tests.builders import PROMPT, PROVIDER_KEY, Account, an_account, debits_of, holds_of, losses_of, wallet_of
from tests.logs import Log
from tests.unit.clock import FixedClock
from tests.upstream import DONE, FakeUpstream, Script, chunk, completion, stream, usage_chunk

TEN_DOLLARS: Final = 10 * 10**9
ONE_WORD: Final = 5_250
GPT: Final = "openai/gpt-4.1-mini"
# Ten tokens in at 0.40 USD a million, five out at 1.60, and five per cent.
TEN_IN_FIVE_OUT: Final = 12_600


class BusyWallets(DynamoWallets):
    """A store that is busy whenever a hold is to be taken, posted or voided, as `busy` says."""

    def __init__(self, container: Container, *busy: str) -> None:
        super().__init__(container.table, container.records)
        self._busy = busy

    @override
    async def take(self, hold: Hold, caller: Caller, placed: Placed | None = None) -> Hold:
        self._refuse("take")
        return await super().take(hold, caller, placed)

    @override
    async def post(
        self,
        hold: Hold,
        settlement: Settlement,
        debit: Debit,
        *losses: Loss,
        record: Record | None = None,
        ending: Ending | None = None,
    ) -> bool:
        self._refuse("post")
        return await super().post(hold, settlement, debit, *losses, record=record, ending=ending)

    @override
    async def void(self, hold: Hold, *losses: Loss, record: Record | None = None, ending: Ending | None = None) -> bool:
        self._refuse("void")
        return await super().void(hold, *losses, record=record, ending=ending)

    def _refuse(self, step: str) -> None:
        if step in self._busy:
            raise StoreBusy("ThrottlingException")


class BrokenAdapters:
    """A registry with a bug, whose message holds what nobody else may see."""

    def get(self, provider: Provider) -> Adapter:
        raise RuntimeError(PROMPT)


async def a_request(port: int, account: Account, **body: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An HTTP request over a socket of its own; the answer's body has not begun to be read."""
    reader, writer = await sent_request(port, account, **body)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def sent_request(port: int, account: Account, **body: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The same, of whose answer nothing has been read."""
    asked = {"model": GPT, "messages": [{"role": "user", "content": PROMPT}], **body}
    payload = json.dumps(asked).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {account.key}\r\n"
    writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n".encode() + payload)
    return reader, writer


async def voided_by(sweeper: Handler) -> int:
    answer = await sweeper.invoke(event("sweeper"))
    voided: int = answer["voided"]
    return voided


async def settled(container: Container, account: Account) -> None:
    """Waits until nothing is held."""
    async with asyncio.timeout(20):
        while (await wallet_of(container, account)).held:
            pass


async def test_a_reader_who_leaves_a_stream_pays_for_all_of_it(
    openai_chat: App, upstream: FakeUpstream, container: Container
) -> None:
    account = await an_account(container)
    gone = asyncio.Event()
    upstream.script = Script(200, stream("one", " two", " three", " four", " five", before_last=lambda: [gone]))
    async with asyncio.timeout(30), serving(openai_chat.module.app) as port:
        reader, writer = await a_request(port, account, stream=True)
        await reader.readuntil(b'" two"')
        assert (await wallet_of(container, account)).held
        writer.transport.abort()
        gone.set()
        await settled(container, account)
        gone.set()
        full = await openai_chat.ask(account, model=GPT, stream=True)
    assert said(events(full)) == "one two three four five"
    left, whole = await debits_of(container, account)
    assert left["amount"] == whole["amount"] == TEN_IN_FIVE_OUT
    assert left["units"] == whole["units"]
    assert [left["estimated"], whole["estimated"]] == [False, False]
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - 2 * TEN_IN_FIVE_OUT
    assert await losses_of(container, account) == []


async def test_the_first_words_are_there_before_the_last_are_written(
    openai_chat: App, upstream: FakeUpstream, container: Container
) -> None:
    account = await an_account(container)
    go_on = asyncio.Event()
    upstream.script = Script(200, stream("one", " two", before_last=lambda: [go_on]))
    async with asyncio.timeout(30), serving(openai_chat.module.app) as port:
        reader, writer = await a_request(port, account, stream=True)
        await reader.readuntil(b'"one"')
        go_on.set()
        await reader.readuntil(b"data: [DONE]\n\n")
        writer.close()
        await writer.wait_closed()


async def test_a_stream_that_breaks_upstream_is_the_platforms_loss(
    openai_chat: App, upstream: FakeUpstream, container: Container
) -> None:
    account = await an_account(container)
    upstream.script = Script(200, [chunk("one"), chunk(" two")], cut=True)
    *pieces, last = events(await openai_chat.ask(account, model=GPT, stream=True))
    assert said(pieces) == "one two"
    assert (last["error"]["type"], last["choices"][0]["finish_reason"]) == ("provider_error", "error")
    assert (await wallet_of(container, account)).available == TEN_DOLLARS
    assert [loss["reason"] for loss in await losses_of(container, account)] == ["broken_stream"]


@pytest.mark.parametrize(
    ("began", "input_price", "output_price"),
    [
        ("03:59:59", "1.32", "3.96"),
        ("04:00:00", "0.66", "1.98"),
        ("05:59:59", "0.66", "1.98"),
        ("06:00:00", "1.32", "3.96"),
    ],
)
async def test_a_call_costs_what_the_hour_it_began_in_costs(
    began: str, input_price: str, output_price: str, deployed: Stack, container: Container, logged: Log,
    upstream: FakeUpstream,
) -> None:  # fmt: skip
    """Held and charged by one list, also where the hour passes while the answer is written."""
    address = {"AIG_DEEPSEEK_BASE_URL": upstream.base_url, "DEEPSEEK_API_KEY": PROVIDER_KEY}
    app = App(apps.start(deployed.functions["ChatFunction"], **address))
    clock = FixedClock(datetime.fromisoformat(f"2026-11-25T{began}+00:00").timestamp())
    app.replace(clock=clock)
    account, hour_over = await an_account(container), asyncio.Event()
    counted = usage_chunk(prompt_tokens=1000, completion_tokens=500)
    upstream.script = Script(200, [chunk("one"), hour_over, chunk(finish_reason="stop"), counted, DONE])
    asking = asyncio.create_task(
        app.ask(account, "a question " * 500, model="deepseek/deepseek-v4-pro", stream=True, max_tokens=500)
    )
    await upstream.arrived.wait()
    (hold,) = await holds_of(container, account)
    clock.time += 3600
    hour_over.set()
    assert said(events(await asking)) == "one"
    (debit,) = await debits_of(container, account)
    price = (1000 * Decimal(input_price) + 500 * Decimal(output_price)) * 1000
    assert debit["upstream_cost"] == price
    assert debit["amount"] == math.ceil(price * Decimal("1.05"))
    ((_, held),) = json.loads(hold["prices"]).items()
    assert held["rates"]["input_tokens"] == Decimal(input_price) * 10**6
    assert "hours" not in held
    await app.close()


async def test_an_answer_is_delivered_free_when_it_cannot_be_charged(
    chat: App, deployed: Stack, container: Container, logged: Log
) -> None:
    """And what it held comes back when the sweeper finds it past its time."""
    account = await an_account(container)
    long_ago = FixedClock(time.time() - HOLD_TTL_S - CLOCK_SKEW_S - 1)
    chat.replace(wallets=BusyWallets(container, "post"), clock=long_ago)
    response = await chat.ask(account)
    assert response.status_code == 200
    assert response.json()["choices"][0]["message"]["content"] == f"echo: {PROMPT}"
    assert response.json()["usage"]["cost"] == response.headers["x-aig-cost"] == "0.00"
    assert len(logged.lines("SettleFailed")) == logged.metrics().count("SettleFailed") == 1
    wallet = await wallet_of(container, account)
    assert wallet.held > 0
    assert wallet.available + wallet.held == TEN_DOLLARS

    sweeper = Handler(deployed.functions["SweeperFunction"])
    assert await voided_by(sweeper) == 1
    assert await voided_by(sweeper) == 0
    await sweeper.close()
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    assert [hold["phase"] for hold in await holds_of(container, account)] == ["void"]
    assert [loss["reason"] for loss in await losses_of(container, account)] == ["expired_hold"]
    assert await debits_of(container, account) == []
    assert len(logged.lines("HoldExpired")) == logged.metrics().count("HoldExpired") == 1


async def test_the_sweeper_leaves_calls_in_flight_alone(
    openai_chat: App, upstream: FakeUpstream, deployed: Stack, container: Container
) -> None:
    account = await an_account(container)
    go_on = asyncio.Event()
    upstream.script = Script(200, [go_on, completion("Paris")])
    call = asyncio.create_task(openai_chat.ask(account, model=GPT))
    sweeper = Handler(deployed.functions["SweeperFunction"])
    async with asyncio.timeout(20):
        await upstream.arrived.wait()
        assert await voided_by(sweeper) == 0
        go_on.set()
        assert (await call).headers["x-aig-cost"] == "0.0000126"
    await sweeper.close()


async def test_a_store_that_is_busy_fails_closed(chat: App, container: Container) -> None:
    account = await an_account(container)
    chat.replace(wallets=BusyWallets(container, "take"), adapters=BrokenAdapters())
    response = await chat.ask(account)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (503, "overloaded_error", "overloaded")
    assert int(response.headers["retry-after"]) >= 1
    assert await holds_of(container, account) == []


async def test_a_hold_that_cannot_be_given_back_is_told(chat: App, container: Container, logged: Log) -> None:
    account = await an_account(container)
    chat.replace(wallets=BusyWallets(container, "void"))
    response = await chat.ask(account, model="sandbox/fail-500")
    assert response.status_code == 502
    assert len(logged.lines("VoidFailed")) == logged.metrics().count("VoidFailed") == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_bug_of_ours_is_a_typed_500_and_costs_nothing(
    chat: App, container: Container, logged: Log, stream: bool
) -> None:
    account = await an_account(container)
    chat.replace(adapters=BrokenAdapters())
    response = await chat.ask(account, stream=stream)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (500, "internal_error", "internal_error")
    assert PROMPT not in response.text
    assert error["request_id"] == response.headers["x-request-id"]
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    (alarm,) = logged.lines("UnhandledError")
    assert (alarm["error"], alarm["where"].partition(":")[0]) == ("RuntimeError", "test_settling.py")


async def test_usage_beyond_the_hold_is_the_platforms_loss(
    openai_chat: App, upstream: FakeUpstream, container: Container
) -> None:
    account = await an_account(container)
    upstream.script = Script(200, [completion("Paris", completion_tokens=1_000)])
    response: httpx.Response = await openai_chat.ask(account, model=GPT, max_tokens=10)
    (hold,) = await holds_of(container, account)
    (debit,) = await debits_of(container, account)
    (loss,) = await losses_of(container, account)
    assert response.headers["x-aig-cost"] == f"{debit['amount'] / 10**9:.9f}".rstrip("0")
    assert debit["amount"] == hold["amount"]
    # 10 x 0.40 and 1,000 x 1.60 USD a million, and five per cent.
    assert loss["amount"] == 1_684_200 - hold["amount"]
    assert loss["reason"] == "over_hold"


class OddAdapter:
    """A provider's adapter that says what a test lets it say."""

    def __init__(self, usage: Usage | None = None) -> None:
        self._usage = usage

    def get(self, provider: Provider) -> Any:
        return SimpleNamespace(chat=self, embed=SimpleNamespace(embed=self.vector))

    async def vector(self, *_: object) -> EmbedResult:
        return EmbedResult([[1.0]], self._usage)

    async def complete(self, *_: object) -> ChatResult:
        raise KeyError(PROMPT)

    async def stream(self, *_: object) -> AsyncGenerator[ChatChunk, None]:
        yield ChatChunk({"choices": [{"index": 0, "delta": {"content": "one"}, "finish_reason": None}]})
        raise KeyError(PROMPT)


async def test_a_unit_without_a_price_is_left_out_and_told(embeddings: App, container: Container, logged: Log) -> None:
    """The answer is there and is paid for, as far as there are prices."""
    account = await an_account(container)
    odd = OddAdapter(Usage({"input_tokens": 3, "output_tokens": 5, "reasoning_tokens": 0, "pages": 2}))
    embeddings.replace(adapters=odd)
    body = {"model": "sandbox/embed", "input": "a"}
    response = await embeddings.client.post("/v1/embeddings", json=body, headers=account.authorization)
    assert response.status_code == 200, response.text
    assert response.headers["x-aig-cost"] == "0.000000315"  # 3 tokens at 0.10 USD a million and five per cent
    (debit,) = await debits_of(container, account)
    assert json.loads(debit["units"]) == {"input_tokens": 3, "reasoning_tokens": 0}
    assert (await wallet_of(container, account)).held == 0
    assert {line["unit"]: line["count"] for line in logged.lines("UnpricedUnit")} == {"output_tokens": 5, "pages": 2}


async def test_an_adapter_with_a_bug_is_a_provider_that_cannot_be_read(
    chat: App, container: Container, logged: Log
) -> None:
    account = await an_account(container)
    chat.replace(adapters=OddAdapter())
    whole = await chat.ask(account)
    assert (whole.status_code, whole.json()["error"]["code"]) == (502, "provider_unavailable")
    *pieces, last = events(await chat.ask(account, stream=True))
    assert said(pieces) == "one"
    assert (last["error"]["type"], last["choices"][0]["finish_reason"]) == ("provider_error", "error")
    assert (await wallet_of(container, account)).available == TEN_DOLLARS
    told = logged.lines("AdapterBug")
    assert [line["error"] for line in told] == ["KeyError", "KeyError"]
    assert {line["where"].partition(":")[0] for line in told} == {"test_settling.py"}
    assert logged.lines("UnhandledError") == []


async def test_what_is_logged_of_a_call_says_who_and_how_much(chat: App, container: Container, logged: Log) -> None:
    account = await an_account(container)
    response = await chat.ask(account, headers={"x-request-id": "trace-1"})
    (line,) = logged.lines("request")
    assert line["trace_id"] == "trace-1"
    assert (line["account_id"], line["key_id"]) == (account.id, account.key_id)
    assert (line["model"], line["provider"], line["attempts"]) == ("sandbox/echo", "sandbox", 1)
    assert line["cost"] == response.headers["x-aig-cost"]


@pytest.mark.parametrize(
    ("told", "output", "estimated"),
    [
        ([usage_chunk(10, 0), chunk("one two three four")], 5, True),  # told before anything was said
        ([chunk("one two three four"), usage_chunk(10, 5), usage_chunk(0, 0)], 5, False),  # a count does not shrink
        ([chunk("one two three four"), usage_chunk(10, 2), usage_chunk(10, 7)], 7, False),
    ],
    ids=["too early", "shrinking", "growing"],
)
async def test_usage_that_leaves_something_out_is_not_believed(
    openai_chat: App, container: Container, upstream: FakeUpstream, told: list[bytes], output: int, estimated: bool
) -> None:
    account = await an_account(container)
    upstream.script = Script(200, [*told, chunk(finish_reason="stop"), DONE])
    await openai_chat.ask(account, model=GPT, stream=True)
    (debit,) = await debits_of(container, account)
    assert json.loads(debit["units"])["output_tokens"] == output
    assert debit["estimated"] is estimated
