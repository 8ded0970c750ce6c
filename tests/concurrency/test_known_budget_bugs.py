"""Races that let another gateway's users, LiteLLM's, spend past their budgets: by the numbers of its issues."""

import asyncio
from dataclasses import replace

import pytest

from aig.aws.json_api import AwsError
from aig.money.units import Nano
from aig.ports import StoreBusy
from tests.concurrency.core import Core
from tests.concurrency.counted import Counted
from tests.concurrency.fault_proxy import CONFLICT, DENIED, INTERNAL, THROTTLED, Fault, Proxy, for_good
from tests.concurrency.movements import a_hold
from tests.concurrency.spender import spend
from tests.concurrency.test_exactly_k import RICH, price_of_one


async def test_34732_calls_at_the_same_instant_do_not_all_pass_a_check_before_any_is_counted(core: Core) -> None:
    price = await price_of_one(core)
    tenant = await core.tenant(RICH, cap=price)
    outcomes = await spend(core.gateways(upstream := Counted(to_the_limit=True)), tenant.caller, tasks=64, requests=1)
    assert (upstream.calls, outcomes["answered"]) == (1, 1)


async def test_40095_the_first_calls_of_an_account_nobody_has_seen_are_held_to_its_budget(core: Core) -> None:
    price = await price_of_one(core)
    upstream = Counted(to_the_limit=True)

    async def newcomer() -> None:
        parent = await core.tenant(RICH)
        (tenant,) = await core.sub_tenant(parent, cap=price)
        outcomes = await spend(core.gateways(upstream), tenant.caller, tasks=8, requests=1)
        assert outcomes["answered"] == 1

    await asyncio.gather(*[newcomer() for _ in range(4)])
    assert upstream.calls == 4


@pytest.mark.parametrize("fault", [THROTTLED, CONFLICT, INTERNAL, DENIED], ids=lambda fault: fault.name)
async def test_33923_a_hold_that_cannot_be_written_lets_nothing_through(core: Core, proxy: Proxy, fault: Fault) -> None:
    tenant = await core.tenant(RICH, cap=RICH)
    proxy.expect(for_good(fault, "TransactWriteItems"))
    gateways = core.gateways(upstream := Counted(), endpoint=proxy.endpoint)
    with pytest.raises((StoreBusy, AwsError)):
        await spend(gateways, tenant.caller, tasks=2, requests=1)
    assert upstream.calls == 0
    assert (await core.books(tenant)).held == 0


async def test_27639_40050_what_is_reserved_and_lost_comes_back(core: Core) -> None:
    """Phantom reservations added up to twice the real spending there."""
    price = await price_of_one(core)
    tenant = await core.tenant(RICH, cap=3 * price)
    gateway = core.container().gateway(Counted(to_the_limit=True))
    lost = [replace(a_hold(tenant, number), amount=Nano(price)) for number in range(3)]
    for hold in lost:
        await gateway.wallets.take(hold, tenant.caller)
    assert (await spend([gateway], tenant.caller, tasks=1, requests=1)) == {"in_flight_holds": 1}
    assert await core.sweep() == 3
    assert (await spend([gateway], tenant.caller, tasks=1, requests=3)) == {"answered": 3}
