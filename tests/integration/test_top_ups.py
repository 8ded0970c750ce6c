"""Top-ups by Stripe: from the request to the wallet, whatever order its events come in and however often."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from aig.keys import Caller
from aig.money.hold import Hold
from aig.money.ledger import Adjustment
from aig.money.units import Nano, parse_usd, usd
from aig.wiring import Container
from local import event as rest
from local.routing import Router
from local.template import Stack
from tests.apps import App, Handler
from tests.builders import Account, a_key, a_sub_account, an_account, wallet_of
from tests.integration.test_budgets import refusal
from tests.logs import Log
from tests.stripe_account import API_KEY, WEBHOOK_SECRET, StripeAccount, event, signature

BODY = {"amount": "25.00", "success_url": "https://example.com/paid?a=1"}
WEBHOOK = "/v1/payments/stripe"


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container, "1.00")


async def ask(payments: App, account: Account, body: Any = BODY, **headers: str) -> httpx.Response:
    sent = {**account.authorization, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return await payments.client.post("/v1/wallet/top-ups", json=body, headers=sent)


async def begun(payments: App, account: Account, body: Any = BODY) -> str:
    """The id of a top-up whose page is there."""
    answer = await ask(payments, account, body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def shown(payments: App, account: Account, top_up: str) -> dict[str, Any]:
    answer = await payments.client.get(f"/v1/wallet/top-ups/{top_up}", headers=account.authorization)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def tell(payments: App, kind: str, thing: dict[str, Any], created: int | None = None) -> httpx.Response:
    """Stripe's event, signed at this moment."""
    now = int(payments.module.container.clock.now())
    payload = event(kind, thing, created or now)
    headers = {"stripe-signature": signature(payload, now), "content-type": "application/json; charset=utf-8"}
    return await payments.client.post(WEBHOOK, content=payload, headers=headers)


async def paid(payments: App, stripe: StripeAccount, account: Account, body: Any = BODY) -> str:
    """The id of a top-up that has been paid."""
    top_up = await begun(payments, account, body)
    assert (await tell(payments, "checkout.session.completed", stripe.session(top_up))).status_code == 200
    return top_up


async def balance(container: Container, account: Account) -> int:
    return (await wallet_of(container, account)).available


async def rows(container: Container, account: Account, kind: Any) -> list[Any]:
    found, _ = await container.ledger.page(account.id, limit=100, kind=kind)
    return found


