"""A Stripe on loopback, as far as the gateway needs one: checkout sessions by form, events signed by Stripe's library.

It holds to Stripe's rules for idempotency keys: the same key and body get the same session, another body is refused.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

API_KEY: Final = "sk_test_that-no-log-may-hold"
WEBHOOK_SECRET: Final = "whsec_that-no-log-may-hold"


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names are lower case."""

    path: str
    headers: Mapping[str, str]
    fields: Mapping[str, str]


@dataclass
class StripeAccount:
    """`fail` is the status and body that the next requests get in place of an answer."""

    base_url: str = ""
    asked: list[Asked] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)  # by idempotency key
    fail: tuple[int, bytes] | None = None
    cut: bool = False  # the answer is lost on its way

    def answer(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        if self.fail is not None:
            return self.fail
        if asked.headers.get("authorization") != f"Bearer {API_KEY}":
            return 401, _error("invalid_request_error")
        key, fields = asked.headers["idempotency-key"], asked.fields
        if key not in self.sessions:
            number = len(self.sessions) + 1
            self.sessions[key] = {
                "id": f"cs_test_{number}{key}",
                "object": "checkout.session",
                "url": f"https://checkout.stripe.com/c/pay/cs_test_{number}",
                "amount_total": int(fields["line_items[0][price_data][unit_amount]"]),
                "currency": fields["line_items[0][price_data][currency]"],
                "client_reference_id": fields["client_reference_id"],
                "metadata": {"account": fields["metadata[account]"], "top_up": fields["metadata[top_up]"]},
                "payment_intent": None,
                "payment_status": "unpaid",
                "status": "open",
                "_fields": dict(fields),
            }
        if self.sessions[key]["_fields"] != dict(fields):
            return 400, _error("idempotency_error")
        return 200, json.dumps(self.sessions[key]).encode()

    def session(self, top_up_id: str, **more: Any) -> dict[str, Any]:
        """The session of a top-up as an event shows it once the customer has been there."""
        shown = {name: value for name, value in self.sessions[top_up_id].items() if name != "_fields"}
        return {**shown, "payment_intent": f"pi_{top_up_id}", "payment_status": "paid", "status": "complete", **more}

    def charge(self, top_up_id: str, refunded: int, **more: Any) -> dict[str, Any]:
        """The charge of a paid top-up, so many cents of which have gone back."""
        session = self.sessions[top_up_id]
        return {
            "id": f"ch_{top_up_id}",
            "object": "charge",
            "amount": session["amount_total"],
            "amount_refunded": refunded,
            "currency": session["currency"],
            "metadata": session["metadata"],
            "payment_intent": f"pi_{top_up_id}",
            **more,
        }

    def dispute(self, top_up_id: str, **more: Any) -> dict[str, Any]:
        """A dispute over all of a paid top-up. It carries no metadata of the payment's."""
        return {
            "id": f"dp_{top_up_id}",
            "object": "dispute",
            "amount": self.sessions[top_up_id]["amount_total"],
            "currency": "usd",
            "metadata": {},
            "payment_intent": f"pi_{top_up_id}",
            "status": "needs_response",
            **more,
        }


def _error(kind: str, **more: str) -> bytes:
    return json.dumps({"error": {"type": kind, "message": "as told", **more}}).encode()


def event(kind: str, thing: Mapping[str, Any], created: int) -> str:
    """An event's raw body, written as Stripe writes it: with spaces and line ends."""
    body = {"id": "evt_1", "object": "event", "type": kind, "created": created, "data": {"object": thing}}
    return json.dumps(body, indent=2)


def signature(payload: str, at: int, secret: str = WEBHOOK_SECRET) -> str:
    """The header, by Stripe's library."""
    import stripe  # a second, which tests of other things need not wait

    made: str = stripe.WebhookSignature.generate_signature_header(payload, secret, timestamp=at)
    return made


@asynccontextmanager
async def stripe_account() -> AsyncIterator[StripeAccount]:
    """One that listens for the length of the block."""
    account, tasks = StripeAccount(), set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(account, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    account.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield account
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(account: StripeAccount, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        fields = dict(parse_qsl(raw.decode(), keep_blank_values=True, strict_parsing=True))
        status, body = account.answer(Asked(request_line.split(" ")[1], headers, fields))
        if account.cut:
            writer.transport.abort()
            return
        head = f"HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
    finally:
        writer.close()
