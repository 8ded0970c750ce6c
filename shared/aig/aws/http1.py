"""HTTP/1.1 as AWS needs it: whole requests and answers over connections that stay open, parsed by httptools.

The JSON services take small POSTs; S3 takes GETs and PUTs of objects of up to 25 MB.
A general client takes 0.3 ms of CPU more for each of the two calls that every request makes, for redirects, cookies,
proxies and compression that these services do not use (docs/decisions/0001).
"""

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple, cast

import httptools
from typing_extensions import override
from yarl import URL

_MAX_IDLE = 64


class UnreachableError(Exception):
    """No whole answer: refused, broken off, malformed, or out of time. The call may have been done all the same."""


class Answer(NamedTuple):
    """Names of headers are in small letters; of several with one name it is the last."""

    status: int
    body: bytes
    headers: Mapping[bytes, bytes]


class _Connection(asyncio.Protocol):
    """One exchange at a time; back to `idle` after each that leaves the connection usable."""

    def __init__(self, loop: asyncio.AbstractEventLoop, idle: "deque[_Connection]") -> None:
        self._loop = loop
        self._idle = idle
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._body = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._parser = httptools.HttpResponseParser(self)
        self.closed = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._fail(type(exc).__name__ if exc else "closed")

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(type(error).__name__)

    def on_message_begin(self) -> None:
        if self._answer is None:  # nobody asked: what follows must not pass for the next caller's answer
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self._body += data  # a bytearray: an object of many MB comes in thousands of pieces

    def on_message_complete(self) -> None:
        said = Answer(self._parser.get_status_code(), bytes(self._body), self._headers)
        answer, self._answer, self._body, self._headers = self._answer, None, bytearray(), {}
        if not self._parser.should_keep_alive():
            self.close()
        self._parser = httptools.HttpResponseParser(self)
        if answer is not None and not answer.done():
            answer.set_result(said)

    def _fail(self, why: str = "timeout") -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(UnreachableError(why))
        self.close()

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()  # not close(), which waits for a peer that may be gone to take what is unsent

    async def exchange(self, request: bytes, seconds: float) -> Answer:
        assert self._transport is not None
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_later(seconds, self._fail)
        self._transport.write(request)
        try:
            said = await answer
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            timer.cancel()
        # Only now: until its caller is awake, a timer or a cancellation may still close this connection.
        if not self.closed and len(self._idle) < _MAX_IDLE:
            self._idle.append(self)
        else:
            self.close()
        return said


@functools.cache
def _tls_context() -> ssl.SSLContext:
    # Reading the system's certificates takes 30 ms: once is enough.
    return ssl.create_default_context()


class Client:
    """The connections to one endpoint, for one event loop at a time."""

    def __init__(self, endpoint: URL, connect_s: float, total_s: float) -> None:
        self._host, self._port = endpoint.host or "", endpoint.port or 443
        self._tls = _tls_context() if endpoint.scheme == "https" else None
        self._connect_s, self._total_s = connect_s, total_s
        self._idle: deque[_Connection] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a whole request, head included. Raises UnreachableError."""
        return (await self.answer(request))[:2]

    async def answer(self, request: bytes, seconds: float | None = None) -> Answer:
        """The answer to a whole request, within so many seconds if not the usual ones. Raises UnreachableError."""
        seconds = self._total_s if seconds is None else seconds
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._idle = loop, deque()
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                break
        else:
            return await (await self._connect(loop)).exchange(request, seconds)
        try:
            return await connection.exchange(request, seconds)
        except UnreachableError:
            await self.close()
            raise

    async def _connect(self, loop: asyncio.AbstractEventLoop) -> _Connection:
        idle = self._idle
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(loop, idle), self._host, self._port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:
            raise UnreachableError(type(error).__name__) from error
        return connection

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
