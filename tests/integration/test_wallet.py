"""What an account sees of its money: the balance, the ledger, the events; and nothing of anybody else's."""

from typing import Any

import httpx
import pytest

from aig.aws.events import event_item
from aig.aws.wallets import DynamoWallets
from aig.events import KEPT_S, Event, EventType
from aig.money.ledger import Adjustment, Credit, Refund
from aig.money.units import Nano, parse_usd, usd
from aig.notices import balance_low
from aig.ports import NotCovered, StoreBusy
from aig.wiring import Container
from tests.apps import App
from tests.builders import Account, a_key, a_sub_account, an_account, wallet_of
from tests.integration.test_budgets import refusal

PATHS = ("/v1/wallet", "/v1/wallet/transactions", "/v1/wallet/transactions/txn_1", "/v1/events")


async def get(accounts: App, account: Account, path: str, **query: str) -> httpx.Response:
    return await accounts.client.get(path, params=query, headers=account.authorization)


async def page(accounts: App, account: Account, path: str = "/v1/wallet/transactions", **query: str) -> dict[str, Any]:
    answer = await get(accounts, account, path, **query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def test_a_wallet_is_shown_though_it_is_never_left_alone(
    accounts: App, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reads of one moment of a busy wallet are cancelled, each and every one."""

    async def cancelled(*_: object) -> None:
        raise StoreBusy("TransactionConflict")

    monkeypatch.setattr(DynamoWallets, "wallet", cancelled)
    threshold = {"low_balance_threshold": "2.00"}
    changed = await accounts.client.patch("/v1/wallet", json=threshold, headers=account.authorization)
    assert (changed.status_code, changed.json()["balance"]) == (200, "10.00")
    assert (await get(accounts, account, "/v1/wallet")).json() == changed.json()


class TestThreshold:
    async def change(self, accounts: App, account: Account, body: Any) -> httpx.Response:
        return await accounts.client.patch("/v1/wallet", json=body, headers=account.authorization)

    @pytest.mark.parametrize("text", ["2.00", "0.00", "0.000000001", "1000000.00"])
    async def test_it_is_kept(self, accounts: App, account: Account, text: str) -> None:
        changed = await self.change(accounts, account, {"low_balance_threshold": text})
        assert changed.status_code == 200
        shown = (await get(accounts, account, "/v1/wallet")).json()
        assert shown == changed.json()
        assert (shown["low_balance_threshold"], shown["balance"]) == (text, "10.00")

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"low_balance_threshold": "-1.00"},
            {"low_balance_threshold": "NaN"},
            {"low_balance_threshold": "1e3"},
            {"low_balance_threshold": "0.0000000001"},
            {"low_balance_threshold": "1000000.01"},
            {"low_balance_threshold": 2},
            {"low_balance_threshold": 2.0},
            {"low_balance_threshold": True},
            {"low_balance_threshold": None},
            {"low_balance_threshold": "2.00", "balance": "1000.00"},
        ],
    )
    async def test_anything_else_is_refused(self, accounts: App, account: Account, body: Any) -> None:
        assert refusal(await self.change(accounts, account, body))[:2] == (400, "invalid_request_error")
        assert (await get(accounts, account, "/v1/wallet")).json()["low_balance_threshold"] == "1.00"

    async def test_it_takes_the_admin_scope(self, accounts: App, account: Account, container: Container) -> None:
        reader = await a_key(container, account.id, scopes=["usage:read", "inference"])
        changed = await self.change(accounts, reader, {"low_balance_threshold": "2.00"})
        assert refusal(changed) == (403, "permission_error", "insufficient_scope")


class TestLedger:
    async def test_a_call_is_a_row_that_tells_what_for_and_not_what_it_cost_us(
        self, chat: App, accounts: App, account: Account
    ) -> None:
        asked = await chat.ask(account, "one", headers={"x-aig-tag": "team/a"})
        row, credit = (await page(accounts, account))["data"]
        assert row["id"].startswith("txn_")
        assert row == {
            "id": row["id"],
            "object": "transaction",
            "kind": "debit",
            "amount": f"-{asked.headers['x-aig-cost']}",
            "currency": "usd",
            "created_at": row["created_at"],
            "request_id": row["request_id"],
            "model": "sandbox/echo",
            "tag": "team/a",
            "key_id": account.key_id,
            "sub_account": None,
            "cache_hit": False,
            "units": {"input_tokens": 1, "output_tokens": 2},
            "estimated": False,
            "service_tier": None,
        }
        assert (credit["kind"], credit["amount"], credit["origin"]) == ("credit", "10.00", "manual")
        one = await get(accounts, account, f"/v1/wallet/transactions/{row['id']}")
        assert one.json() == row

    async def test_every_kind_has_its_sign_and_they_sum_up_to_the_balance(
        self, chat: App, accounts: App, account: Account, container: Container
    ) -> None:
        ledger, now = container.ledger, int(container.clock.now())
        (paid,) = (await page(accounts, account))["data"]
        await chat.ask(account)
        assert await ledger.refund(
            account.id, Refund(container.ids.new("refund"), paid["id"], parse_usd("4.00"), now, note="too much")
        )
        assert await ledger.adjust(account.id, Adjustment(container.ids.new("adj"), parse_usd("0.50"), now, "sorry"))
        assert await ledger.adjust(account.id, Adjustment(container.ids.new("adj"), Nano(-(10**8)), now, "and back"))
        rows = (await page(accounts, account))["data"]
        assert sorted(row["kind"] for row in rows) == ["adjustment", "adjustment", "credit", "debit", "refund"]
        amounts = {row["amount"] for row in rows}
        assert {"-4.00", "0.50", "-0.10", "10.00"} < amounts
        wallet = await wallet_of(container, account)
        total = sum(-parse_usd(text[1:]) if text.startswith("-") else parse_usd(text) for text in amounts)
        assert total == wallet.available + wallet.held
        (refund,) = (await page(accounts, account, kind="refund"))["data"]
        assert (refund["credit_id"], refund["note"]) == (paid["id"], "too much")
        assert not any("upstream" in key or key == "provider" for row in rows for key in row)

    async def test_pages_are_in_the_order_of_time_whatever_the_kinds(
        self, accounts: App, account: Account, container: Container
    ) -> None:
        made = [
            await self.a_row(container, account, number, kind="credit" if number % 3 else "adjustment")
            for number in range(9)
        ]
        everything = (await page(accounts, account, limit="100"))["data"]
        ids = [row["id"] for row in everything]
        assert [one for one in ids if one in made] == made[::-1]
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            part = await page(accounts, account, limit="2", **after)
            seen += [row["id"] for row in part["data"]]
            assert (part["first_id"], part["last_id"]) == (part["data"][0]["id"], part["data"][-1]["id"])
            if not part["has_more"]:
                break
            after = {"after": part["last_id"]}
        assert seen == ids
        credits_only = (await page(accounts, account, kind="credit", limit="3"))["data"]
        assert [row["id"] for row in credits_only] == [one for one in ids if one.startswith("topup_")][:3]
        assert (await page(accounts, account, kind="debit")) == {
            "object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None,
        }  # fmt: skip

    async def a_row(self, container: Container, account: Account, number: int, kind: str) -> str:
        """One a second later than the one before, from a minute ago on."""
        at = int(container.clock.now()) - 60 + number
        name = f"{number:026d}"
        if kind == "credit":
            await container.wallets.credit(account.id, Credit(f"topup_{name}", parse_usd("1.00"), at))
            return f"topup_{name}"
        await container.ledger.adjust(account.id, Adjustment(f"adj_{name}", parse_usd("1.00"), at))
        return f"adj_{name}"

    @pytest.mark.parametrize(
        ("query", "param"),
        [
            ("kind=loss", "kind"),
            ("kind=", "kind"),
            ("limit=0", "limit"),
            ("limit=1e2", "limit"),
            ("after=a%23b", "after"),
        ],
    )
    async def test_what_means_nothing_is_refused(self, accounts: App, account: Account, query: str, param: str) -> None:
        answer = await accounts.client.get(f"/v1/wallet/transactions?{query}", headers=account.authorization)
        assert refusal(answer) == (400, "invalid_request_error", "invalid_value")
        assert answer.json()["error"]["param"] == param

    @pytest.mark.parametrize(
        "name", ["txn_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "a%23b", "%20", "x" * 3000, "wallet", "%E2%82%AC"]
    )
    async def test_somebody_elses_row_is_as_unknown_as_none(
        self, accounts: App, account: Account, container: Container, name: str
    ) -> None:
        other = await an_account(container)
        ((theirs,), _) = await container.ledger.page(other.id, limit=1)
        bodies = []
        for one in (theirs.id, name):
            answer = await get(accounts, account, f"/v1/wallet/transactions/{one}")
            assert refusal(answer) == (404, "not_found_error", "not_found")
            bodies.append({**answer.json()["error"], "request_id": ""})
        assert bodies[0] == bodies[1]
        assert (await get(accounts, other, f"/v1/wallet/transactions/{theirs.id}")).status_code == 200


class TestMovements:
    async def test_no_more_goes_back_than_came_in(self, account: Account, container: Container) -> None:
        ledger = container.ledger
        ((paid,), _) = await ledger.page(account.id, limit=1)
        refunds = [Refund(container.ids.new("refund"), paid.id, parse_usd("4.00"), 0) for _ in range(3)]
        assert [await ledger.refund(account.id, refund) for refund in refunds[:2]] == [True, True]
        assert not await ledger.refund(account.id, refunds[0])
        with pytest.raises(NotCovered):
            await ledger.refund(account.id, refunds[2])
        with pytest.raises(NotCovered):
            await ledger.refund(account.id, Refund("refund_x", paid.id, parse_usd("10.01"), 0))
        assert (await wallet_of(container, account)).available == parse_usd("2.00")

    async def test_nor_than_there_is(self, account: Account, container: Container) -> None:
        ledger = container.ledger
        ((paid,), _) = await ledger.page(account.id, limit=1)
        assert await ledger.adjust(account.id, Adjustment("adj_1", Nano(-parse_usd("9.00")), 0))
        with pytest.raises(NotCovered):
            await ledger.refund(account.id, Refund("refund_1", paid.id, parse_usd("1.01"), 0))
        with pytest.raises(NotCovered):
            await ledger.adjust(account.id, Adjustment("adj_2", Nano(-parse_usd("1.01")), 0))
        assert not await ledger.adjust(account.id, Adjustment("adj_1", Nano(-parse_usd("9.00")), 0))
        assert (await wallet_of(container, account)).available == parse_usd("1.00")

    async def test_of_what_is_no_payment_of_the_account_nothing_goes_back(
        self, account: Account, container: Container
    ) -> None:
        other = await an_account(container)
        ((theirs,), _) = await container.ledger.page(other.id, limit=1)
        await container.ledger.adjust(account.id, Adjustment("adj_1", parse_usd("5.00"), 0))
        for name in (theirs.id, "adj_1", "topup_1"):
            with pytest.raises(LookupError):
                await container.ledger.refund(account.id, Refund("refund_1", name, parse_usd("1.00"), 0))

    async def test_a_threshold_makes_no_wallet(self, container: Container) -> None:
        assert not await container.ledger.set_low_threshold("acct_nobody", Nano(1))
        assert await container.table.get("acct_nobody", "wallet") is None


class TestTelling:
    async def spend(self, container: Container, account: Account, amount: str) -> None:
        await container.ledger.adjust(account.id, Adjustment(container.ids.new("adj"), Nano(-parse_usd(amount)), 0))

    async def low(self, container: Container, account: Account) -> bool:
        """What a debit of the account's does in the roll-up."""
        return await balance_low(container.wallets, container.clock, container.ids, account.id)

    async def told(self, accounts: App, account: Account, **query: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await page(accounts, account, "/v1/events", **query))["data"]
        return found

    async def test_a_balance_that_falls_below_is_told_once_however_many_debits_follow(
        self, accounts: App, account: Account, container: Container
    ) -> None:
        outcomes = []
        for amount in ("8.00", "1.50", "0.25"):
            await self.spend(container, account, amount)
            outcomes += [await self.low(container, account), await self.low(container, account)]
        assert outcomes == [False, False, True, False, False, False]
        (event,) = await self.told(accounts, account)
        assert (event["type"], event["object"], event["data"]["balance"]) == ("balance.low", "event", "0.50")
        assert (await wallet_of(container, account)).low

    async def test_after_a_credit_it_is_told_again(self, accounts: App, account: Account, container: Container) -> None:
        for _ in range(2):
            await self.spend(container, account, "9.50")
            assert await self.low(container, account)
            await container.wallets.credit(account.id, Credit(container.ids.new("topup"), parse_usd("9.50"), 0))
            assert not (await wallet_of(container, account)).low
            assert not await self.low(container, account)
        assert [event["type"] for event in await self.told(accounts, account)] == ["balance.low"] * 2

    async def test_another_threshold_is_told_of_anew(
        self, accounts: App, account: Account, container: Container
    ) -> None:
        await self.spend(container, account, "9.50")
        assert await self.low(container, account)
        changed = await accounts.client.patch(
            "/v1/wallet", json={"low_balance_threshold": "0.30"}, headers=account.authorization
        )
        assert changed.status_code == 200
        await self.spend(container, account, "0.10")
        assert not await self.low(container, account)
        await self.spend(container, account, "0.20")
        assert await self.low(container, account)
        assert (await self.told(accounts, account))[0]["data"]["low_balance_threshold"] == "0.30"

    async def test_an_account_that_is_not_there_is_told_nothing(self, container: Container) -> None:
        nobody = container.ids.new("acct")
        assert not await balance_low(container.wallets, container.clock, container.ids, nobody)
        assert await container.table.get(nobody, "wallet") is None

    async def test_a_refused_call_tells_once_until_money_comes_in(
        self, chat: App, accounts: App, container: Container
    ) -> None:
        account = await an_account(container, "0.00001")
        for _ in range(3):
            assert refusal(await chat.ask(account)) == (402, "budget_exceeded", "insufficient_balance")
        assert [event["type"] for event in await self.told(accounts, account)] == ["balance.exhausted"]
        await container.wallets.credit(account.id, Credit(container.ids.new("topup"), Nano(1), 0))
        for _ in range(2):
            assert (await chat.ask(account)).status_code == 402
        events = await self.told(accounts, account, type="balance.exhausted")
        assert [event["data"]["balance"] for event in events] == [usd(10_001), usd(10_000)]
        assert await self.told(accounts, account, type="balance.low") == []

    async def test_events_of_a_type_are_found_among_many(
        self, accounts: App, account: Account, container: Container
    ) -> None:
        for number in range(230):
            kind: EventType = "key.rotated" if number % 50 == 0 else "usage.daily.summary"
            event = Event(f"evt_{number:026d}", kind, account.id, {"number": number}, int(container.clock.now()))
            await container.table.put_new(event_item(event))
        found = await page(accounts, account, "/v1/events", type="key.rotated", limit="3")
        assert ([event["data"]["number"] for event in found["data"]], found["has_more"]) == ([200, 150, 100], True)
        rest = await page(accounts, account, "/v1/events", type="key.rotated", after=found["last_id"])
        assert ([event["data"]["number"] for event in rest["data"]], rest["has_more"]) == ([50, 0], False)
        newest = await page(accounts, account, "/v1/events", limit="2")
        assert ([event["data"]["number"] for event in newest["data"]], newest["has_more"]) == ([229, 228], True)
        item = await container.table.get(account.id, f"event#evt_{0:026d}")
        assert item is not None
        assert item["ttl"] == item["created_at"] + KEPT_S

    async def test_a_type_that_there_is_none_of_is_refused(self, accounts: App, account: Account) -> None:
        assert refusal(await get(accounts, account, "/v1/events", type="balance"))[0] == 400


class TestWhoMay:
    @pytest.mark.parametrize("path", PATHS)
    async def test_nobody_without_a_key(self, accounts: App, path: str) -> None:
        assert refusal(await accounts.client.get(path)) == (401, "authentication_error", "invalid_api_key")

    @pytest.mark.parametrize("path", PATHS)
    async def test_no_key_without_the_scope(self, accounts: App, container: Container, path: str) -> None:
        runner = await an_account(container, scopes=["inference"])
        assert refusal(await get(accounts, runner, path)) == (403, "permission_error", "insufficient_scope")

    @pytest.mark.parametrize("path", PATHS[:3])
    async def test_no_sub_account(self, accounts: App, container: Container, path: str) -> None:
        (sub,) = await a_sub_account(container, (await an_account(container)).id)
        assert refusal(await get(accounts, sub, path)) == (403, "permission_error", "sub_account")

    async def test_a_sub_account_changes_nothing_and_is_told_its_own(self, accounts: App, container: Container) -> None:
        (sub,) = await a_sub_account(container, (await an_account(container)).id)
        changed = await accounts.client.patch(
            "/v1/wallet", json={"low_balance_threshold": "2.00"}, headers=sub.authorization
        )
        assert refusal(changed) == (403, "permission_error", "sub_account")
        assert (await page(accounts, sub, "/v1/events"))["data"] == []
