"""An account is told once that its money runs low, and once that it is gone, until money comes in again."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.money.ledger import DEFAULT_LOW_THRESHOLD, Wallet
from aig.money.units import Nano
from aig.thresholds import event, is_low

USD = 10**9


def wallet(available: int, held: int = 0, threshold: int = USD, *, low: bool = False) -> Wallet:
    return Wallet(Nano(available), Nano(held), Nano(threshold), low)


@pytest.mark.parametrize(
    ("seen", "low"),
    [
        (wallet(USD - 1), True),
        (wallet(USD), False),
        (wallet(0), True),
        (wallet(USD // 2, USD // 2), False),  # a hold has not been spent yet
        (wallet(USD // 2, USD // 4), True),
        (wallet(USD - 1, low=True), False),  # it has been told
        (wallet(USD - 1, threshold=0), False),
        (wallet(4 * USD, threshold=5 * USD), True),
    ],
)
def test_what_is_told(seen: Wallet, low: bool) -> None:
    assert is_low(seen) is low


amounts = st.integers(0, 3 * USD)


@given(amounts, amounts, amounts)
def test_what_is_only_held_makes_no_difference(available: int, held: int, threshold: int) -> None:
    assert is_low(wallet(available + held, 0, threshold)) == is_low(wallet(available, held, threshold))


def test_an_account_that_set_nothing_is_told_below_one_dollar() -> None:
    assert DEFAULT_LOW_THRESHOLD == USD
    assert is_low(Wallet(Nano(USD - 1), Nano(0)))


def test_the_events() -> None:
    seen = wallet(970_000_000, 20_000_000)
    low = event("low", "evt_1", "acct_1", seen, 7)
    assert (low.type, low.id, low.account_id, low.created_at) == ("balance.low", "evt_1", "acct_1", 7)
    assert low.data == {
        "balance": "0.97",
        "in_flight": "0.02",
        "low_balance_threshold": "1.00",
        "currency": "usd",
    }
    assert event("exhausted", "evt_2", "acct_1", seen, 7).type == "balance.exhausted"


def test_a_total_is_what_the_ledger_says() -> None:
    assert replace(wallet(1, 2)).total == 3
