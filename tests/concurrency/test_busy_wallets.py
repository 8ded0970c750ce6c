"""A wallet in shards none of which is ever left alone: it is shown, told of, and gives back what it has."""

import asyncio
from dataclasses import replace
from typing import Final

import pytest
from typing_extensions import override

from aig import topups
from aig.aws.ledger import DynamoLedger
from aig.aws.shards import Shards
from aig.money.ledger import Adjustment, Refund
from aig.money.units import Nano
from aig.notices import balance_low
from aig.ports import NotCovered, StoreBusy
from tests.concurrency.core import Core
from tests.concurrency.fault_proxy import Proxy, cancelled, for_good, mentioning, nothing
from tests.concurrency.movements import HELD
from tests.concurrency.test_money_in import USD, a_top_up
from tests.concurrency.test_wallet_shards import available, deal, split
from tests.unit.clock import FixedClock

BUSY: Final = for_good(cancelled("TransactionConflict", *["None"] * 3), "TransactGetItems")  # a wallet of four shards


class TestABusyWallet:
    """None of its shards is ever left alone, so that no read of one moment gets through."""

    async def test_is_shown(self, core: Core, proxy: Proxy) -> None:
        tenant = await split(core, await core.tenant(4 * HELD), 4)
        proxy.expect(BUSY)
        wallet = await core.container(proxy.endpoint).wallets.look(tenant.id)
        assert (wallet.available, wallet.held) == (4 * HELD, 0)
        assert [call.operation for call in proxy.calls] == ["Query"]

    @pytest.mark.parametrize(("balance", "told"), [(USD - 4, 1), (USD, 0)])
    async def test_tells_of_a_low_balance(self, core: Core, proxy: Proxy, balance: int, told: int) -> None:
        tenant = await split(core, await core.tenant(balance), 4)
        ports = core.container(proxy.endpoint)
        proxy.expect(BUSY)
        async with asyncio.timeout(1):
            for expected in (bool(told), False):
                assert await balance_low(ports.wallets, ports.clock, ports.ids, tenant.id) is expected
        assert [row["type"] for row in (await core.books(tenant)).events] == ["balance.low"] * told
        assert told or {call.operation for call in proxy.calls} == {"Query"}

    async def test_gives_back_and_is_corrected(self, core: Core, proxy: Proxy) -> None:
        tenant = await split(core, await core.tenant(4 * HELD), 4)
        ports = core.container(proxy.endpoint)
        ((credit,), _) = await ports.ledger.page(tenant.id, limit=1)
        proxy.expect(BUSY)
        assert await ports.ledger.adjust(tenant.id, Adjustment(f"adj_{tenant.id}", Nano(-2 * HELD), 0))
        assert await ports.ledger.refund(tenant.id, Refund(f"refund_{tenant.id}", credit.id, Nano(2 * HELD), 0))
        assert await available(core, tenant) == [0, 0, 0, 0]

    async def test_is_not_said_to_have_too_little_unless_it_is_known(self, core: Core, proxy: Proxy) -> None:
        tenant = await split(core, await core.tenant(4 * HELD), 4)
        ledger, taken = core.container(proxy.endpoint).ledger, Adjustment(f"adj_{tenant.id}", Nano(-4 * HELD - 1), 0)
        proxy.expect(BUSY)
        with pytest.raises(StoreBusy):
            await ledger.adjust(tenant.id, taken)
        proxy.expect(nothing)
        with pytest.raises(NotCovered):
            await ledger.adjust(tenant.id, taken)

    async def test_pays_a_refund_back_to_whoever_paid_it_in(self, core: Core, proxy: Proxy) -> None:
        tenant = await split(core, await core.tenant(0), 4)
        ports = core.container(proxy.endpoint)
        top_up, paid = await a_top_up(core, tenant, 8 * HELD)
        await topups.book(ports.top_up_ports(), "p", paid)
        await deal(ports, tenant, *[2 * HELD] * 4)
        proxy.expect(BUSY)
        await topups.book(ports.top_up_ports(), "p", replace(paid, kind="refunded", session=None))
        books = await core.books(tenant)
        assert (books.available, books.top_ups[top_up.id]["refunded"]) == (0, 8 * HELD)


class Emptied(Shards):
    """Calls take what is in the first shard, as often as `times` says, as soon as it has been collected there."""

    times = 0

    @override
    async def collect(self, payer_id: str, amount: int) -> int:
        seen = await super().collect(payer_id, amount)
        if self.times:
            self.times -= 1
            await self._table.transact(self._moving(payer_id, 0, 1, amount))
        return seen


@pytest.mark.parametrize(("times", "done"), [(3, True), (10**6, False)])
@pytest.mark.parametrize("kind", ["refund", "adjustment"])
async def test_who_is_overtaken_by_calls_collects_again(core: Core, kind: str, times: int, *, done: bool) -> None:
    tenant = await split(core, await core.tenant(4 * HELD), 4)
    ports = core.container()
    ((credit,), _) = await ports.ledger.page(tenant.id, limit=1)
    shards = Emptied(ports.table, FixedClock(0))
    shards.times, ledger = times, DynamoLedger(ports.table, shards)

    async def take() -> bool:
        if kind == "refund":
            return await ledger.refund(tenant.id, Refund(f"refund_{tenant.id}", credit.id, Nano(3 * HELD), 0))
        return await ledger.adjust(tenant.id, Adjustment(f"adj_{tenant.id}", Nano(-3 * HELD), 0))

    if done:
        assert await take()
        assert not await take()
    else:
        with pytest.raises(StoreBusy):
            await take()
    assert (await core.books(tenant)).available == (HELD if done else 4 * HELD)


async def test_a_gift_that_is_gone_is_no_refusal(core: Core, proxy: Proxy) -> None:
    tenant = await split(core, await core.tenant(4 * HELD), 4)
    gone = mentioning(":gift", cancelled("ConditionalCheckFailed", "None"))
    proxy.expect(lambda call: gone(call) if call.number < 4 else None)
    ledger = core.container(proxy.endpoint).ledger
    assert await ledger.adjust(tenant.id, Adjustment(f"adj_{tenant.id}", Nano(-4 * HELD), 0))
    assert await available(core, tenant) == [0, 0, 0, 0]
