"""/v1/key and /v1/keys: the caller's own key, and all keys of its tenant."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from aig import keys as secrets_of_keys
from aig.errors import Conflict, InvalidRequest, NotFound
from aig.events import Event
from aig.http import pages
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.idempotency import PARAMETER, Idempotent
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation
from aig.ids import has_form
from aig.keys import Key, Secret
from aig.wiring import Container
from functions.accounts import bodies, limits

DEFAULT_SCOPES = ("inference", "usage:read")
DEFAULT_GRACE_S = 24 * 3600

_EXAMPLE = {
    "object": "api_key",
    "id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "name": "default",
    "hint": "sk-aig-k3v9x2ab…",
    "scopes": ["inference", "usage:read"],
    "status": "active",
    **limits.EXAMPLE,
    "default_tag": None,
    "expires_at": None,
    "former_secret_expires_at": None,
    "created_at": 1_795_000_000,
}
WHOLE_KEY = "sk-aig-k3v9x2ab…"


class KeyRoutes:
    """Needs the container's keys, wallets, secrets, ids and clock."""

    def __init__(self, container: Container, authenticated: Authenticator) -> None:
        self._container = container
        self._idempotent = Idempotent(container.idempotency, container.clock)
        self._any = authenticated()
        self._admin = authenticated("admin")

    def router(self) -> APIRouter:
        router = APIRouter()
        body = bodies.schema(bodies.KEY, {"name": "ci", "spend_cap": "25.00", "rpm": 60})
        one, whole = _EXAMPLE, {**_EXAMPLE, "key": WHOLE_KEY}
        changes = bodies.schema(bodies.KEY_CHANGES, {"spend_cap": "50.00"})
        rotation = bodies.schema(bodies.ROTATION, {"grace_period_s": 3600})
        listed = pages.list_body([_EXAMPLE])
        add, tag, known = router.add_api_route, "keys", (401, 403, 404, 503)
        add(
            "/v1/key",
            self.own,
            methods=["GET"],
            **operation("retrieveKey", "The key of this request", tag, answer=one, errors=(401, 503)),
        )
        add(
            "/v1/keys",
            self.create,
            methods=["POST"],
            **operation(
                "createKey",
                "Make a key",
                tag,
                answer=whole,
                errors=(400, 401, 403, 409, 503),
                request=body,
                parameters=(PARAMETER,),
            ),
        )
        add(
            "/v1/keys",
            self.page,
            methods=["GET"],
            **operation(
                "listKeys", "All keys", tag, answer=listed, errors=(400, 401, 403, 503), parameters=pages.PARAMETERS
            ),
        )
        add(
            "/v1/keys/{key_id}",
            self.one,
            methods=["GET"],
            **operation("retrieveKeyById", "One key", tag, answer=one, errors=known),
        )
        add(
            "/v1/keys/{key_id}",
            self.change,
            methods=["PATCH"],
            **operation("changeKey", "Change a key", tag, answer=one, errors=(400, *known), request=changes),
        )
        add(
            "/v1/keys/{key_id}",
            self.revoke,
            methods=["DELETE"],
            **operation("revokeKey", "End a key within 30 s", tag, answer=one, errors=known),
        )
        add(
            "/v1/keys/{key_id}/rotate",
            self.rotate,
            methods=["POST"],
            **operation(
                "rotateKey",
                "Give a key another secret; the former one goes on for a while",
                tag,
                answer=whole,
                errors=(400, *known, 409),
                request=rotation,
                parameters=(PARAMETER,),
            ),
        )
        return router

    async def own(self, request: Request) -> Response:
        caller = await self._any(request)
        container, now = self._container, self._container.clock.now()
        shown = await describe(container, await find(container, caller.account_id, caller.key_id))
        for one in caller.limits:
            if one.owner == caller.account_id:  # a customer's own limits, which bind its keys together
                spend = await container.wallets.spend(caller.account_id, one, now)
                shown["sub_account"] = {"id": caller.account_id, **limits.describe(one, spend, now)}
        return JsonAnswer(shown)

    async def create(self, request: Request) -> Response:
        caller = await self._admin(request)
        body = bodies.check(bodies.KEY, await read_json(request))
        container = self._container
        _check_expiry(container, body)
        secret_of = await new_secrets(container, request)

        async def work(key_id: str) -> dict[str, Any]:
            secret = secret_of(key_id)
            key = Key(
                account_id=caller.account_id,
                name=body["name"],
                hint=secrets_of_keys.hint_of(secret),
                scopes=frozenset(body.get("scopes", DEFAULT_SCOPES)),
                limits=limits.limits_of(key_id, body, "never"),
                created_at=int(container.clock.now()),
                default_tag=body.get("default_tag"),
                expires_at=body.get("expires_at"),
                parent_id=caller.parent_id,
            )
            # False where an earlier try of the same request has made it: then it is shown as it is.
            await container.keys.create_key(key, secret, await digest(container, secret))
            return await describe(container, await find(container, caller.account_id, key_id))

        async def reveal(shown: Mapping[str, Any]) -> Mapping[str, Any]:
            return {**shown, "key": secret_of(shown["id"]).text}

        key_id = container.ids.new("key")
        return await self._idempotent.once(request, caller.account_id, "keys", body, key_id, work, reveal=reveal)

    async def page(self, request: Request) -> Response:
        caller = await self._admin(request)
        page = pages.requested(request)
        found, more = await self._container.keys.page(caller.account_id, limit=page.limit, after=page.after)
        data = await asyncio.gather(*(describe(self._container, key) for key in found))
        return pages.list_answer(data, has_more=more)

    async def one(self, request: Request, key_id: str) -> Response:
        caller = await self._admin(request)
        return JsonAnswer(await describe(self._container, await find(self._container, caller.account_id, key_id)))

    async def change(self, request: Request, key_id: str) -> Response:
        caller = await self._admin(request)
        body = bodies.check(bodies.KEY_CHANGES, await read_json(request))
        _check_expiry(self._container, body)
        key = await find(self._container, caller.account_id, key_id)
        if not key.active:
            raise Conflict("This key is revoked for good. Make another one.", code="key_revoked")
        if changes := limits.changes_of(body, self._container.clock.now()):
            await self._container.keys.change(caller.account_id, key_id, changes)
        return JsonAnswer(await describe(self._container, await find(self._container, caller.account_id, key_id)))

    async def revoke(self, request: Request, key_id: str) -> Response:
        caller = await self._admin(request)
        await find(self._container, caller.account_id, key_id)
        await self._container.keys.revoke_key(caller.account_id, key_id)
        return JsonAnswer(await describe(self._container, await find(self._container, caller.account_id, key_id)))

    async def rotate(self, request: Request, key_id: str) -> Response:
        caller = await self._admin(request)
        body = bodies.check(bodies.ROTATION, await read_json(request))
        key = await find(self._container, caller.account_id, key_id)
        return await rotated(self._container, self._idempotent, request, caller.account_id, key, body)


