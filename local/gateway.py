"""What API Gateway answers by itself: the template's gateway responses, or AWS's own where it has none. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from local.event import Answer, Headers
from local.template import GatewayResponse

_VARIABLE: Final = re.compile(r"\$context\.([A-Za-z.]*[A-Za-z])")
_BARE: Final = GatewayResponse(status=None, headers={}, body='{"message":$context.error.messageString}')


@dataclass(frozen=True)
class Refusal:
    """A reason for API Gateway to answer by itself: gateway response type, AWS's own status and message."""

    kind: str
    status: int
    message: str


NO_ROUTE: Final = Refusal("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")
BODY_TOO_LARGE: Final = Refusal("REQUEST_TOO_LARGE", 413, "Request Too Long")
HEADERS_TOO_LARGE: Final = Refusal("DEFAULT_4XX", 431, "Request Header Fields Too Large")
BODY_TOO_SLOW: Final = Refusal("DEFAULT_4XX", 408, "Request Timeout")
BAD_REQUEST: Final = Refusal("DEFAULT_4XX", 400, "Bad Request")
FUNCTION_FAILED: Final = Refusal("DEFAULT_5XX", 502, "Internal server error")
INTEGRATION_TIMED_OUT: Final = Refusal("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out")


def render(refusal: Refusal, responses: Mapping[str, GatewayResponse], request_id: str) -> Answer:
    """The answer of the refusal's own type, with what it leaves out taken from DEFAULT_4XX or DEFAULT_5XX."""
    family = responses.get("DEFAULT_5XX" if refusal.status >= 500 else "DEFAULT_4XX", _BARE)
    own = responses.get(refusal.kind, family)
    context = {
        "requestId": request_id,
        "extendedRequestId": request_id,
        "error.message": refusal.message,
        "error.messageString": json.dumps(refusal.message),
        "error.responseType": refusal.kind,
    }
    headers: Headers = [("content-type", "application/json")]
    for name, expression in own.headers.items():
        headers.append((name.lower(), _expression(expression, context)))
    body = _VARIABLE.sub(lambda match: context.get(match[1], ""), own.body or family.body or str(_BARE.body))
    return Answer(own.status or family.status or refusal.status, headers, body.encode("utf-8"))


def _expression(expression: str, context: Mapping[str, str]) -> str:
    """A static value in single quotes, or a variable like context.requestId."""
    if expression.startswith("'"):
        return expression.strip("'")
    return context.get(expression.removeprefix("context."), "")
