"""Servers on loopback that say any bytes a test wants, and the bytes of HTTP/1.1."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from yarl import URL

from aig.aws import http1

GUARD_S: Final = 20.0  # no test takes that long; one that hangs fails
NEVER_S: Final = 60.0

Talk = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection; `number` counts connections from 1."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self._reader = reader
        self._writer = writer

    async def asked(self) -> bytes:
        """The body of the next request. Raises IncompleteReadError when the client has gone."""
        head = await self.asked_head()
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(length)

    async def asked_head(self) -> bytes:
        """The head of the next request; its body is yet to be read."""
        return await self._reader.readuntil(b"\r\n\r\n")

    def stop_reading(self) -> None:
        transport: asyncio.Transport = self._writer.transport  # type: ignore[assignment]
        transport.pause_reading()

    async def say(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Returns when the client has closed its end."""
        try:
            while await self._reader.read(65536):
                pass
        except ConnectionError:
            return

    def hang_up(self) -> None:
        """Ends this direction only, so that `gone` tells when the client has closed the other."""
        self._writer.write_eof()


class Server:
    """`url` is where it is; `connections` how many it was asked for."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.url = URL()
        self.connections = 0
        self.tasks: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(Peer(self.connections, reader, writer), writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, peer: Peer, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(talk: Talk, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Server]:
    """A server that talks so on every connection; at the end of the block all of its connections are gone."""
    server = Server(talk)
    listener = await asyncio.start_server(server.connected, "127.0.0.1", port, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server.url = URL(f"{'https' if tls else 'http'}://127.0.0.1:{port}/")
    try:
        async with asyncio.timeout(GUARD_S):
            yield server
    finally:
        listener.close()
        for task in tuple(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


@asynccontextmanager
async def connected(
    talk: Talk, *, total_s: float = NEVER_S, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[http1.Client, Server]]:
    async with serving(talk, tls) as server:
        client = http1.Client(server.url, NEVER_S, total_s)
        try:
            yield client, server
        finally:
            await client.close()


def request(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status}\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body


def chunked(*pieces: bytes) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunks


async def echo(peer: Peer) -> None:
    """Answers every request with its own body."""
    while True:
        await peer.say(answer(await peer.asked()))


def saying(data: bytes) -> Talk:
    """Answers every request with these bytes."""

    async def talk(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.say(data)

    return talk


async def settled() -> None:
    """Lets everything run that can run without news from a socket."""
    for _ in range(10):
        await asyncio.sleep(0)
