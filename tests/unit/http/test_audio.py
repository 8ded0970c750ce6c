"""Audio goes to its end, whoever reads it and however slowly."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from aig.errors import ProviderUnavailable
from aig.http.audio import PART_BYTES, AudioStream
from aig.http.errors import BrokenOff

GUARD_S = 10.0


class Source:
    """Gives its pieces, then ends or raises; `done` says whether all of them were taken."""

    def __init__(self, *pieces: bytes, ends: Exception | None = None) -> None:
        self.pieces = pieces
        self.ends = ends
        self.done = False

    async def audio(self) -> AsyncGenerator[bytes, None]:
        for piece in self.pieces:
            yield piece
        self.done = True
        if self.ends:
            raise self.ends


async def _nothing_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def served(source: Source, send: Any) -> None:
    async with asyncio.timeout(GUARD_S):
        await AudioStream(source.audio(), "audio/wav", {})({"type": "http"}, _nothing_more, send)


async def test_a_large_piece_is_sent_in_parts_so_that_a_slow_reader_has_time_for_each() -> None:
    piece, sent = bytes(range(256)) * 1_000, list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    await served(source := Source(piece, b"end"), send)
    bodies = [message["body"] for message in sent[1:]]
    assert max(map(len, bodies)) == PART_BYTES == 16_384
    assert b"".join(bodies) == piece + b"end"
    assert [message["more_body"] for message in sent[1:]] == [True] * (len(bodies) - 1) + [False]
    assert source.done


async def test_who_reads_steadily_but_for_too_long_is_sent_no_more_and_all_is_taken() -> None:
    """The charge is behind the last piece: a reader must not spend the time that there is until then."""
    sent = 0

    async def send(message: Message) -> None:
        nonlocal sent
        if message["type"] == "http.response.body":
            await asyncio.sleep(0.01)
            sent += 1

    source = Source(*[b"piece"] * 1_000)
    async with asyncio.timeout(GUARD_S):
        stream = AudioStream(source.audio(), "audio/wav", {}, reading=0.05)
        await stream({"type": "http"}, _nothing_more, send)
    assert source.done
    assert sent <= 6  # each takes a fifth of the time that it has


@pytest.mark.parametrize(
    ("error", "seen"), [(ProviderUnavailable("no"), BrokenOff), (KeyError("a bug"), KeyError)], ids=["told", "bug"]
)
async def test_what_breaks_off_leaves_the_body_without_its_end(error: Exception, seen: type[Exception]) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(seen):
        await served(Source(b"one", ends=error), send)
    assert [message.get("more_body") for message in sent] == [None, True]
