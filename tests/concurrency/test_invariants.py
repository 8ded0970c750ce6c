"""The auditor sees each kind of disorder."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.concurrency.invariants import violations

Rows = dict[str, dict[str, Any]]


def in_order() -> Rows:
    """10,000 came in; one request was charged 700, one that the cache had 70, one holds 1,000, one was voided."""
    hold = {"pk": "acct_1", "key_id": "key_1", "amount": 1_000, "capped": True}
    debit = {"pk": "acct_1", "kind": "debit", "request_id": "req_1", "key_id": "key_1"}
    hit = {"request_id": "req_4", "cache_hit": True, "upstream_cost": 0}
    loss = {"pk": "platform", "account_id": "acct_1", "amount": 0}
    return {
        "wallet": {"pk": "acct_1", "sk": "wallet", "available": 8_230, "held": 1_000},
        "key": {"pk": "acct_1", "sk": "key#key_1", "cap": 5_000, "room": 3_230, "spent": 770},
        "credit": {"pk": "acct_1", "sk": "txn#topup_1", "kind": "credit", "amount": 10_000},
        "debit": {**debit, "sk": "txn#txn_1", "amount": 700, "cache_hit": False, "upstream_cost": 650},
        "hit": {**debit, "sk": "txn#txn_4", "amount": 70, **hit},
        "hit's hold": {**hold, "sk": "hold#req_4", "phase": "posted", "amount": 70, "charged": 70, "ttl": 1},
        "posted": {**hold, "sk": "hold#req_1", "phase": "posted", "charged": 700, "ttl": 1},
        "held": {**hold, "sk": "hold#req_2", "phase": "held", "expiry_bucket": "open#0"},
        "void": {**hold, "sk": "hold#req_3", "phase": "void", "charged": 0, "ttl": 1},
        "loss": {**loss, "sk": "loss#txn_2", "request_id": "req_3", "reason": "expired_hold"},
        "rate": {"pk": "acct_1", "sk": "rate#key_1#7", "hits": 1},
    }


def test_books_in_order_break_nothing() -> None:
    assert violations(in_order().values()) == []


def changed(name: str, **attributes: Any) -> Callable[[Rows], object]:
    return lambda rows: rows[name].update(attributes)


def without(name: str) -> Callable[[Rows], object]:
    return lambda rows: rows.pop(name)


def lacking(name: str, attribute: str) -> Callable[[Rows], object]:
    return lambda rows: rows[name].pop(attribute)


def twice(name: str, sk: str, **attributes: Any) -> Callable[[Rows], object]:
    return lambda rows: rows.update(again={**rows[name], "sk": sk, **attributes})


@pytest.mark.parametrize(
    "disorder",
    [
        pytest.param(changed("wallet", available=8_231), id="money from nowhere"),
        pytest.param(changed("credit", amount=9_999), id="a top-up that was added twice"),
        pytest.param(changed("wallet", available=-1, held=9_231), id="an overdrawn wallet"),
        pytest.param(changed("wallet", available=9_230, held=0), id="a hold that the wallet does not know"),
        pytest.param(without("held"), id="held without a hold"),
        pytest.param(changed("key", room=3_231), id="room from nowhere"),
        pytest.param(changed("key", spent=769), id="a key that spent less than its debits"),
        pytest.param(changed("key", room=-1, cap=1_769), id="a cap that was crossed"),
        pytest.param(changed("debit", amount=701), id="a debit that is not the charge"),
        pytest.param(without("debit"), id="a charge without a debit"),
        pytest.param(without("posted"), id="a debit without a hold"),
        pytest.param(twice("debit", "txn#txn_9", amount=0), id="a request with two debits"),
        pytest.param(changed("debit", request_id="req_3"), id="a debit of a voided hold"),
        pytest.param(changed("posted", amount=699), id="a charge above its hold"),
        pytest.param(changed("hit", upstream_cost=1), id="a hit that has cost us something"),
        pytest.param(changed("hit's hold", amount=71), id="a hit that held more than its price"),
        pytest.param(lacking("debit", "cache_hit"), id="a debit that does not say whether it was a hit"),
        pytest.param(lacking("held", "expiry_bucket"), id="an open hold that no sweeper finds"),
        pytest.param(changed("posted", expiry_bucket="open#0"), id="a resolved hold that sweepers find"),
        pytest.param(lacking("void", "ttl"), id="a resolved hold that is kept for good"),
        pytest.param(changed("held", ttl=1), id="an open hold that is thrown away"),
        pytest.param(changed("loss", request_id="req_1"), id="a loss by expiry of a settled run"),
        pytest.param(twice("loss", "loss#txn_9"), id="a loss that is booked twice"),
    ],
)
def test_disorder_is_seen(disorder: Callable[[Rows], object]) -> None:
    rows = in_order()
    disorder(rows)
    assert violations(rows.values())
