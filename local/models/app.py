"""The local model server as an ASGI app: what every modality's route is put into."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.models.errors import ApiError, EngineFailedError, MethodNotAllowedError, NotFoundError
from local.models.registry import MODALITIES, Modality
from local.models.slots import Slots


class ModelServer:
    """The slots of the models that are served, and the endpoints that use them."""

    def __init__(self, modalities: Sequence[Modality] = MODALITIES) -> None:
        """Loads nothing yet: the app's start does for the sources marked `preload`, a first request for the others."""
        self._modalities = tuple(modalities)
        self._slots = Slots(self._modalities)

    def app(self) -> Starlette:
        """The ASGI app."""
        routes = [Route("/health", self.health), Route("/v1/models", self.models)]
        for modality in self._modalities:
            route = import_module(modality.route)
            endpoint = self._endpoint(route.answer)
            routes += [Route(path, endpoint, methods=["POST"]) for path in route.PATHS]
        return Starlette(
            routes=routes,
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
        self._slots.close()

    def _endpoint(
        self, answer: Callable[[Request, Slots], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await answer(request, self._slots)

        return endpoint

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._slots.start()
        yield
        self.close()

    async def health(self, _request: Request) -> JSONResponse:
        """200 as soon as the server listens; `models` says what each engine is doing."""
        return JSONResponse({"status": "ok", "models": self._slots.health()})

    async def models(self, _request: Request) -> JSONResponse:
        """The models whose packages are installed; `modality` is a field beyond OpenAI's."""
        rows = [
            {"id": source.model, "object": "model", "created": 0, "owned_by": "local", "modality": modality}
            for modality, source in self._slots.sources
            if not source.missing()
        ]
        return JSONResponse({"object": "list", "data": rows})


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
