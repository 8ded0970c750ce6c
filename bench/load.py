"""The load generator, a process of its own: N requests over C keep-alive connections, each answer checked.

`python -m bench.load URL KEY CONNECTIONS REQUESTS whole|stream WIRE` prints one JSON object, see `Load`.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import uvloop
from typing_extensions import override

from bench import conversation


@dataclass
class Load:
    """Times in milliseconds from the write of a request, in no order; `seconds` is the whole run's."""

    seconds: float = 0.0
    total_ms: list[float] = field(default_factory=list)
    first_byte_ms: list[float] = field(default_factory=list)  # of the body
    errors: list[str] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.first_byte_at = 0.0
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[tuple[int, bytes]] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionError("the server closed the connection"))

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        if not self._body:
            self.first_byte_at = time.perf_counter()
        self._body += data

    def on_message_complete(self) -> None:
        assert self._done is not None
        self._done.set_result((self._parser.get_status_code(), bytes(self._body)))

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """The status and body of the answer. Raises OSError for a connection that breaks."""
        assert self._transport is not None
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)
        self._done = asyncio.get_running_loop().create_future()
        self.first_byte_at = 0.0
        self._transport.write(request)
        return await self._done


def _request(url: str, key: str, *, stream: bool, wire: str) -> bytes:
    body = conversation.request_body(stream=stream, wire=wire)
    head = (
        f"POST {conversation.PATH} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def run(url: str, key: str, connections: int, requests: int, *, stream: bool, wire: str) -> Load:
    """Sends them all; errors are counted, not raised."""
    load, request, left = Load(), _request(url, key, stream=stream, wire=wire), iter(range(requests))
    address, loop = urlsplit(url), asyncio.get_running_loop()

    async def connect() -> Client:
        return (await loop.create_connection(Client, address.hostname or "", address.port or 80))[1]

    async def one_after_the_other(client: Client) -> None:
        for _ in left:
            if client.closed:
                client = await connect()
            began = time.perf_counter()
            try:
                async with asyncio.timeout(30):
                    status, body = await client.exchange(request)
            except (OSError, TimeoutError) as error:
                load.errors.append(repr(error))
                continue
            ended = time.perf_counter()
            if status == 200 and conversation.is_whole(body, stream=stream):
                load.total_ms.append((ended - began) * 1000)
                load.first_byte_ms.append((client.first_byte_at - began) * 1000)
            else:
                load.errors.append(f"{status} {body[:200]!r}")

    clients = [await connect() for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.gather(*map(one_after_the_other, clients))
    load.seconds = time.perf_counter() - began
    return load


def main(arguments: list[str]) -> None:
    """See the module."""
    url, key, connections, requests, how, wire = arguments
    load: dict[str, Any] = asdict(
        uvloop.run(run(url, key, int(connections), int(requests), stream=how == "stream", wire=wire))
    )
    json.dump(load, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
