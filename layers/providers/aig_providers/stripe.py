"""Stripe Checkout: a page for one payment, and the signed events that tell what became of it.

https://docs.stripe.com/api/checkout/sessions and https://docs.stripe.com/webhooks#verify-manually. Amounts are cents.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from aig.errors import UpstreamError
from aig.modalities.upstream import Timeouts, Upstream
from aig.money.units import Nano
from aig.payments import CENT, CURRENCY, Access, Checkout, InvalidSignature, News, NewsKind, Pages, TopUp
from aig_providers import wire
from aig_providers.wire import HttpRequest, Post

VERSION: Final = "2026-10-28.endive"
TOLERANCE_S: Final = 300
TIMEOUTS: Final = Timeouts(total=20.0)  # API Gateway gives the whole answer 29 seconds
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_MOST_CENTS = 10**10
# Questions of a bank, and disputes that came to nothing: no money has been taken.
_NO_MONEY_TAKEN = ("warning_", "prevented")


def build_checkout(access: Access, top_up: TopUp, pages: Pages) -> HttpRequest:
    """The same bytes for the same top-up: Stripe refuses an Idempotency-Key that comes with another body."""
    ours = {"account": top_up.account_id, "top_up": top_up.id}
    fields = {
        "mode": "payment",
        "client_reference_id": top_up.id,
        "expires_at": top_up.expires_at,
        "line_items[0][quantity]": 1,
        "line_items[0][price_data][currency]": CURRENCY,
        "line_items[0][price_data][unit_amount]": top_up.amount // CENT,
        "line_items[0][price_data][product_data][name]": "AI gateway credit",
        **{f"metadata[{name}]": value for name, value in ours.items()},
        # Copied to the charge, so that a refund says whose it is.
        **{f"payment_intent_data[metadata][{name}]": value for name, value in ours.items()},
        "success_url": pages.success_url,
    }
    if pages.cancel_url is not None:
        fields["cancel_url"] = pages.cancel_url
    headers = {
        "Authorization": f"Bearer {access.api_key}",
        "Content-Type": "application/x-www-form-urlencoded",
        "Idempotency-Key": top_up.id,
        "Stripe-Version": VERSION,
    }
    return HttpRequest(f"{access.base_url.rstrip('/')}/v1/checkout/sessions", headers, urlencode(fields).encode())


def parse_checkout(payload: bytes) -> Checkout:
    """Raises UpstreamError."""
    body = wire.parse_object(payload)
    session, url = body.get("id"), body.get("url")
    if not isinstance(session, str) or not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise UpstreamError("malformed")
    return Checkout(session, url)


def verify(raw: bytes, header: str, secret: str, now: float) -> None:
    """Raises InvalidSignature. There are several signatures while the endpoint's secret is being changed."""
    items = [item.partition("=")[::2] for item in header.split(",")]
    times = [value for name, value in items if name == "t"]
    signatures = [value for name, value in items if name == "v1" and _SIGNATURE.fullmatch(value)]
    if len(times) != 1 or not _TIMESTAMP.fullmatch(times[0]):
        raise InvalidSignature
    expected = hmac.digest(secret.encode(), times[0].encode() + b"." + raw, hashlib.sha256).hex()
    # Each of them is looked at, whichever is right.
    if not sum([hmac.compare_digest(expected, signature) for signature in signatures]):
        raise InvalidSignature
    if abs(now - int(times[0])) > TOLERANCE_S:
        raise InvalidSignature


def parse_event(raw: bytes) -> News | None:
    """Raises UpstreamError for an event of these types that is not as Stripe's version says."""
    event = wire.parse_object(raw)
    kind, told = event.get("type"), event.get("data")
    thing = told.get("object") if isinstance(told, Mapping) else None
    if not isinstance(kind, str) or not isinstance(thing, Mapping):
        raise UpstreamError("malformed")
    news_kind, field = _meaning(kind, thing)
    if news_kind is None:
        return None
    at, metadata = event.get("created"), thing.get("metadata")
    if type(at) is not int or not 0 < at < 10**11:
        raise UpstreamError("malformed")
    ours: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    return News(
        kind=news_kind,
        at=at,
        amount=_amount(thing, field),
        payment=_text(thing.get("payment_intent")),
        session=_text(thing.get("id")) if kind.startswith("checkout.") else None,
        account_id=_text(ours.get("account")),
        top_up_id=_text(ours.get("top_up")),
    )


def _meaning(kind: str, thing: Mapping[str, Any]) -> tuple[NewsKind | None, str]:
    """What an event is for us, and the field that its amount is in."""
    match kind:
        case "checkout.session.completed":
            status = thing.get("payment_status")
            return ("paid" if status == "paid" else "processing" if status == "unpaid" else None), "amount_total"
        case "checkout.session.async_payment_succeeded":
            return "paid", "amount_total"
        case "checkout.session.async_payment_failed":
            return "failed", "amount_total"
        case "charge.refunded":
            return "refunded", "amount_refunded"
        case "charge.dispute.created" | "charge.dispute.funds_withdrawn":
            nothing_taken = str(thing.get("status")).startswith(_NO_MONEY_TAKEN)
            return (None if nothing_taken else "disputed"), "amount"
    return None, ""


def _amount(thing: Mapping[str, Any], field: str) -> Nano | None:
    """None for another currency. Raises UpstreamError for what is no number of cents."""
    cents = thing.get(field)
    if type(cents) is not int or not 0 <= cents <= _MOST_CENTS:
        raise UpstreamError("malformed")
    return Nano(cents * CENT) if thing.get("currency") == CURRENCY else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= 255 and value.isascii() else None


class Stripe:
    key_name = "STRIPE_API_KEY"
    webhook_secret_name = "STRIPE_WEBHOOK_SECRET"  # noqa: S105 the name of one
    base_url_name = "AIG_STRIPE_BASE_URL"
    base_url = "https://api.stripe.com"
    signature_header = "stripe-signature"

    def __init__(self, post: Post) -> None:
        self._post = post

    async def checkout(self, access: Access, top_up: TopUp, pages: Pages) -> Checkout:
        upstream = Upstream("stripe", "checkout", access.base_url, access.api_key, TIMEOUTS)
        return parse_checkout(await wire.exchange(self._post, build_checkout(access, top_up, pages), upstream))

    def news(self, raw: bytes, signature: str, secret: str, now: float) -> News | None:
        verify(raw, signature, secret, now)
        return parse_event(raw)


ADAPTER = Stripe(wire.CLIENT.post)
