"""/v1/account: what is set for all of an account's keys and sub-accounts."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from aig.errors import Forbidden
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation
from aig.keys import Caller
from aig.money.units import parse_usd, usd
from aig.summaries import USAGE_PERIODS
from aig.wiring import Container
from functions.accounts import bodies

_EXAMPLE = {
    "object": "account",
    "id": "acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "name": "Example Ltd",
    "request_retention": "full",
    "daily_usage_threshold": None,
    "monthly_usage_threshold": "100.00",
    "created_at": 1_795_000_000,
}


_THRESHOLDS = tuple(f"{period}_usage_threshold" for period in USAGE_PERIODS)


class AccountRoutes:
    """Needs the container's keys."""

    def __init__(self, container: Container, authenticated: Authenticator) -> None:
        self._container = container
        self._admin = authenticated("admin")

    def router(self) -> APIRouter:
        router = APIRouter()
        changes = bodies.schema(bodies.ACCOUNT_CHANGES, {"request_retention": "none"})
        router.add_api_route(
            "/v1/account",
            self.one,
            methods=["GET"],
            **operation("retrieveAccount", "The account", "accounts", answer=_EXAMPLE, errors=(401, 403, 503)),
        )
        router.add_api_route(
            "/v1/account",
            self.change,
            methods=["PATCH"],
            **operation(
                "changeAccount",
                "Change the account",
                "accounts",
                answer=_EXAMPLE,
                errors=(400, 401, 403, 503),
                request=changes,
            ),
        )
        return router

    async def one(self, request: Request) -> Response:
        return JsonAnswer(await self._describe(await self._owner(request)))

    async def change(self, request: Request) -> Response:
        caller = await self._owner(request)
        checked = bodies.check(bodies.ACCOUNT_CHANGES, await read_json(request))
        body: dict[str, Any] = {**checked}
        changes: dict[str, Any] = {"title": body["name"]} if "name" in body else {}
        if "request_retention" in body:
            changes["retain"] = body["request_retention"] == "full"
        for name in _THRESHOLDS:
            if name in body:
                changes[name] = None if body[name] is None else parse_usd(body[name])
        if changes:
            await self._container.keys.change_account(caller.account_id, changes)
        return JsonAnswer(await self._describe(caller))

    async def _owner(self, request: Request) -> Caller:
        caller = await self._admin(request)
        if caller.parent_id is not None:
            raise Forbidden("A sub-account has no settings of its own. Use a key of the account itself.")
        return caller

    async def _describe(self, caller: Caller) -> dict[str, Any]:
        account = await self._container.keys.account(caller.account_id)
        assert account is not None, "its key was good a moment ago"
        return {
            "object": "account",
            "id": caller.account_id,
            "name": account["title"],
            "request_retention": "full" if account.get("retain", True) else "none",
            **{name: usd(account[name]) if name in account else None for name in _THRESHOLDS},
            "created_at": account["created_at"],
        }
