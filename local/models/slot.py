"""One engine and the one thread that may touch it: work is done in the order in which it came, one piece at a time.

Engines are blocking native code; requests are asyncio. A slot carries every item an engine emits to the request's
event loop at once, and carries the request's end (client gone, server stopping) back to the engine, which is told to
stop by the answer of its next `emit`. So the slot is never held by an answer that nobody reads.
"""

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from local.models.errors import ApiError, EngineFailedError, ShuttingDownError

EngineT = TypeVar("EngineT")
ItemT = TypeVar("ItemT")
Emit: TypeAlias = Callable[[ItemT], bool]
State: TypeAlias = Literal["idle", "loading", "ready", "failed"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _End:
    """The last thing a job's reader gets; `error` is None when the work ended by itself."""

    error: ApiError | None


@dataclass(eq=False, slots=True)
class _Job(Generic[EngineT, ItemT]):
    """One request's turn: the work, and where its items go."""

    work: Callable[[EngineT, Emit[ItemT]], None]
    loop: asyncio.AbstractEventLoop
    items: asyncio.Queue[ItemT | _End] = field(default_factory=asyncio.Queue)
    abandoned: threading.Event = field(default_factory=threading.Event)

    def send(self, item: ItemT | _End) -> None:
        # The loop is closed when the server has ended before its engines; then nobody is left to tell.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.items.put_nowait, item)


class Slot(Generic[EngineT]):
    """Loads its engine in its own thread, at `start` or at the first `run`, and works there from then on."""

    def __init__(self, load: Callable[[], EngineT]) -> None:
        """`load` blocks, returns the engine, and may raise; every request then gets what it raised."""
        self._load = load
        self._jobs: queue.SimpleQueue[_Job[EngineT, Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="slot", daemon=True)
        self._closing = False
        self._running = False
        self._state: State = "idle"

    def start(self) -> None:
        """Begin loading in the background. To be called from the event loop only; repeating it does nothing."""
        if self._state == "idle":
            self._state = "loading"
            self._thread.start()

    def close(self) -> None:
        """Stop the running work at its next `emit` and answer everything that waits with `ShuttingDownError`."""
        self._closing = True

    def health(self) -> dict[str, Any]:
        """`state`, whether a request is `running`, and how many are `waiting` (abandoned ones may still count)."""
        return {"state": self._state, "running": self._running, "waiting": self._jobs.qsize()}

    async def run(self, work: Callable[[EngineT, Emit[ItemT]], None]) -> AsyncGenerator[ItemT, None]:
        """Yield what `work(engine, emit)` emits, when its turn comes. `emit` answers True when the work must stop.

        Raises the `ApiError` that the work or the loading raised. Closing the iterator abandons the work.
        """
        job: _Job[EngineT, ItemT] = _Job(work, asyncio.get_running_loop())
        self._jobs.put(job)
        self.start()
        try:
            while not isinstance(item := await job.items.get(), _End):
                yield item
            if item.error is not None:
                raise item.error
        finally:
            job.abandoned.set()

    def _serve(self) -> None:
        try:
            engine = self._load()
        except Exception as error:
            self._state = "failed"
            failure = _as_api_error(error, "The model could not be loaded; the server's log says why.")
            while True:
                self._jobs.get().send(_End(failure))
        self._state = "ready"
        while True:
            job = self._jobs.get()
            self._running = True
            try:
                job.send(_End(self._perform(engine, job)))
            finally:
                self._running = False

    def _perform(self, engine: EngineT, job: _Job[EngineT, ItemT]) -> ApiError | None:
        def emit(item: ItemT) -> bool:
            job.send(item)
            return self._closing or job.abandoned.is_set()

        if job.abandoned.is_set():
            return None
        try:
            if not self._closing:
                job.work(engine, emit)
        except Exception as error:
            return _as_api_error(error, "The model failed; the server's log says why.")
        return ShuttingDownError("The model server is stopping.") if self._closing else None


def _as_api_error(error: Exception, message: str) -> ApiError:
    if isinstance(error, ApiError):
        return error
    _log.error(message, exc_info=error)
    return EngineFailedError(message)
