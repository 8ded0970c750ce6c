"""The HTTP server under the front: uvicorn on a loopback socket."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping

import uvicorn
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from local import gateway
from local.errors import StartError
from local.front import Front
from local.template import GatewayResponse

HOST = "127.0.0.1"
# A stream that is still running when the server is told to stop gets this many seconds.
_GRACE_SECONDS = 2


def listen(port: int) -> socket.socket:
    """A listening loopback socket; port 0 takes any free one. Raises StartError when it cannot be had."""
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            free = 8788 if port == 8787 else port + 1
            raise StartError(f"port {port} is taken; choose another one, like: make run PORT={free}") from error
        raise StartError(f"cannot listen on port {port}: {error.strerror}") from error


def server(front: Front, responses: Mapping[str, GatewayResponse]) -> uvicorn.Server:
    """A server that ends at SIGINT or SIGTERM, after running answers had a moment to end."""
    config = uvicorn.Config(
        front,
        http=_protocol(responses),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Takes a signal as the wish to stop; uvicorn would raise it again after stopping."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        # What is cut off by the end of the server is no error of the applications.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def _protocol(responses: Mapping[str, GatewayResponse]) -> type[HttpToolsProtocol]:
    """HTTP/1.1 that answers what is not HTTP in the shape of the gateway's errors."""

    class Protocol(HttpToolsProtocol):
        @override
        def send_400_response(self, msg: str) -> None:
            answer = gateway.render(gateway.BAD_REQUEST, responses, str(uuid.uuid4()))
            headers = [*answer.headers, ("content-length", str(len(answer.body))), ("connection", "close")]
            lines = [f"HTTP/1.1 {answer.status} Bad Request", *(f"{name}: {value}" for name, value in headers)]
            self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body)
            self.transport.close()

    return Protocol
