"""Sub-accounts: customers with keys of their own, whose calls the account's wallet pays for within their caps."""

from typing import Any

import pytest

from aig.money.units import parse_usd, usd
from aig.wiring import Container
from tests.apps import App
from tests.builders import SECRETS, Account, an_account, debits_of, holds_of, wallet_of
from tests.integration.test_keys import call, problem

# One word in and two out: 1 x 1.00 + 2 x 2.00 USD a million, and five per cent.
ONE_WORD = 5_250


async def sub_account(accounts: App, account: Account, **body: Any) -> tuple[dict[str, Any], Account]:
    """A sub-account as the API tells of it, and its first key."""
    made = await call(accounts, account, "POST", "/v1/sub-accounts", {"name": "Customer 17", **body})
    assert made.status_code == 200, made.text
    told = made.json()
    return told, Account(told["id"], told["key_id"], told.pop("key"))


async def ask(chat: App, customer: Account, **more: Any) -> Any:
    return await chat.ask(customer, "hi", max_tokens=2, **more)


async def cap_for_two(chat: App, container: Container) -> int:
    """What covers the hold of a second `ask`, but not that of a third."""
    account = await an_account(container)
    assert (await ask(chat, account)).status_code == 200
    (hold,) = await holds_of(container, account)
    assert hold["charged"] == ONE_WORD
    return int(hold["amount"]) + ONE_WORD


async def test_the_account_pays_and_the_sub_account_is_charged_to_its_cap(
    accounts: App, chat: App, container: Container
) -> None:
    account = await an_account(container, "1.00")
    told, customer = await sub_account(accounts, account, spend_cap="0.50", default_tag="customer-17")
    assert (told["spend_cap"], told["spend_cap_reset"], told["remaining"]) == ("0.50", "monthly", "0.50")
    answer = await ask(chat, customer)
    assert (answer.status_code, answer.headers["x-aig-cost"]) == (200, "0.00000525")

    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (10**9 - ONE_WORD, 0)
    (debit,) = await debits_of(container, account)
    assert (debit["sub_account"], debit["tag"], debit["key_id"]) == (told["id"], "customer-17", customer.key_id)
    assert await holds_of(container, account) == []
    assert [hold["phase"] for hold in await holds_of(container, customer)] == ["posted"]
    one = (await call(accounts, account, "GET", f"/v1/sub-accounts/{told['id']}")).json()
    assert (one["spent"], one["remaining"], one["in_flight"]) == ("0.00000525", "0.49999475", "0.00")
    assert (await call(accounts, account, "GET", "/v1/sub-accounts")).json()["data"] == [one]


async def test_its_cap_is_a_hard_line_tells_the_account_once_and_may_be_raised_at_once(
    accounts: App, chat: App, container: Container
) -> None:
    account = await an_account(container)
    cap = await cap_for_two(chat, container)
    told, customer = await sub_account(accounts, account, spend_cap=usd(cap))
    assert [(await ask(chat, customer)).status_code for _ in range(4)] == [200, 200, 402, 402]
    refused = await ask(chat, customer)
    assert problem(refused)[:2] == (402, "spend_cap_reached")
    assert "sub-account" in refused.json()["error"]["message"]
    events, _ = await container.events.page(account.id, limit=10)
    assert [event.type for event in events] == ["subaccount.spend.exceeded", "subaccount.created"]
    assert events[0].data["sub_account"] == told["id"]
    assert (await container.events.page(customer.id, limit=10))[0] == []

    raised = await call(accounts, account, "PATCH", f"/v1/sub-accounts/{told['id']}", {"spend_cap": "1.00"})
    assert raised.json()["remaining"] == usd(10**9 - 2 * ONE_WORD)
    assert (await ask(chat, customer)).status_code == 200


async def test_the_wallet_binds_too_and_is_not_told_of(accounts: App, chat: App, container: Container) -> None:
    account = await an_account(container, usd(await cap_for_two(chat, container)))
    _, customer = await sub_account(accounts, account, spend_cap="900.00")
    assert [(await ask(chat, customer)).status_code for _ in range(2)] == [200, 200]
    refused = await ask(chat, customer)
    assert problem(refused)[:2] == (402, "insufficient_balance")
    assert "whoever gave you the key" in refused.json()["error"]["message"]


