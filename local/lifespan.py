"""Drives the ASGI lifespan of an application that another server would run."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

_UNSUPPORTED: Final = "unsupported"


class Lifespan:
    """Starts and stops one application. An application without lifespan support is left alone."""

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._to_app: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self._from_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Raises RuntimeError with the application's message when it refuses to start."""
        self._task = asyncio.create_task(self._run())
        self._to_app.put_nowait({"type": "lifespan.startup"})
        message = await self._from_app.get()
        if message["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the application did not start: {message.get('message', '')}")

    async def shutdown(self) -> None:
        """Waits until the application has cleaned up."""
        if self._task is not None and not self._task.done():
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            await self._from_app.get()
            await self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._app(scope, self._to_app.get, self._from_app.put)
        except Exception:
            # As uvicorn's default mode has it: an application may raise to say that it has no lifespan.
            self._from_app.put_nowait({"type": _UNSUPPORTED})
        else:
            self._from_app.put_nowait({"type": _UNSUPPORTED})
