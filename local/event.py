"""The event of a REST API's Lambda proxy integration, and the HTTP answer in its result. Pure.

The event's shape follows captures of the real service on a regional endpoint: `path` and `pathParameters` stay
percent-encoded, query parameters are decoded (`+` is a space), the single-valued maps keep the last value.
"""

import base64
import json
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qsl

from local.intrinsics import ACCOUNT
from local.routing import Match, collapse_leading_slashes

Headers = list[tuple[str, str]]

# Lambda refuses a larger request, and fails a function whose answer is larger (bytes of the JSON document).
MAX_EVENT_BYTES: Final = 6 * 1024 * 1024
MAX_RESULT_BYTES: Final = 6 * 1024 * 1024 + 100

# Never reach an integration.
_DROPPED_REQUEST_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "content-md5",
        "expect",
        "keep-alive",
        "max-forwards",
        "proxy-authenticate",
        "proxy-connection",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "www-authenticate",
    }
)
_DROPPED_RESPONSE_HEADERS: Final = frozenset({"transfer-encoding", "keep-alive"})
# Come back under another name, because API Gateway sets its own.
_REMAPPED_RESPONSE_HEADERS: Final = frozenset({"connection", "content-length", "date", "server"})
# The names that API Gateway spells its own way; all others keep the client's spelling, which is lower case here.
_SPELLED: Final[Mapping[str, str]] = {
    "authorization": "Authorization",
    "host": "Host",
    "user-agent": "User-Agent",
}
_RESULT_KEYS: Final = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})


@dataclass(frozen=True)
class Request:
    """One HTTP request. `path` and `query` are raw; header names are lower case; `id` is API Gateway's own."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    client: str
    port: int
    id: str
    http_version: str = "1.1"

    def header(self, name: str) -> str:
        """The last value of a header, or an empty string."""
        return next((value for key, value in reversed(self.headers) if key == name), "")


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    headers: Headers
    body: bytes


class MalformedResultError(Exception):
    """The function's result is not what API Gateway expects of a proxy integration."""


def build(request: Request, match: Match, stage: str, binary_types: Sequence[str], now: datetime) -> dict[str, Any]:
    """The event for a request that was routed to `match`."""
    multi_headers = _request_headers(request, now)
    multi_query: dict[str, list[str]] = defaultdict(list)
    for key, value in parse_qsl(request.query, keep_blank_values=True, errors="replace"):
        multi_query[key].append(value)
    binary = media_type_matches(request.header("content-type"), binary_types)
    body = base64.b64encode(request.body).decode() if binary else request.body.decode("utf-8", errors="replace")
    return {
        "resource": match.route.path,
        "path": collapse_leading_slashes(request.path),
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in multi_headers.items()},
        "multiValueHeaders": multi_headers,
        "queryStringParameters": {name: values[-1] for name, values in multi_query.items()} or None,
        "multiValueQueryStringParameters": dict(multi_query) or None,
        "pathParameters": dict(match.path_parameters) or None,
        "stageVariables": None,
        "requestContext": _request_context(request, match, stage, now),
        "body": body or None,
        "isBase64Encoded": binary and bool(body),
    }


def size(event: Mapping[str, Any]) -> int:
    """The bytes of the event as Lambda counts them: its JSON document, so escapes and base64 weigh in."""
    return len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", errors="surrogatepass"))


def parse_result(result: object, accept: str, binary_types: Sequence[str]) -> Answer:
    """The answer in a function's result; raises MalformedResultError where API Gateway would answer 502."""
    if not isinstance(result, dict) or not _RESULT_KEYS.issuperset(result):
        raise MalformedResultError("not an object of a proxy integration")
    try:
        status = int(result.get("statusCode") or 200)
        single = dict(result.get("headers") or {})
        multi = {name: list(values) for name, values in (result.get("multiValueHeaders") or {}).items()}
    except (TypeError, ValueError) as error:
        raise MalformedResultError(str(error)) from error
    body = result.get("body") or ""
    if not 100 <= status <= 599 or not isinstance(body, str):
        raise MalformedResultError("status or body of the wrong kind")
    headers = [(name, str(value)) for name, value in single.items() if name not in multi]
    headers += [(name, str(value)) for name, values in multi.items() for value in values]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    encoded = body.encode("utf-8")
    if result.get("isBase64Encoded") and media_type_matches(accept.split(",", 1)[0], binary_types):
        try:
            encoded = base64.b64decode(body, validate=True)
        except ValueError as error:
            raise MalformedResultError("body is not base64") from error
    return Answer(status, response_headers(headers), encoded)


def response_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """An integration's headers as the client sees them: some dropped, some renamed `x-amzn-remapped-…`."""
    seen = [(name.lower(), value) for name, value in headers]
    return [
        (f"x-amzn-remapped-{name}" if name in _REMAPPED_RESPONSE_HEADERS else name, value)
        for name, value in seen
        if name not in _DROPPED_RESPONSE_HEADERS
    ]


def media_type_matches(header: str, binary_types: Sequence[str]) -> bool:
    """Whether a Content-Type or Accept value is one of the API's binary media types."""
    media = header.split(";", 1)[0].strip().lower()
    for binary in binary_types:
        if binary == "*/*" or binary.lower() == media:
            return True
        if binary.endswith("/*") and media.startswith(binary[:-1].lower()):
            return True
    return False


def _new_trace_id(now: datetime) -> str:
    """A root trace id as X-Ray writes it."""
    return f"Root=1-{int(now.timestamp()):08x}-{secrets.token_hex(12)}"


def _request_headers(request: Request, now: datetime) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = defaultdict(list)
    for name, value in request.headers:
        if name not in _DROPPED_REQUEST_HEADERS:
            headers[_SPELLED.get(name, name)].append(value)
    forwarded = [value for value in headers.pop("x-forwarded-for", []) if value]
    headers["X-Forwarded-For"] = [", ".join([*forwarded, request.client])]
    for name, value in (("X-Forwarded-Port", str(request.port)), ("X-Forwarded-Proto", "http")):
        headers.pop(name.lower(), None)
        headers[name] = [value]
    trace = headers.pop("x-amzn-trace-id", None)
    headers["X-Amzn-Trace-Id"] = trace or [_new_trace_id(now)]
    return dict(headers)


def _request_context(request: Request, match: Match, stage: str, now: datetime) -> dict[str, Any]:
    host = request.header("host") or "localhost"
    identity = dict.fromkeys(
        (
            "accessKey",
            "accountId",
            "caller",
            "cognitoAuthenticationProvider",
            "cognitoAuthenticationType",
            "cognitoIdentityId",
            "cognitoIdentityPoolId",
            "principalOrgId",
            "user",
            "userArn",
        )
    )
    return {
        "accountId": ACCOUNT,
        "apiId": "local",
        "deploymentId": "local",
        "domainName": host,
        "domainPrefix": host.split(".", 1)[0],
        "extendedRequestId": request.id.replace("-", "")[:15] + "=",
        "httpMethod": request.method,
        "identity": {**identity, "sourceIp": request.client, "userAgent": request.header("user-agent") or None},
        "path": f"/{stage}{request.path}",
        "protocol": f"HTTP/{request.http_version}",
        "requestId": request.id,
        "requestTime": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now.timestamp() * 1000),
        "resourceId": "local",
        "resourcePath": match.route.path,
        "stage": stage,
    }
