"""Holds in the table: the price snapshot that a run is settled by, and what the sweeper makes of a lost one."""

from dataclasses import replace

import pytest
from hypothesis import given

from aig.aws.shards import Refused, Shards
from aig.aws.wallets import _hold_item, _load_hold
from aig.ids import Ids
from aig.keys import Caller
from aig.money.hold import Hold
from aig.money.ledger import Wallet
from aig.money.pricing import Prices
from aig.money.shards import Taking
from aig.money.units import Nano, Pico
from aig.ports import HoldRefused, StoreBusy
from aig.sweep import CLOCK_SKEW_S, sweep
from aig.wiring import Container
from tests.builders import an_account, losses_of, wallet_of
from tests.unit.calls import Telemetry
from tests.unit.clock import FixedClock
from tests.unit.money.strategies import prices

PLAIN = Prices({"input_tokens": Pico(1), "output_tokens": Pico(2)})
RICH = Prices(
    PLAIN.rates,
    above=((200_000, {"input_tokens": Pico(3), "output_tokens": Pico(4)}),),
    tiers={"flex": Prices(PLAIN.rates, above=((200_000, PLAIN.rates),))},
)


def hold(account_id: str, key_id: str) -> Hold:
    """Two candidates may serve it; it was taken long ago."""
    snapshot = {"first/v/m": RICH, "second/w/n": PLAIN}
    return Hold("req_1", account_id, key_id, Nano(1000), "v/m", snapshot, created_at=100, expires_at=1060)


@given(prices, prices)
def test_a_hold_survives_its_item(one: Prices, other: Prices) -> None:
    made = replace(hold("acct_1", "key_1"), prices={"a/v/m": one, "b/w/n": other})
    assert _load_hold(_hold_item(made)) == made


async def test_the_snapshot_is_kept_by_candidate_and_the_sweeper_names_the_first(container: Container) -> None:
    account = await an_account(container, "1.00")
    caller = Caller(account.id, account.key_id, "n", "h", frozenset())
    taken, wallets = hold(account.id, account.key_id), container.wallets
    await wallets.take(taken, caller)
    (open_hold,) = [found for found in await wallets.expired(1061) if found.account_id == account.id]
    assert open_hold == taken
    assert (await wallet_of(container, account)).held == 1000

    clock, telemetry = FixedClock(1060.0 + CLOCK_SKEW_S), Telemetry()
    assert await sweep(wallets, telemetry, clock, Ids(clock)) == 0  # not before its time is over
    clock.time += 1
    assert await sweep(wallets, telemetry, clock, Ids(clock)) == 1
    assert await sweep(wallets, telemetry, clock, Ids(clock)) == 0
    assert telemetry.alarms == ["HoldExpired"]
    (loss,) = await losses_of(container, account)
    assert (loss["reason"], loss["provider"], loss["model"], loss["amount"]) == ("expired_hold", "first", "v/m", 0)
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (10**9, 0)


async def test_a_wallet_in_shards_works_on_the_embedded_table_too(container: Container) -> None:
    """As `make run` has it, without a DynamoDB behind it: the refusing shard tells of the others."""
    account = await an_account(container, "1.00")
    stale = Caller(account.id, account.key_id, "n", "h", frozenset())
    await Shards(container.table, container.clock, grow_s=30.0).grow(account.id)
    everything = replace(hold(account.id, account.key_id), amount=Nano(10**9))
    taken = await container.wallets.take(everything, stale)
    assert (await wallet_of(container, account)) == Wallet(Nano(0), Nano(10**9), era=1)
    assert await container.wallets.void(taken)
    assert (await wallet_of(container, account)) == Wallet(Nano(10**9), Nano(0), era=1)
    with pytest.raises(HoldRefused):
        await container.wallets.take(replace(everything, request_id="req_2", amount=Nano(10**9 + 1)), stale)


async def test_who_is_overtaken_again_and_again_is_told_to_come_later(container: Container) -> None:
    """The money is there whenever one looks, and gone whenever one takes: that is no 402."""
    account = await an_account(container, "1.00")
    shards = Shards(container.table, container.clock, grow_s=30.0)
    await shards.grow(account.id)
    tried: list[Taking] = []

    async def attempt(taking: Taking) -> Refused | None:
        tried.append(taking)
        return Refused(frozenset({"balance"}), 2)

    with pytest.raises(StoreBusy):
        await shards.covering(account.id, Nano(1000), "req_1", 2, attempt)
    assert len(tried) > 16


def test_wallets_that_nobody_has_used_for_long_are_forgotten(container: Container) -> None:
    shards = Shards(container.table, container.clock)
    for number in range(2_000):
        shards.count(f"acct_{number}", 2)
    assert (shards.count("acct_1999"), shards.count("acct_0")) == (2, 1)
