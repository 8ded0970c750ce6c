"""GET and PATCH /v1/wallet, the ledger, and the events: what an account may know of its money, and is told of."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from aig.errors import InvalidRequest, NotFound
from aig.events import EVENT_TYPES, Event, EventType
from aig.http import pages
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.json_answer import JsonAnswer
from aig.http.pages import is_id
from aig.http.tenancy import paying_account
from aig.keys import Caller
from aig.modalities.invalid import invalid_field
from aig.money.ledger import Entry, Kind, Wallet
from aig.money.units import Nano, parse_usd, usd
from aig.wiring import Container
from functions.accounts.wallet_reference import (
    CHANGE_WALLET,
    LIST_EVENTS,
    LIST_TRANSACTIONS,
    RETRIEVE_TRANSACTION,
    RETRIEVE_WALLET,
)

MAX_THRESHOLD = Nano(1_000_000 * 10**9)
_KINDS: tuple[Kind, ...] = get_args(Kind)
# What a row tells its account. What a call cost us, and at which provider, is the operator's business.
_SHOWN: Mapping[Kind, tuple[str, ...]] = {
    "debit": (
        "request_id", "model", "tag", "key_id", "sub_account", "cache_hit", "units", "estimated", "service_tier",
    ),
    "credit": ("origin", "note"),
    "refund": ("credit_id", "origin", "note"),
    "adjustment": ("note",),
}  # fmt: skip


class WalletChange(BaseModel):
    """What can be changed of a wallet."""

    model_config = ConfigDict(strict=True, extra="forbid")

    low_balance_threshold: str


def _wallet(wallet: Wallet) -> Mapping[str, Any]:
    return {
        "object": "wallet",
        "balance": usd(wallet.available),
        "in_flight": usd(wallet.held),
        "currency": "usd",
        "low_balance_threshold": usd(wallet.low_threshold),
    }


def _transaction(entry: Entry) -> dict[str, Any]:
    more = {name: entry.more.get(name) for name in _SHOWN[entry.kind]}
    if entry.kind == "debit":
        more["cache_hit"] = bool(more["cache_hit"])
        more["units"] = {unit: count for unit, count in entry.more["units"].items() if count}
    return {
        "id": entry.id,
        "object": "transaction",
        "kind": entry.kind,
        "amount": usd(entry.amount),
        "currency": "usd",
        "created_at": entry.created_at,
        **more,
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "object": "event",
        "type": event.type,
        "data": event.data,
        "created_at": event.created_at,
    }


def _threshold(body: dict[str, Any]) -> Nano:
    try:
        text = WalletChange.model_validate(body).low_balance_threshold
    except ValidationError as error:
        raise invalid_field(error, body) from None
    try:
        parsed = parse_usd(text)
    except ValueError:
        parsed = Nano(MAX_THRESHOLD + 1)
    if parsed > MAX_THRESHOLD:
        raise InvalidRequest(
            'low_balance_threshold is US dollars as a string, from "0" (never tell) to "1000000.00".',
            param="low_balance_threshold",
        )
    return parsed


def _filter(request: Request, name: str, allowed: tuple[Any, ...]) -> Any:
    value = request.query_params.get(name)
    if value is not None and value not in allowed:
        raise InvalidRequest(f"{name} must be one of {', '.join(allowed)}.", param=name)
    return value


def router(container: Container, authenticated: Authenticator) -> APIRouter:
    """The routes over these ports."""
    routes = APIRouter()
    reader, admin = Depends(authenticated("usage:read")), Depends(authenticated("admin"))

    @routes.get("/v1/wallet", **RETRIEVE_WALLET)
    async def retrieve_wallet(caller: Annotated[Caller, reader]) -> Response:
        return JsonAnswer(_wallet(await container.wallets.look(paying_account(caller))))

    @routes.patch("/v1/wallet", **CHANGE_WALLET)
    async def change_wallet(request: Request, caller: Annotated[Caller, admin]) -> Response:
        account_id = paying_account(caller)
        await container.ledger.set_low_threshold(account_id, _threshold(await read_json(request)))
        return JsonAnswer(_wallet(await container.wallets.look(account_id)))

    @routes.get("/v1/wallet/transactions", **LIST_TRANSACTIONS)
    async def list_transactions(request: Request, caller: Annotated[Caller, reader]) -> Response:
        account_id, page = paying_account(caller), pages.requested(request)
        kind: Kind | None = _filter(request, "kind", _KINDS)
        found, more = await container.ledger.page(account_id, limit=page.limit, after=page.after, kind=kind)
        return pages.list_answer([_transaction(entry) for entry in found], has_more=more)

    @routes.get("/v1/wallet/transactions/{transaction_id}", **RETRIEVE_TRANSACTION)
    async def retrieve_transaction(transaction_id: str, caller: Annotated[Caller, reader]) -> Response:
        account_id = paying_account(caller)
        found = await container.ledger.entry(account_id, transaction_id) if is_id(transaction_id) else None
        if found is None:
            raise NotFound("There is no such transaction. GET /v1/wallet/transactions lists those that there are.")
        return JsonAnswer(_transaction(found))

    @routes.get("/v1/events", **LIST_EVENTS)
    async def list_events(request: Request, caller: Annotated[Caller, admin]) -> Response:
        page = pages.requested(request)
        kind: EventType | None = _filter(request, "type", EVENT_TYPES)
        found, more = await container.events.page(caller.account_id, limit=page.limit, after=page.after, type_=kind)
        return pages.list_answer([_event(event) for event in found], has_more=more)

    return routes
