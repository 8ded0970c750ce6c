"""The auditor sees each kind of disorder."""

from collections.abc import Callable
from typing import Any

import pytest

from ops.books import violations

Rows = dict[str, dict[str, Any]]


def in_order() -> Rows:
    """10,000 came in by hand, of which 400 went back, and 500 were bought, which went back but for 50 that were spent.

    One request was charged 700, one that the cache had 70, one holds 1,000, one was voided.
    """
    hold = {"pk": "acct_1", "key_id": "key_1", "amount": 1_000, "capped": ("key_1#all",)}
    debit = {"pk": "acct_1", "kind": "debit", "request_id": "req_1", "key_id": "key_1"}
    hit = {"request_id": "req_4", "cache_hit": True, "upstream_cost": 0}
    credit = {"pk": "acct_1", "kind": "credit", "origin": "manual"}
    refund = {"pk": "acct_1", "kind": "refund", "uncovered": 0}
    top_up = {"pk": "acct_1", "sk": "topup#topup_3", "amount": 500}
    loss = {"pk": "platform", "account_id": "acct_1", "amount": 0}
    return {
        "wallet": {"pk": "acct_1", "sk": "wallet", "available": 8_230, "held": 1_000},
        "key": {"pk": "acct_1", "sk": "key#key_1", "cap": 5_000},
        "spend": {"pk": "acct_1", "sk": "spend#key_1#all", "used": 1_770, "spent": 770},
        "credit": {**credit, "sk": "txn#topup_1", "amount": 10_000},
        "bought": {**credit, "sk": "txn#topup_2", "amount": 500, "origin": "a provider"},
        "topup": {**top_up, "phase": "paid", "credit_id": "topup_2", "refunded": 300, "disputed": 250},
        "pending": {**top_up, "sk": "topup#topup_4", "phase": "pending", "refunded": 0, "disputed": 0},
        "refund": {**refund, "sk": "txn#refund_1", "credit_id": "topup_1", "amount": 400},
        "counted": {"pk": "acct_1", "sk": "refunds#topup_1", "refunded": 400},
        "returned": {**refund, "sk": "txn#refund_2", "credit_id": "topup_2", "amount": 450, "uncovered": 50},
        "adjustment": {"pk": "acct_1", "sk": "txn#adj_1", "kind": "adjustment", "amount": 350},
        "debit": {**debit, "sk": "txn#txn_1", "amount": 700, "cache_hit": False, "upstream_cost": 650},
        "hit": {**debit, "sk": "txn#txn_4", "amount": 70, **hit},
        "hit's hold": {**hold, "sk": "hold#req_4", "phase": "posted", "amount": 70, "charged": 70, "ttl": 1},
        "posted": {**hold, "sk": "hold#req_1", "phase": "posted", "charged": 700, "ttl": 1},
        "held": {**hold, "sk": "hold#req_2", "phase": "held", "expiry_bucket": "open#0"},
        "void": {**hold, "sk": "hold#req_3", "phase": "void", "charged": 0, "ttl": 1},
        "loss": {**loss, "sk": "loss#txn_2", "request_id": "req_3", "reason": "expired_hold"},
        "account": {"pk": "acct_1", "sk": "account"},
        "rate": {"pk": "acct_1", "sk": "rate#key_1#7", "hits": 1},
    }


def in_two_shards() -> Rows:
    """The same, where the second shard holds, and a key without a cap has spent in both."""
    rows = in_order()
    rows["account"]["shards"] = 2
    rows["wallet"] |= {"available": 7_930, "held": 0, "shards": 2}
    rows["shard"] = {"pk": "acct_1", "sk": "wallet#1", "available": 300, "held": 1_000}
    rows["held"] |= {"shard": 1, "capped": ()}
    rows["key"].pop("cap")
    rows["spend"] |= {"used": 570, "spent": 570}
    rows["spend aside"] = {"pk": "acct_1", "sk": "spend#key_1#all#1", "used": 200, "spent": 200}
    return rows


@pytest.mark.parametrize("rows", [in_order(), in_two_shards()])
def test_books_in_order_break_nothing(rows: Rows) -> None:
    assert violations(rows.values()) == []


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
        pytest.param(changed("refund", amount=399), id="a refund that took more than it says"),
        pytest.param(changed("adjustment", amount=-350), id="an adjustment with the wrong sign"),
        pytest.param(changed("credit", amount=399), id="a refund of more than was paid"),
        pytest.param(changed("refund", credit_id="topup_9"), id="a refund of no payment"),
        pytest.param(changed("counted", refunded=0), id="a refund that is not counted"),
        pytest.param(without("counted"), id="a refund that nobody counts"),
        pytest.param(changed("topup", phase="pending"), id="a credit of a top-up that is not paid"),
        pytest.param(changed("pending", phase="paid"), id="a paid top-up without a credit"),
        pytest.param(changed("topup", amount=501), id="a credit that is not what was paid"),
        pytest.param(changed("topup", disputed=199), id="a return that nobody told of"),
        pytest.param(changed("returned", uncovered=0), id="a return that is not booked in full"),
        pytest.param(changed("wallet", available=-1, held=9_231), id="an overdrawn wallet"),
        pytest.param(changed("wallet", available=9_230, held=0), id="a hold that the wallet does not know"),
        pytest.param(without("held"), id="held without a hold"),
        pytest.param(changed("spend", used=1_769), id="room from nowhere"),
        pytest.param(changed("spend", spent=699, used=1_769), id="a key that spent less than its debits"),
        pytest.param(without("spend"), id="a key whose spending was forgotten"),
        pytest.param(changed("key", cap=1_769), id="a cap that was crossed"),
        pytest.param(changed("debit", sub_account="sub_1"), id="a sub-account that spent less than its debits"),
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


@pytest.mark.parametrize(
    "disorder",
    [
        pytest.param(changed("shard", available=299), id="money lost between shards"),
        pytest.param(
            lambda rows: (rows["shard"].update(available=-1), rows["wallet"].update(available=8_301)),
            id="an overdrawn shard",
        ),
        pytest.param(changed("held", shard=0), id="a hold on the wrong shard"),
        pytest.param(without("shard"), id="a shard that is not there"),
        pytest.param(changed("wallet", shards=4), id="a wallet that knows of more"),
        pytest.param(changed("account", shards=1), id="an account that knows of fewer"),
        pytest.param(changed("spend aside", used=201), id="a counter's shard that holds"),
        pytest.param(changed("spend aside", used=201, spent=201), id="a counter's shard that counts too much"),
    ],
)
def test_disorder_among_shards_is_seen(disorder: Callable[[Rows], object]) -> None:
    rows = in_two_shards()
    disorder(rows)
    assert violations(rows.values())
