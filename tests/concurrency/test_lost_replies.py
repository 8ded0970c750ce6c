"""A network that loses requests and replies, a DynamoDB that stumbles: every movement of money happens once."""

import asyncio
from typing import Any, Final

import pytest

from aig import stream
from aig.errors import ProviderUnavailable
from aig.money.hold import settle
from aig.pipeline import complete_chat
from aig.ports import HoldRefused
from tests.concurrency.core import OPTIONS, Core, chat
from tests.concurrency.counted import Counted
from tests.concurrency.fault_proxy import (
    DENIED,
    IN_PROGRESS,
    INTERNAL,
    LOST_REPLY,
    LOST_REQUEST,
    NO_JSON,
    THROTTLED,
    THROUGHPUT,
    UNAVAILABLE,
    Fault,
    Proxy,
    cancelled,
    first_sends,
    for_good,
    on_call,
    resolving,
)
from tests.concurrency.movements import CHARGE, CREDIT, HELD, a_credit, a_debit, a_hold, a_loss

RICH: Final = 10**12
FAULTS: Final = (
    LOST_REQUEST,
    LOST_REPLY,
    THROUGHPUT,
    THROTTLED,
    IN_PROGRESS,
    INTERNAL,
    UNAVAILABLE,
    NO_JSON,
    cancelled("None", "TransactionConflict", "None", "None"),
    cancelled("ThrottlingError", "None", "TransactionConflict"),
    cancelled("None", "ProvisionedThroughputExceeded"),
)
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)


@every_fault
async def test_a_transaction_that_fails_up_to_four_times_is_done_once(core: Core, proxy: Proxy, fault: Fault) -> None:
    tenant = await core.tenant(RICH, cap=RICH)
    wallets = core.container(proxy.endpoint).wallets
    holds = [a_hold(tenant, number) for number in range(8)]
    async with asyncio.timeout(30):
        proxy.expect(first_sends(fault, 1, 2, 3, 4))
        await asyncio.gather(*[wallets.take(hold, tenant.caller) for hold in holds])
        assert len(proxy.calls) == 2 * (2 + 3 + 4 + 5)
        assert all(
            await asyncio.gather(
                *[wallets.post(hold, settle(hold, CHARGE), a_debit(hold)) for hold in holds[:4]],
                *[wallets.void(hold, a_loss(hold)) for hold in holds[4:]],
                *[wallets.credit(tenant.id, a_credit(tenant, number)) for number in range(4)],
            )
        )
    books = await core.books(tenant)
    assert books.phases() == {"posted": 4, "void": 4}
    assert (books.available, books.held) == (RICH - 4 * CHARGE + 4 * CREDIT, 0)


@every_fault
async def test_a_refusal_that_gets_lost_is_still_a_refusal(core: Core, proxy: Proxy, fault: Fault) -> None:
    tenant = await core.tenant(HELD - 1)
    proxy.expect(first_sends(fault, 2))
    with pytest.raises(HoldRefused) as refused:
        await core.container(proxy.endpoint).wallets.take(a_hold(tenant, 1), tenant.caller)
    assert refused.value.limits == {"balance"}
    assert (await core.books(tenant)).holds == {}


@every_fault
async def test_a_call_bears_trouble_at_each_of_its_steps(core: Core, proxy: Proxy, fault: Fault) -> None:
    """A call whose hold is cut to what is left: refused, two looks, taken, run, settled."""
    gateway = core.container(proxy.endpoint).gateway(upstream := Counted())
    for step in range(1, 6):
        tenant = await core.tenant(RICH, cap=2_000_000)
        proxy.expect(on_call(step, fault))
        answer = await complete_chat(gateway, tenant.caller, chat(max_tokens=4000), OPTIONS)
        assert upstream.calls == step
        assert len(proxy.calls) > step
        books = await core.books(tenant)
        assert [debit["amount"] for debit in books.debits] == [answer.receipt.cost]
        assert (books.available, books.held) == (RICH - (answer.receipt.cost or 0), 0)
    assert core.alarms.raised == []


