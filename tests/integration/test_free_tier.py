"""The free tier: so many requests a day to one model, for each account, until a date."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from aig.wiring import Container
from local.template import Stack
from tests import apps
from tests.apps import App, events
from tests.builders import an_account, debits_of, holds_of, wallet_of
from tests.integration.test_keys import problem
from tests.integration.test_sub_accounts import sub_account
from tests.logs import Log


def tier(requests: int, days: int = 1) -> str:
    return f"sandbox/echo {requests} {datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


@pytest.fixture
async def generous(deployed: Stack, container: Container, logged: Log) -> AsyncIterator[App]:
    """The chat function where two requests a day to sandbox/echo are free."""
    app = App(apps.start(deployed.functions["ChatFunction"], AIG_FREE_TIER=tier(2)))
    yield app
    await app.close()


async def test_free_requests_cost_nothing_and_are_in_the_ledger(generous: App, container: Container) -> None:
    account = await an_account(container, "0")
    answer = await generous.ask(account)
    streamed = events(await generous.ask(account, stream=True, stream_options={"include_usage": True}))
    assert (answer.status_code, answer.headers["x-aig-cost"]) == (200, "0.00")
    assert streamed[-1]["usage"]["cost"] == "0.00"
    debits = await debits_of(container, account)
    assert [(debit["amount"], debit["upstream_cost"] > 0) for debit in debits] == [(0, True)] * 2
    assert [hold["phase"] for hold in await holds_of(container, account)] == ["posted"] * 2


async def test_one_more_is_a_rate_limit_without_money_and_charged_with_it(generous: App, container: Container) -> None:
    poor, rich = await an_account(container, "0"), await an_account(container, "1.00")
    for account in (poor, rich):
        assert [(await generous.ask(account)).headers["x-aig-cost"] for _ in range(2)] == ["0.00", "0.00"]
    refused = await generous.ask(poor)
    assert problem(refused)[:2] == (429, "free_tier_exhausted")
    assert 1 <= int(refused.headers["retry-after"]) <= 24 * 3600
    assert (await generous.ask(rich)).headers["x-aig-cost"] == "0.00000525"
    assert (await wallet_of(container, rich)).available == 10**9 - 5_250


async def test_what_the_cache_has_is_free_too_and_counts(generous: App, container: Container) -> None:
    poor, rich = await an_account(container, "0"), await an_account(container, "1.00")
    for account in (poor, rich):
        answers = [await generous.ask(account, temperature=0) for _ in range(2)]
        assert [(one.headers["x-cache"], one.headers["x-aig-cost"]) for one in answers] == [
            ("miss", "0.00"),
            ("hit", "0.00"),
        ]
        debits = await debits_of(container, account)
        assert sorted((debit["cache_hit"], debit["amount"], debit["upstream_cost"] > 0) for debit in debits) == [
            (False, 0, True),
            (True, 0, False),
        ]
    assert problem(await generous.ask(poor, temperature=0))[:2] == (429, "free_tier_exhausted")
    assert (await generous.ask(rich, temperature=0)).headers["x-aig-cost"] == "0.000000525"


async def test_other_models_are_not_free(generous: App, container: Container) -> None:
    account = await an_account(container, "0")
    assert problem(await generous.ask(account, model="sandbox/slow"))[:2] == (402, "insufficient_balance")
    assert (await generous.ask(account, models=["sandbox/echo", "sandbox/slow"])).status_code == 402


async def test_a_failed_call_is_not_charged_but_counts(deployed: Stack, container: Container, logged: Log) -> None:
    app = App(apps.start(deployed.functions["ChatFunction"], AIG_FREE_TIER=tier(1).replace("echo", "fail-500")))
    account = await an_account(container, "0")
    outcomes = [(await app.ask(account, model="sandbox/fail-500")).status_code for _ in range(2)]
    assert outcomes == [502, 429]
    await app.close()


async def test_it_ends(deployed: Stack, container: Container, logged: Log) -> None:
    app = App(apps.start(deployed.functions["ChatFunction"], AIG_FREE_TIER=tier(2, days=-1)))
    assert (await app.ask(await an_account(container, "0"))).status_code == 402
    await app.close()


async def test_sub_accounts_share_the_accounts_free_requests(
    generous: App, accounts: App, container: Container
) -> None:
    account = await an_account(container, "0")
    _, customer = await sub_account(accounts, account)
    assert [(await generous.ask(one)).status_code for one in (account, customer, customer)] == [200, 200, 429]
