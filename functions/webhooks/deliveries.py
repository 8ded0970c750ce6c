"""/v1/webhooks/deliveries: what was sent, what came of each attempt, and sending it again."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from aig.dispatch import message
from aig.errors import Conflict, InvalidRequest, NotFound
from aig.events import EVENT_TYPES
from aig.http import pages
from aig.http.auth import Authenticator
from aig.http.idempotency import PARAMETER, Idempotent
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation, query
from aig.ids import Prefix, has_form
from aig.keys import Caller
from aig.ports import Queue
from aig.webhooks.delivery import MOST_REVIVALS, MOST_ROUNDS, STATUSES, Delivery, resent, revived
from aig.wiring import Container
from functions.webhooks import reference
from functions.webhooks.acts import check_acts
from functions.webhooks.reference import describe_attempt, describe_delivery

_FILTERS = (
    query("endpoint", "Only those to the endpoint with this id."),
    query("status", f"{', '.join(STATUSES)}; all if left out."),
    query("type", "Only those of one type of event."),
    query("event", "Only those of the event with this id."),
)


class DeliveryRoutes:
    """Needs the container's deliveries, webhooks, events, idempotency, ids and clock."""

    def __init__(self, container: Container, authenticated: Authenticator, queue: Queue) -> None:
        self._container = container
        self._queue = queue
        self._idempotent = Idempotent(container.idempotency, container.clock)
        self._admin = authenticated("admin")

    def router(self) -> APIRouter:
        router, one = APIRouter(), "/v1/webhooks/deliveries/{delivery_id}"
        known = (401, 403, 404, 503)
        router.add_api_route(
            "/v1/webhooks/deliveries",
            self.page,
            methods=["GET"],
            **operation(
                "listWebhookDeliveries",
                "What was sent, or is to be sent, in the last thirty days",
                "webhooks",
                answer=pages.list_body([reference.DELIVERY]),
                errors=(400, 401, 403, 503),
                parameters=(*pages.PARAMETERS, *_FILTERS),
            ),
        )
        router.add_api_route(
            one,
            self.one,
            methods=["GET"],
            **operation(
                "retrieveWebhookDelivery",
                "One delivery, with every attempt",
                "webhooks",
                answer=reference.WHOLE_DELIVERY,
                errors=known,
            ),
        )
        router.add_api_route(
            f"{one}/resend",
            self.resend,
            methods=["POST"],
            **operation(
                "resendWebhookDelivery",
                "Send it again, under the same id",
                "webhooks",
                answer=reference.DELIVERY,
                errors=(400, *known, 409, 429),
                parameters=(PARAMETER,),
            ),
        )
        return router

    async def page(self, request: Request) -> Response:
        caller = await self._admin(request)
        page = pages.requested(request)
        event_id = _asked(request, "event", "evt")
        event = await self._container.events.get(caller.account_id, event_id) if event_id else None
        if event_id and event is None:
            return pages.list_answer([])
        found = await self._container.deliveries.page(
            caller.account_id,
            limit=page.limit,
            after=page.after,
            endpoint_id=_asked(request, "endpoint", "hook"),
            status=_one_of(request, "status", STATUSES),
            event_type=_one_of(request, "type", EVENT_TYPES),
            event=event,
        )
        shown = [describe_delivery(delivery) for delivery in found.deliveries]
        return pages.list_answer(shown, has_more=found.after is not None, last_id=found.after)

    async def one(self, request: Request, delivery_id: str) -> Response:
        caller = await self._admin(request)
        delivery = await self._find(caller, delivery_id)
        made = await self._container.deliveries.attempts(caller.account_id, delivery_id)
        return JsonAnswer({**describe_delivery(delivery), "attempts": [describe_attempt(attempt) for attempt in made]})

    async def resend(self, request: Request, delivery_id: str) -> Response:
        caller = await self._admin(request)
        await self._find(caller, delivery_id)

        async def work(_: str) -> Mapping[str, Any]:
            await check_acts(self._container, caller)
            delivery = await self._ready(caller, delivery_id)
            await self._queue.send(message(delivery))
            return describe_delivery(delivery)

        subject = self._container.ids.new("evt")
        return await self._idempotent.once(request, caller.account_id, f"resend {delivery_id}", {}, subject, work)

    async def _ready(self, caller: Caller, delivery_id: str) -> Delivery:
        """The delivery in a round that nobody has begun. Raises Conflict."""
        delivery, now = await self._find(caller, delivery_id), self._container.clock.now()
        store = self._container.deliveries
        unbegun = delivery.status == "pending" and not delivery.attempts and delivery.revived < MOST_REVIVALS
        if unbegun and await store.move(delivery, revived(delivery, now)):
            return delivery  # its message may be lost, and a few others do no harm
        if not delivery.may_resend(now):
            raise Conflict("Attempts are still being made. Wait for next_attempt_at.", code="delivery_pending")
        if delivery.round >= MOST_ROUNDS:
            raise Conflict(
                f"It was sent in {MOST_ROUNDS} rounds, which is the most. GET /v1/events has what it tells.",
                code="too_many_rounds",
            )
        if await self._container.events.get(caller.account_id, delivery.event_id) is None:
            raise Conflict("The event is older than thirty days, and not kept any more.", code="event_expired")
        if delivery.endpoint_id is not None:
            endpoint = await self._container.webhooks.endpoint(caller.account_id, delivery.endpoint_id)
            if endpoint is None or not endpoint.active:
                raise Conflict(
                    "The endpoint is deleted or switched off. Switch it on with enabled: true, or make another.",
                    code="endpoint_disabled",
                )
        again = resent(delivery, now)
        if not await store.move(delivery, again):
            raise Conflict("The delivery has changed meanwhile. Look at it again.", code="delivery_pending")
        return again

    async def _find(self, caller: Caller, delivery_id: str) -> Delivery:
        known = has_form(delivery_id, "whd")
        found = await self._container.deliveries.get(caller.account_id, delivery_id) if known else None
        if found is None:
            raise NotFound(
                "There is no such delivery, or it is older than thirty days. GET /v1/webhooks/deliveries lists them."
            )
        return found


def _asked(request: Request, name: str, prefix: Prefix) -> str | None:
    value = request.query_params.get(name)
    if value is not None and not has_form(value, prefix):
        raise InvalidRequest(f"{name} is an id that begins with {prefix}_.", param=name)
    return value


def _one_of(request: Request, name: str, allowed: tuple[Any, ...]) -> Any:
    value = request.query_params.get(name)
    if value is not None and value not in allowed:
        raise InvalidRequest(f"{name} must be one of {', '.join(allowed)}.", param=name)
    return value
