"""A receiver of webhooks on loopback: it answers as a test tells it, and remembers what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """`pieces` follow the head; between them, `pause_s` seconds. With `cut` the connection is reset before the head.

    `held` is waited for before anything is said.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[bytes] = (b"ok",)
    pause_s: float = 0.0
    endless: bool = False
    cut: bool = False
    held: asyncio.Event | None = None


@dataclass(frozen=True)
class Sent:
    """A request as it arrived. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def attempt(self) -> int:
        return int(self.headers["x-aig-attempt"])


class Receiver:
    """Gives the answers of `script` in turn, the last one again and again."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/hook"
        self.script: list[Answer] = [Answer()]
        self.sent: list[Sent] = []
        self.at_once = 0
        self.most_at_once = 0
        self.arrived = asyncio.Event()

    def next(self) -> Answer:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that is gone at the end of the block."""
    visits = set[asyncio.Task[None]]()

    def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(_serve(receiver, reader, writer))
        visits.add(visit)
        visit.add_done_callback(visits.discard)

    server = await asyncio.start_server(visited, "127.0.0.1", 0)
    receiver = Receiver(server.sockets[0].getsockname()[1])
    try:
        yield receiver
    finally:
        server.close()
        for visit in tuple(visits):
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        await server.wait_closed()


async def _serve(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    receiver.at_once += 1
    receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
    try:
        receiver.sent.append(await _read(reader))
        receiver.arrived.set()
        answer = receiver.next()
        if answer.held is not None and not await _held(answer.held, reader):
            return
        if answer.cut:
            writer.transport.abort()
            return
        await _say(writer, answer)
    except (ConnectionError, asyncio.IncompleteReadError):
        return
    finally:
        receiver.at_once -= 1
        writer.close()


async def _held(held: asyncio.Event, reader: asyncio.StreamReader) -> bool:
    """False if whoever asked has gone before."""
    waits = [asyncio.ensure_future(held.wait()), asyncio.ensure_future(reader.read())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return held.is_set()
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _say(writer: asyncio.StreamWriter, answer: Answer) -> None:
    lines = [f"HTTP/1.1 {answer.status} Said", "connection: close", *(f"{k}: {v}" for k, v in answer.headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    while True:
        for piece in answer.pieces:
            await asyncio.sleep(answer.pause_s)
            writer.write(piece)
            await writer.drain()
        if not answer.endless:
            return


async def _read(reader: asyncio.StreamReader) -> Sent:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Sent(request_line.split(" ")[1], headers, body)
