"""/v1/webhooks/endpoints: where an account is told of what it has asked to know."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Request
from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, with_config
from starlette.responses import Response
from typing_extensions import TypedDict

from aig.dispatch import made_for, message
from aig.errors import Conflict, InvalidRequest, NotFound
from aig.events import EVENT_TYPES, Event
from aig.http import pages
from aig.http.auth import Authenticator
from aig.http.body import read_json
from aig.http.idempotency import PARAMETER, Idempotent
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation
from aig.ids import has_form
from aig.keys import Caller
from aig.modalities.steering import STRICT, check, schema
from aig.ports import Queue, StoreBusy
from aig.webhooks.endpoint import EVERYTHING, MOST_ENDPOINTS, Endpoint, disabled, enabled, succeeded
from aig.webhooks.receiver import MAX_URL_LENGTH, checked_url
from aig.wiring import Container
from functions.webhooks import reference
from functions.webhooks.acts import check_acts

_Url = Annotated[str, StringConstraints(max_length=MAX_URL_LENGTH)]


def _wanted(name: str) -> str:
    if name not in (*EVENT_TYPES, EVERYTHING):
        raise ValueError(f"an event is one of {', '.join(EVENT_TYPES)}, or * for all")
    return name


_Events = Annotated[list[Annotated[str, AfterValidator(_wanted)]], Field(min_length=1, max_length=50)]
_Description = Annotated[str, StringConstraints(pattern=r"^[^<>\x00-\x1f\x7f]{0,256}$")]
_TRIES = 3


@with_config(STRICT)
class EndpointBody(TypedDict):
    """Body of POST /v1/webhooks/endpoints. Without `events` it is told of everything."""

    url: _Url
    events: NotRequired[_Events]
    description: NotRequired[_Description | None]


@with_config(STRICT)
class EndpointChanges(TypedDict):
    """Body of PATCH /v1/webhooks/endpoints/{endpoint_id}. `key_id` is whose secret shall sign."""

    url: NotRequired[_Url]
    events: NotRequired[_Events]
    description: NotRequired[_Description | None]
    enabled: NotRequired[bool]
    key_id: NotRequired[str]


_BODY: TypeAdapter[EndpointBody] = TypeAdapter(EndpointBody)
_CHANGES: TypeAdapter[EndpointChanges] = TypeAdapter(EndpointChanges)


class EndpointRoutes:
    """Needs the container's webhooks, deliveries, events, keys, idempotency, ids and clock."""

    def __init__(self, container: Container, authenticated: Authenticator, queue: Queue, allow_loopback: bool) -> None:
        self._container = container
        self._queue = queue
        self._allow_loopback = allow_loopback
        self._idempotent = Idempotent(container.idempotency, container.clock)
        self._admin = authenticated("admin")

    def router(self) -> APIRouter:
        router, one = APIRouter(), "/v1/webhooks/endpoints/{endpoint_id}"
        known = (401, 403, 404, 503)
        body = {"schema": schema(_BODY), "example": {"url": "https://example.com/hooks", "events": ["job.completed"]}}
        changes = {"schema": schema(_CHANGES), "example": {"enabled": True}}

        def add(path: str, work: Any, method: str, name: str, summary: str, **more: Any) -> None:
            given: dict[str, Any] = {"answer": reference.ENDPOINT, "errors": known, **more}
            router.add_api_route(path, work, methods=[method], **operation(name, summary, "webhooks", **given))

        add(
            "/v1/webhooks/endpoints",
            self.create,
            "POST",
            "createWebhookEndpoint",
            "Make an endpoint that is told of events",
            errors=(400, 401, 403, 409, 413, 415, 429, 503),
            request=body,
            parameters=(PARAMETER,),
        )
        add(
            "/v1/webhooks/endpoints",
            self.page,
            "GET",
            "listWebhookEndpoints",
            "All endpoints, at most twenty",
            answer=pages.list_body([reference.ENDPOINT]),
            errors=(401, 403, 503),
        )
        add(one, self.one, "GET", "retrieveWebhookEndpoint", "One endpoint")
        add(
            one,
            self.change,
            "PATCH",
            "changeWebhookEndpoint",
            "Change an endpoint, or switch it on or off",
            errors=(400, *known, 409),
            request=changes,
        )
        add(
            one,
            self.delete,
            "DELETE",
            "deleteWebhookEndpoint",
            "Delete an endpoint; what waits for it is cancelled",
            answer=reference.DELETED,
        )
        add(
            f"{one}/test",
            self.test,
            "POST",
            "testWebhookEndpoint",
            "Send a webhook.test event to an endpoint alone",
            answer=reference.DELIVERY,
            errors=(400, *known, 409, 429),
            parameters=(PARAMETER,),
        )
        return router

    async def create(self, request: Request) -> Response:
        caller = await self._admin(request)
        body = check(_BODY, await read_json(request))
        url = self._checked(request, body["url"])

        async def work(endpoint_id: str) -> Mapping[str, Any]:
            await check_acts(self._container, caller)
            made = Endpoint(
                id=endpoint_id,
                tenant=caller.account_id,
                url=url,
                events=body.get("events", [EVERYTHING]),
                key_id=caller.key_id,
                created_at=int(self._container.clock.now()),
                description=body.get("description"),
            )
            if not await self._container.webhooks.create(made):
                raise Conflict(
                    f"The account has {MOST_ENDPOINTS} endpoints, which is the most. Delete one first.",
                    code="too_many_endpoints",
                )
            return _describe(await self._find(caller, endpoint_id))

        endpoint_id = self._container.ids.new("hook")
        return await self._idempotent.once(request, caller.account_id, "webhook endpoints", body, endpoint_id, work)

    async def page(self, request: Request) -> Response:
        caller = await self._admin(request)
        found = await self._container.webhooks.endpoints(caller.account_id)
        return pages.list_answer([_describe(endpoint) for endpoint in found])

    async def one(self, request: Request, endpoint_id: str) -> Response:
        caller = await self._admin(request)
        return JsonAnswer(_describe(await self._find(caller, endpoint_id)))

    async def change(self, request: Request, endpoint_id: str) -> Response:
        caller = await self._admin(request)
        body = check(_CHANGES, await read_json(request))
        if "url" in body:
            self._checked(request, body["url"])
        if "key_id" in body:
            await self._check_key(caller, body["key_id"])
        for _ in range(_TRIES):
            before = await self._find(caller, endpoint_id)
            after = self._changed(before, body)
            if after == before or await self._container.webhooks.change(before, after):
                break
        else:
            raise Conflict("The endpoint is being changed by somebody else. Send the request again.", retry_after=1)
        if before.active and not after.active:
            await self._cancel(after)
        return JsonAnswer(_describe(await self._find(caller, endpoint_id)))

    async def delete(self, request: Request, endpoint_id: str) -> Response:
        caller = await self._admin(request)
        endpoint = await self._find(caller, endpoint_id)
        await self._container.webhooks.delete(endpoint)
        await self._cancel(endpoint)
        return JsonAnswer({"object": "webhook_endpoint", "id": endpoint_id, "deleted": True})

    async def test(self, request: Request, endpoint_id: str) -> Response:
        caller = await self._admin(request)
        endpoint = await self._find(caller, endpoint_id)
        if not endpoint.active:
            raise Conflict("The endpoint is switched off. Switch it on with enabled: true.", code="endpoint_disabled")
        container = self._container

        async def work(event_id: str) -> Mapping[str, Any]:
            await check_acts(container, caller)
            now = container.clock.now()
            data = {"endpoint": endpoint.id, "message": "If you can read this, the endpoint works."}
            event = await container.events.get(caller.account_id, event_id) or Event(
                event_id, "webhook.test", caller.account_id, data, int(now)
            )
            delivery = made_for(event, endpoint, now)
            await container.deliveries.add_told(delivery, event)
            await self._queue.send(message(delivery))
            return reference.describe_delivery(delivery)

        event_id = container.ids.new("evt")
        return await self._idempotent.once(request, caller.account_id, f"test {endpoint.id}", {}, event_id, work)

    def _changed(self, before: Endpoint, body: EndpointChanges) -> Endpoint:
        after = replace(
            before,
            url=body.get("url", before.url),
            events=tuple(body.get("events", before.events)),
            description=body.get("description", before.description),
            key_id=body.get("key_id", before.key_id),
        )
        if after.url != before.url:
            after = succeeded(after)  # how another URL has failed says nothing of this one
        if body.get("enabled", before.active) == before.active:
            return after
        return enabled(after) if not before.active else disabled(after, "request", int(self._container.clock.now()))

    def _checked(self, request: Request, url: str) -> str:
        own = request.headers.get("host", "")
        return checked_url(url, own, allow_loopback=self._allow_loopback, param="url")

    async def _check_key(self, caller: Caller, key_id: str) -> None:
        key = await self._container.keys.key(caller.account_id, key_id) if has_form(key_id, "key") else None
        if key is None or not key.active:
            raise InvalidRequest("key_id is the id of a key of yours that is not revoked.", param="key_id")

    async def _cancel(self, endpoint: Endpoint) -> None:
        """What waits for it, or most of it: what is left is cancelled when it is due."""
        with suppress(StoreBusy):
            await self._container.deliveries.cancel_pending(endpoint.tenant, endpoint.id, self._container.clock.now())

    async def _find(self, caller: Caller, endpoint_id: str) -> Endpoint:
        known = has_form(endpoint_id, "hook")
        found = await self._container.webhooks.endpoint(caller.account_id, endpoint_id) if known else None
        if found is None:
            raise NotFound("There is no such endpoint. GET /v1/webhooks/endpoints lists those there are.")
        return found


def _describe(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "object": "webhook_endpoint",
        "id": endpoint.id,
        "url": endpoint.url,
        "events": list(endpoint.events),
        "description": endpoint.description,
        "status": "active" if endpoint.active else "disabled",
        "disabled_reason": endpoint.reason,
        "disabled_at": endpoint.disabled_at,
        "failing_since": endpoint.failing_since,
        "key_id": endpoint.key_id,
        "created_at": endpoint.created_at,
    }
