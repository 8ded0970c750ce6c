"""Two limits at once: a sub-account's cap and its parent's wallet, over several keys and across the ends of periods."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from aig.money.hold import Hold, Settlement
from aig.money.units import Nano
from aig.pipeline import complete_chat
from aig.ports import HoldRefused
from tests.concurrency.core import OPTIONS, Core, Tenant, chat
from tests.concurrency.counted import Counted
from tests.concurrency.movements import CHARGE, HELD, a_debit, a_hold
from tests.concurrency.spender import spend
from tests.concurrency.test_exactly_k import RICH, price_of_one, watched
from tests.unit.clock import FixedClock

NOVEMBER, DECEMBER = 1_796_083_199, 1_796_083_200  # the last second of the one, the first of the other


async def spend_all(
    core: Core, tenants: list[Tenant], upstream: Counted, clock: FixedClock | None = None
) -> Counter[str]:
    """64 tasks of 20 requests, shared out among the keys."""
    gateways = core.gateways(upstream, clock=clock)
    each = 64 // len(tenants)
    outcomes = Counter[str]()
    for part in await asyncio.gather(*[spend(gateways, one.caller, tasks=each, requests=20) for one in tenants]):
        outcomes.update(part)
    return outcomes


async def test_a_sub_accounts_cap_for_50_lets_50_of_1280_through_over_all_its_keys(core: Core) -> None:
    price = await price_of_one(core)
    parent = await core.tenant(RICH)
    keys = await core.sub_tenant(parent, cap=50 * price + price - 1, keys=4)
    upstream = Counted(to_the_limit=True)
    outcomes = await watched(core, spend_all(core, list(keys), upstream))
    assert upstream.calls == 50
    assert outcomes.keys() <= {"answered", "spend_cap_reached", "in_flight_holds"}
    assert (outcomes["answered"], outcomes.total()) == (50, 1280)
    books = await core.books(parent)
    assert (books.available, books.held) == (RICH - 50 * price, 0)
    assert books.used(keys[0].id) == 50 * price
    assert {debit["sub_account"] for debit in books.debits} == {keys[0].id}
    told = [row for row in await core.rows_of(parent) if row.get("type") == "subaccount.spend.exceeded"]
    assert len(told) == 1  # however many were refused, and by however many environments


async def test_two_sub_accounts_share_a_wallet_for_40(core: Core) -> None:
    price = await price_of_one(core)
    parent = await core.tenant(40 * price + price - 1)
    (one,), (other,) = await core.sub_tenant(parent, cap=RICH), await core.sub_tenant(parent, cap=30 * price)
    upstream = Counted(to_the_limit=True)
    outcomes = await watched(core, spend_all(core, [one, other], upstream))
    assert (upstream.calls, outcomes["answered"]) == (40, 40)
    books = await core.books(parent)
    assert (books.available, books.held) == (price - 1, 0)
    assert books.used(other.id) <= 30 * price


async def test_a_rate_is_over_all_keys_of_a_sub_account(core: Core) -> None:
    keys = await core.sub_tenant(await core.tenant(RICH), rpm=10, keys=2)
    upstream = Counted()
    outcomes = await spend_all(core, list(keys), upstream, FixedClock(1_795_305_600))
    assert upstream.calls == 10
    assert outcomes == {"answered": 10, "rate_limit_exceeded": 1270}


async def test_a_hold_counts_in_the_month_in_which_it_was_taken_whenever_it_ends(core: Core) -> None:
    parent = await core.tenant(10 * HELD)
    (tenant,) = await core.sub_tenant(parent, cap=2 * HELD, reset="monthly")
    wallets = core.container().wallets

    def hold(number: int, now: int) -> Hold:
        month = "2026-11" if now == NOVEMBER else "2026-12"
        names = (f"{tenant.caller.key_id}#all", f"{tenant.id}#{month}")
        made = a_hold(tenant, number)
        return replace(
            made, created_at=now, expires_at=now + 960, parent_id=parent.id, spends=names, capped=(names[1],)
        )

    in_november = [hold(number, NOVEMBER) for number in range(2)]
    for one in in_november:
        await wallets.take(one, tenant.caller)
    with pytest.raises(HoldRefused, match="sub_account_cap"):
        await wallets.take(hold(2, NOVEMBER), tenant.caller)
    in_december = [hold(number, DECEMBER) for number in (3, 4)]
    for one in in_december:
        await wallets.take(one, tenant.caller)
    # November's end in December, and one of December's is given back.
    for one in in_november:
        assert await wallets.post(one, Settlement(CHARGE, Nano(HELD - CHARGE), Nano(0)), a_debit(one))
    assert await wallets.void(in_december[1])
    books = await core.books(parent)
    assert (books.used(tenant.id, "2026-11"), books.used(tenant.id, "2026-12")) == (2 * CHARGE, HELD)
    assert books.used(tenant.caller.key_id) == 2 * CHARGE


@pytest.mark.parametrize("skew_s", [-600, 600])
async def test_environments_whose_clocks_differ_keep_one_cap(core: Core, skew_s: int) -> None:
    """Ten minutes apart, over a month's end: each period has its own cap, and neither is crossed."""
    price = await price_of_one(core)
    parent = await core.tenant(RICH)
    (tenant,) = await core.sub_tenant(parent, cap=5 * price, reset="monthly")
    clocks = [FixedClock(DECEMBER - 60), FixedClock(DECEMBER - 60 + skew_s)]
    upstream = Counted(to_the_limit=True)
    gateways = [gateway for clock in clocks for gateway in core.gateways(upstream, clock=clock)[:2]]
    await watched(core, spend(gateways, tenant.caller, tasks=8, requests=4))
    books = await core.books(parent)
    used = [books.used(tenant.id, month) for month in ("2026-11", "2026-12")]
    assert used == ([5 * price, 0] if skew_s < 0 else [5 * price, 5 * price])


async def test_a_cap_that_is_lowered_stops_what_comes_after(core: Core) -> None:
    price = await price_of_one(core)
    parent = await core.tenant(RICH)
    (tenant,) = await core.sub_tenant(parent, cap=100 * price)
    gateway = core.container().gateway(upstream := Counted(to_the_limit=True))
    await complete_chat(gateway, tenant.caller, chat(), OPTIONS)
    changes = {"cap": price, "cap_changed_at": 1}
    assert await core.container().sub_accounts.change(parent.id, tenant.id, changes)
    fresh = await core.caller(tenant.account.key)
    outcomes = await spend([gateway], fresh, tasks=2, requests=2)
    assert (outcomes, upstream.calls) == ({"spend_cap_reached": 4}, 1)
