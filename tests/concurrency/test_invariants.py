"""The auditor sees each kind of disorder."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.concurrency.invariants import violations

Rows = dict[str, dict[str, Any]]


def in_order() -> Rows:
    """10,000 came in; one request was charged 700, one holds 1,000, one was voided."""
    hold = {"pk": "acct_1", "key_id": "key_1", "amount": 1_000, "capped": ("key_1#all",)}
    debit = {"pk": "acct_1", "kind": "debit", "request_id": "req_1", "key_id": "key_1"}
    loss = {"pk": "platform", "account_id": "acct_1", "amount": 0}
    return {
        "wallet": {"pk": "acct_1", "sk": "wallet", "available": 8_300, "held": 1_000},
        "key": {"pk": "acct_1", "sk": "key#key_1", "cap": 5_000},
        "spend": {"pk": "acct_1", "sk": "spend#key_1#all", "used": 1_700, "spent": 700},
        "credit": {"pk": "acct_1", "sk": "txn#topup_1", "kind": "credit", "amount": 10_000},
        "debit": {**debit, "sk": "txn#txn_1", "amount": 700},
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
    rows["wallet"] |= {"available": 8_000, "held": 0, "shards": 2}
    rows["shard"] = {"pk": "acct_1", "sk": "wallet#1", "available": 300, "held": 1_000}
    rows["held"] |= {"shard": 1, "capped": ()}
    rows["key"].pop("cap")
    rows["spend"] |= {"used": 500, "spent": 500}
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
        pytest.param(changed("wallet", available=8_301), id="money from nowhere"),
        pytest.param(changed("credit", amount=9_999), id="a top-up that was added twice"),
        pytest.param(changed("wallet", available=-1, held=9_301), id="an overdrawn wallet"),
        pytest.param(changed("wallet", available=9_300, held=0), id="a hold that the wallet does not know"),
        pytest.param(without("held"), id="held without a hold"),
        pytest.param(changed("spend", used=1_699), id="room from nowhere"),
        pytest.param(changed("spend", spent=699, used=1_699), id="a key that spent less than its debits"),
        pytest.param(without("spend"), id="a key whose spending was forgotten"),
        pytest.param(changed("key", cap=1_699), id="a cap that was crossed"),
        pytest.param(changed("debit", sub_account="sub_1"), id="a sub-account that spent less than its debits"),
        pytest.param(changed("debit", amount=701), id="a debit that is not the charge"),
        pytest.param(without("debit"), id="a charge without a debit"),
        pytest.param(without("posted"), id="a debit without a hold"),
        pytest.param(twice("debit", "txn#txn_9", amount=0), id="a request with two debits"),
        pytest.param(changed("debit", request_id="req_3"), id="a debit of a voided hold"),
        pytest.param(changed("posted", amount=699), id="a charge above its hold"),
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
