"""GET /v1/requests and /v1/requests/{request_id}: what the tenant asked in the last thirty days."""

from typing import Annotated, Any

from fastapi import Depends, Request
from mangum import Mangum
from starlette.responses import Response

from aig import wiring
from aig.errors import NotFound
from aig.http import pages, tenancy
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation, query
from aig.http.tenancy import tenant_meant
from aig.ids import has_form
from aig.keys import Caller
from aig.money.units import usd
from aig.records import Record

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway requests", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")

Reader = Annotated[Caller, Depends(authenticated("usage:read"))]

_EXAMPLE = {
    "object": "request",
    "id": "req_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "trace_id": "req_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "operation": "chat.completions",
    "stream": False,
    "status": "completed",
    "error": None,
    "created_at": 1_795_000_000,
    "duration_ms": 812,
    "model": "sandbox/echo",
    "provider": "sandbox",
    "attempts": 1,
    "cost": "0.00000525",
    "units": {"input_tokens": 1, "output_tokens": 2},
    "estimated": False,
    "cache": "skip",
    "tag": None,
    "key_id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
}


@app.get(
    "/v1/requests",
    **operation(
        "listRequests",
        "The tenant's requests of the last thirty days, without their bodies",
        "requests",
        answer=pages.list_body([_EXAMPLE]),
        errors=(400, 401, 403, 404, 503),
        parameters=(*pages.PARAMETERS, tenancy.PARAMETER),
    ),
)
async def list_requests(request: Request, caller: Reader) -> Response:
    page = pages.requested(request)
    tenant = await tenant_meant(caller, request.query_params.get("sub_account"), container.sub_accounts)
    found, more = await container.records.page(tenant, limit=page.limit, after=page.after)
    return pages.list_answer([_describe(record) for record in found], has_more=more)


@app.get(
    "/v1/requests/{request_id}",
    **operation(
        "retrieveRequest",
        "One request, with what was asked and answered where that is kept",
        "requests",
        answer={**_EXAMPLE, "request": {"model": "sandbox/echo"}, "answer": {"choices": []}, "left_out": []},
        errors=(401, 403, 404, 503),
        parameters=(query("sub_account", "One of this sub-account of yours."),),
    ),
)
async def retrieve_request(request: Request, request_id: str, caller: Reader) -> Response:
    tenant = await tenant_meant(caller, request.query_params.get("sub_account"), container.sub_accounts)
    found = await container.records.get(tenant, request_id) if has_form(request_id, "req") else None
    if found is None:
        raise NotFound(
            "There is no such request, or it is older than thirty days. GET /v1/requests lists those kept; those of a "
            "sub-account are to be had with ?sub_account= and its id."
        )
    record, left_out = found
    bodies = {"request": record.request, "answer": record.answer, "left_out": list(left_out)}
    return JsonAnswer({**_describe(record), **bodies})


def _describe(record: Record) -> dict[str, Any]:
    return {
        "object": "request",
        "id": record.id,
        "trace_id": record.trace_id,
        "operation": record.operation,
        "stream": record.streamed,
        "status": "completed" if record.error is None else "failed",
        "error": record.error,
        "created_at": record.created_at,
        "duration_ms": record.duration_ms,
        "model": record.model,
        "provider": record.provider,
        "attempts": record.attempts,
        "cost": usd(record.cost),
        "units": dict(record.units),
        "estimated": record.estimated,
        "cache": record.cache,
        "tag": record.tag,
        "key_id": record.key_id,
    }
