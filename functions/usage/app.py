"""GET /v1/usage and /v1/usage/by-…: what a tenant has used and what it came to, as JSON or as CSV."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request
from mangum import Mangum
from starlette.responses import Response

from aig import wiring
from aig.http.app import create_app
from aig.http.auth import Authenticator
from aig.http.json_answer import JsonAnswer
from aig.http.reference import operation, query
from aig.keys import Caller
from functions.usage import report
from functions.usage.query import DEFAULT_LIMIT, MAX_LIMIT, Dimension, parse

container = wiring.container()
authenticated = Authenticator(container.keys, container.secrets, container.clock)
app = create_app("AIgateway usage", container.ids, container.telemetry, container.close)
handler = Mangum(app, lifespan="off")

Reader = Annotated[Caller, Depends(authenticated("usage:read"))]

_PARAMETERS = (
    query("from", "Unix seconds, or ISO 8601 in UTC. The beginning of the month if left out."),
    query("to", "The same; what begins there is not in the report any more. Up to this moment if left out."),
    query("tag", "Only this tag, literally; empty: only what has none."),
    query("model", "Only this model."),
    query("sub_account", "Only this sub-account; empty: only the account's own use."),
    query("key", "Only the key with this id."),
    query("limit", f"How many rows at most: 1 to {MAX_LIMIT}, {DEFAULT_LIMIT} if left out."),
    query("after", "The `last_id` of the page before."),
)
_ROW: dict[str, Any] = {
    "object": "usage",
    "id": "usage_1793491200_1795651200_5f0c2d7e9b1a4c3e8d6f7a0b1c2d3e4f",
    "start": 1793491200,
    "end": 1795651200,
    "requests": 12,
    "cache_hits": 3,
    "estimated": 0,
    "units": {"input_tokens": 36, "output_tokens": 48},
    "cost": "0.000123",
}


def _operation(name: str, summary: str, granularity: str, group: dict[str, str]) -> dict[str, Any]:
    """What a report says of itself. `group` is what its rows have beside the numbers."""
    row = {**_ROW, **group}
    described = operation(
        name,
        summary,
        "usage",
        answer={
            "object": "list",
            "data": [row],
            "has_more": False,
            "first_id": row["id"],
            "last_id": row["id"],
            "from": row["start"],
            "to": row["end"],
            "total_cost": row["cost"],
        },
        parameters=(*_PARAMETERS, query("granularity", granularity)),
        errors=(400, 401, 403, 503),
    )
    described["responses"][200]["content"]["text/csv"] = {"schema": {"type": "string"}}
    return described


def _by(name: str, dimension: str, example: str) -> dict[str, Any]:
    summary = f"What was used and what it cost, by {dimension.replace('_', '-')}"
    cuts = "hour, day or month: a row for each of them. One row for the whole time if left out."
    return _operation(name, summary, cuts, {dimension: example})


@app.get(
    "/v1/usage",
    **_operation("listUsage", "What was used and what it cost, by time", "hour, day (if left out) or month.", {}),
)
async def list_usage(request: Request, caller: Reader) -> Response:
    return await _answer(request, caller, None)


@app.get("/v1/usage/by-tag", **_by("listUsageByTag", "tag", "summaries"))
async def list_usage_by_tag(request: Request, caller: Reader) -> Response:
    return await _answer(request, caller, "tag")


@app.get("/v1/usage/by-model", **_by("listUsageByModel", "model", "sandbox/echo"))
async def list_usage_by_model(request: Request, caller: Reader) -> Response:
    return await _answer(request, caller, "model")


@app.get("/v1/usage/by-sub-account", **_by("listUsageBySubAccount", "sub_account", "sub_01KAP6V3J8Q0ZB5N7E2XWY4T9C"))
async def list_usage_by_sub_account(request: Request, caller: Reader) -> Response:
    return await _answer(request, caller, "sub_account")


async def _answer(request: Request, caller: Caller, by: Dimension | None) -> Response:
    asked = parse(caller.account_id, by, request.query_params.multi_items(), int(container.clock.now()))
    cells = container.usage.cells(asked.tenant, asked.cells, asked.start, asked.end)
    if by == "sub_account" and caller.parent_id is not None:
        cells = report.nothing()  # it has no sub-accounts, and its own use would make a row
    made = await report.make(asked, cells)
    if not _prefers_csv(request.headers.get("accept", "")):
        return JsonAnswer(report.to_json(made))
    name = f"usage-by-{by}" if by else "usage"
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    if made.has_more:
        same = [(key, value) for key, value in request.query_params.multi_items() if key != "after"]
        headers["link"] = f'<?{urlencode([*same, ("after", made.rows[-1].id)])}>; rel="next"'
    return Response(report.to_csv(made), media_type="text/csv; charset=utf-8; header=present", headers=headers)


def _prefers_csv(accept: str) -> bool:
    """Whether CSV is asked for by name, and not less than JSON."""
    weights = dict[str, float]()
    for entry in accept.lower().split(","):
        media, *parameters = (part.strip() for part in entry.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        weights[media] = float(quality) if quality.replace(".", "", 1).isdecimal() else 0.0
    wanted = weights.get("text/csv", 0.0)
    return wanted > 0 and wanted >= weights.get("application/json", 0.0)