for_good_faults = pytest.mark.parametrize("fault", [THROTTLED, NO_JSON, LOST_REPLY], ids=lambda fault: fault.name)


@for_good_faults
async def test_a_run_that_cannot_be_charged_is_delivered_and_costs_nothing(
    core: Core, proxy: Proxy, fault: Fault
) -> None:
    tenant = await core.tenant(RICH, cap=RICH)
    gateway = core.container(proxy.endpoint).gateway(Counted())
    proxy.expect(resolving(fault))

    async def last_chunk() -> dict[str, Any]:
        request = chat(stream=True, stream_options={"include_usage": True})
        streamed = await stream.run(gateway, tenant.caller, request, OPTIONS)
        return [chunk async for chunk in streamed.chunks][-1]

    whole, last = await asyncio.gather(complete_chat(gateway, tenant.caller, chat(), OPTIONS), last_chunk())
    assert whole.body["usage"]["cost"] == last["usage"]["cost"] == "0.00"
    assert core.alarms.raised == ["SettleFailed"] * 2
    await core.audit()
    charged = fault is LOST_REPLY  # what got lost was the word that it is done
    assert await core.sweep() == (0 if charged else 2)
    books = await core.books(tenant)
    assert books.phases() == ({"posted": 2} if charged else {"void": 2})
    assert books.held == 0
    assert len(books.losses) == (0 if charged else 2)


@for_good_faults
async def test_a_failed_run_whose_hold_cannot_be_given_back_gets_it_back_from_the_sweeper(
    core: Core, proxy: Proxy, fault: Fault
) -> None:
    tenant = await core.tenant(RICH, cap=RICH)
    proxy.expect(resolving(fault))
    with pytest.raises(ProviderUnavailable):
        await complete_chat(
            core.container(proxy.endpoint).gateway(Counted()), tenant.caller, chat(model="sandbox/fail-500"), OPTIONS
        )
    assert core.alarms.raised == ["VoidFailed"]
    assert await core.sweep() == (0 if fault is LOST_REPLY else 1)
    books = await core.books(tenant)
    assert (books.available, books.held) == (RICH, 0)


async def test_a_health_row_that_cannot_be_written_is_no_trouble_of_the_call(core: Core, proxy: Proxy) -> None:
    tenant = await core.tenant(RICH)
    proxy.expect(for_good(DENIED, "UpdateItem"))
    answer = await complete_chat(core.container(proxy.endpoint).gateway(Counted()), tenant.caller, chat(), OPTIONS)
    assert answer.receipt.cost
    assert "UpdateItem" in {call.operation for call in proxy.calls}


async def test_connections_that_dynamodb_closes_when_idle_are_opened_anew(core: Core, proxy: Proxy) -> None:
    tenant = await core.tenant(RICH)
    wallets = core.container(proxy.endpoint).wallets
    proxy.hang_up = True
    for number in range(5):
        await wallets.take(a_hold(tenant, number), tenant.caller)
    proxy.hang_up = False
    assert not any(call.reused for call in proxy.calls)
    assert len(proxy.calls) == 5


async def test_connections_that_broke_while_nobody_looked_cost_no_call(core: Core, proxy: Proxy) -> None:
    """As after a thaw: all connections of the pool are dead, and only a request on one of them finds out."""
    tenant = await core.tenant(RICH)
    wallets = core.container(proxy.endpoint).wallets
    async with asyncio.timeout(30):
        await asyncio.gather(*[wallets.take(a_hold(tenant, number), tenant.caller) for number in range(16)])
        proxy.expect(lambda call: LOST_REQUEST if call.reused else None)
        await wallets.take(a_hold(tenant, 16), tenant.caller)
    assert (await core.books(tenant)).phases() == {"held": 17}
