"""Stripe's wire, held against Stripe's own library: its forms, its signatures, its events."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import UpstreamError
from aig.money.units import Nano
from aig.payments import Access, InvalidSignature, News, Pages, TopUp
from aig_providers.payments import DEFAULT, Payments
from aig_providers.stripe import TOLERANCE_S, VERSION, build_checkout, parse_checkout, parse_event, verify
from aig_providers.wire import CLIENT
from tests.stripe_account import API_KEY, event, signature, stripe_account

SECRET = "whsec_test"
NOW = 1_795_305_600
TOP_UP = TopUp("topup_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "stripe", Nano(25 * 10**9), NOW)
PAGES = Pages("https://example.com/paid?a=1&b=ü", "https://example.com/")
ACCESS = Access("http://127.0.0.1:1/", API_KEY)


class TestCheckout:
    async def test_the_form_is_what_stripes_library_sends(self) -> None:
        ours = {"account": TOP_UP.account_id, "top_up": TOP_UP.id}
        async with stripe_account() as account:

            def ask() -> Any:
                client = stripe.StripeClient(
                    API_KEY, stripe_version=VERSION, base_addresses={"api": account.base_url}, max_network_retries=0
                )
                return client.v1.checkout.sessions.create(
                    {
                        "mode": "payment",
                        "client_reference_id": TOP_UP.id,
                        "expires_at": TOP_UP.expires_at,
                        "line_items": [
                            {
                                "quantity": 1,
                                "price_data": {
                                    "currency": "usd",
                                    "unit_amount": 2500,
                                    "product_data": {"name": "AI gateway credit"},
                                },
                            }
                        ],
                        "metadata": ours,
                        "payment_intent_data": {"metadata": ours},
                        "success_url": PAGES.success_url,
                        "cancel_url": PAGES.cancel_url or "",
                    },
                    {"idempotency_key": TOP_UP.id},
                )

            session = await asyncio.to_thread(ask)
            adapter = Payments().get(DEFAULT)
            assert adapter is not None
            made = await adapter.checkout(Access(account.base_url, API_KEY), TOP_UP, PAGES)
            await CLIENT.close()
            theirs, own = account.asked
        assert own.fields == theirs.fields
        assert own.path == theirs.path == "/v1/checkout/sessions"
        for name in ("authorization", "content-type", "idempotency-key", "stripe-version"):
            assert own.headers[name] == theirs.headers[name]
        assert (made.session, made.url) == (session.id, session.url)

    def test_it_is_the_same_bytes_for_the_same_top_up(self) -> None:
        assert build_checkout(ACCESS, TOP_UP, PAGES) == build_checkout(ACCESS, replace(TOP_UP), PAGES)

    def test_a_page_to_cancel_at_may_be_left_out(self) -> None:
        assert b"cancel_url" not in build_checkout(ACCESS, TOP_UP, Pages("https://example.com/")).body

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"id": "cs_1"},
            {"id": 1, "url": "https://x"},
            {"id": "cs_1", "url": None},
            {"id": "a", "url": "javascript:"},
        ],
    )
    def test_an_answer_without_a_page_is_no_answer(self, body: Any) -> None:
        with pytest.raises(UpstreamError):
            parse_checkout(json.dumps(body).encode())


payloads = st.text(st.characters(codec="utf-8"), max_size=200)


def accepted(raw: bytes, header: str, now: float = NOW, secret: str = SECRET) -> bool:
    try:
        verify(raw, header, secret, now)
    except InvalidSignature:
        return False
    return True


class TestSignatures:
    @given(payloads)
    def test_what_stripes_library_signs_is_accepted(self, payload: str) -> None:
        assert accepted(payload.encode(), signature(payload, NOW, SECRET))

    @given(payloads, st.data())
    def test_one_bit_makes_the_difference(self, payload: str, data: st.DataObject) -> None:
        header = signature(payload, NOW, SECRET)
        whole = bytearray(payload.encode() + b"\0" + header.encode())
        bit = data.draw(st.integers(0, len(whole) * 8 - 1))
        whole[bit // 8] ^= 1 << bit % 8
        raw, changed = bytes(whole[: len(payload.encode())]), bytes(whole[len(payload.encode()) + 1 :])
        if whole[len(payload.encode())]:
            return  # the bit between the two
        assert not accepted(raw, changed.decode("latin-1"))

    @given(st.text(max_size=120))
    def test_any_other_header_is_refused_and_breaks_nothing(self, header: str) -> None:
        assert not accepted(b"{}", header)

    @given(st.lists(st.sampled_from(["t=1795305600", "v1=" + "0" * 64, "v0=abc", "t=", "=", "v1", "", "v1=é"])))
    def test_nor_pieces_of_one(self, pieces: list[str]) -> None:
        assert not accepted(b"{}", ",".join(pieces))

    @pytest.mark.parametrize(("age", "good"), [(0, True), (TOLERANCE_S, True), (TOLERANCE_S + 1, False)])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_it_must_be_of_these_five_minutes(self, age: int, good: bool, sign: int) -> None:
        assert accepted(b"{}", signature("{}", NOW, SECRET), NOW + sign * age) is good

    def test_one_of_several_signatures_is_enough(self) -> None:
        """While the secret of an endpoint is rolled, Stripe signs with both."""
        right, wrong = signature("{}", NOW, SECRET), signature("{}", NOW, "whsec_other")
        for order in (f"{right},{wrong.partition(',')[2]}", f"{wrong},{right.partition(',')[2]}"):
            assert accepted(b"{}", order)
            stripe.WebhookSignature.verify_header("{}", order, SECRET)

    def test_another_scheme_or_two_times_are_not(self) -> None:
        right = signature("{}", NOW, SECRET)
        assert not accepted(b"{}", right.replace("v1=", "v0="))
        assert not accepted(b"{}", f"{right},t={NOW}")
        assert not accepted(b"{}", right, secret="whsec_other")


SESSION = {
    "id": "cs_1",
    "amount_total": 2500,
    "currency": "usd",
    "metadata": {"account": "acct_1", "top_up": "topup_1"},
    "payment_intent": "pi_1",
    "payment_status": "paid",
}
CHARGE = {
    "id": "ch_1",
    "amount": 2500,
    "amount_refunded": 500,
    "currency": "usd",
    "metadata": SESSION["metadata"],
    "payment_intent": "pi_1",
}
DISPUTE = {"id": "dp_1", "amount": 2500, "currency": "usd", "payment_intent": "pi_1", "status": "needs_response"}
OURS = {"account_id": "acct_1", "top_up_id": "topup_1"}


def read(kind: str, thing: Any) -> News | None:
    return parse_event(event(kind, thing, NOW).encode())


class TestEvents:
    @pytest.mark.parametrize(
        ("kind", "thing", "news"),
        [
            (
                "checkout.session.completed",
                SESSION,
                News("paid", NOW, Nano(25 * 10**9), "pi_1", "cs_1", **OURS),
            ),
            (
                "checkout.session.completed",
                {**SESSION, "payment_status": "unpaid"},
                News("processing", NOW, Nano(25 * 10**9), "pi_1", "cs_1", **OURS),
            ),
            (
                "checkout.session.async_payment_succeeded",
                SESSION,
                News("paid", NOW, Nano(25 * 10**9), "pi_1", "cs_1", **OURS),
            ),
            (
                "checkout.session.async_payment_failed",
                {**SESSION, "payment_status": "unpaid"},
                News("failed", NOW, Nano(25 * 10**9), "pi_1", "cs_1", **OURS),
            ),
            ("charge.refunded", CHARGE, News("refunded", NOW, Nano(5 * 10**9), "pi_1", None, **OURS)),
            ("charge.dispute.created", DISPUTE, News("disputed", NOW, Nano(25 * 10**9), "pi_1")),
            ("charge.dispute.funds_withdrawn", DISPUTE, News("disputed", NOW, Nano(25 * 10**9), "pi_1")),
        ],
    )
    def test_what_they_tell(self, kind: str, thing: Any, news: News) -> None:
        assert read(kind, thing) == news

    @pytest.mark.parametrize(
        ("kind", "thing"),
        [
            ("checkout.session.completed", {**SESSION, "payment_status": "no_payment_required"}),
            ("checkout.session.expired", SESSION),
            ("charge.dispute.created", {**DISPUTE, "status": "warning_needs_response"}),
            ("charge.dispute.created", {**DISPUTE, "status": "prevented"}),
            ("customer.created", {"id": "cus_1"}),
        ],
    )
    def test_what_is_no_business_of_ours(self, kind: str, thing: Any) -> None:
        assert read(kind, thing) is None

    def test_another_currency_has_no_amount(self) -> None:
        news = read("checkout.session.completed", {**SESSION, "currency": "eur"})
        assert news is not None
        assert news.amount is None

    @pytest.mark.parametrize(
        "metadata", [None, {}, [], {"account": 1, "top_up": ["x"]}, {"account": "ü", "top_up": ""}]
    )
    def test_a_payment_of_somebody_else_names_no_top_up(self, metadata: Any) -> None:
        news = read("checkout.session.completed", {**SESSION, "metadata": metadata})
        assert news is not None
        assert (news.account_id, news.top_up_id) == (None, None)

    @pytest.mark.parametrize("cents", [None, "2500", 25.0, True, -1, 10**11])
    def test_an_amount_that_is_none_is_refused(self, cents: Any) -> None:
        with pytest.raises(UpstreamError):
            read("checkout.session.completed", {**SESSION, "amount_total": cents})

    @pytest.mark.parametrize(
        "body",
        [
            {"type": "charge.refunded", "created": NOW},
            {"type": "charge.refunded", "created": NOW, "data": []},
            {"type": "charge.refunded", "created": NOW, "data": {"object": "ch_1"}},
            {"type": 7, "created": NOW, "data": {"object": CHARGE}},
            {"type": "charge.refunded", "created": "now", "data": {"object": CHARGE}},
            {"type": "charge.refunded", "created": True, "data": {"object": CHARGE}},
        ],
    )
    def test_an_event_of_another_form_is_refused(self, body: Any) -> None:
        with pytest.raises(UpstreamError):
            parse_event(json.dumps(body).encode())


def test_only_names_of_payment_providers_are_imported() -> None:
    payments = Payments()
    assert [payments.get(name) for name in ("", "wire", "sandbox", "../stripe", "manual")] == [None] * 5
    assert all(payments.get(name) is not None for name in payments.names())
