"""The functions' own modules, started anew as in a cold start of Lambda, and clients for what they serve."""

import asyncio
import importlib.util
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from importlib import resources
from types import ModuleType
from typing import Any, Final

import httpx
import uvicorn
from typing_extensions import override

from aig.catalog import model as catalog
from aig_providers.wire import CLIENT
from local.functions import environment, new_context
from local.template import ROOT, Function
from tests.builders import PROMPT, Account

_STOP_SECONDS: Final = 5


def start(function: Function, **variables: str) -> ModuleType:
    """A copy of the function's module that has read the environment as it is at this moment, and `variables`."""
    name = function_module(function)
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with environment({**function.environment, **variables}):
        spec.loader.exec_module(module)
    return module


def function_module(function: Function) -> str:
    """The module that a function runs: its handler's, or what its start script gives to uvicorn."""
    if function.handler.endswith(".sh"):
        return f"{function.handler.rpartition('/')[0].replace('/', '.')}.app"
    return function.handler.rpartition(".")[0]


def replace_ports(module: ModuleType, **ports: Any) -> None:
    """Gives the gateway of a function's module other ports, from the next request on."""
    module.gateway = replace(module.gateway, **ports)  # type: ignore[attr-defined]


class App:
    """An endpoint family's ASGI app behind an HTTP client that needs no server. `module` is its app module."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        transport = httpx.ASGITransport(app=module.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    def replace(self, **ports: Any) -> None:
        """Gives the gateway other ports, from the next request on."""
        replace_ports(self.module, **ports)

    async def ask(
        self, account: Account, text: str = PROMPT, headers: Mapping[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        """The answer to a chat request: one user message to sandbox/echo, unless `body` says otherwise."""
        asked = {"model": "sandbox/echo", "messages": [{"role": "user", "content": text}], **body}
        sent = {**account.authorization, **(headers or {})}
        return await self.client.post("/v1/chat/completions", json=asked, headers=sent)

    async def close(self) -> None:
        """Closes the connections of the client and of the ports."""
        await self.client.aclose()
        await self.module.container.close()
        await CLIENT.close()


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The chunks of a stream that has come to its end."""
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    blocks = response.text.split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-2] if not block.startswith(":")]


def said(chunks: Iterable[Mapping[str, Any]]) -> str:
    """What the first choice of a stream says, put together."""
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]
    return "".join(delta.get("content") or "" for delta in deltas)


class Handler:
    """A function's handler as the Python runtime calls it: in a thread whose event loop lives on between events."""

    def __init__(self, function: Function, **variables: str) -> None:
        self._function = function
        self._loop = asyncio.new_event_loop()
        self._thread = ThreadPoolExecutor(1, initializer=asyncio.set_event_loop, initargs=(self._loop,))
        self.module: ModuleType = self._thread.submit(start, function, **variables).result()

    async def invoke(self, event: Mapping[str, Any]) -> Any:
        """What the handler returns."""
        return await self._run(self.module.handler, event, new_context(self._function))

    async def close(self) -> None:
        """Closes the ports' connections on the loop that they belong to, and the loop."""
        await self._run(lambda: self._loop.run_until_complete(self.module.container.close()))
        await self._run(self._loop.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


def event(family: str, *, authorization: str | None = None) -> dict[str, Any]:
    """The family's file of events/, with a key that the test has made."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{family}.json").read_text(encoding="utf-8"))
    if authorization is not None:
        loaded["headers"]["Authorization"] = authorization
        loaded["multiValueHeaders"]["Authorization"] = [authorization]
    return loaded


def catalog_with(timeouts: Mapping[str, Mapping[str, float]]) -> catalog.Catalog:
    """The catalog with other timeouts, by provider: so that what waits for one does not wait long."""
    data = json.loads(resources.files("aig.catalog").joinpath(catalog.CATALOG_FILE).read_text(encoding="utf-8"))
    for provider, seconds in timeouts.items():
        data["providers"][provider]["timeouts"] = {**data["providers"][provider].get("timeouts", {}), **seconds}
    return catalog.parse(data)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @override
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()  # they are pytest's

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """Serves an ASGI app as functions/chat/run.sh does, on this event loop; the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            loop="asyncio",
            http="httptools",
            ws="none",
            interface="asgi3",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=_STOP_SECONDS,
            log_config=None,
            access_log=False,
            server_header=False,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(_STOP_SECONDS):
            await server.ready.wait()
        yield listener.getsockname()[1]
        server.should_exit = True
        await task
