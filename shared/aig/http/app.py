"""The app of an endpoint family: request ids on every answer, our errors for everything that goes wrong."""

import contextlib
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aig.errors import AIGError, InternalError, Overloaded
from aig.http.errors import BrokenOff, error_response, of_status
from aig.http.headers import TRACE_KEY, trace_id
from aig.ids import Ids
from aig.ports import StoreBusy, Telemetry

BUSY_RETRY_AFTER_S = 1
YOUNG_OBJECTS = 20_000  # of some calls at a time


class Envelope:
    """Outermost: puts the request id on the answer, and turns what nobody caught into a typed 500.

    BrokenOff is the server's to see, and nobody's alarm.
    """

    def __init__(self, app: ASGIApp, ids: Ids, telemetry: Telemetry) -> None:
        self._app = app
        self._ids = ids
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = trace_id(Headers(scope=scope).get("x-request-id"), self._ids)
        scope[TRACE_KEY] = trace
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = trace
                headers["request-id"] = trace
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except BrokenOff:
            raise
        except Exception as error:
            self._telemetry.alarm("UnhandledError", trace_id=trace, error=type(error).__name__, where=_where(error))
            if started:
                raise
            internal = InternalError("Something went wrong on our side. Send the request again; quote the request id.")
            await error_response(internal, trace)(scope, receive, send_with_id)


def _where(error: BaseException) -> str:
    """The file and line that raised: never the message, which may hold what must not be logged."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else ""


class DirectRoute(APIRoute):
    """A route that FastAPI describes and does not run: its endpoint takes the request and gives the response.

    What FastAPI would do for each call, to find dependencies and to check parameters that these do not have, is an
    eighth of a metered call's CPU time.
    """

    def __init__(self, path: str, endpoint: Callable[[Request], Awaitable[Response]], **more: Any) -> None:
        super().__init__(path, endpoint, **more)
        self.app = request_response(endpoint)


async def _render(request: Request, error: Exception) -> Response:
    trace = request.scope[TRACE_KEY]
    if isinstance(error, StoreBusy):
        error = Overloaded("The store did not answer in time. Send the request again.", retry_after=BUSY_RETRY_AFTER_S)
    if isinstance(error, HTTPException):
        response = error_response(of_status(error.status_code, request.method, request.scope["path"]), trace)
        response.headers.update(error.headers or {})
        return response
    assert isinstance(error, AIGError)
    return error_response(error, trace)


def create_app(
    title: str,
    ids: Ids,
    telemetry: Telemetry,
    *close: Callable[[], Awaitable[None]],
    route_class: type[APIRoute] = APIRoute,
) -> FastAPI:
    """An app without routes. Each of `close` is awaited when the server stops."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # What there is by now lives as long as the process, and what a call makes goes by itself when it ends: the
        # collector, which is there for cycles, need not look at the one each time, nor at the other amid each call.
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS)
        yield
        for each in close:
            await each()

    app = FastAPI(
        title=title,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        exception_handlers={AIGError: _render, HTTPException: _render, StoreBusy: _render},
    )
    app.router.route_class = route_class
    app.add_middleware(Envelope, ids=ids, telemetry=telemetry)
    return app
