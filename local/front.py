"""The HTTP front: API Gateway's side of every route, as an ASGI app.

Buffered routes become REST proxy events for the functions' handlers. Streaming routes run the ASGI app that Lambda Web
Adapter would run, with the request as the adapter sends it on. Both keep the limits of the cloud.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from local import adapter, event, gateway
from local.event import Answer, Request
from local.functions import Environments, new_context
from local.gateway import Refusal
from local.lifespan import Lifespan
from local.routing import Match, Router
from local.template import Function, Stack

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

# JSON needs at most six bytes for one (an escaped control character); the rest is headers and request context.
_WORST_ESCAPE: Final = 6
_EVENT_OVERHEAD: Final = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """API Gateway's limits. Bytes and seconds; `integration_seconds` caps a route's own timeout when it is given."""

    body_bytes: int = 10 * 1024 * 1024
    event_bytes: int = event.MAX_EVENT_BYTES
    result_bytes: int = event.MAX_RESULT_BYTES
    header_bytes: int = 10_240
    body_seconds: float = 30.0
    integration_seconds: float | None = None


@dataclass(frozen=True)
class _Patience:
    """How long API Gateway waits for a function, and what it answers when that is over."""

    seconds: float
    refusal: Refusal


class ClientGoneError(Exception):
    """The client closed the connection before the whole request had arrived."""


class Front:
    """Routes requests to functions. `log` takes one line per request; `started` is called once requests are served."""

    def __init__(
        self,
        stack: Stack,
        buffered: Mapping[str, Environments],
        streaming: Mapping[str, Asgi],
        *,
        limits: Limits | None = None,
        log: Callable[[str], None] = lambda line: None,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        self._stack = stack
        self._router = Router(stack.routes)
        self._buffered = buffered
        self._streaming = streaming
        self._limits = limits or Limits()
        self._log = log
        self._started = started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one ASGI connection: lifespan or http."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        lifespans = [Lifespan(app) for app in self._streaming.values()]
        for lifespan in lifespans:
            await lifespan.startup()
        self._started()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for lifespan in lifespans:
            await lifespan.shutdown()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        request_id = str(uuid.uuid4())
        status = 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = ((b"x-amzn-requestid", request_id.encode()), (b"x-amz-apigw-id", b"local"))
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        try:
            await self._route(scope, receive, send_and_note, request_id)
        except ClientGoneError:
            status = 499
        except asyncio.CancelledError:
            # The server is stopping and has waited long enough; the connection closes with it.
            status = status or 499
        finally:
            status = status or 500
            took = (time.perf_counter() - began) * 1000
            self._log(f"{scope['method']} {_raw_path(scope)} {status} {took:.0f} ms")

    async def _route(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        path = _raw_path(scope)
        match = self._router.match(scope["method"], path)
        if _header_bytes(scope) > self._limits.header_bytes:
            await self._refuse(gateway.HEADERS_TOO_LARGE, send, request_id)
            return
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await self._read_body(receive)
        except TimeoutError:
            await self._refuse(gateway.BODY_TOO_SLOW, send, request_id)
            return
        if match is None:
            await self._refuse(gateway.NO_ROUTE, send, request_id)
        elif body is None:
            await self._refuse(gateway.BODY_TOO_LARGE, send, request_id)
        else:
            await self._invoke(_request(scope, path, body, request_id), match, send)

    async def _invoke(self, request: Request, match: Match, send: Send) -> None:
        stack = self._stack
        built = event.build(request, match, stack.stage, stack.binary_media_types, datetime.now(UTC))
        if self._too_large(request, built):
            await self._refuse(gateway.BODY_TOO_LARGE, send, request.id)
            return
        function = stack.functions[match.route.function]
        seconds = min(self._limits.integration_seconds or match.route.timeout, match.route.timeout)
        # A function that ends at its own timeout has failed; API Gateway's patience ends in a timeout.
        refusal = gateway.INTEGRATION_TIMED_OUT if seconds <= function.timeout else gateway.FUNCTION_FAILED
        invoke = self._invoke_streaming if match.route.streaming else self._invoke_buffered
        await invoke(function, built, request, send, _Patience(min(seconds, function.timeout), refusal))

    def _too_large(self, request: Request, built: Mapping[str, Any]) -> bool:
        limit = self._limits.event_bytes
        if len(request.body) * _WORST_ESCAPE + _EVENT_OVERHEAD <= limit:
            return False
        return event.size(built) > limit

    async def _invoke_streaming(
        self, function: Function, built: Mapping[str, Any], request: Request, send: Send, patience: _Patience
    ) -> None:
        started = False

        async def stream(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(patience.seconds) as timer:
                await adapter.serve(self._streaming[function.name], built, new_context(function), stream)
        except TimeoutError:
            if started or not timer.expired():
                raise
            await self._refuse(patience.refusal, send, request.id)

    async def _invoke_buffered(
        self, function: Function, built: Mapping[str, Any], request: Request, send: Send, patience: _Patience
    ) -> None:
        future = asyncio.wrap_future(self._buffered[function.name].invoke(built, new_context(function)))
        # Waiting ends and the handler runs on: Lambda is not told when API Gateway stops waiting.
        await asyncio.wait([future], timeout=patience.seconds)
        if not future.done():
            future.add_done_callback(lambda late: late.cancelled() or late.exception())
            await self._refuse(patience.refusal, send, request.id)
        elif error := future.exception():
            self._log(f"{function.name} failed: {type(error).__name__}: {error}")
            await self._refuse(gateway.FUNCTION_FAILED, send, request.id)
        else:
            await self._answer_with(future.result(), request, send)

    async def _answer_with(self, result: object, request: Request, send: Send) -> None:
        try:
            if len(json.dumps(result, ensure_ascii=False).encode()) > self._limits.result_bytes:
                raise event.MalformedResultError("the answer is larger than Lambda lets through")
            answer = event.parse_result(result, request.header("accept"), self._stack.binary_media_types)
        except (event.MalformedResultError, TypeError, ValueError) as error:
            self._log(f"{request.method} {request.path}: bad result of the function: {error}")
            await self._refuse(gateway.FUNCTION_FAILED, send, request.id)
        else:
            await _send_answer(answer, send)

    async def _refuse(self, refusal: Refusal, send: Send, request_id: str) -> None:
        await _send_answer(gateway.render(refusal, self._stack.gateway_responses, request_id), send)

    async def _read_body(self, receive: Receive) -> bytes | None:
        """The whole body, or None when it is over the limit; the excess is read and dropped."""
        parts: list[bytes] = []
        length = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part = message.get("body", b"")
            length += len(part)
            if length <= self._limits.body_bytes:
                parts.append(part)
            else:
                parts.clear()
            if not message.get("more_body", False):
                return b"".join(parts) if length <= self._limits.body_bytes else None


async def _send_answer(answer: Answer, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1", errors="replace")) for name, value in answer.headers]
    if answer.status >= 200 and answer.status not in (204, 304):
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _request(scope: Scope, path: str, body: bytes, request_id: str) -> Request:
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    return Request(
        method=scope["method"],
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=[(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers],
        body=body,
        client=(scope.get("client") or ("127.0.0.1", 0))[0],
        port=(scope.get("server") or ("127.0.0.1", 0))[1] or 0,
        id=request_id,
        http_version=scope.get("http_version", "1.1"),
    )


def _raw_path(scope: Scope) -> str:
    """The path as the client sent it, with bytes beyond ASCII percent-encoded and any query removed."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    text = "".join(chr(byte) if 0x20 < byte < 0x7F else f"%{byte:02X}" for byte in raw.split(b"?", 1)[0])
    return text if text.startswith("/") else f"/{text}"


def _header_bytes(scope: Scope) -> int:
    """The request line and the header values, which is what API Gateway's limit counts."""
    line = len(scope["method"]) + len(scope.get("raw_path") or b"") + len(scope["query_string"])
    return line + sum(len(value) for _, value in scope["headers"])
