"""The scheduled function that tells accounts of their use: the right things, to the right accounts, once."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from aig.aws.events import DynamoEvents
from aig.aws.keys import DynamoKeys
from aig.aws.usage import DynamoUsage
from aig.events import Event
from aig.ports import StoreBusy
from aig.summaries import LATE_S
from aig.wiring import Container
from local.template import Stack
from tests.apps import App, Handler, event
from tests.builders import Account, an_account
from tests.integration.test_keys import call, problem
from tests.integration.test_rollup import record
from tests.logs import Log
from tests.unit.clock import FixedClock
from tests.unit.ledger_rows import DAY_S, debit

TODAY = int(time.time()) // DAY_S * DAY_S
YESTERDAY = TODAY - DAY_S
FIRST = 1_796_083_200  # of December 2026


class Told:
    """The function at a time of the test's choice."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def at(self, now: int) -> dict[str, int]:
        module: Any = self.handler.module
        module.container = replace(module.container, clock=FixedClock(float(now)))
        answer: dict[str, int] = await self.handler.invoke(event("summary"))
        return answer


@pytest.fixture
async def summary(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[Told]:
    handler = Handler(deployed.functions["SummaryFunction"])
    yield Told(handler)
    await handler.close()


async def used(rollup: Handler, account: Account, *rows: dict[str, Any]) -> None:
    made = [record(debit(number, account.id, **row), number) for number, row in enumerate(rows)]
    await rollup.invoke({"Records": made})


async def events(container: Container, account: Account) -> list[Event]:
    found, _ = await container.events.page(account.id, limit=50)
    return [one for one in found if one.type.startswith("usage.")]


async def test_a_day_is_summed_up_once_when_it_is_over(summary: Told, rollup: Handler, container: Container) -> None:
    account, idle = await an_account(container), await an_account(container)
    rows = [{"created_at": YESTERDAY + 5, "tag": "a"}, {"created_at": YESTERDAY + DAY_S - 1, "tag": "b"}]
    await used(rollup, account, *rows, {"created_at": TODAY})
    await summary.at(YESTERDAY + DAY_S - 1)
    await summary.at(TODAY + 3599)  # its last calls may still be counted
    assert await events(container, account) == []
    for _ in range(2):
        await summary.at(TODAY + 3600)
    (told,) = await events(container, account)
    assert (told.type, told.data["requests"], told.data["cost"]) == ("usage.daily.summary", 2, "0.0000168")
    assert {row["tag"] for row in told.data["by_tag"]} == {"a", "b"}
    assert await events(container, idle) == []


async def test_thresholds_are_told_of_once_in_a_period_and_anew_when_they_are_changed(
    summary: Told, rollup: Handler, accounts: App, container: Container
) -> None:
    account = await an_account(container)
    limits = {"daily_usage_threshold": "0.00001", "monthly_usage_threshold": "0.00002"}
    changed = await call(accounts, account, "PATCH", "/v1/account", limits)
    assert {name: changed.json()[name] for name in limits} == limits
    await used(rollup, account, {"created_at": TODAY})
    await summary.at(TODAY + 60)
    assert await events(container, account) == []
    await used(rollup, account, *[{"created_at": TODAY}] * 3)
    for _ in range(2):
        await summary.at(TODAY + 60)
    assert {(one.type, one.data["period"]) for one in await events(container, account)} == {
        ("usage.threshold.exceeded", "daily"),
        ("usage.threshold.exceeded", "monthly"),
    }
    assert len(await events(container, account)) == 2
    await call(accounts, account, "PATCH", "/v1/account", {**limits, "daily_usage_threshold": "0.000011"})
    await call(accounts, account, "PATCH", "/v1/account", {"monthly_usage_threshold": None})
    await summary.at(TODAY + 60)
    newest, *others = await events(container, account)
    assert (newest.data["threshold"], len(others)) == ("0.000011", 2)


async def limited(accounts: App, container: Container, **limits: str) -> Account:
    account = await an_account(container)
    changed = await call(accounts, account, "PATCH", "/v1/account", limits)
    assert changed.status_code == 200
    return account


async def test_what_was_passed_at_the_end_of_a_period_is_told_of_behind_it(
    summary: Told, rollup: Handler, accounts: App, container: Container
) -> None:
    amounts = {"daily_usage_threshold": "0.00002", "monthly_usage_threshold": "0.00003"}
    account = await limited(accounts, container, **amounts)
    other = await limited(accounts, container, daily_usage_threshold="0", monthly_usage_threshold="0")
    await used(rollup, account, {"created_at": FIRST - 2 * DAY_S}, *[{"created_at": FIRST - 1}] * 3)
    await used(rollup, other, {"created_at": FIRST - DAY_S, "amount": 0, "upstream_cost": 0})
    await summary.at(FIRST + LATE_S)  # too late
    assert [one.type for one in await events(container, account)] == ["usage.daily.summary"]
    for _ in range(2):
        await summary.at(FIRST + LATE_S - 1)
    for whose, figures in ((account, {("daily", 3), ("monthly", 4)}), (other, {("daily", 1), ("monthly", 1)})):
        told = [one.data for one in await events(container, whose) if one.type == "usage.threshold.exceeded"]
        assert len(told) == 2  # none of the periods that have begun, in which it used nothing
        assert {(data["period"], data["requests"]) for data in told} == figures
        assert {data["from"] for data in told} == {FIRST - DAY_S, FIRST - 30 * DAY_S}


@pytest.mark.parametrize("where", [(DynamoKeys, "account"), (DynamoUsage, "cells"), (DynamoEvents, "told")])
async def test_a_busy_store_keeps_no_other_account_from_being_told(
    summary: Told, rollup: Handler, container: Container, logged: Log,
    monkeypatch: pytest.MonkeyPatch, where: tuple[type, str],
) -> None:  # fmt: skip
    made = [await an_account(container) for _ in range(3)]
    for account in made:
        await used(rollup, account, {"created_at": YESTERDAY})
    kind, name = where
    true = getattr(kind, name)

    def busy(ports: Any, account_id: str, *args: Any) -> Any:
        if account_id == made[1].id:
            raise StoreBusy("busy")
        return true(ports, account_id, *args)

    with monkeypatch.context() as patch:
        patch.setattr(kind, name, busy)
        answer = await summary.at(TODAY + 3600)
    assert answer["failed"] == 1
    assert logged.lines("NoticeFailed")
    assert [len(await events(container, account)) for account in made] == [1, 0, 1]
    assert (await summary.at(TODAY + 3600))["failed"] == 0
    assert [len(await events(container, account)) for account in made] == [1, 1, 1]


async def test_what_was_told_is_not_reckoned_again(
    summary: Told, rollup: Handler, accounts: App, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await limited(accounts, container, daily_usage_threshold="0", monthly_usage_threshold="0")
    await used(rollup, account, {"created_at": YESTERDAY}, {"created_at": TODAY})
    await summary.at(TODAY + 3600)
    count = len(await events(container, account))
    assert count >= 4
    read: list[str] = []
    cells = DynamoUsage.cells

    def noted(ports: DynamoUsage, tenant: str, *args: Any) -> Any:
        read.append(tenant)
        return cells(ports, tenant, *args)

    monkeypatch.setattr(DynamoUsage, "cells", noted)
    await summary.at(TODAY + 3600)
    assert account.id not in read
    assert len(await events(container, account)) == count


async def test_some_accounts_are_told_at_once_but_not_all(
    summary: Told, rollup: Handler, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [await an_account(container) for _ in range(12)]
    for account in made:
        await used(rollup, account, {"created_at": YESTERDAY})
    working, most = 0, 0
    read = DynamoKeys.account

    async def counted(*args: Any) -> Any:
        nonlocal working, most
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.05)
        working -= 1
        return await read(*args)

    monkeypatch.setattr(DynamoKeys, "account", counted)
    await summary.at(TODAY + 3600)
    assert most == 4
    assert {len(await events(container, account)) for account in made} == {1}


@pytest.mark.parametrize("amount", ["-1", "1e3", 5, "0.0000000001", ""])
async def test_a_threshold_is_an_amount(accounts: App, container: Container, amount: Any) -> None:
    account = await an_account(container)
    refused = await call(accounts, account, "PATCH", "/v1/account", {"daily_usage_threshold": amount})
    assert problem(refused) == (400, "invalid_value", "daily_usage_threshold")