async def test_its_rate_is_over_all_its_keys_and_its_models_are_its_keys_models_too(
    accounts: App, chat: App, container: Container
) -> None:
    account = await an_account(container)
    _, customer = await sub_account(
        accounts, account, rpm=2, allowed_models=["sandbox/echo"], scopes=["inference", "admin"]
    )
    more = (await call(accounts, customer, "POST", "/v1/keys", {"name": "second"})).json()
    second = Account(customer.id, more["id"], more["key"])
    assert problem(await chat.ask(second, model="sandbox/slow"))[:2] == (403, "model_not_allowed")
    outcomes = [await ask(chat, one) for one in (customer, second, customer, second)]
    assert [outcome.status_code for outcome in outcomes] == [200, 200, 429, 429]
    assert outcomes[2].headers["x-ratelimit-limit-requests"] == "2"
    assert outcomes[2].headers["x-ratelimit-remaining-requests"] == "0"
    assert outcomes[2].headers["x-ratelimit-reset-requests"] == f"{outcomes[2].headers['retry-after']}s"


async def test_a_key_of_its_own_may_be_capped_further(accounts: App, chat: App, container: Container) -> None:
    account = await an_account(container)
    _, customer = await sub_account(accounts, account, spend_cap="1.00", scopes=["inference", "admin"])
    body = {"name": "trial", "spend_cap": usd(await cap_for_two(chat, container))}
    more = (await call(accounts, customer, "POST", "/v1/keys", body)).json()
    trial = Account(customer.id, more["id"], more["key"])
    assert [(await ask(chat, one)).status_code for one in (trial, trial, trial, customer)] == [200, 200, 402, 200]


async def test_switched_off_and_on_again(accounts: App, chat: App, container: Container) -> None:
    account = await an_account(container)
    told, customer = await sub_account(accounts, account)
    path = f"/v1/sub-accounts/{told['id']}"
    assert (await call(accounts, account, "PATCH", path, {"disabled": True})).json()["status"] == "disabled"
    assert (await ask(chat, customer)).status_code == 401
    assert (await call(accounts, account, "PATCH", path, {"disabled": False})).json()["status"] == "active"
    assert (await ask(chat, customer)).status_code == 200


async def test_a_customer_sees_the_cap_that_binds_its_keys_together(accounts: App, container: Container) -> None:
    account = await an_account(container)
    told, customer = await sub_account(accounts, account, spend_cap="1.00", scopes=["usage:read"])
    shown = (await call(accounts, customer, "GET", "/v1/key")).json()
    assert (shown["spend_cap"], shown["sub_account"]["id"]) == (None, told["id"])
    assert (shown["sub_account"]["spend_cap"], shown["sub_account"]["remaining"]) == ("1.00", "1.00")
    assert "sub_account" not in (await call(accounts, account, "GET", "/v1/key")).json()


async def test_a_first_key_that_the_customer_has_ended_is_ended(accounts: App, container: Container) -> None:
    account = await an_account(container)
    told, customer = await sub_account(accounts, account, scopes=["admin"])
    assert (await call(accounts, customer, "DELETE", f"/v1/keys/{customer.key_id}")).status_code == 200
    refused = await call(accounts, account, "POST", f"/v1/sub-accounts/{told['id']}/rotate-key", {})
    assert problem(refused)[:2] == (409, "key_revoked")


async def test_the_account_can_end_what_the_customer_has_rotated(
    accounts: App, chat: App, container: Container
) -> None:
    account = await an_account(container)
    told, customer = await sub_account(accounts, account, scopes=["admin", "inference"])
    path = f"/v1/keys/{customer.key_id}/rotate"
    assert (await call(accounts, customer, "POST", path, {"grace_period_s": 604_800})).status_code == 200
    ended = await call(accounts, account, "POST", f"/v1/sub-accounts/{told['id']}/rotate-key", {"grace_period_s": 0})
    assert ended.status_code == 200
    assert (await chat.ask(customer)).status_code == 401


