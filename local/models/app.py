"""The routes of the local model server."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NoReturn, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from local.models import chat
from local.models.errors import ApiError, BadRequestError, EngineFailedError, MethodNotAllowedError, NotFoundError
from local.models.registry import CHAT, ChatEngine, Source
from local.models.slot import Slot

T = TypeVar("T")


class ModelServer:
    """The slots of all known models, and the endpoints that use them."""

    def __init__(self, chat_sources: Iterable[Source[ChatEngine]] = CHAT) -> None:
        """Loads nothing yet: the app's start does for the sources marked `preload`, a first request for the others."""
        self._sources = tuple(chat_sources)
        self._chat = {source.model: Slot(source.load) for source in self._sources}

    def app(self) -> Starlette:
        """The ASGI app."""
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat_completions, methods=["POST"]),
            ],
            exception_handlers={
                ApiError: _api_error,
                HTTPException: _http_exception,
                ClientDisconnect: _client_gone,
                Exception: _unexpected,
            },
            lifespan=self._lifespan,
        )

    def close(self) -> None:
        """Make every answer that is being generated end now, and refuse the ones that wait."""
        for slot in self._chat.values():
            slot.close()

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        for source in self._sources:
            if source.preload:
                self._chat[source.model].start()
        yield
        self.close()

    async def health(self, _request: Request) -> JSONResponse:
        """200 as soon as the server listens; `models` says what each engine is doing."""
        return JSONResponse({"status": "ok", "models": {name: slot.health() for name, slot in self._chat.items()}})

    async def models(self, _request: Request) -> JSONResponse:
        """The models whose packages are installed."""
        rows = [
            {"id": source.model, "object": "model", "created": 0, "owned_by": "local"}
            for source in self._sources
            if not source.missing()
        ]
        return JSONResponse({"object": "list", "data": rows})

    async def chat_completions(self, request: Request) -> Response:
        """One answer, whole or as a stream. The HTTP status is decided when the model has accepted the prompt."""
        wanted = chat.parse(await _json(request))
        slot = self._chat.get(wanted.model)
        if slot is None:
            message = f"There is no local model {wanted.model!r}; GET /v1/models lists them."
            raise NotFoundError(message, param="model", code="model_not_found")

        def work(engine: ChatEngine, emit: Callable[[chat.Piece], bool]) -> None:
            engine.generate(wanted, emit)

        pieces = slot.run(work)
        if not wanted.stream:
            return JSONResponse(await _unless_gone(request, chat.complete(wanted, pieces)))
        events = chat.stream(wanted, pieces)
        return _EventStream(await _unless_gone(request, anext(events)), events)


class _EventStream(StreamingResponse):
    """Server-sent events whose source is closed however the response ends, so that an unread answer is not made."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._rest = rest
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        super().__init__(_chain(first, rest), media_type="text/event-stream", headers=headers)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._rest.aclose()


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in rest:
        yield event


async def _unless_gone(request: Request, answer: Awaitable[T]) -> T:
    """Await the answer, but cancel it and raise `ClientDisconnect` when the client hangs up first."""
    work = asyncio.ensure_future(answer)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.wait({work, gone})


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _json(request: Request) -> object:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        body: object = json.loads(await request.body(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("The body is not valid JSON.", code="invalid_json") from error
    return body


def _render(error: ApiError) -> JSONResponse:
    return JSONResponse(error.body(), status_code=error.status)


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _render(error)


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = f"{request.method} {request.url.path}"
    if error.status_code == 405:
        return _render(MethodNotAllowedError(f"{where}: the path does not take this method."))
    return _render(NotFoundError(f"{where}: no such path."))


async def _client_gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it; the number is nginx's for this case


async def _unexpected(_request: Request, _error: Exception) -> Response:
    return _render(EngineFailedError("The model server failed; its log says why.", code="internal_error"))
