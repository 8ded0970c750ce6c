"""An HTTP server that costs next to nothing, so that what is measured is not what measures."""

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import cast

import uvloop
from typing_extensions import override

Answer = Callable[[bytes, bytes, asyncio.Transport], None]  # of the request's head (lower case) and body


class Connection(asyncio.Protocol):
    """Keep-alive POST requests with a Content-Length, one after the other."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        head = head.lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._answer(head, rest[:length], self._transport)


def reply(body: bytes, content_type: bytes = b"application/json") -> bytes:
    """A whole answer of status 200."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (content_type, len(body), body)


def serve(answer: Answer) -> None:
    """Serves on a free loopback port, says `ready URL` on stdout, and ends with SIGTERM."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Connection(answer), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sys.stdout.write(f"ready http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        stopped = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()

    uvloop.run(run())
