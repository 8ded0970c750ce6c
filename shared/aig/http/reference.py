"""What a route says of itself in the OpenAPI document."""

from typing import Any

from starlette.responses import Response

ERROR_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code", "param", "request_id"],
            "properties": {
                "message": {"type": "string", "description": "What happened and what to do next."},
                "type": {"type": "string"},
                "code": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "request_id": {"type": "string"},
            },
        }
    },
}
_MEANINGS = {
    400: "The request is not valid",
    401: "The key is missing or not valid",
    402: "The wallet or a cap does not cover the request",
    403: "The key may not do this",
    404: "There is no such model or object",
    405: "The path does not take this method",
    409: "The Idempotency-Key came with another body, or the object is in another state",
    413: "The request is too large",
    415: "The body is not JSON",
    429: "Too many requests; see Retry-After",
    502: "No provider could answer",
    503: "The gateway is too busy; see Retry-After",
    504: "The provider did not answer in time",
}


def operation(
    operation_id: str,
    summary: str,
    tag: str,
    *,
    answer: Any,
    errors: tuple[int, ...] = (),
    request: dict[str, Any] | None = None,
    parameters: tuple[dict[str, Any], ...] = (),
    form: dict[str, Any] | None = None,
    public: bool = False,
    status: int = 200,
    also: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Keyword arguments for a FastAPI route. `answer` is an example, None where the answer is no JSON.

    `request` holds `schema` and `example`; `form` is the same for multipart/form-data. `also` are the other media types
    that the answer may be of.
    """
    content: dict[str, Any] = {}
    if answer is not None:
        content["application/json"] = {"schema": {"type": "object"}, "example": answer}
    content |= {media_type: {"schema": {"type": "string"}} for media_type in also}
    extra: dict[str, Any] = {"parameters": list(parameters)}
    if not public:
        extra["security"] = [{"bearer": []}]
    bodies = {"application/json": request, "multipart/form-data": form}
    if request is not None or form is not None:
        sent = {media_type: body for media_type, body in bodies.items() if body is not None}
        extra["requestBody"] = {"required": True, "content": sent}
    failures: dict[int | str, dict[str, Any]] = {
        status: {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
        for status in errors
    }
    # FastAPI describes a JSON answer beside any other, unless it is told of another class.
    plain: dict[str, Any] = {} if answer is not None else {"response_class": Response}
    return {
        **plain,
        "status_code": status,
        "operation_id": operation_id,
        "summary": summary,
        "tags": [tag],
        "response_model": None,
        "responses": {status: {"description": "Found" if status == 302 else "OK", "content": content}, **failures},
        "openapi_extra": extra,
    }


def header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": {"type": "string"}}


METERED_ERRORS = (400, 401, 402, 403, 404, 413, 415, 429, 502, 503, 504)
METERED_HEADERS = (
    header("x-request-id", "Your id for the request; echoed.", {"type": "string", "maxLength": 128}),
    header("x-aig-tag", "What to attribute the cost to.", {"type": "string", "maxLength": 128}),
    header("x-aig-retain", "Whether the record may hold the bodies.", {"type": "string", "enum": ["full", "none"]}),
    header("x-sandbox-id", "Separates the memories of sandbox models.", {"type": "string", "maxLength": 128}),
    header(
        "x-routing",
        "What counts where no model is named.",
        {"type": "string", "enum": ["auto", "cost", "speed", "quality"]},
    ),
    header("x-cache", "Whether a cached answer will do.", {"type": "string", "enum": ["auto", "force", "skip"]}),
)
