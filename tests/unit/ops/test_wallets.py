"""The operator's commands for wallets, as they are typed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aig.money.ledger import Credit
from aig.money.units import parse_usd
from aig.wiring import Container
from ops.__main__ import main
from ops.secret import payment_names
from ops.wallets import lines, signed_usd
from tests.builders import Account, an_account, wallet_of

Ops = Callable[..., str]


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container, "0.00")


@pytest.fixture
def ops(container: Container, capsys: pytest.CaptureFixture[str]) -> Ops:
    """Runs a command; what it prints, or says on standard error if it fails."""

    def run(*words: str, fails: bool = False) -> str:
        with ThreadPoolExecutor(1) as thread:  # a command has an event loop of its own
            code = thread.submit(main, words).result()
        printed = capsys.readouterr()
        assert code == int(fails), printed.err
        return (printed.err if fails else printed.out).strip()

    return run


async def test_what_is_topped_up_can_be_taken_back_in_parts(ops: Ops, container: Container, account: Account) -> None:
    payment = ops("wallet", "top-up", account.id, "25.00", "--note", "bank transfer 7")
    assert payment.startswith("topup_")
    assert ops("wallet", "refund", account.id, payment, "5.00", "--note", "asked for").startswith("refund_")
    assert "more than is left" in ops("wallet", "refund", account.id, payment, "20.01", fails=True)
    assert ops("wallet", "show", account.id) == "balance 20.00 USD, in flight 0.00 USD"
    refund, credit = ops("wallet", "transactions", account.id).splitlines()
    assert refund.split("  ")[2:] == ["refund", "-5.00", "manual", payment, "asked for"]
    assert credit.split("  ")[1:] == [payment, "credit", "25.00", "manual", "bank transfer 7"]


async def test_a_payment_is_credited_once(ops: Ops, container: Container, account: Account) -> None:
    other, name = await an_account(container, "0.00"), f"transfer of {account.id}"
    ops("wallet", "top-up", account.id, "25.00", "--payment", name)
    for one in (account, other):
        assert "credited before" in ops("wallet", "top-up", one.id, "25.00", "--payment", name, fails=True)
        assert "1 to 200" in ops("wallet", "top-up", one.id, "25.00", "--payment", " x", fails=True)
    assert (await wallet_of(container, account)).available == parse_usd("25.00")
    assert (await wallet_of(container, other)).available == 0
    assert ops("wallet", "transactions", account.id).endswith(f"25.00  manual  {name}")


async def test_a_balance_is_corrected_by_rows(ops: Ops, container: Container, account: Account) -> None:
    ops("wallet", "adjust", account.id, "1.50", "--note", "welcome")
    ops("wallet", "adjust", account.id, "-0.25", "--note", "a slip")
    assert "balance has less" in ops("wallet", "adjust", account.id, "-1.26", "--note", "too much", fails=True)
    assert (await wallet_of(container, account)).available == parse_usd("1.25")
    listed = ops("wallet", "transactions", account.id, "--kind", "adjustment", "--limit", "1")
    assert listed.split("  ")[2:] == ["adjustment", "-0.25", "a slip"]
    assert ops("wallet", "transactions", account.id, "--after", listed.split("  ")[1]).endswith("1.50  welcome")
    assert ops("wallet", "transactions", account.id, "--kind", "debit") == "none"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("top-up", "acct_nobody", "25.00"), "no account"),
        (("adjust", "acct_nobody", "1.00", "--note", "n"), "no account"),
        (("refund", "acct_nobody", "topup_1", "1.00"), "no account"),
        (("transactions", "acct_nobody"), "no account"),
        (("top-up", "HERE", "4.99"), "5.00"),
        (("refund", "HERE", "topup_1", "1.00"), "no payment"),
        (("refund", "HERE", "topup_1", "0.00"), "more than nothing"),
        (("refund", "HERE", "topup_1", "-1.00"), "-1.00"),
        (("adjust", "HERE", "0.00", "--note", "n"), "nothing"),
        (("adjust", "HERE", "1e3", "--note", "n"), "1e3"),
        (("transactions", "HERE", "--limit", "0"), "limit"),
    ],
)
async def test_what_cannot_be_done(ops: Ops, account: Account, words: tuple[str, ...], says: str) -> None:
    assert says in ops("wallet", *(account.id if word == "HERE" else word for word in words), fails=True)


async def test_what_was_paid_elsewhere_is_refunded_there(ops: Ops, container: Container, account: Account) -> None:
    bought = Credit("topup_bought", parse_usd("25.00"), 0, "stripe", payment="pi_1")
    await container.wallets.credit(account.id, bought)
    assert "paid with stripe" in ops("wallet", "refund", account.id, "topup_bought", "1.00", fails=True)


async def test_the_operator_sees_what_a_call_cost(container: Container, account: Account) -> None:
    row: dict[str, Any] = {
        "pk": account.id,
        "sk": "txn#txn_1",
        "kind": "debit",
        "amount": 105,
        "upstream_cost": 100,
        "model": "sandbox/echo",
        "provider": "sandbox",
        "units": "{}",
        "created_at": 0,
    }
    await container.table.put_new(row)
    found, _ = await container.ledger.page(account.id, limit=1)
    assert list(lines(found)) == [
        "1970-01-01T00:00:00Z  txn_1  debit  -0.000000105  sandbox/echo  sandbox  upstream 0.0000001"
    ]


@pytest.mark.parametrize(("text", "amount"), [("1.50", 1_500_000_000), ("-1.50", -1_500_000_000), ("-0", 0)])
def test_signs(text: str, amount: int) -> None:
    assert signed_usd(text) == amount


@pytest.mark.parametrize("text", ["--1", "+1", "- 1", "", "-"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="dollars"):
        signed_usd(text)


def test_the_keys_of_payment_providers_can_be_set() -> None:
    assert payment_names() == {"STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET", "AIG_STRIPE_BASE_URL"}