def _check_expiry(container: Container, body: Any) -> None:
    expires_at = body.get("expires_at")
    if expires_at is not None and expires_at <= container.clock.now():
        raise InvalidRequest("expires_at is in the past. Send a later time, in unix seconds.", param="expires_at")


async def new_secrets(container: Container, request: Request) -> Callable[[str], Secret]:
    """What makes the secret of a key that a request creates, by the key's id.

    With an Idempotency-Key it is derived from that and the pepper, so that the same request is shown the same secret
    again, though it is stored nowhere; else it is random, and the same for as long as this request lasts.
    """
    sent = request.headers.get("idempotency-key")
    pepper = (await _pepper(container)).encode()
    once = secrets_of_keys.make()
    if sent is None:
        return lambda key_id: once
    return lambda key_id: secrets_of_keys.derived(f"{key_id} {sent}".encode(), pepper)


async def _pepper(container: Container) -> str:
    pepper = await container.secrets.get("pepper")
    assert pepper is not None, "without a pepper nobody gets here"
    return pepper


async def digest(container: Container, secret: Secret) -> bytes:
    """What is stored of a secret."""
    return secrets_of_keys.digest(secret, (await _pepper(container)).encode())


async def find(container: Container, account_id: str, key_id: str) -> Key:
    """A key of this tenant. Raises NotFound, for another tenant's as for one that is not there."""
    key = await container.keys.key(account_id, key_id) if has_form(key_id, "key") else None
    if key is None:
        raise NotFound("There is no such key. GET /v1/keys lists those there are.")
    return key


async def describe(container: Container, key: Key) -> dict[str, Any]:
    """A key as clients see it: never its secret."""
    now = container.clock.now()
    spend = await container.wallets.spend(key.account_id, key.limits, now)
    expired = key.expires_at is not None and key.expires_at <= now
    return {
        "object": "api_key",
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": sorted(key.scopes),
        "status": "revoked" if not key.active else "expired" if expired else "active",
        **limits.describe(key.limits, spend, now),
        "default_tag": key.default_tag,
        "expires_at": key.expires_at,
        "former_secret_expires_at": key.former_until if key.former_until and key.former_until > now else None,
        "created_at": key.created_at,
    }


async def rotated(
    container: Container,
    idempotent: Idempotent,
    request: Request,
    tenant: str,
    key: Key,
    body: Mapping[str, Any],
    describe_it: Callable[[], Awaitable[Mapping[str, Any]]] | None = None,
) -> Response:
    """The key, or what else is to be told of, with the key's other secret, shown this once. Raises Conflict."""
    if not key.active:
        raise Conflict("This key is revoked for good. Make another one.", code="key_revoked")
    grace_s = body.get("grace_period_s", DEFAULT_GRACE_S)
    secret = (await new_secrets(container, request))(f"{key.id} rotated")
    stored = await digest(container, secret)

    async def work(event_id: str) -> Mapping[str, Any]:
        now = int(container.clock.now())
        data = {"key_id": key.id, "name": key.name, "former_secret_expires_at": now + grace_s}
        event = Event(event_id, "key.rotated", key.account_id, data, now)
        done = await container.keys.rotate(key, secret, stored, now, now + grace_s, event)
        found = await find(container, key.account_id, key.id)
        # An earlier try of the same request may have done it.
        if not done and found.hint != secrets_of_keys.hint_of(secret):
            raise Conflict(
                "The secret before the last rotation is still good. Wait until former_secret_expires_at, or end both "
                "secrets at once with a grace_period_s of 0.",
                code="rotation_in_progress",
            )
        return await (describe_it() if describe_it else describe(container, found))

    async def reveal(shown: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**shown, "key": secret.text}

    event_id = container.ids.new("evt")
    return await idempotent.once(request, tenant, f"rotate {key.id}", body, event_id, work, reveal=reveal)
