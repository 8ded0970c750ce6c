"""What turning a provider's stream into ours costs in CPU: the adapter alone, its bytes already there.

The floor is what every gateway does at the least: parse each event's JSON and write it out again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Final

from pydantic_core import from_json, to_json

from aig.modalities import chat_body
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers.wire import HttpRequest, Reply
from bench import conversation

_STREAMS: Final = 400
_REPEATS: Final = 5
CHUNKS: Final = 20
FLOOR: Final = "parse and write"
_BODIES: Final = {
    "openai_compatible": [*conversation.events(), conversation.DONE],
    "openai": conversation.responses_events(),
    "anthropic": conversation.anthropic_events(),
    "google": conversation.google_events(),
}


class _Pieces:
    """A reply whose bytes come event by event."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read_some(self) -> bytes:
        return next(self._pieces, b"")


async def _translate(wire: str, streams: int) -> int:
    """How many chunks came out."""

    @asynccontextmanager
    async def post(_: HttpRequest, __: Timeouts) -> AsyncIterator[Reply]:
        yield _Pieces(_BODIES[wire])

    request = chat_body.parse(from_json(conversation.request_body(stream=True)))
    upstream = Upstream("bench", "model", "http://127.0.0.1", "key", quirks=frozenset({"responses"}))
    chat = type(import_module(f"aig_providers.{wire}").ADAPTER.chat)(post)
    chunks = 0
    for _ in range(streams):
        async for chunk in chat.stream(upstream, request, 256):
            if chunk.body is not None:
                to_json(chunk.body)
            chunks += 1
    return chunks


def _floor(streams: int) -> int:
    chunks = 0
    for _ in range(streams):
        for event in conversation.events():
            to_json(from_json(event[6:]))
            chunks += 1
    return chunks


def _cpu_ms(work: Callable[[], int]) -> float:
    """CPU milliseconds for 20 chunks, the least of some repeats: other processes only ever add."""
    found: list[float] = []
    for _ in range(_REPEATS):
        before = time.process_time()
        chunks = work()
        found.append((time.process_time() - before) * 1000 * CHUNKS / chunks)
    return min(found)


def measure() -> dict[str, float]:
    """CPU-ms for 20 chunks by wire, and of the floor."""

    def translating(wire: str) -> Callable[[], int]:
        return lambda: asyncio.run(_translate(wire, _STREAMS))

    return {FLOOR: _cpu_ms(lambda: _floor(_STREAMS)), **{wire: _cpu_ms(translating(wire)) for wire in _BODIES}}


if __name__ == "__main__":
    for name, cpu_ms in measure().items():
        print(f"{name:20} {cpu_ms:.3f} CPU-ms for {CHUNKS} chunks")
