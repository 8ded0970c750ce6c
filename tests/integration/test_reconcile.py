"""`ops reconcile`: nothing to say of books that are in order, and each kind of disorder by its name."""

from dataclasses import replace
from typing import Any

import pytest

from aig.aws.wallets import PLATFORM
from aig.wiring import Container
from ops import reconcile
from tests.apps import App, Handler
from tests.builders import Account, an_account, debits_of
from tests.integration.test_rollup import record
from tests.integration.test_sub_accounts import sub_account
from tests.unit.clock import FixedClock


async def later(container: Container, seconds: int = 300) -> Container:
    """The same books, looked at later: what is on its way has arrived by then."""
    return replace(container, clock=FixedClock(container.clock.now() + seconds))


async def spent(chat: App, accounts: App, rollup: Handler, container: Container) -> tuple[Account, Account]:
    """An account and a sub-account that have called, also in vain, and whose debits are counted."""
    account = await an_account(container)
    _, customer = await sub_account(accounts, account, spend_cap="1.00")
    for caller in (account, customer):
        await chat.ask(caller, headers={"x-aig-tag": "a"})
        await chat.ask(caller, stream=True)
        await chat.ask(caller, model="sandbox/fail-500")
        for _ in range(2):
            await chat.ask(caller, temperature=0)
    debits = await debits_of(container, account)
    assert len(debits) == 8
    await rollup.invoke({"Records": [record(row, number) for number, row in enumerate(debits)]})
    return account, customer


async def test_books_in_order(chat: App, accounts: App, rollup: Handler, container: Container) -> None:
    account, _ = await spent(chat, accounts, rollup, container)
    for seconds in (0, 300, 30 * 86_400):
        assert await reconcile.differences(await later(container, seconds), account.id) == []


@pytest.mark.parametrize(
    ("sk", "expression", "values", "says"),
    [
        ("wallet", "ADD available :n", {":n": 1}, "came in"),
        ("spend#{key}#all", "ADD spent :n, used :n", {":n": 1}, "its debits are"),
    ],
)
async def test_disorder_is_named(
    chat: App,
    accounts: App,
    rollup: Handler,
    container: Container,
    sk: str,
    expression: str,
    values: Any,
    says: str,
) -> None:
    account, _ = await spent(chat, accounts, rollup, container)
    await container.table.update(account.id, sk.format(key=account.key_id), expression, values)
    (difference,) = await reconcile.differences(await later(container), account.id)
    assert says in difference


async def test_a_debit_that_the_reports_miss_is_named_once_it_should_be_there(
    chat: App,
    accounts: App,
    rollup: Handler,
    container: Container,
) -> None:
    account, customer = await spent(chat, accounts, rollup, container)
    await chat.ask(customer)
    assert await reconcile.differences(container, account.id) == []
    found = await reconcile.differences(await later(container), account.id)
    assert len(found) == 2  # in its account's reports and in its own
    assert all("in the reports" in difference for difference in found)


async def test_reports_of_more_than_there_is_are_named_at_once(
    chat: App,
    accounts: App,
    rollup: Handler,
    container: Container,
) -> None:
    account, _ = await spent(chat, accounts, rollup, container)
    debit = next(row for row in await debits_of(container, account) if not row.get("sub_account"))
    forged = {**debit, "sk": f"{debit['sk'][:-4]}0000"}
    await rollup.invoke({"Records": [record(forged, 0)]})
    (difference,) = await reconcile.differences(container, account.id)
    assert "in the reports" in difference


async def test_a_hold_that_nobody_swept_is_named(chat: App, container: Container) -> None:
    account = await an_account(container)
    await chat.ask(account)
    ((hold,), _) = await container.table.page(account.id, "hold#", limit=1)
    names = {"phase": "held", "expiry_bucket": "open#9"}
    held = {":held": "held", ":bucket": names["expiry_bucket"]}
    await container.table.update(
        account.id, hold["sk"], "SET phase = :held, expiry_bucket = :bucket REMOVE #ttl", held, ttl="ttl"
    )
    found = await reconcile.differences(await later(container, 3600), account.id)
    assert any("past its time" in difference for difference in found)
    await container.table.update(account.id, hold["sk"], "REMOVE expiry_bucket", {})


async def test_jobs_leave_more_with_the_platform_than_losses(chat: App, container: Container) -> None:
    account = await an_account(container)
    await chat.ask(account, model="sandbox/fail-500")
    rows = await container.table.query("pk = :pk AND begins_with(sk, :hold)", {":pk": account.id, ":hold": "hold#"})
    loss = {
        "account_id": account.id,
        "request_id": rows[0]["sk"].partition("#")[2],
        "reason": "abandoned_job",
        "created_at": int(container.clock.now()),
    }
    await container.table.put({"pk": PLATFORM, "sk": "loss#txn_1", **loss})
    await container.table.put({"pk": PLATFORM, "sk": "slots#sandbox", "used": 1})
    assert await reconcile.differences(container, account.id) == []
    await container.table.put({"pk": PLATFORM, "sk": "loss#txn_2", **loss})
    assert "2 losses for abandoned_job" in (await reconcile.differences(container, account.id))[0]


async def test_no_such_account(container: Container) -> None:
    with pytest.raises(ValueError, match="there is no account"):
        await reconcile.differences(container, "acct_nobody")
