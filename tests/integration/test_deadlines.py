"""A call ends before API Gateway or Lambda would end it, and nothing beside it can spoil its answer."""

from collections.abc import Iterable
from typing import Any

import pytest
from typing_extensions import override

from aig import attempts, stream
from aig.aws.health import DynamoHealth
from aig.aws.json_api import AwsError
from aig.aws.wallets import DynamoWallets
from aig.health import Minute
from aig.jobs.job import Ending
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Debit, Loss
from aig.records import Record
from aig.traffic import Traffic
from aig.wiring import Container
from tests.apps import App, events
from tests.builders import an_account, debits_of, holds_of, losses_of, wallet_of
from tests.logs import Log

TEN_DOLLARS = 10 * 10**9


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_a_provider_that_says_nothing_is_given_up_in_time(
    chat: App, container: Container, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(attempts, "ANSWER_S", 0.05)
    account = await an_account(container)
    response = await chat.ask(account, model="sandbox/fail-timeout", stream=streamed)
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert [hold["phase"] for hold in await holds_of(container, account)] == ["void"]
    assert await debits_of(container, account) == []


async def test_a_stream_that_outlasts_the_function_is_ended_and_paid_for(
    chat: App, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STREAM_S", 0.2)
    account = await an_account(container)
    response = await chat.ask(account, "one two three four five", model="sandbox/stall", stream=True)
    said = events(response)
    assert "error" not in said[-1]
    assert said[-1]["choices"] == [{"index": 0, "delta": {}, "finish_reason": "length"}]
    (debit,) = await debits_of(container, account)
    assert debit["amount"] > 0
    assert debit["estimated"]
    assert await losses_of(container, account) == []
    health = chat.module.gateway.traffic
    assert health.well("sandbox/sandbox/stall")  # it was we who ended it


class _RefusedWallets(DynamoWallets):
    """What is posted is refused in a way that no retry mends."""

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
        raise AwsError("ValidationException", {})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_an_answer_whose_charge_is_refused_is_delivered(
    chat: App, container: Container, logged: Log, streamed: bool
) -> None:
    account = await an_account(container)
    chat.replace(wallets=_RefusedWallets(container.table, container.records))
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    response = await chat.ask(account, **options)
    assert response.status_code == 200
    usage = (events(response)[-1] if streamed else response.json())["usage"]
    assert usage["cost"] == "0.00"
    assert "SettleFailed" in logged.text


class _RefusedHealth(DynamoHealth):
    @override
    async def add(self, minutes: Iterable[Minute]) -> None:
        raise AwsError("AccessDeniedException", {})


async def test_health_that_cannot_be_written_is_nobodys_loss(chat: App, container: Container) -> None:
    account = await an_account(container)
    chat.replace(traffic=Traffic(_RefusedHealth(container.table), container.clock))
    response = await chat.ask(account)
    assert response.status_code == 200
    (debit,) = await debits_of(container, account)
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - debit["amount"]
