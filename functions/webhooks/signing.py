"""/v1/webhook-secret: what the webhooks of the caller's key are signed with."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from fastapi import APIRouter, Request
from pydantic import TypeAdapter, with_config
from starlette.responses import Response
from typing_extensions import TypedDict

from aig.errors import Conflict
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.idempotency import PARAMETER, Idempotent
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation
from aig.keys import Caller
from aig.modalities.steering import STRICT, check, schema
from aig.webhooks.secret import Generation, derived
from aig.wiring import Container

_EXAMPLE = {
    "object": "webhook_secret",
    "key_id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "generation": 2,
    "former_secret_expires_at": 1_795_086_400,
    "secret": "whsec_6f1d…",
}


@with_config(STRICT)
class RotationBody(TypedDict):
    """Body of POST /v1/webhook-secret/rotate. A grace period of 0 seconds drops the former secret at once."""

    grace_period_s: NotRequired[Literal[0, 86_400]]


_BODY: TypeAdapter[RotationBody] = TypeAdapter(RotationBody)


class SigningRoutes:
    """Needs the container's webhooks, secrets, ids and clock."""

    def __init__(self, container: Container, authenticated: Authenticator) -> None:
        self._container = container
        self._idempotent = Idempotent(container.idempotency, container.clock)
        self._any = authenticated()

    def router(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route(
            "/v1/webhook-secret",
            self.one,
            methods=["GET"],
            **operation(
                "retrieveWebhookSecret",
                "What the webhooks of this key are signed with",
                "webhooks",
                answer=_EXAMPLE,
                errors=(401, 503),
            ),
        )
        router.add_api_route(
            "/v1/webhook-secret/rotate",
            self.rotate,
            methods=["POST"],
            **operation(
                "rotateWebhookSecret",
                "Make another secret; for a day both sign, unless the grace period is 0",
                "webhooks",
                answer=_EXAMPLE,
                request={"schema": schema(_BODY), "example": {}},
                errors=(400, 401, 409, 503),
                parameters=(PARAMETER,),
            ),
        )
        return router

    async def one(self, request: Request) -> Response:
        caller = await self._any(request)
        found = await self._container.webhooks.generation(caller.account_id, caller.key_id)
        return JsonAnswer(await self._reveal(self._describe(caller, found)))

    async def rotate(self, request: Request) -> Response:
        caller = await self._any(request)
        sent = await read_json(request) if request.headers.get("content-length", "0") != "0" else {}
        alone = check(_BODY, sent).get("grace_period_s") == 0
        store, now = self._container.webhooks, int(self._container.clock.now())

        async def work(by: str) -> Mapping[str, Any]:
            before = await store.generation(caller.account_id, caller.key_id)
            if before.by == by:  # an earlier try of the same request has done it
                return self._describe(caller, before)
            after = before.next(now, by, alone=alone)
            free = alone or before.former_until(now) is None
            done = free and await store.rotate(caller.account_id, caller.key_id, before, after)
            if free and not done:  # unless the reply to the first of two tries was lost
                done = await store.generation(caller.account_id, caller.key_id) == after
            if not done:
                raise Conflict(
                    "The secret was rotated less than a day ago, and the one before still signs too. Rotate again "
                    "once former_secret_expires_at has passed, or with a grace_period_s of 0, which drops that one.",
                    code="rotation_in_progress",
                    retry_after=(before.former_until(now) or now + 1) - now,
                )
            return self._describe(caller, after)

        by = self._container.ids.new("evt")
        operation_name = f"rotate webhook secret {caller.key_id}"
        return await self._idempotent.once(
            request, caller.account_id, operation_name, sent, by, work, reveal=self._reveal
        )

    def _describe(self, caller: Caller, generation: Generation) -> Mapping[str, Any]:
        return {
            "object": "webhook_secret",
            "key_id": caller.key_id,
            "generation": generation.number,
            "former_secret_expires_at": generation.former_until(self._container.clock.now()),
        }

    async def _reveal(self, shown: Mapping[str, Any]) -> Mapping[str, Any]:
        pepper = await self._container.secrets.get("pepper")
        assert pepper is not None, "without a pepper nobody gets here"
        return {**shown, "secret": derived(pepper, shown["key_id"], shown["generation"])}