class TestAsking:
    async def test_a_page_to_pay_at(self, payments: App, stripe: StripeAccount, account: Account) -> None:
        answer = await ask(payments, account, {**BODY, "payment": "stripe", "cancel_url": "http://localhost:3000/"})
        body = answer.json()
        assert body == {
            "id": body["id"],
            "object": "top_up",
            "amount": "25.00",
            "currency": "usd",
            "payment": "stripe",
            "status": "pending",
            "checkout_url": "https://checkout.stripe.com/c/pay/cs_test_1",
            "expires_at": body["created_at"] + 23 * 3600,
            "transaction": None,
            "returned": "0.00",
            "created_at": body["created_at"],
        }
        (asked,) = stripe.asked
        assert asked.fields["line_items[0][price_data][unit_amount]"] == "2500"
        assert asked.fields["cancel_url"] == "http://localhost:3000/"
        assert asked.headers["idempotency-key"] == body["id"]
        assert await shown(payments, account, body["id"]) == body

    @pytest.mark.parametrize(
        "change",
        [
            {"amount": "-25.00"},
            {"amount": "NaN"},
            {"amount": "1e3"},
            {"amount": "4.99"},
            {"amount": "10000.01"},
            {"amount": "5.001"},
            {"amount": 25},
            {"amount": 25.0},
            {"amount": True},
            {"amount": None},
            {"success_url": "ftp://example.com"},
            {"success_url": "http://example.com/"},
            {"success_url": "https://example.com/a b"},
            {"success_url": "https://evil@example.com/"},
            {"success_url": "https://example.com/" + "a" * 2048},
            {"success_url": None},
            {"cancel_url": "javascript:alert(1)"},
            {"payment": "manual"},
            {"payment": "wire"},
            {"payment": "../stripe"},
            {"note": "unknown"},
            {"account": "acct_1"},
        ],
    )
    async def test_what_is_refused_and_never_gets_to_stripe(
        self, payments: App, stripe: StripeAccount, account: Account, change: Any
    ) -> None:
        answer = await ask(payments, account, {**BODY, **change})
        assert refusal(answer)[:2] == (400, "invalid_request_error")
        assert answer.json()["error"]["param"] in change
        assert stripe.asked == []

    @pytest.mark.parametrize("missing", ["amount", "success_url"])
    async def test_what_must_be_there(self, payments: App, account: Account, missing: str) -> None:
        answer = await ask(payments, account, {name: value for name, value in BODY.items() if name != missing})
        assert refusal(answer) == (400, "invalid_request_error", "missing_required_parameter")

    async def test_who_may(self, payments: App, stripe: StripeAccount, account: Account, container: Container) -> None:
        assert (await payments.client.post("/v1/wallet/top-ups", json=BODY)).status_code == 401
        reader = await a_key(container, account.id, scopes=["usage:read", "inference"])
        assert refusal(await ask(payments, reader)) == (403, "permission_error", "insufficient_scope")
        (sub,) = await a_sub_account(container, account.id)
        assert refusal(await ask(payments, sub)) == (403, "permission_error", "sub_account")
        top_up = await begun(payments, account)
        assert (await shown(payments, reader, top_up))["id"] == top_up

    async def test_another_accounts_top_up_is_as_unknown_as_none(
        self, payments: App, account: Account, container: Container
    ) -> None:
        top_up = await begun(payments, account)
        other = await an_account(container)
        bodies = []
        for name in (top_up, "topup_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "a%23b", "x" * 3000):
            answer = await payments.client.get(f"/v1/wallet/top-ups/{name}", headers=other.authorization)
            assert refusal(answer) == (404, "not_found_error", "not_found")
            bodies.append({**answer.json()["error"], "request_id": ""})
        assert all(body == bodies[0] for body in bodies)

    @pytest.mark.parametrize(
        ("fail", "refused", "alarms"),
        [
            ((400, {"type": "invalid_request_error", "param": "success_url"}), (400, "invalid_request_error"), 0),
            ((400, {"type": "invalid_request_error", "param": "mode"}), (502, "provider_error"), 1),
            ((401, {"type": "invalid_request_error"}), (502, "provider_error"), 1),
            ((500, {"type": "api_error"}), (502, "provider_error"), 0),
            ((200, None), (502, "provider_error"), 0),
        ],
    )
    async def test_what_stripe_does_not_do(
        self, payments: App, stripe: StripeAccount, account: Account, logged: Log, fail: Any, refused: Any, alarms: int
    ) -> None:
        stripe.fail = (fail[0], json.dumps({"error": fail[1]} if fail[1] else {}).encode())
        answer = await ask(payments, account)
        assert refusal(answer)[:2] == refused
        assert "as told" not in answer.text
        assert logged.metrics().count("PaymentProviderRefused") == alarms

    async def test_a_stripe_that_is_silent(self, payments: App, account: Account, stripe: StripeAccount) -> None:
        stripe.cut = True
        assert refusal(await ask(payments, account)) == (502, "provider_error", "provider_unavailable")


class TestPaying:
    async def test_a_payment_is_a_credit(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await paid(payments, stripe, account)
        assert await balance(container, account) == parse_usd("26.00")
        now = await shown(payments, account, top_up)
        assert (now["status"], now["checkout_url"]) == ("paid", None)
        credit = await container.ledger.entry(account.id, now["transaction"])
        assert credit is not None
        assert (credit.amount, credit.more["origin"]) == (parse_usd("25.00"), "stripe")
        assert credit.more["payment"] == f"pi_{top_up}"

    async def test_events_twice_and_in_any_order_are_one_credit(
        self, payments: App, stripe: StripeAccount, container: Container
    ) -> None:
        """A bank transfer: completed but unpaid, then paid."""
        for order in set(itertools.permutations(["completed", "succeeded", "succeeded", "failed"])):
            account = await an_account(container, "1.00")
            top_up = await begun(payments, account)
            things: dict[str, tuple[str, dict[str, Any]]] = {
                "completed": ("completed", stripe.session(top_up, payment_status="unpaid")),
                "succeeded": ("async_payment_succeeded", stripe.session(top_up)),
                "failed": ("async_payment_failed", stripe.session(top_up, payment_status="unpaid")),
            }
            for number, name in enumerate(order):
                kind, thing = things[name]
                answer = await tell(payments, f"checkout.session.{kind}", thing, 1_795_305_600 + number)
                assert (answer.status_code, answer.json()) == (200, {"received": True})
            assert await balance(container, account) == parse_usd("26.00"), order
            assert (await shown(payments, account, top_up))["status"] == "paid"

    async def test_what_is_not_paid_yet_or_failed_is_no_credit(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await begun(payments, account)
        unpaid = stripe.session(top_up, payment_status="unpaid")
        await tell(payments, "checkout.session.completed", unpaid)
        assert (await shown(payments, account, top_up))["status"] == "processing"
        await tell(payments, "checkout.session.async_payment_failed", unpaid)
        assert (await shown(payments, account, top_up))["status"] == "failed"
        await tell(payments, "checkout.session.completed", unpaid)
        assert (await shown(payments, account, top_up))["status"] == "failed"
        assert await balance(container, account) == parse_usd("1.00")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"currency": "eur"}, "other_amount"),
            ({"amount_total": 2499}, "other_amount"),
            ({"amount_total": 2501}, "other_amount"),
            ({"payment_intent": None}, "other_amount"),
            ({"id": "cs_other"}, "other_session"),
            ({"metadata": {}}, "unknown_payment"),
            ({"metadata": None}, "unknown_payment"),
            ({"metadata": {"account": "acct_1#", "top_up": "topup_1"}}, "unknown_payment"),
        ],
    )
    async def test_what_does_not_fit_is_acknowledged_and_never_credited(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log, change: Any,
        reason: str,
    ) -> None:  # fmt: skip
        top_up = await begun(payments, account)
        answer = await tell(payments, "checkout.session.completed", stripe.session(top_up, **change))
        assert answer.status_code == 200
        assert await balance(container, account) == parse_usd("1.00")
        assert [line["reason"] for line in logged.lines("PaymentNeedsAttention")] == [reason]
        assert logged.metrics() == ["PaymentNeedsAttention"]
        status = "failed" if reason == "other_amount" else "pending"
        assert (await shown(payments, account, top_up))["status"] == status

    async def test_one_payment_is_not_two_top_ups(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log
    ) -> None:
        first, second = await paid(payments, stripe, account), await begun(payments, account)
        again = stripe.session(second, payment_intent=f"pi_{first}")
        assert (await tell(payments, "checkout.session.completed", again)).status_code == 200
        assert await balance(container, account) == parse_usd("26.00")
        assert [line["reason"] for line in logged.lines("PaymentNeedsAttention")] == ["not_credited"]

    async def test_a_session_of_another_account_credits_neither(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log
    ) -> None:
        top_up, other = await begun(payments, account), await an_account(container, "1.00")
        session = stripe.session(top_up, metadata={"account": other.id, "top_up": top_up})
        assert (await tell(payments, "checkout.session.completed", session)).status_code == 200
        assert await balance(container, account) == await balance(container, other) == parse_usd("1.00")
        assert logged.metrics() == ["PaymentNeedsAttention"]

    async def test_a_credit_lets_refused_calls_through_and_clears_what_was_told(
        self, payments: App, chat: App, stripe: StripeAccount, container: Container
    ) -> None:
        account = await an_account(container, "0.00001")
        assert (await chat.ask(account)).status_code == 402
        assert (await wallet_of(container, account)).exhausted
        await paid(payments, stripe, account)
        assert not (await wallet_of(container, account)).exhausted
        assert (await chat.ask(account)).status_code == 200


