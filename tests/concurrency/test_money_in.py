"""Money that comes in, goes back and is corrected, while calls spend it: each once, and never more than there is."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest

from aig import topups
from aig.errors import Conflict, Overloaded
from aig.idempotency import Answer, Claim
from aig.ids import derived
from aig.money.hold import settle
from aig.money.ledger import Adjustment, Credit, Refund
from aig.money.units import Nano
from aig.notices import balance_low
from aig.payments import Checkout, News, TopUp
from aig.ports import HoldRefused, NotCovered, StoreBusy
from aig.thresholds import event
from aig.wiring import Container
from tests.concurrency.core import Core, Tenant
from tests.concurrency.fault_proxy import (
    CONFLICT,
    LOST_REPLY,
    LOST_REQUEST,
    THROTTLED,
    Fault,
    Proxy,
    first_sends,
    nothing,
)
from tests.concurrency.movements import CHARGE, a_debit, a_hold

USD: Final = 10**9
AT_ONCE: Final = 20
NOW: Final = 1_795_305_600


async def all_at_once(count: int, work: Callable[[int], Awaitable[Any]]) -> list[Any]:
    async with asyncio.timeout(60):
        return list(await asyncio.gather(*(work(number) for number in range(count))))


async def patiently(work: Callable[[], Awaitable[Any]]) -> Any:
    """As often as it takes: what every caller here does with a busy store."""
    while True:
        try:
            return await work()
        except StoreBusy:
            continue


def environments(core: Core, count: int = 4) -> list[Container]:
    return [core.container() for _ in range(count)]


async def a_top_up(core: Core, tenant: Tenant, amount: int = 25 * USD) -> tuple[TopUp, News]:
    """One whose page is there, and the news that it is paid."""
    ports = core.container()
    top_up = await ports.top_ups.begin(TopUp(ports.ids.new("topup"), tenant.id, "p", Nano(amount), NOW))
    session = f"cs_{top_up.id}"
    await ports.top_ups.opened(top_up, Checkout(session, "https://example.com/"))
    news = News("paid", NOW, Nano(amount), f"pi_{top_up.id}", session, tenant.id, top_up.id)
    return replace(top_up, session=session), news


async def test_a_payment_that_arrives_twenty_times_at_once_is_one_row(core: Core) -> None:
    tenant, ports = await core.tenant(USD), environments(core)
    payment = Credit(derived("topup", NOW, "p:cs_1"), Nano(25 * USD), NOW, "p", payment="pi_1")
    done = await all_at_once(AT_ONCE, lambda n: patiently(lambda: ports[n % 4].wallets.credit(tenant.id, payment)))
    assert sum(done) <= 1
    books = await core.books(tenant)
    assert books.available == 26 * USD
    assert [row["amount"] for row in books.credits if row["origin"] == "p"] == [25 * USD]


async def test_nor_is_it_two_where_every_try_makes_a_row_of_its_own(core: Core) -> None:
    tenants, ports = [await core.tenant(USD) for _ in range(2)], environments(core)

    async def add(number: int) -> Any:
        mine = ports[number % 4]
        payment = Credit(mine.ids.new("topup"), Nano(25 * USD), NOW, payment="a bank transfer")
        return await patiently(lambda: mine.wallets.credit(tenants[number % 2].id, payment))

    await all_at_once(AT_ONCE, add)
    assert sum([(await core.books(tenant)).available for tenant in tenants]) == 27 * USD


async def test_news_of_a_payment_from_all_sides_is_one_credit(core: Core) -> None:
    """Events of two kinds and of different times, whose rows would have different ids; two payments in one session."""
    tenant, ports = await core.tenant(USD), environments(core)
    top_up, news = await a_top_up(core, tenant)

    async def tell(number: int) -> None:
        paid = replace(news, at=NOW + number % 3, payment=f"{news.payment}{number % 2}")
        told = paid if number % 4 else replace(news, kind="failed")
        await patiently(lambda: topups.book(ports[number % 4].top_up_ports(), "p", told))

    await all_at_once(AT_ONCE, tell)
    books = await core.books(tenant)
    assert books.available == 26 * USD
    assert books.top_ups[top_up.id]["phase"] == "paid"


async def test_news_of_refunds_in_any_order_while_money_is_spent(core: Core) -> None:
    tenant, ports = await core.tenant(0), environments(core)
    top_up, paid = await a_top_up(core, tenant, 20 * USD)
    refunds = [replace(paid, kind="refunded", session=None, amount=Nano(n * USD)) for n in (1, 5, 3, 12, 12, 5)]
    disputes = [replace(paid, kind="disputed", session=None, amount=Nano(20 * USD))] * 2
    told = [*[paid] * 4, *refunds, *disputes]
    random.Random(4).shuffle(told)

    async def tell(number: int) -> None:
        async def until_it_is_booked() -> None:
            while True:  # a refund that has overtaken its payment is sent again
                try:
                    return await topups.book(ports[number % 4].top_up_ports(), "p", told[number])
                except Overloaded:
                    await asyncio.sleep(0)

        await patiently(until_it_is_booked)

    async def spend() -> None:
        for number in range(30):
            taken = Adjustment(f"adj_{tenant.id}{number}", Nano(-USD // 3), NOW)
            try:
                await patiently(partial(ports[0].ledger.adjust, tenant.id, taken))
            except NotCovered:
                await asyncio.sleep(0)

    await asyncio.gather(all_at_once(len(told), tell), spend())
    books = await core.books(tenant)
    row = books.top_ups[top_up.id]
    assert (row["refunded"], row["disputed"]) == (12 * USD, 20 * USD)
    booked = sum(refund["amount"] + refund["uncovered"] for refund in books.refunds)
    assert booked == 20 * USD
    assert books.available == 0 or not any(refund["uncovered"] for refund in books.refunds)


async def test_refunds_at_once_give_back_no_more_than_was_paid(core: Core) -> None:
    tenant, ports = await core.tenant(20 * USD), environments(core)
    ((credit,), _) = await ports[0].ledger.page(tenant.id, limit=1)
    await ports[0].ledger.adjust(tenant.id, Adjustment(f"adj_{tenant.id}", Nano(100 * USD), NOW))

    async def refund(number: int) -> bool:
        made = Refund(f"refund_{tenant.id}{number}", credit.id, Nano(3 * USD), NOW)
        try:
            return bool(await patiently(lambda: ports[number % 4].ledger.refund(tenant.id, made)))
        except NotCovered:
            return False

    await all_at_once(AT_ONCE, refund)
    books = await core.books(tenant)
    assert (len(books.refunds), books.available) == (6, 102 * USD)


async def test_nor_do_they_overdraw_what_calls_hold_and_spend(core: Core) -> None:
    """Holds, settles, voids, credits, refunds and adjustments of either sign on one wallet; the audit adds them up."""
    tenant, ports = await core.tenant(30_000, cap=10**9), environments(core)
    ((credit,), _) = await ports[0].ledger.page(tenant.id, limit=1)
    outcomes: Counter[str] = Counter()

    async def work(number: int) -> None:
        try:
            await _move(ports[number % 4], tenant, credit.id, number)
        except (NotCovered, HoldRefused):
            outcomes["refused"] += 1

    for start in range(0, 120, AT_ONCE):
        await asyncio.gather(*(work(number) for number in range(start, start + AT_ONCE)))
    books = await core.books(tenant)
    assert books.held == 0
    assert outcomes["refused"] > 0
    assert books.refunds
    assert books.adjustments
    assert books.debits


async def _move(ports: Container, tenant: Tenant, credit_id: str, number: int) -> None:
    name, wallets, ledger = f"{tenant.id}{number}", ports.wallets, ports.ledger
    hold = a_hold(tenant, number)
    match number % 6:
        case 0 | 1:
            await patiently(lambda: wallets.take(hold, tenant.caller))
            await patiently(lambda: wallets.post(hold, settle(hold, CHARGE), a_debit(hold)))
        case 2:
            await patiently(lambda: wallets.take(hold, tenant.caller))
            await patiently(lambda: wallets.void(hold))
        case 3:
            refund = Refund(f"refund_{name}", credit_id, Nano(2_000), NOW)
            await patiently(lambda: ledger.refund(tenant.id, refund))
        case 4:
            await patiently(lambda: ledger.adjust(tenant.id, Adjustment(f"adj_{name}", Nano(-5_000), NOW)))
        case 5:
            await patiently(lambda: wallets.credit(tenant.id, Credit(f"topup_{name}", Nano(500), NOW)))


async def test_a_low_balance_is_told_once_by_any_number_of_stream_readers(core: Core) -> None:
    tenant, ports = await core.tenant(2 * USD), environments(core)
    await ports[0].ledger.adjust(tenant.id, Adjustment(f"adj_{tenant.id}", Nano(-USD - 1), NOW))

    async def read(number: int) -> bool:
        mine = ports[number % 4]
        return bool(await patiently(lambda: balance_low(mine.wallets, mine.clock, mine.ids, tenant.id)))

    assert sum(await all_at_once(AT_ONCE, read)) <= 1
    assert [row["type"] for row in (await core.books(tenant)).events] == ["balance.low"]


async def test_a_credit_and_the_news_of_before_it_agree_whichever_is_first(core: Core) -> None:
    """The marker is there exactly if the event was written after the last credit: the next fall is told of for sure."""
    for number in range(20):
        tenant, one, other = await core.tenant(2 * USD), core.container(), core.container()
        await one.ledger.adjust(tenant.id, Adjustment(f"adj_{tenant.id}", Nano(-USD - 1), NOW))
        credit = Credit(f"topup_{tenant.id}x", Nano(USD), NOW)

        tell = patiently(partial(balance_low, one.wallets, one.clock, one.ids, tenant.id))
        both = [tell, other.wallets.credit(tenant.id, credit)]
        await asyncio.gather(*(both if number % 2 else reversed(both)))
        wallet = await one.wallets.wallet(tenant.id)
        assert not wallet.low
        assert wallet.era == 2
        assert len((await core.books(tenant)).events) <= 1


async def test_twenty_refused_calls_in_four_environments_tell_once(core: Core) -> None:
    tenant, ports = await core.tenant(1_000), environments(core)
    wallet = await ports[0].wallets.wallet(tenant.id)

    async def refuse(number: int) -> bool:
        mine = ports[number % 4]
        told = event("exhausted", mine.ids.new("evt"), tenant.id, wallet, NOW)
        return bool(await patiently(lambda: mine.wallets.tell("exhausted", wallet, told)))

    assert sum(await all_at_once(AT_ONCE, refuse)) <= 1
    assert [row["type"] for row in (await core.books(tenant)).events] == ["balance.exhausted"]


async def test_twenty_requests_with_one_idempotency_key_are_one_claim(core: Core) -> None:
    tenant, ports = await core.tenant(0), environments(core)

    async def claim(number: int) -> Claim | Answer | None:
        mine = ports[number % 4]
        with contextlib.suppress(Conflict):
            return await mine.idempotency.claim(tenant.id, "name", "f", mine.ids.new("topup"), NOW)
        return None

    (claimed,) = [found for found in await all_at_once(AT_ONCE, claim) if found is not None]
    assert isinstance(claimed, Claim)
    await ports[0].idempotency.release(claimed)
    (again,) = [found for found in await all_at_once(AT_ONCE, claim) if found is not None]
    assert isinstance(again, Claim)
    assert again.subject == claimed.subject
    await ports[0].idempotency.finish(again, Answer(200, "{}"))
    assert await all_at_once(AT_ONCE, claim) == [Answer(200, "{}")] * AT_ONCE


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOST_REPLY, THROTTLED], ids=lambda fault: fault.name)
async def test_a_claim_whose_reply_is_lost_is_still_mine(core: Core, proxy: Proxy, fault: Fault) -> None:
    tenant, log = await core.tenant(0), core.container(proxy.endpoint).idempotency
    proxy.expect(first_sends(fault, 1))
    first = await log.claim(tenant.id, "name", "f", "topup_1", NOW)
    assert isinstance(first, Claim)
    await log.release(first)
    proxy.expect(first_sends(fault, 1))
    second = await log.claim(tenant.id, "name", "f", "topup_2", NOW)
    assert isinstance(second, Claim)
    assert (second.subject, second.token == first.token) == ("topup_1", False)
    proxy.expect(nothing)
    with pytest.raises(Conflict):
        await log.claim(tenant.id, "name", "f", "topup_3", NOW)


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOST_REPLY, THROTTLED, CONFLICT], ids=lambda fault: fault.name)
async def test_money_that_comes_in_over_a_bad_line_comes_in_once(core: Core, proxy: Proxy, fault: Fault) -> None:
    tenant, ports = await core.tenant(USD), core.container(proxy.endpoint)
    top_up, news = await a_top_up(core, tenant)
    for told in (news, replace(news, kind="refunded", session=None, amount=Nano(5 * USD))):
        proxy.expect(first_sends(fault, 1, 2))
        for _ in range(2):
            await topups.book(ports.top_up_ports(), "p", told)
    books = await core.books(tenant)
    assert (books.available, books.top_ups[top_up.id]["refunded"]) == (21 * USD, 5 * USD)


async def test_two_who_find_the_same_dead_claim_share_it_out(core: Core) -> None:
    for _ in range(5):
        tenant, ports = await core.tenant(0), environments(core)
        dead = await ports[0].idempotency.claim(tenant.id, "name", "f", "topup_1", NOW)
        assert isinstance(dead, Claim)

        async def claim(number: int, ports: Any = ports, tenant: Any = tenant) -> Claim | Answer | None:
            with contextlib.suppress(Conflict):
                found: Claim | Answer = await ports[number % 4].idempotency.claim(
                    tenant.id, "name", "f", "topup_2", NOW + 60
                )
                return found
            return None

        (found,) = [one for one in await all_at_once(AT_ONCE, claim) if one is not None]
        assert isinstance(found, Claim)
        assert found.subject == "topup_1"
