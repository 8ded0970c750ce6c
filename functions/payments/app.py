"""POST /v1/wallet/top-ups, GET /v1/wallet/top-ups/{id}, and POST /v1/payments/{provider} for the providers' events."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends
from mangum import Mangum
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from aig import payments, topups, wiring
from aig.errors import InvalidRequest, NotFound, UpstreamError
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.body import read_json, read_raw
from aig.http.idempotency import Idempotent
from aig.http.json_answer import JsonAnswer
from aig.http.tenancy import paying_account
from aig.ids import has_form
from aig.keys import Caller
from aig.modalities.invalid import invalid_field
from aig.money.units import usd
from aig.payments import InvalidSignature, Pages, PaymentAdapter, TopUp
from aig_providers.payments import DEFAULT, Payments
from functions.payments.reference import CREATE, RECEIVE, RETRIEVE

MAX_EVENT_BYTES = 512 * 1024
# Plain http on one's own machine only.
_URL = re.compile(
    r"(https://[A-Za-z0-9.-]{1,253}|http://(localhost|127\.0\.0\.1))(:\d{1,5})?([/?#][\x21-\x7e]*)?", re.ASCII
)
_MAX_URL = 2048

container = wiring.container()
adapters = Payments()
ports = container.top_up_ports()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
idempotent = Idempotent(container.idempotency, container.clock)
app = create_app("AIgateway payments", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")


class TopUpBody(BaseModel):
    """What a top-up is asked for with."""

    model_config = ConfigDict(strict=True, extra="forbid")

    amount: str
    payment: str = DEFAULT
    success_url: str
    cancel_url: str | None = None


def _url(value: str, param: str) -> str:
    if len(value) > _MAX_URL or not _URL.fullmatch(value):
        raise InvalidRequest(f"{param} must be an https URL of at most {_MAX_URL} ASCII characters.", param=param)
    return value


def _adapter(name: str) -> PaymentAdapter:
    adapter = adapters.get(name)
    if adapter is None:
        known = ", ".join(adapters.names())
        raise InvalidRequest(f"payment must be one of {known}; the operator can top up by hand.", param="payment")
    return adapter


def _parse(body: dict[str, Any]) -> TopUpBody:
    try:
        return TopUpBody.model_validate(body)
    except ValidationError as error:
        raise invalid_field(error, body) from None


def _shown(top_up: TopUp) -> Mapping[str, Any]:
    now = container.clock.now()
    status = top_up.status(now)
    return {
        "id": top_up.id,
        "object": "top_up",
        "amount": usd(top_up.amount),
        "currency": payments.CURRENCY,
        "payment": top_up.provider,
        "status": status,
        "checkout_url": top_up.checkout_url if status == "pending" else None,
        "expires_at": top_up.expires_at,
        "transaction": top_up.credit_id,
        "returned": usd(top_up.returned),
        "created_at": top_up.created_at,
    }


@app.post("/v1/wallet/top-ups", **CREATE)
async def create_top_up(request: Request, caller: Annotated[Caller, Depends(authenticated("admin"))]) -> Response:
    account_id = paying_account(caller)
    body = await read_json(request)
    asked = _parse(body)
    amount = payments.amount(asked.amount)
    pages = Pages(
        _url(asked.success_url, "success_url"),
        None if asked.cancel_url is None else _url(asked.cancel_url, "cancel_url"),
    )
    adapter = _adapter(asked.payment)
    access = await topups.access(ports, adapter)

    async def work(top_up_id: str) -> Mapping[str, Any]:
        wanted = TopUp(top_up_id, account_id, asked.payment, amount, int(container.clock.now()))
        return _shown(await topups.begin(ports, adapter, access, wanted, pages))

    return await idempotent.once(request, account_id, "top-ups", body, container.ids.new("topup"), work)


@app.get("/v1/wallet/top-ups/{top_up_id}", **RETRIEVE)
async def retrieve_top_up(top_up_id: str, caller: Annotated[Caller, Depends(authenticated("usage:read"))]) -> Response:
    account_id = paying_account(caller)
    found = await container.top_ups.get(account_id, top_up_id) if has_form(top_up_id, "topup") else None
    if found is None:
        raise NotFound("There is no such top-up. Its id is in the answer to POST /v1/wallet/top-ups.")
    return JsonAnswer(_shown(found))


@app.post("/v1/payments/{provider}", **RECEIVE)
async def receive_event(provider: str, request: Request) -> Response:
    """A payment provider's webhook. It knows no key: the signature over the raw body is what it is trusted for."""
    adapter = adapters.get(provider)
    if adapter is None:
        raise NotFound("There is no such payment provider.")
    secret = await topups.secret(container.secrets, adapter.webhook_secret_name)
    raw = await read_raw(request, MAX_EVENT_BYTES)
    signatures = request.headers.getlist(adapter.signature_header)
    try:
        news = adapter.news(raw, signatures[0] if len(signatures) == 1 else "", secret, container.clock.now())
    except InvalidSignature:
        raise InvalidRequest(
            "The signature is missing, wrong or more than five minutes old. Sign the raw body with this endpoint's "
            f"secret and send it as {adapter.signature_header}.",
            code="invalid_signature",
        ) from None
    except UpstreamError:
        container.telemetry.alarm("PaymentNeedsAttention", reason="unreadable", provider=provider)
        raise InvalidRequest("The event cannot be read. The operator has been told.") from None
    if news is not None:
        await topups.book(ports, provider, news)
    return JsonAnswer({"received": True})
