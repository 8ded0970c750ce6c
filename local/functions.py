"""Lambda functions on this machine: handlers in threads of their own, one request at a time in each."""

import asyncio
import importlib
import importlib.util
import os
import re
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

from local.intrinsics import ACCOUNT, REGION
from local.template import ROOT, Function

Handler = Callable[[Any, Any], Any]

_ASGI_TARGET: Final = re.compile(r"\bserve\.sh\S*\s+([A-Za-z_][\w.]*):([A-Za-z_]\w*)")
_STOP: Final = None


@dataclass(frozen=True)
class LambdaContext:
    """What the Python runtime passes to a handler as its second argument. `deadline_ms` is Unix time."""

    function_name: str
    memory_limit_in_mb: int
    deadline_ms: int
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_version: str = "$LATEST"
    log_stream_name: str = field(default_factory=lambda: f"local/{secrets.token_hex(8)}")

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """Where Lambda would log."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function's timeout, never below 0."""
        return max(0, self.deadline_ms - int(time.time() * 1000))


def new_context(function: Function) -> LambdaContext:
    """The context of an invocation that begins at this moment."""
    return LambdaContext(function.name, function.memory, int((time.time() + function.timeout) * 1000))


class Environments:
    """The execution environments of one function.

    A request gets an idle one, or a fresh one up to `limit`, or waits. Each is a daemon thread with its own event
    loop, because Mangum runs the application on the loop of the thread it is called in, and with its own handler from
    `load`. The first handler is loaded here, so that what is wrong with it shows at once.
    """

    def __init__(self, name: str, load: Callable[[], Handler], limit: int = 4) -> None:
        self._name = name
        self._load = load
        self._first: Handler | None = load()
        self._limit = limit
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._work: SimpleQueue[tuple[Future[Any], Any, Any] | None] = SimpleQueue()

    def invoke(self, event: object, context: object) -> "Future[Any]":
        """Runs the handler; the future holds its result or its exception."""
        future: Future[Any] = Future()
        with self._lock:
            # Below 0 it counts requests that wait, so that an environment that finishes does not look idle.
            if self._idle > 0 or len(self._threads) == self._limit:
                self._idle -= 1
            else:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=self._run, name=name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._work.put((future, event, context))
        return future

    def close(self) -> None:
        """Lets every environment end after the request it is serving."""
        for _ in self._threads:
            self._work.put(_STOP)

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        with self._lock:
            handler, self._first = self._first, None
        try:
            while (work := self._work.get()) is not _STOP:
                future, event, context = work
                try:
                    handler = handler or self._load()
                    result = handler(event, context)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
                with self._lock:
                    self._idle += 1
        finally:
            loop.close()


def load_handler(function: Function) -> Handler:
    """Runs a module like `functions.models.app` with the function's environment variables and returns its handler.

    A module that is there already is run again as a copy: no two environments of Lambda share a module's globals.
    """
    name, _, attribute = function.handler.rpartition(".")
    with environment(function.environment):
        if name not in sys.modules:
            module = importlib.import_module(name)
        else:
            spec = importlib.util.find_spec(name)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
    handler: Handler = getattr(module, attribute)
    return handler


def load_asgi_app(function: Function, root: Path = ROOT) -> Any:
    """Imports the ASGI app that the function's start script gives to uvicorn behind Lambda Web Adapter.

    Raises ValueError when the script names no app.
    """
    script = root / function.handler
    match = _ASGI_TARGET.search(script.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"{function.handler} does not say which ASGI app serve.sh runs")
    with environment(function.environment):
        return getattr(importlib.import_module(match[1]), match[2])


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables for a while."""
    before = {key: os.environ.get(key) for key in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value


def shared_environment(functions: Mapping[str, Function]) -> dict[str, str]:
    """The variables that every function has with one value; the rest are set only while that function is imported."""
    merged: dict[str, set[str]] = {}
    for function in functions.values():
        for key, value in function.environment.items():
            merged.setdefault(key, set()).add(value)
    return {key: values.pop() for key, values in merged.items() if len(values) == 1}