class TestGoingBack:
    async def test_refunds_are_rows_of_their_own_each_for_what_it_adds(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await paid(payments, stripe, account)
        for cents in (500, 500, 1200, 500):
            answer = await tell(payments, "charge.refunded", stripe.charge(top_up, cents))
            assert answer.status_code == 200
        refunds = await rows(container, account, "refund")
        assert sorted(row.amount for row in refunds) == [-parse_usd("7.00"), -parse_usd("5.00")]
        assert {row.more["credit_id"] for row in refunds} == {(await shown(payments, account, top_up))["transaction"]}
        assert await balance(container, account) == parse_usd("14.00")
        assert (await shown(payments, account, top_up))["returned"] == "12.00"

    async def test_what_was_spent_before_cannot_be_taken_and_is_an_alarm(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log
    ) -> None:
        top_up = await paid(payments, stripe, account)
        spent = Adjustment("adj_1", Nano(-parse_usd("20.00")), 0)
        assert await container.ledger.adjust(account.id, spent)
        for _ in range(2):
            assert (await tell(payments, "charge.refunded", stripe.charge(top_up, 2500))).status_code == 200
        (refund,) = await rows(container, account, "refund")
        assert (refund.amount, refund.more["uncovered"]) == (-parse_usd("6.00"), parse_usd("19.00"))
        assert await balance(container, account) == 0
        (alarm,) = logged.lines("PaymentNeedsAttention")
        assert (alarm["reason"], alarm["uncovered"]) == ("not_covered", "19.00")
        # What comes in later is not taken for it.
        await paid(payments, stripe, account, {**BODY, "amount": "5.00"})
        await tell(payments, "charge.refunded", stripe.charge(top_up, 2500))
        assert await balance(container, account) == parse_usd("5.00")

    async def test_what_calls_in_flight_hold_is_waited_for(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log
    ) -> None:
        top_up, now = await paid(payments, stripe, account), int(container.clock.now())
        caller = Caller(account.id, account.key_id, "n", "h", frozenset())
        held = Hold("req_held", account.id, account.key_id, parse_usd("20.00"), "v/m", {}, now, now + 960)
        await container.wallets.take(held, caller)
        for taken in ("6.00", "6.00"):
            early = await tell(payments, "charge.refunded", stripe.charge(top_up, 2500))
            assert refusal(early) == (503, "overloaded_error", "overloaded")
            assert [usd(-row.amount) for row in await rows(container, account, "refund")] == [taken]
        await container.wallets.void(held)
        assert (await tell(payments, "charge.refunded", stripe.charge(top_up, 2500))).status_code == 200
        assert await balance(container, account) == parse_usd("1.00")
        assert (await shown(payments, account, top_up))["returned"] == "25.00"
        assert logged.metrics() == []

    async def test_but_not_for_ever(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log
    ) -> None:
        top_up, now = await paid(payments, stripe, account), int(container.clock.now())
        caller = Caller(account.id, account.key_id, "n", "h", frozenset())
        held = Hold("req_held", account.id, account.key_id, parse_usd("26.00"), "v/m", {}, now, now + 960)
        await container.wallets.take(held, caller)
        event = stripe.charge(top_up, 2500)
        assert (await tell(payments, "charge.refunded", event)).status_code == 503
        assert await rows(container, account, "refund") == []
        assert (await tell(payments, "charge.refunded", event, now - 3601)).status_code == 200
        (refund,) = await rows(container, account, "refund")
        assert (refund.amount, refund.more["uncovered"]) == (0, parse_usd("25.00"))
        assert [line["reason"] for line in logged.lines("PaymentNeedsAttention")] == ["not_covered"]

    async def test_a_dispute_takes_the_payment_back_and_tells_the_operator(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log
    ) -> None:
        top_up = await paid(payments, stripe, account)
        await tell(payments, "charge.refunded", stripe.charge(top_up, 1000))
        for kind in ("created", "funds_withdrawn", "created"):
            assert (await tell(payments, f"charge.dispute.{kind}", stripe.dispute(top_up))).status_code == 200
        refunds = await rows(container, account, "refund")
        assert sorted((row.amount, row.more["note"]) for row in refunds) == [
            (-parse_usd("15.00"), "dispute"), (-parse_usd("10.00"), ""),
        ]  # fmt: skip
        assert await balance(container, account) == parse_usd("1.00")
        assert [line["reason"] for line in logged.lines("PaymentNeedsAttention")] == ["dispute"]

    async def test_a_banks_question_takes_nothing(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await paid(payments, stripe, account)
        question = stripe.dispute(top_up, status="warning_needs_response")
        assert (await tell(payments, "charge.dispute.created", question)).status_code == 200
        assert await balance(container, account) == parse_usd("26.00")

    async def test_a_refund_that_overtakes_its_payment_is_to_come_again(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await begun(payments, account)
        early = await tell(payments, "charge.refunded", stripe.charge(top_up, 2500))
        assert refusal(early) == (503, "overloaded_error", "overloaded")
        assert early.headers["retry-after"] == "60"
        await tell(payments, "checkout.session.completed", stripe.session(top_up))
        assert (await tell(payments, "charge.refunded", stripe.charge(top_up, 2500))).status_code == 200
        assert await balance(container, account) == parse_usd("1.00")

    async def test_a_refund_of_what_was_never_credited_takes_nothing(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await begun(payments, account)
        await tell(payments, "checkout.session.completed", stripe.session(top_up, amount_total=2600))
        assert (await tell(payments, "charge.refunded", stripe.charge(top_up, 2600))).status_code == 200
        assert await balance(container, account) == parse_usd("1.00")
        assert await rows(container, account, "refund") == []
        # What has gone back is not credited by whatever comes later.
        assert (await tell(payments, "checkout.session.completed", stripe.session(top_up))).status_code == 200
        assert await balance(container, account) == parse_usd("1.00")

    @pytest.mark.parametrize(
        ("change", "reason"),
        [({"currency": "eur"}, "other_currency"), ({"metadata": {}, "payment_intent": "pi_x"}, "unknown_payment")],
    )
    async def test_what_does_not_fit_takes_nothing(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, logged: Log, change: Any,
        reason: str,
    ) -> None:  # fmt: skip
        top_up = await paid(payments, stripe, account)
        assert (await tell(payments, "charge.refunded", stripe.charge(top_up, 500, **change))).status_code == 200
        assert await balance(container, account) == parse_usd("26.00")
        (alarm,) = logged.lines("PaymentNeedsAttention")
        assert alarm["reason"] == reason


class TestTheWebhook:
    async def test_a_wrong_signature_changes_nothing(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container
    ) -> None:
        top_up = await begun(payments, account)
        now = int(container.clock.now())
        payload = event("checkout.session.completed", stripe.session(top_up), now)
        right = signature(payload, now)
        for sent in (
            {},
            {"stripe-signature": ""},
            {"stripe-signature": signature(payload, now, "whsec_other")},
            {"stripe-signature": signature(payload + " ", now)},
            {"stripe-signature": signature(payload, now - 301)},
            {"stripe-signature": signature(payload, now + 302)},
            {"stripe-signature": right.replace("v1", "v0")},
            {"authorization": account.authorization["Authorization"]},
        ):
            answer = await payments.client.post(WEBHOOK, content=payload, headers=sent)
            assert refusal(answer) == (400, "invalid_request_error", "invalid_signature"), sent
        twice = [("stripe-signature", right), ("stripe-signature", right)]
        assert (await payments.client.post(WEBHOOK, content=payload, headers=twice)).status_code == 400
        assert await balance(container, account) == parse_usd("1.00")
        assert (
            await payments.client.post(WEBHOOK, content=payload, headers={"stripe-signature": right})
        ).status_code == 200
        assert await balance(container, account) == parse_usd("26.00")

    async def test_events_that_are_no_business_of_ours_are_acknowledged(self, payments: App, logged: Log) -> None:
        assert (await tell(payments, "customer.created", {"id": "cus_1"})).json() == {"received": True}
        assert logged.metrics() == []

    @pytest.mark.parametrize("thing", [{"amount_refunded": "5"}, {"amount_refunded": -1}])
    async def test_a_signed_event_that_cannot_be_read_is_refused_so_that_it_comes_again(
        self, payments: App, logged: Log, thing: Any
    ) -> None:
        assert refusal(await tell(payments, "charge.refunded", thing))[0] == 400
        assert [line["reason"] for line in logged.lines("PaymentNeedsAttention")] == ["unreadable"]

    async def test_a_body_that_is_too_long_is_not_read(self, payments: App) -> None:
        answer = await payments.client.post(WEBHOOK, content=b"x" * (512 * 1024 + 1))
        assert refusal(answer)[2] == "request_too_large"

    @pytest.mark.parametrize("name", ["manual", "wire", "Stripe"])
    async def test_another_provider_is_unknown(self, payments: App, name: str) -> None:
        assert refusal(await payments.client.post(f"/v1/payments/{name}")) == (404, "not_found_error", "not_found")

    async def test_the_signature_holds_for_the_body_as_api_gateway_hands_it_on(
        self, payments: App, stripe: StripeAccount, account: Account, container: Container, deployed: Stack
    ) -> None:
        """As a string in a Lambda event, with letters and line ends of every kind."""
        top_up, now = await begun(payments, account), int(container.clock.now())
        session = stripe.session(top_up, customer_details={"name": "Zo\u00eb \U0001f600\r\n\u2028"})
        payload = event("checkout.session.completed", session, now).replace("\\u00eb", "\u00eb")
        lines = [
            ("host", "gateway"),
            ("content-type", "application/json; charset=utf-8"),
            ("Stripe-Signature", signature(payload, now)),
        ]
        sent = rest.Request("POST", WEBHOOK, "", lines, payload.encode(), "203.0.113.1", 443, "1")
        match = Router(deployed.routes).match("POST", WEBHOOK)
        assert match is not None
        function = Handler(
            deployed.functions[match.route.function], STRIPE_API_KEY=API_KEY, STRIPE_WEBHOOK_SECRET=WEBHOOK_SECRET
        )
        result = await function.invoke(rest.build(sent, match, deployed.stage, (), datetime.now(UTC)))
        await function.close()
        assert json.loads(rest.parse_result(result, "", ()).body) == {"received": True}
        assert await balance(container, account) == parse_usd("26.00")
