"""A provider on loopback that speaks OpenAI's wire and misbehaves by a script: one behaviour a request."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

TEXT = "Paris is the capital."
PROMPT_TOKENS, OUTPUT_TOKENS = 1000, 100
_WORDS = [f"{word} " for word in TEXT.split()]
_USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": PROMPT_TOKENS + OUTPUT_TOKENS,
}


@dataclass(frozen=True)
class Behaviour:
    """What one request meets. `delay` is before the first byte; `ending` what comes after the last."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None  # of an answer that is neither a completion nor a stream
    finish: str = "stop"
    chunks: int | None = None  # of a stream, before its ending; None is all of it
    delay: float = 0.0
    ending: str = "end"  # end | reset | silence | garbage | no-done | bare


OK = Behaviour()


def error(status: int, code: str | None = None, **headers: str) -> Behaviour:
    body = {"error": {"message": "as told", "type": "scripted", "code": code, "param": None}}
    return Behaviour(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode()
    )


class ScriptedProvider:
    """Meets each request with the next behaviour; the last one repeats."""

    def __init__(self) -> None:
        self.base_url = ""
        self.script: Sequence[Behaviour] = (OK,)
        self.asked = 0

    def reset(self, *script: Behaviour) -> None:
        self.script, self.asked = script or (OK,), 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            behaviour = self.script[min(self.asked, len(self.script) - 1)]
            self.asked += 1
            await _meet(behaviour, body, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            with contextlib.suppress(OSError):
                writer.close()


async def _meet(
    behaviour: Behaviour, body: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if behaviour.delay:
        await asyncio.sleep(behaviour.delay)
    streamed = bool(body.get("stream")) and behaviour.status == 200 and behaviour.body is None
    pieces = _stream(behaviour) if streamed else [_completion(behaviour) if behaviour.body is None else behaviour.body]
    if behaviour.ending == "reset" and behaviour.chunks == 0:
        writer.transport.abort()
        return
    if behaviour.ending == "silence" and behaviour.chunks == 0:
        await reader.read()
        return
    kind = "text/event-stream" if streamed else "application/json"
    headers = {"content-type": kind, "connection": "close", **behaviour.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {behaviour.status} Scripted\r\n{lines}\r\n".encode())
    if not streamed and behaviour.ending in ("reset", "garbage"):
        pieces = [b'{"choices": [{"ind']
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    if behaviour.ending == "reset":
        writer.transport.abort()
    elif behaviour.ending == "silence":
        await reader.read()  # until the other side has had enough


def _completion(behaviour: Behaviour) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": behaviour.finish}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "choices": [choice], "usage": _USAGE}
    ).encode()


def _event(choices: list[Any], **more: Any) -> bytes:
    body = {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": choices, **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _stream(behaviour: Behaviour) -> list[bytes]:
    words = [_event([{"index": 0, "delta": {"content": word}, "finish_reason": None}]) for word in _WORDS]
    if behaviour.chunks is not None:
        words = words[: behaviour.chunks]
    if behaviour.ending == "garbage":
        return [*words, b"data: {this is no JSON\n\n"]
    if behaviour.ending in ("reset", "silence", "bare"):
        return words
    finish = _event([{"index": 0, "delta": {}, "finish_reason": behaviour.finish}])
    done = [] if behaviour.ending == "no-done" else [b"data: [DONE]\n\n"]
    return [*words, finish, _event([], usage=_USAGE), *done]


@asynccontextmanager
async def scripted() -> AsyncIterator[ScriptedProvider]:
    """One that listens for the length of the block."""
    provider, tasks = ScriptedProvider(), set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(provider.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    provider.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