async def test_its_key_is_rotated_by_the_account(accounts: App, chat: App, container: Container) -> None:
    account = await an_account(container)
    told, customer = await sub_account(accounts, account)
    path = f"/v1/sub-accounts/{told['id']}/rotate-key"
    rotated = (await call(accounts, account, "POST", path, {"grace_period_s": 0})).json()
    other = Account(customer.id, customer.key_id, rotated["key"])
    assert [(await ask(chat, one)).status_code for one in (customer, other)] == [401, 200]


async def test_it_makes_none_itself(accounts: App, container: Container) -> None:
    account = await an_account(container)
    told, customer = await sub_account(accounts, account, scopes=["admin", "inference", "usage:read"])
    for method, path in (
        ("POST", "/v1/sub-accounts"),
        ("GET", "/v1/sub-accounts"),
        ("GET", f"/v1/sub-accounts/{told['id']}"),
        ("PATCH", f"/v1/sub-accounts/{told['id']}"),
    ):
        assert problem(await call(accounts, customer, method, path, {"name": "n"}))[:2] == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "<b>"}, "name"),
        ({"spend_cap": "-1"}, "spend_cap"),
        ({"spend_cap": 1e30}, "spend_cap"),
        ({"spend_cap": "0.0000000001"}, "spend_cap"),
        ({"parent_id": "acct_1"}, "parent_id"),
        ({"disabled": True}, "disabled"),
    ],
)
async def test_bad_bodies(accounts: App, container: Container, body: dict[str, Any], param: str) -> None:
    account = await an_account(container)
    refused = await call(accounts, account, "POST", "/v1/sub-accounts", {"name": "n", **body})
    assert (refused.status_code, problem(refused)[2]) == (400, param)
    assert (await call(accounts, account, "GET", "/v1/sub-accounts")).json()["data"] == []


async def test_a_name_may_come_twice_and_a_cap_may_be_above_the_balance(accounts: App, container: Container) -> None:
    account = await an_account(container, "1.00")
    names = {(await sub_account(accounts, account, spend_cap="100.00"))[0]["id"] for _ in range(2)}
    assert len(names) == 2


async def test_a_hold_that_crosses_a_months_end_counts_where_it_was_taken(container: Container, accounts: App) -> None:
    account = await an_account(container)
    told, _ = await sub_account(accounts, account, spend_cap="1.00")
    sub = await container.sub_accounts.get(account.id, told["id"])
    assert sub is not None
    november, december = 1_796_083_199, 1_796_083_200
    before = await container.wallets.spend(sub.id, sub.limits, november)
    after = await container.wallets.spend(sub.id, sub.limits, december)
    assert (before.room, after.room) == (parse_usd("1.00"), parse_usd("1.00"))
    await container.table.update(sub.id, f"spend#{sub.id}#2026-11", "ADD used :n, spent :n", {":n": 7})
    before = await container.wallets.spend(sub.id, sub.limits, november)
    after = await container.wallets.spend(sub.id, sub.limits, december)
    assert (before.spent, after.spent) == (7, 0)


async def test_the_same_request_twice_is_one_sub_account_with_one_key(
    accounts: App, chat: App, container: Container
) -> None:
    account = await an_account(container)
    headers = {**account.authorization, "idempotency-key": "customer-17"}
    sent = {"name": "Customer 17", "spend_cap": "1.00"}
    first, second = [
        (await accounts.client.post("/v1/sub-accounts", json=sent, headers=headers)).json() for _ in range(2)
    ]
    SECRETS.add(first["key"])
    assert first == second
    assert (await ask(chat, Account(first["id"], first["key_id"], first["key"]))).status_code == 200
    assert len((await call(accounts, account, "GET", "/v1/sub-accounts")).json()["data"]) == 1
    events, _ = await container.events.page(account.id, limit=10)
    assert [event.type for event in events] == ["subaccount.created"]
