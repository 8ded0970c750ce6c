"""A store that cannot answer: nothing runs that is not accounted for, and one busy wallet stays its own trouble."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

import pytest

from aig.money.hold import settle
from local.template import Stack
from tests import apps
from tests.apps import App
from tests.builders import PEPPER
from tests.concurrency.core import Core
from tests.concurrency.counted import Counted
from tests.concurrency.fault_proxy import (
    CONFLICT,
    LOST_REPLY,
    NO_JSON,
    THROTTLED,
    Call,
    Fault,
    Proxy,
    first_sends,
    for_good,
    mentioning,
)
from tests.concurrency.movements import CHARGE, a_debit, a_hold, a_loss
from tests.concurrency.spender import spend

RICH: Final = 10**12


@pytest.fixture
async def app(deployed: Stack, core: Core, proxy: Proxy) -> AsyncIterator[App]:
    """The chat function, whose DynamoDB is behind the proxy."""
    started = App(
        apps.start(
            deployed.functions["ChatFunction"],
            AIG_CORE_TABLE=core.table,
            AIG_DYNAMODB_ENDPOINT=proxy.endpoint,
            AIG_KEY_PEPPER=PEPPER,
        )
    )
    yield started
    await started.close()


@pytest.mark.parametrize("fault", [THROTTLED, CONFLICT, NO_JSON, LOST_REPLY], ids=lambda fault: fault.name)
async def test_a_hold_that_cannot_be_taken_is_503_and_no_run(core: Core, proxy: Proxy, app: App, fault: Fault) -> None:
    tenant = await core.tenant(RICH, cap=RICH)
    app.replace(adapters=(upstream := Counted()))
    proxy.expect(for_good(fault, "TransactWriteItems"))
    for answer in await asyncio.gather(app.ask(tenant.account), app.ask(tenant.account, stream=True)):
        assert answer.status_code == 503
        assert answer.json()["error"]["type"] == "overloaded_error"
        assert int(answer.headers["retry-after"]) >= 1
    assert upstream.calls == 0
    assert await core.sweep() == (2 if fault is LOST_REPLY else 0)
    books = await core.books(tenant)
    assert (books.available, books.held) == (RICH, 0)


async def test_a_key_that_cannot_be_looked_up_is_503_and_no_run(core: Core, proxy: Proxy, app: App) -> None:
    tenant = await core.tenant(RICH)
    app.replace(adapters=(upstream := Counted()))
    proxy.expect(for_good(THROTTLED, "GetItem"))
    answer = await app.ask(tenant.account)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert upstream.calls == 0


async def test_a_wallet_that_cannot_be_swept_keeps_no_other_from_being_swept(core: Core, proxy: Proxy) -> None:
    await core.sweep()
    busy, *others = [await core.tenant(RICH) for _ in range(6)]
    for tenant in (busy, *others):
        await core.container().wallets.take(a_hold(tenant, 0), tenant.caller)
    proxy.expect(mentioning(busy.id, THROTTLED))
    assert await core.sweep(endpoint=proxy.endpoint) == len(others)
    assert (await core.books(busy)).phases() == {"held": 1}
    assert await core.sweep() == 1


def items_of(call: Call) -> set[str]:
    """The items that a transaction updates."""
    return {str(action["Update"]["Key"]) for action in call.body.get("TransactItems", ()) if "Update" in action}


async def test_calls_that_conflict_on_a_wallet_never_break_its_books(core: Core, proxy: Proxy) -> None:
    """DynamoDB Local lets transactions queue; the service cancels those that meet another one at work on an item."""
    tenant = await core.tenant(RICH, cap=RICH)

    def conflict(call: Call) -> Fault | None:
        at_work = set[str]().union(*map(items_of, proxy.in_flight))
        return CONFLICT if at_work & items_of(call) else None

    proxy.expect(conflict)
    gateways = core.gateways(upstream := Counted(), endpoint=proxy.endpoint)
    async with asyncio.timeout(90):
        outcomes = await spend(gateways, tenant.caller, tasks=16, requests=4)
    assert outcomes.keys() <= {"answered", "overloaded"}
    assert outcomes["answered"] == upstream.calls
    unpaid = core.alarms.raised.count("SettleFailed")
    assert (await core.books(tenant)).phases() == Counter(posted=upstream.calls - unpaid, held=unpaid)
    await core.sweep()
    assert (await core.books(tenant)).phases() == Counter(posted=upstream.calls - unpaid, void=unpaid)


async def test_a_settle_outlasts_a_busy_wallet(core: Core, proxy: Proxy) -> None:
    """A run that was paid for upstream is worth more patience than one that has not begun."""
    tenant = await core.tenant(RICH)
    wallets = core.container(proxy.endpoint).wallets
    charged, broken = a_hold(tenant, 0), a_hold(tenant, 1)
    await asyncio.gather(wallets.take(charged, tenant.caller), wallets.take(broken, tenant.caller))
    proxy.expect(first_sends(CONFLICT, 20))
    async with asyncio.timeout(60):
        done = await asyncio.gather(
            wallets.post(charged, settle(charged, CHARGE), a_debit(charged)),
            wallets.void(broken, a_loss(broken)),
        )
    assert all(done)
