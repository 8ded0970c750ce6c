"""A provider on loopback that replays bytes: cut and ended as it is told to, over connections that it keeps."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Answer:
    """Each piece is sent and read by itself. `eof` and `reset` break the connection, `silence` keeps it."""

    pieces: Sequence[bytes] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Literal["end", "eof", "reset", "silence"] = "end"


@dataclass(frozen=True)
class Received:
    """A request; header names are lower case. `body` is read where it is JSON, and bytes where it is not."""

    path: str
    headers: Mapping[str, str]
    body: Any
    method: str = "POST"


class Loopback:
    """Gives `answer` to every request, or closes the connection without one if it is None. `choose` comes before it."""

    def __init__(self) -> None:
        self.base_url = ""
        self.answer: Answer | None = Answer()
        self.choose: Callable[[Received], Answer] | None = None
        self.received: list[Received] = []
        self.connections = 0
        self.open = 0
        self.changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        self.connections += 1
        self.open += 1
        try:
            while (received := await _read(reader)) is not None:
                self.received.append(received)
                answer = self.choose(received) if self.choose else self.answer
                if answer is None or not await _write(reader, writer, answer):
                    break
        finally:
            with contextlib.suppress(OSError):
                writer.close()
                await writer.wait_closed()
            self.open -= 1
            async with self.changed:
                self.changed.notify_all()

    async def all_closed(self) -> None:
        """Returns when no connection is left."""
        async with asyncio.timeout(30), self.changed:
            await self.changed.wait_for(lambda: self.open == 0)


@asynccontextmanager
async def loopback() -> AsyncIterator[Loopback]:
    """A server on a free port for the length of the block."""
    provider, tasks = Loopback(), set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(provider.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 24)
    provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, OSError):
        return None
    request_line, *lines = head.strip().split("\r\n")
    headers = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, path, _ = request_line.split(" ")
    return Received(path, headers, json.loads(body) if "json" in headers.get("content-type", "") else body, method)


async def _write(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Whether the connection can be used again."""
    chunked = {"content-type": "application/json", "transfer-encoding": "chunked"} if answer.status != 204 else {}
    headers = {**chunked, **answer.headers}
    head = f"HTTP/1.1 {answer.status} Replayed\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    writer.write(head.encode() + b"\r\n")
    for piece in answer.pieces:
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        for _ in range(2):  # the reader runs in this loop: it takes the piece before the next one is written
            await asyncio.sleep(0)
    if answer.ending == "silence":
        await reader.read()  # until the other side has had enough
    if answer.ending == "reset":
        writer.transport.abort()
    if answer.ending == "end" and answer.status != 204:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return answer.ending == "end"
