"""A provider on loopback that says what a test tells it to say, byte for byte, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Piece = bytes | asyncio.Event  # an event is waited for


@dataclass(frozen=True)
class Script:
    """One answer. With `cut` the connection is reset after the last piece, as by a crash."""

    status: int
    pieces: Sequence[Piece] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


class FakeUpstream:
    """Answers every request by `script`. `base_url` ends in /v1, as a provider's does."""

    def __init__(self, port: int) -> None:
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.script = Script(200)
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()  # a request is there


@asynccontextmanager
async def fake_upstream() -> AsyncIterator[FakeUpstream]:
    """A fake provider that is gone at the end of the block."""
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_serve(fake, reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=16 * 1024 * 1024)
    fake = FakeUpstream(server.sockets[0].getsockname()[1])
    try:
        yield fake
    finally:
        server.close()
        for task in tuple(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        await server.wait_closed()


async def _serve(fake: FakeUpstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        fake.asked.append(await _read(reader))
        fake.arrived.set()
        script = fake.script
        headers = {"content-type": "application/json", "connection": "close", **script.headers}
        head = f"HTTP/1.1 {script.status} Scripted\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        writer.write(head.encode() + b"\r\n")
        for piece in script.pieces:
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            else:
                writer.write(piece)
                await writer.drain()
        if script.cut:
            writer.transport.abort()
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(request_line.split(" ")[1], headers, json.loads(body))


def completion(text: str, *, prompt_tokens: int = 10, completion_tokens: int = 5, cached: int = 0) -> bytes:
    """A whole answer of OpenAI's API."""
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-5.4-mini-2026-03-17",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "finish_reason": "stop",
                }
            ],
            "usage": _usage(prompt_tokens, completion_tokens, cached),
        }
    ).encode()


def chunk(text: str | None = None, *, finish_reason: str | None = None) -> bytes:
    """One event of a stream of OpenAI's API."""
    delta = {} if text is None else {"content": text}
    return _event([{"index": 0, "delta": delta, "finish_reason": finish_reason}], usage=None)


def usage_chunk(prompt_tokens: int = 10, completion_tokens: int = 5, cached: int = 0) -> bytes:
    """The event that tells the usage, as the last before the end."""
    return _event([], usage=_usage(prompt_tokens, completion_tokens, cached))


DONE = b"data: [DONE]\n\n"


def stream(*words: str, before_last: Callable[[], Sequence[Piece]] = tuple) -> list[Piece]:
    """All pieces of a good stream; `before_last` goes in front of its last word."""
    return [
        *(chunk(word) for word in words[:-1]),
        *before_last(),
        chunk(words[-1]),
        chunk(finish_reason="stop"),
        usage_chunk(),
        DONE,
    ]


def _usage(prompt_tokens: int, completion_tokens: int, cached: int) -> dict[str, Any]:
    total = prompt_tokens + completion_tokens
    usage: dict[str, Any] = {
        "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": total
    }  # fmt: skip
    return {**usage, "prompt_tokens_details": {"cached_tokens": cached}} if cached else usage


def _event(choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-5.4-mini-2026-03-17",
        "choices": choices,
        "usage": usage,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"
