"""A wallet in shards is one wallet: what all have can be spent, and no more; splitting it loses and makes nothing."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from aig.aws.json_api import AwsError
from aig.aws.shards import PACE_S, Shards, shard_key
from aig.clock import Clock
from aig.errors import BudgetExceeded
from aig.keys import Caller
from aig.money.hold import Hold, settle
from aig.money.ledger import Wallet
from aig.money.shards import MOST_SHARDS, SAMPLES, pick
from aig.money.units import Nano
from aig.pipeline import complete_chat
from aig.ports import HoldRefused, StoreBusy
from aig.wiring import Container
from tests.concurrency.core import OPTIONS, Core, Tenant, chat
from tests.concurrency.counted import Counted
from tests.concurrency.fault_proxy import (
    LOST_REPLY,
    LOST_REQUEST,
    Call,
    Fault,
    Plan,
    Proxy,
    cancelled,
    for_good,
    mentioning,
    nothing,
)
from tests.concurrency.movements import CHARGE, CREDIT, HELD, a_credit, a_debit, a_hold, a_loss
from tests.concurrency.spender import spend
from tests.concurrency.test_exactly_k import RICH, price_of_one, watched
from tests.unit.clock import FixedClock

BALANCE: Final = 10**6


def the_shards(core: Core, clock: Clock, endpoint: str | None = None) -> Shards:
    """As another environment knows them, with all the time in the world."""
    return Shards(core.container(endpoint).table, clock, grow_s=30.0)


async def split(core: Core, tenant: Tenant, shards: int) -> Tenant:
    """The tenant as an environment knows it that asks again."""
    clock = FixedClock(10**9)
    opened = the_shards(core, clock)
    while len(await opened.read(tenant.id)) < shards:
        await opened.grow(tenant.id)
        clock.time += PACE_S
    return Tenant(tenant.account, await core.caller(tenant.account.key))


async def deal(ports: Container, tenant: Tenant, *available: int) -> None:
    """Moves the money so that the shards have this much of it."""
    for shard, amount in enumerate(available):
        await ports.table.update(tenant.id, shard_key(shard), "SET available = :n", {":n": amount})


async def available(core: Core, tenant: Tenant) -> list[int]:
    shards = (await core.books(tenant)).shards
    return [int(shards[number]["available"]) for number in sorted(shards)]


def on_shard(tenant: Tenant, shard: int, shards: int, amount: int = HELD) -> Hold:
    """A hold that tries this one of so many shards first."""
    for number in range(10_000):
        hold = replace(a_hold(tenant, number), amount=Nano(amount))
        if pick(hold.request_id, shards) == shard:
            return hold
    raise AssertionError


@pytest.mark.parametrize("shards", [1, 2, 4, 16])
async def test_a_wallet_for_20_lets_20_of_128_through(core: Core, shards: int) -> None:
    price = await price_of_one(core)
    stale = await core.tenant(20 * price + price - 1)
    tenant = await split(core, stale, shards)
    assert tenant.caller.wallet_shards == shards
    gateways = core.gateways(upstream := Counted(to_the_limit=True))
    outcomes = await watched(core, _spent_by(gateways, [tenant.caller, stale.caller]))
    assert outcomes.keys() <= {"answered", "insufficient_balance", "in_flight_holds"}
    assert (upstream.calls, outcomes["answered"], outcomes.total()) == (20, 20, 128)
    books = await core.books(tenant)
    assert (books.available, books.held, len(books.shards)) == (price - 1, 0, shards)


async def _spent_by(gateways: Sequence[Any], callers: Sequence[Caller]) -> Counter[str]:
    done = await asyncio.gather(*(spend(gateways, caller, tasks=32, requests=2) for caller in callers))
    return sum(done, Counter[str]())


@pytest.mark.parametrize(
    ("has", "amount", "left"),
    [
        pytest.param((1_000, 0), 1_000, [0, 0], id="the shard has it"),
        pytest.param((0, 1_000), 1_000, [0, 0], id="another has it"),
        pytest.param((400, 600), 1_000, [0, 0], id="only both have it"),
        pytest.param((10, 9_990), 1_000, [4_000, 5_000], id="the shard is filled up to its share"),
        pytest.param((100, 200, 300, 401), 1_000, [1, 0, 0, 0], id="only all four have it"),
    ],
)
async def test_what_all_shards_have_is_spent(core: Core, has: tuple[int, ...], amount: int, left: list[int]) -> None:
    tenant = await split(core, await core.tenant(sum(has)), len(has))
    ports = core.container()
    await deal(ports, tenant, *has)
    hold = await ports.wallets.take(on_shard(tenant, 0, len(has), amount), tenant.caller)
    assert await available(core, tenant) == left
    assert await ports.wallets.post(hold, settle(hold, CHARGE), a_debit(hold))
    assert (await core.books(tenant)).available == sum(has) - CHARGE


async def test_a_refusal_is_for_what_all_of_them_lack(core: Core) -> None:
    tenant = await split(core, await core.tenant(999), 4)
    wallets = core.container().wallets
    for shard in range(4):
        with pytest.raises(HoldRefused) as refused:
            await wallets.take(on_shard(tenant, shard, 4), tenant.caller)
        assert refused.value.limits == {"balance"}
    assert (await wallets.wallet(tenant.id)).available == 999
    await wallets.credit(tenant.id, replace(a_credit(tenant, 0), amount=Nano(1)))
    await wallets.take(on_shard(tenant, 3, 4), tenant.caller)
    assert await available(core, tenant) == [0, 0, 0, 0]


async def test_a_cap_that_refuses_is_not_taken_for_a_balance(core: Core) -> None:
    """The shard has too little, but all have enough: then it is the cap alone."""
    stale = await core.tenant(3 * HELD, cap=2 * HELD)
    tenant = await split(core, stale, 2)
    ports = core.container()
    for number in range(2):
        await ports.wallets.take(a_hold(tenant, number), tenant.caller)
    await deal(ports, tenant, 0, HELD)
    with pytest.raises(HoldRefused) as refused:
        await ports.wallets.take(on_shard(tenant, 0, 2), tenant.caller)
    assert refused.value.limits == {"cap"}


async def test_a_call_is_cut_to_what_all_shards_have(core: Core) -> None:
    """A smaller hold works over the sum: no shard alone would pay for a short answer."""
    price = await price_of_one(core)
    tenant = await split(core, await core.tenant(20 * price), 16)
    gateway = core.container().gateway(upstream := Counted())
    answer = await complete_chat(gateway, tenant.caller, chat(max_tokens=16_000), OPTIONS)
    assert upstream.calls == 1
    (hold,) = (await core.books(tenant)).holds.values()
    assert 19 * price < hold["amount"] <= 20 * price
    assert (await core.books(tenant)).available == 20 * price - (answer.receipt.cost or 0)


async def test_who_waits_for_holds_in_other_shards_is_told_to_wait(core: Core) -> None:
    price = await price_of_one(core)
    tenant = await split(core, await core.tenant(2 * price - 1), 2)
    ports = core.container()
    await ports.wallets.take(replace(a_hold(tenant, 0), amount=Nano(price)), tenant.caller)
    with pytest.raises(BudgetExceeded) as refused:
        await complete_chat(ports.gateway(Counted()), tenant.caller, chat(), OPTIONS)
    assert refused.value.code == "in_flight_holds"


@pytest.mark.parametrize("shards", [1, 16])
async def test_a_call_is_two_transactions_however_many_shards_there_are(core: Core, proxy: Proxy, shards: int) -> None:
    tenant = await split(core, await core.tenant(RICH), shards)
    gateway = core.container(proxy.endpoint).gateway(Counted())
    await complete_chat(gateway, tenant.caller, chat(), OPTIONS)
    proxy.expect(nothing)
    await complete_chat(gateway, tenant.caller, chat(), OPTIONS)
    assert [call.operation for call in proxy.calls] == ["TransactWriteItems"] * 2


async def test_200_splits_race_with_everything_else(core: Core) -> None:
    """Fifty wallets from one shard to sixteen, each doubling beside holds, charges, voids, payments and the sweeper."""
    for _ in range(50):
        await _splits_in_a_race(core, await core.tenant(40 * HELD))


async def _splits_in_a_race(core: Core, tenant: Tenant) -> None:
    clock, ports, late = FixedClock(10**9), core.container(), core.container()
    shards, charged = the_shards(core, clock), 0
    open_holds: list[Hold] = []
    for doubling in range(4):
        clock.time += PACE_S
        holds = [a_hold(tenant, 10 * doubling + number) for number in range(3)]
        taking = [
            (late if number % 2 else ports).wallets.take(hold, tenant.caller) for number, hold in enumerate(holds)
        ]
        work: list[Coroutine[Any, Any, object]] = [ports.wallets.credit(tenant.id, a_credit(tenant, doubling))]
        if open_holds:
            first, second, *_ = open_holds
            work += [ports.wallets.post(first, settle(first, CHARGE), a_debit(first))]
            work += [late.wallets.void(second, a_loss(second)), core.sweep()]
        _, taken, done = await asyncio.gather(shards.grow(tenant.id), asyncio.gather(*taking), asyncio.gather(*work))
        charged += CHARGE * sum(bool(one) for one in done[1:2])
        open_holds = list(taken)
    books = await core.books(tenant)
    assert books.available + books.held == 40 * HELD + 4 * CREDIT - charged
    await core.sweep()
    books = await core.books(tenant)
    assert (books.available, books.held) == (40 * HELD + 4 * CREDIT - charged, 0)


async def test_two_that_split_at_once_split_once(core: Core) -> None:
    for _ in range(20):
        tenant = await core.tenant(1_000)
        pair = [the_shards(core, FixedClock(10**9)) for _ in range(2)]
        await asyncio.gather(*(shards.grow(tenant.id) for shards in pair))
        assert await available(core, tenant) == [500, 500]
        assert [shards.count(tenant.id) for shards in pair] == [2, 2]


async def test_a_wallet_is_split_no_sooner_than_others_know(core: Core) -> None:
    tenant, clock = await core.tenant(1_000), FixedClock(10**9)
    shards = the_shards(core, clock)
    for seconds, expected in ((0, 2), (PACE_S - 1, 2), (1, 4)):
        clock.time += seconds
        await shards.grow(tenant.id)
        assert len((await core.books(tenant)).shards) == expected


async def test_sixteen_are_enough(core: Core) -> None:
    tenant = await split(core, await core.tenant(1_600), MOST_SHARDS)
    shards = the_shards(core, FixedClock(2 * 10**9))
    shards.count(tenant.id, MOST_SHARDS)
    for _ in range(SAMPLES):
        watch = shards.watch(tenant.id, {0})
        watch.trouble(
            AwsError("TransactionCanceledException", {"CancellationReasons": [{"Code": "TransactionConflict"}]})
        )
        watch.over()
    assert not shards.hot(tenant.id)
    assert await available(core, tenant) == [100] * 16


def dying(after: int, fault: Fault) -> Plan:
    """Trouble for one call and silence for all behind it, as of a process that is killed there."""
    return lambda call: None if call.number < after else fault if call.number == after else LOST_REQUEST


@pytest.mark.parametrize("fault", [LOST_REQUEST, LOST_REPLY], ids=lambda fault: fault.name)
@pytest.mark.parametrize("shards", [1, 4])
async def test_a_split_that_dies_at_any_step_leaves_a_whole_wallet(
    core: Core, proxy: Proxy, shards: int, fault: Fault
) -> None:
    """To open the twins, to look at what there is, and to fill each of them."""
    for step in range(1, 3 + shards):
        tenant = await split(core, await core.tenant(24 * HELD), shards)
        late = Shards(core.container(proxy.endpoint).table, FixedClock(2 * 10**9), grow_s=1.0)
        late.count(tenant.id, shards)
        proxy.expect(dying(step, fault))
        await late.grow(tenant.id)
        assert len(proxy.calls) > step
        books = await core.books(tenant)
        opened = step > 1 or fault is LOST_REPLY
        assert (len(books.shards), books.available) == (2 * shards if opened else shards, 24 * HELD)

        ports = core.container()
        for number in range(24):
            await ports.wallets.take(a_hold(tenant, number), tenant.caller)
        with pytest.raises(HoldRefused):
            await ports.wallets.take(a_hold(tenant, 24), tenant.caller)
        assert (await core.books(tenant)).available == 0


async def test_what_is_read_is_of_one_moment(core: Core) -> None:
    """While all the money goes round and round."""
    tenant = await split(core, await core.tenant(HELD), 4)
    ports, looking = core.container(), core.container()
    await deal(ports, tenant, HELD, 0, 0, 0)

    async def round_and_round() -> None:
        for number in range(80):
            await ports.table.transact([
                ports.table.update_action(
                    tenant.id, shard_key((number + step) % 4), "SET available = available + :n", {":n": amount}
                )
                for step, amount in ((0, -HELD), (1, HELD))
            ])  # fmt: skip

    moving = asyncio.create_task(round_and_round())
    looks = 0
    while not moving.done():
        assert await looking.wallets.wallet(tenant.id) == Wallet(HELD, Nano(0), era=1)
        looks += 1
    await moving
    assert looks > 10


async def test_a_read_that_never_gets_through_is_no_refusal(core: Core, proxy: Proxy) -> None:
    """Too little in a look that may be wrong, and no read of one moment to be had: nobody says 402."""
    tenant = await split(core, await core.tenant(999), 2)
    proxy.expect(for_good(cancelled("TransactionConflict", "None"), "TransactGetItems"))
    with pytest.raises(StoreBusy):
        await core.container(proxy.endpoint).wallets.take(a_hold(tenant, 0), tenant.caller)


async def test_an_environment_that_believes_in_fewer_finds_what_the_others_have(core: Core) -> None:
    """The shard that it meets has no mark of how many there are."""
    stale = await split(core, await core.tenant(HELD), 2)
    tenant, late = await split(core, stale, 4), core.container().wallets
    assert stale.caller.wallet_shards == 2
    await deal(core.container(), tenant, 0, 0, 0, HELD)
    assert (await late.take(on_shard(stale, 1, 2), stale.caller)).shard == 3


class TestHeat:
    """Conflicts as the service has them: DynamoDB Local lets transactions queue instead."""

    @staticmethod
    def on(text: str, times: int = 1) -> Plan:
        """Each transaction with an action on an item with this in its key conflicts there, so often."""
        seen = Counter[str]()

        def plan(call: Call) -> Fault | None:
            token = call.body.get("ClientRequestToken")
            keys = [str(action.get("Update", {}).get("Key", "")) for action in call.body.get("TransactItems", ())]
            if token is None or seen[token] == times or not any(text in key for key in keys):
                return None
            seen[token] += 1
            return cancelled(*("TransactionConflict" if text in key else "None" for key in keys))

        return plan

    async def test_a_wallet_where_calls_meet_splits_itself_beside_a_settle(self, core: Core, proxy: Proxy) -> None:
        tenant = await core.tenant(RICH)
        gateway = core.container(proxy.endpoint).gateway(Counted())
        proxy.expect(self.on("wallet"))
        for _ in range(SAMPLES):
            await complete_chat(gateway, tenant.caller, chat(), OPTIONS)
        books = await core.books(tenant)
        assert len(books.shards) == 2
        assert len(books.debits) == SAMPLES
        assert {hold.get("shard", 0) for hold in books.holds.values()} == {0, 1}  # the same environment knows

    async def test_so_does_one_whose_keys_counter_is_where_they_meet(self, core: Core, proxy: Proxy) -> None:
        tenant = await core.tenant(RICH)
        gateway = core.container(proxy.endpoint).gateway(Counted())
        proxy.expect(self.on("spend#", 3))
        for _ in range(SAMPLES):
            await complete_chat(gateway, tenant.caller, chat(), OPTIONS)
        assert len((await core.books(tenant)).shards) == 2

    async def test_but_not_where_it_is_the_counter_of_a_cap(self, core: Core, proxy: Proxy) -> None:
        """More shards would not help it."""
        tenant = await core.tenant(RICH, cap=RICH)
        gateway = core.container(proxy.endpoint).gateway(Counted())
        proxy.expect(self.on("spend#", 3))
        for _ in range(SAMPLES):
            await complete_chat(gateway, tenant.caller, chat(), OPTIONS)
        assert len((await core.books(tenant)).shards) == 1

    @pytest.mark.parametrize("where", ["wallet", "spend#"])
    async def test_so_does_one_that_pays_for_nothing_but_cache_hits(self, core: Core, proxy: Proxy, where: str) -> None:
        tenant = await core.tenant(RICH)
        wallets = core.container(proxy.endpoint).wallets
        proxy.expect(self.on(where, 3))
        for number in range(SAMPLES):
            hold = replace(a_hold(tenant, number), amount=CHARGE)
            await wallets.charge(hold, tenant.caller, settle(hold, CHARGE), a_debit(hold))
        books = await core.books(tenant)
        assert (len(books.shards), len(books.debits)) == (2, SAMPLES)

    async def test_a_split_that_the_store_has_no_time_for_is_no_trouble_of_the_call(
        self, core: Core, proxy: Proxy
    ) -> None:
        tenant = await core.tenant(RICH)
        gateway = core.container(proxy.endpoint).gateway(upstream := Counted())
        conflicts, refuses = self.on("wallet"), mentioning("wallet#1", LOST_REQUEST)
        proxy.expect(lambda call: refuses(call) or conflicts(call))
        for _ in range(SAMPLES):
            assert (await complete_chat(gateway, tenant.caller, chat(), OPTIONS)).receipt.cost
        assert upstream.calls == SAMPLES
        assert core.alarms.raised == []
        assert len((await core.books(tenant)).shards) == 1


class TestCounters:
    async def test_what_a_key_without_a_cap_spends_is_counted_in_shards_and_told_as_one(self, core: Core) -> None:
        tenant = await split(core, await core.tenant(RICH), 4)
        ports = core.container()
        for number in range(12):
            hold = await ports.wallets.take(a_hold(tenant, number), tenant.caller)
            await ports.wallets.post(hold, settle(hold, CHARGE), a_debit(hold))
        books = await core.books(tenant)
        assert len(books.spends) > 1
        spend = await ports.wallets.spend(tenant.id, tenant.caller.own, 0)
        assert (spend.spent, spend.held, books.used(tenant.caller.key_id)) == (12 * CHARGE, 0, 12 * CHARGE)

    async def test_a_cap_that_is_set_later_sees_all_of_it(self, core: Core) -> None:
        """Setting it shows what is spent, and that brings the counter together."""
        tenant = await split(core, await core.tenant(RICH), 4)
        ports = core.container()
        for number in range(12):
            hold = await ports.wallets.take(a_hold(tenant, number), tenant.caller)
            await ports.wallets.post(hold, settle(hold, CHARGE), a_debit(hold))
        await ports.keys.change(tenant.id, tenant.caller.key_id, {"cap": 12 * CHARGE + HELD})
        capped = await core.caller(tenant.account.key)
        for _ in range(2):
            spend = await ports.wallets.spend(tenant.id, capped.own, 0)
            assert (spend.spent, spend.room) == (12 * CHARGE, HELD)
        await ports.wallets.take(a_hold(Tenant(tenant.account, capped), 12), capped)
        with pytest.raises(HoldRefused) as refused:
            await ports.wallets.take(a_hold(Tenant(tenant.account, capped), 13), capped)
        assert refused.value.limits == {"cap"}
