"""A streaming invocation through Lambda Web Adapter: the event as the HTTP request that the adapter sends to the app,
and the app's answer as it streams back through API Gateway.

The adapter overwrites `x-amzn-request-context` and `x-amzn-lambda-context`, takes the path from the event and encodes
the query parameters again. Nothing tells the function that a client has gone: the app runs to its end and what it
still sends is dropped.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import unquote, urlencode

from local import event
from local.functions import LambdaContext

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_OVERWRITTEN: Final = frozenset({"x-amzn-request-context", "x-amzn-lambda-context"})
_BODILESS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS"})


async def serve(
    app: Callable[..., Awaitable[None]], given: Mapping[str, Any], context: LambdaContext, send: Send
) -> None:
    """Runs the app for one event and sends its answer on, chunk by chunk as it comes."""
    body = _body(given)
    complete = asyncio.Event()
    delivered = False

    async def receive() -> Message:
        nonlocal delivered
        if not delivered:
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}
        await complete.wait()
        return {"type": "http.disconnect"}

    async def forward(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", [])]
            seen = event.response_headers(headers)
            encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in seen]
            await send({"type": message["type"], "status": message["status"], "headers": encoded})
            return
        await send(message)
        if not message.get("more_body", False):
            complete.set()

    await app(_scope(given, context, body), receive, forward)


def _body(given: Mapping[str, Any]) -> bytes:
    text = given["body"] or ""
    return base64.b64decode(text) if given["isBase64Encoded"] else text.encode("utf-8")


def _scope(given: Mapping[str, Any], context: LambdaContext, body: bytes) -> dict[str, Any]:
    """The connection scope that uvicorn builds from the adapter's request."""
    method, path = given["httpMethod"], given["path"]
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, values in given["multiValueHeaders"].items()
        if name.lower() not in _OVERWRITTEN
        for value in values
    ]
    request_context = json.dumps(given["requestContext"], separators=(",", ":"))
    headers.append((b"x-amzn-request-context", request_context.encode("ascii")))
    headers.append((b"x-amzn-lambda-context", json.dumps(_context(context), separators=(",", ":")).encode("ascii")))
    if body or method not in _BODILESS:
        headers.append((b"content-length", str(len(body)).encode("ascii")))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "root_path": "",
        "query_string": urlencode(given["multiValueQueryStringParameters"] or {}, doseq=True).encode("ascii"),
        "headers": headers,
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }


def _context(context: LambdaContext) -> dict[str, Any]:
    """The invocation's context as the adapter writes it."""
    return {
        "request_id": context.aws_request_id,
        "deadline": context.deadline_ms,
        "invoked_function_arn": context.invoked_function_arn,
        "xray_trace_id": None,
        "client_context": None,
        "identity": None,
        "env_config": {
            "function_name": context.function_name,
            "memory": context.memory_limit_in_mb,
            "version": context.function_version,
            "log_group": context.log_group_name,
            "log_stream": context.log_stream_name,
        },
    }
