"""Rows of the ledger are written once."""

from dataclasses import FrozenInstanceError, fields

import pytest

from aig.modalities.usage import Usage
from aig.money.ledger import PREFIXES, Adjustment, Credit, Debit, Loss, Refund, Spend, Wallet, signed
from aig.money.units import Nano

ROWS = (
    Debit("txn_1", "req_1", "sandbox/echo", "sandbox", Nano(105), Nano(100), Usage({}), created_at=0),
    Credit("topup_1", Nano(5), created_at=0),
    Refund("refund_1", "topup_1", Nano(5), created_at=0),
    Adjustment("adj_1", Nano(-5), created_at=0),
    Loss("txn_2", "req_1", "acct_1", "sandbox/echo", "sandbox", Nano(1), "over_hold", created_at=0),
    Wallet(Nano(1), Nano(0)),
    Spend(Nano(1), Nano(0)),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row).__name__)
def test_no_row_can_be_changed(row: Debit | Credit | Refund | Adjustment | Loss | Wallet | Spend) -> None:
    for field in fields(row):
        with pytest.raises(FrozenInstanceError):
            setattr(row, field.name, getattr(row, field.name))


def test_room_is_what_a_cap_leaves() -> None:
    assert Spend(Nano(1), Nano(2), 10).room == 7
    assert Spend(Nano(9), Nano(2), 10).room == 0  # the cap was lowered below what is spent
    assert Spend(Nano(1), Nano(0)).room is None


def test_debits_and_refunds_leave_the_wallet_and_adjustments_have_a_sign() -> None:
    moved = {kind: (signed(kind, 5), signed(kind, -5)) for kind in PREFIXES}
    assert moved["credit"][0] == 5
    assert moved["debit"][0] == moved["refund"][0] == -5
    assert moved["adjustment"] == (5, -5)
