"""Two that resolve one hold, charge one request or make one payment at the same time: one of them does it."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from aig.keys import Caller
from aig.money.hold import Hold, settle
from aig.money.units import Nano
from aig.ports import HoldRefused
from tests.concurrency.core import Core, Tenant
from tests.concurrency.movements import CHARGE, CREDIT, a_credit, a_debit, a_hold, a_loss
from tests.unit.clock import FixedClock

BALANCE: Final = 10**9
AT_ONCE: Final = 8


async def taken(core: Core, tenant: Tenant, count: int) -> list[Hold]:
    wallets, holds = core.container().wallets, [a_hold(tenant, number) for number in range(count)]
    for batch in batches(holds):
        await asyncio.gather(*[wallets.take(hold, tenant.caller) for hold in batch])
    return holds


def batches(holds: Sequence[Hold]) -> Iterable[Sequence[Hold]]:
    return (holds[start : start + AT_ONCE] for start in range(0, len(holds), AT_ONCE))


async def test_a_hold_is_settled_or_voided_never_both(core: Core) -> None:
    tenant = await core.tenant(BALANCE, cap=BALANCE)
    holds = await taken(core, tenant, 300)
    chat, sweeper = core.container().wallets, core.container().wallets

    async def race(hold: Hold, *, sweeper_first: bool) -> bool:
        void, post = sweeper.void(hold, a_loss(hold)), chat.post(hold, settle(hold, CHARGE), a_debit(hold))
        if sweeper_first:
            voided, posted = await asyncio.gather(void, post)
        else:
            posted, voided = await asyncio.gather(post, void)
        assert posted != voided
        return posted

    posted = 0
    async with asyncio.timeout(60):
        for batch in batches(holds):
            races = [race(hold, sweeper_first=bool(number % 2)) for number, hold in enumerate(batch)]
            posted += sum(await asyncio.gather(*races))
    books = await core.books(tenant)
    assert books.phases() == Counter(posted=posted, void=300 - posted)
    assert len(books.losses) == 300 - posted
    assert (books.available, books.held) == (BALANCE - CHARGE * posted, 0)
    assert books.used(tenant.caller.key_id) == CHARGE * posted


async def test_the_sweeper_and_late_calls_share_the_holds_out(core: Core) -> None:
    """Two sweepers from one end, calls that settle after all from the other."""
    tenant = await core.tenant(BALANCE)
    await taken(core, tenant, 60)
    late = core.container()
    found = await late.wallets.expired(961)

    async def settle_all() -> int:
        return sum([await late.wallets.post(hold, settle(hold, CHARGE), a_debit(hold)) for hold in reversed(found)])

    async with asyncio.timeout(60):
        posted, *voided = await asyncio.gather(settle_all(), core.sweep(), core.sweep())
    assert posted + sum(voided) == 60
    assert core.alarms.raised == ["HoldExpired"] * sum(voided)
    assert (await core.books(tenant)).phases() == Counter(posted=posted, void=sum(voided))


async def test_no_sweeper_takes_a_hold_before_its_time_is_over_for_all_clocks(core: Core) -> None:
    tenant = await core.tenant(BALANCE)
    await taken(core, tenant, 1)
    for late, voided in ((0, 0), (120, 0), (121, 1), (122, 0)):
        assert await core.sweep(FixedClock(960 + late)) == voided


async def test_a_request_that_is_settled_twice_at_once_is_charged_once(core: Core) -> None:
    tenant = await core.tenant(BALANCE, cap=BALANCE)
    one, other = core.container().wallets, core.container().wallets
    for hold in await taken(core, tenant, 50):
        done = await asyncio.gather(
            one.post(hold, settle(hold, CHARGE), a_debit(hold, "one")),
            other.post(hold, settle(hold, CHARGE), a_debit(hold, "other")),
        )
        assert sorted(done) == [False, True]
    assert (await core.books(tenant)).available == BALANCE - 50 * CHARGE


async def test_a_hold_that_is_voided_twice_at_once_comes_back_once(core: Core) -> None:
    tenant = await core.tenant(BALANCE, cap=BALANCE)
    one, other = core.container().wallets, core.container().wallets
    for hold in await taken(core, tenant, 20):
        done = await asyncio.gather(one.void(hold, a_loss(hold, "one")), other.void(hold, a_loss(hold, "other")))
        assert sorted(done) == [False, True]
    books = await core.books(tenant)
    assert (books.available, books.held, len(books.losses)) == (BALANCE, 0, 20)


async def test_a_payment_that_arrives_twice_at_once_is_added_once(core: Core) -> None:
    tenant = await core.tenant(BALANCE)
    one, other = core.container().wallets, core.container().wallets
    for number in range(20):
        payment = a_credit(tenant, number)
        done = await asyncio.gather(one.credit(tenant.id, payment), other.credit(tenant.id, payment))
        assert sorted(done) == [False, True]
    assert (await core.books(tenant)).available == BALANCE + 20 * CREDIT


async def test_an_id_that_was_used_before_takes_no_second_hold(core: Core) -> None:
    tenant = await core.tenant(BALANCE)
    ((hold,), wallets) = await taken(core, tenant, 1), core.container().wallets
    for again in (hold, replace(hold, amount=Nano(1))):
        assert await refused(core, again, tenant.caller)
    assert await wallets.void(hold)
    assert await refused(core, hold, tenant.caller)
    assert (await core.books(tenant)).available == BALANCE


async def refused(core: Core, hold: Hold, caller: Caller) -> bool:
    try:
        await core.container().wallets.take(hold, caller)
    except HoldRefused as error:
        return not error.limits
    return False
