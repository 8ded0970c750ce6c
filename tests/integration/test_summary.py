"""The scheduled function that tells accounts of their use: the right things, to the right accounts, once."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from aig.events import Event
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


class Told:
    """The function at a time of the test's choice."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    async def at(self, now: int) -> None:
        module: Any = self.handler.module
        module.container = replace(module.container, clock=FixedClock(float(now)))
        await self.handler.invoke(event("summary"))


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


@pytest.mark.parametrize("amount", ["-1", "1e3", 5, "0.0000000001", ""])
async def test_a_threshold_is_an_amount(accounts: App, container: Container, amount: Any) -> None:
    account = await an_account(container)
    refused = await call(accounts, account, "PATCH", "/v1/account", {"daily_usage_threshold": amount})
    assert problem(refused) == (400, "invalid_value", "daily_usage_threshold")
