"""The one renderer of errors."""

import json
from typing import Any

from starlette.responses import Response

from aig.errors import AIGError, InternalError, InvalidRequest, MethodNotAllowed, NotFound, RateLimited
from aig.limits import Rate


class BrokenOff(Exception):
    """Ends an answer whose head is sent in the middle of its body: the server closes the connection.

    That is how a client sees that the body is not whole. It is settled and told by then, and nobody's bug.
    """


def error_body(error: AIGError, trace_id: str) -> dict[str, Any]:
    """OpenAI's shape, with the id to quote to support."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "code": error.code,
            "param": error.param,
            "request_id": trace_id,
        }
    }


def rate_headers(rate: Rate) -> dict[str, str]:
    """OpenAI's headers. What is left is an upper bound: other environments may have let requests through."""
    return {
        "x-ratelimit-limit-requests": str(rate.limit),
        "x-ratelimit-remaining-requests": str(rate.remaining),
        "x-ratelimit-reset-requests": f"{rate.reset_s}s",
    }


def error_response(error: AIGError, trace_id: str) -> Response:
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    if error.attempts is not None:
        headers["x-aig-attempts"] = str(error.attempts)
    if isinstance(error, RateLimited) and error.rpm is not None and error.retry_after is not None:
        headers |= rate_headers(Rate(error.rpm, 0, error.retry_after))
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    body = json.dumps(error_body(error, trace_id)).encode()
    return Response(body, status_code=error.status, headers=headers, media_type="application/json")


def of_status(status: int, method: str, path: str) -> AIGError:
    """What the router's own refusals are called here."""
    shown = path[:200].encode("ascii", "backslashreplace").decode()
    if status == 404:
        return NotFound(f"There is nothing at {shown}. The paths are listed at /openapi.json.")
    if status == 405:
        return MethodNotAllowed(f"{method[:20]} is not allowed at {shown}. The methods are listed at /openapi.json.")
    if 400 <= status < 500:
        return InvalidRequest("The request could not be read. Correct it and send it again.")
    return InternalError("Something went wrong on our side. Send the request again; quote the request id if it stays.")
