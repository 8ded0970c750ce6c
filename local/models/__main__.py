"""`python -m local.models --port N --models LIST`: serve the local models on 127.0.0.1 until SIGINT or SIGTERM.

Prints `ready http://127.0.0.1:PORT/v1` on stdout when it serves (models may still be loading; requests wait for
them). Exit status: 0 after a signal, 1 when the port is taken or the list has an unknown name.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn
from typing_extensions import override

from local.models.app import ModelServer
from local.models.registry import UnknownModelError, choose

HOST = "127.0.0.1"


class _Process(uvicorn.Server):
    """Uvicorn that says when it serves and that does not wait for a running generation when told to stop."""

    def __init__(self, models: ModelServer, listener: socket.socket) -> None:
        self._models = models
        self._listener = listener
        super().__init__(
            uvicorn.Config(models.app(), log_level="warning", access_log=False, timeout_graceful_shutdown=1)
        )

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            print(f"ready http://{HOST}:{self._listener.getsockname()[1]}/v1", flush=True)

    # Uvicorn's own version raises the signal again afterwards; for this process a requested stop is a normal end.
    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.should_exit = True
        self._models.close()


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m local.models", description="Serve the local models.")
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes any free port")
    parser.add_argument("--models", default="", help="modalities or models, comma between them; all by default")
    arguments = parser.parse_args()
    port = arguments.port
    try:
        modalities = choose(arguments.models)
    except UnknownModelError as error:
        sys.exit(str(error))
    try:
        listener = socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        sys.exit(f"The model server cannot listen on {HOST}:{port}: {error}")
    _Process(ModelServer(modalities), listener).run(sockets=[listener])
    # llama.cpp's threads may be inside a batch for most of a second; there is nothing to save, so none is waited for.
    os._exit(0)


if __name__ == "__main__":
    main()
