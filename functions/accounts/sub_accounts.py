"""/v1/sub-accounts: an account's customers, each a tenant of its own whose calls the account's wallet pays for."""

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from aig import keys as secrets_of_keys
from aig.errors import Conflict, Forbidden, NotFound
from aig.events import Event
from aig.http import pages
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.idempotency import PARAMETER, Idempotent
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation
from aig.ids import has_form
from aig.keys import Caller, Key
from aig.limits import Limits
from aig.money.units import usd
from aig.sub_accounts import SubAccount
from aig.wiring import Container
from functions.accounts import bodies, keys, limits

_EXAMPLE = {
    "object": "sub_account",
    "id": "sub_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "name": "Customer 17",
    "status": "active",
    **limits.EXAMPLE,
    "default_tag": "customer-17",
    "key_id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9D",
    "created_at": 1_795_000_000,
}


def _first_key_of(sub_id: str) -> str:
    """The same for every try to make the sub-account."""
    return f"key_{sub_id.partition('_')[2]}"


class SubAccountRoutes:
    """Needs the container's sub_accounts, keys, wallets, secrets, ids and clock."""

    def __init__(self, container: Container, authenticated: Authenticator) -> None:
        self._container = container
        self._idempotent = Idempotent(container.idempotency, container.clock)
        self._admin = authenticated("admin")

    def router(self) -> APIRouter:
        router = APIRouter()
        add, tag, known = router.add_api_route, "sub-accounts", (401, 403, 404, 503)
        body = bodies.schema(bodies.SUB_ACCOUNT, {"name": "Customer 17", "spend_cap": "25.00", "rpm": 60})
        changes = bodies.schema(bodies.SUB_ACCOUNT_CHANGES, {"spend_cap": "50.00"})
        rotation = bodies.schema(bodies.ROTATION, {"grace_period_s": 3600})
        whole = {**_EXAMPLE, "key": keys.WHOLE_KEY}
        add(
            "/v1/sub-accounts",
            self.create,
            methods=["POST"],
            **operation(
                "createSubAccount",
                "Make a sub-account and its first key",
                tag,
                answer=whole,
                errors=(400, 401, 403, 409, 503),
                request=body,
                parameters=(PARAMETER,),
            ),
        )
        add(
            "/v1/sub-accounts",
            self.page,
            methods=["GET"],
            **operation(
                "listSubAccounts",
                "All sub-accounts",
                tag,
                answer=pages.list_body([_EXAMPLE]),
                errors=(400, 401, 403, 503),
                parameters=pages.PARAMETERS,
            ),
        )
        add(
            "/v1/sub-accounts/{sub_account_id}",
            self.one,
            methods=["GET"],
            **operation("retrieveSubAccount", "One sub-account", tag, answer=_EXAMPLE, errors=known),
        )
        add(
            "/v1/sub-accounts/{sub_account_id}",
            self.change,
            methods=["PATCH"],
            **operation(
                "changeSubAccount",
                "Change a sub-account, or switch it off",
                tag,
                answer=_EXAMPLE,
                errors=(400, *known),
                request=changes,
            ),
        )
        add(
            "/v1/sub-accounts/{sub_account_id}/rotate-key",
            self.rotate_key,
            methods=["POST"],
            **operation(
                "rotateSubAccountKey",
                "Give a sub-account's first key another secret",
                tag,
                answer=whole,
                errors=(400, *known, 409),
                request=rotation,
                parameters=(PARAMETER,),
            ),
        )
        return router

    async def create(self, request: Request) -> Response:
        caller = await self._owner(request)
        body = bodies.check(bodies.SUB_ACCOUNT, await read_json(request))
        container, now = self._container, int(self._container.clock.now())
        secret_of = await keys.new_secrets(container, request)

        async def work(sub_id: str) -> dict[str, Any]:
            key_id = _first_key_of(sub_id)
            secret = secret_of(key_id)
            sub = SubAccount(
                parent_id=caller.account_id,
                name=body["name"],
                limits=limits.limits_of(sub_id, body, "monthly"),
                key_id=key_id,
                created_at=now,
                default_tag=body.get("default_tag"),
            )
            key = Key(
                account_id=sub_id,
                name="default",
                hint=secrets_of_keys.hint_of(secret),
                scopes=frozenset(body.get("scopes", keys.DEFAULT_SCOPES)),
                limits=Limits(key_id),
                created_at=now,
                parent_id=caller.account_id,
            )
            event = Event(
                id=container.ids.new("evt"),
                type="subaccount.created",
                account_id=caller.account_id,
                data={"sub_account": sub_id, "name": sub.name, "spend_cap": body.get("spend_cap")},
                created_at=now,
            )
            first_key = container.keys.creation(key, secret, await keys.digest(container, secret))
            # False where an earlier try of the same request has made it: then it is shown as it is.
            await container.sub_accounts.create(sub, first_key, event)
            return await self._describe(await self._find(caller, sub_id))

        async def reveal(shown: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**shown, "key": secret_of(shown["key_id"]).text}

        sub_id = container.ids.new("sub")
        return await self._idempotent.once(
            request, caller.account_id, "sub-accounts", body, sub_id, work, reveal=reveal
        )

    async def page(self, request: Request) -> Response:
        caller = await self._owner(request)
        page = pages.requested(request)
        found, more = await self._container.sub_accounts.page(caller.account_id, limit=page.limit, after=page.after)
        return pages.list_answer(await asyncio.gather(*map(self._describe, found)), has_more=more)

    async def one(self, request: Request, sub_account_id: str) -> Response:
        caller = await self._owner(request)
        return JsonAnswer(await self._describe(await self._find(caller, sub_account_id)))

    async def change(self, request: Request, sub_account_id: str) -> Response:
        caller = await self._owner(request)
        body = bodies.check(bodies.SUB_ACCOUNT_CHANGES, await read_json(request))
        await self._find(caller, sub_account_id)
        changes = limits.changes_of(body, self._container.clock.now())
        if "disabled" in body:
            changes["active"] = not body["disabled"]
        if changes:
            await self._container.sub_accounts.change(caller.account_id, sub_account_id, changes)
        return JsonAnswer(await self._describe(await self._find(caller, sub_account_id)))

    async def rotate_key(self, request: Request, sub_account_id: str) -> Response:
        caller = await self._owner(request)
        body = bodies.check(bodies.ROTATION, await read_json(request))
        sub = await self._find(caller, sub_account_id)
        key = await keys.find(self._container, sub.id, sub.key_id)
        if not key.active:
            raise Conflict(
                "The sub-account has ended its first key for good. With a key of its own that has the scope admin it "
                "makes others; else make another sub-account.",
                code="key_revoked",
            )
        return await keys.rotated(
            self._container,
            self._idempotent,
            request,
            caller.account_id,
            key,
            body,
            lambda: self._describe(sub),
        )

    async def _owner(self, request: Request) -> Caller:
        caller = await self._admin(request)
        if caller.parent_id is not None:
            raise Forbidden("A sub-account has no sub-accounts. Use a key of the account itself.")
        return caller

    async def _find(self, caller: Caller, sub_account_id: str) -> SubAccount:
        known = has_form(sub_account_id, "sub")
        sub = await self._container.sub_accounts.get(caller.account_id, sub_account_id) if known else None
        if sub is None:
            raise NotFound("There is no such sub-account. GET /v1/sub-accounts lists those there are.")
        return sub

    async def _describe(self, sub: SubAccount) -> dict[str, Any]:
        now = self._container.clock.now()
        spend = await self._container.wallets.spend(sub.id, sub.limits, now)
        return {
            "object": "sub_account",
            "id": sub.id,
            "name": sub.name,
            "status": "active" if sub.active else "disabled",
            **limits.describe(sub.limits, spend, now),
            "in_flight": usd(spend.held),
            "default_tag": sub.default_tag,
            "key_id": sub.key_id,
            "created_at": sub.created_at,
        }
