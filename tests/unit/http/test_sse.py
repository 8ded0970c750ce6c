"""A stream of events goes to its end, whoever reads it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from starlette.types import Message

from aig.http.sse import EventStream

GUARD_S = 10.0


class Source:
    """Chunks 0, 1, …; `taken` says how many were asked for, and `closed` whether the generator was left in order."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0
        self.closed = False

    async def chunks(self) -> AsyncGenerator[dict[str, Any], None]:
        try:
            for number in range(self.count):
                self.taken += 1
                yield {"n": number}
        finally:
            self.closed = True


async def _nothing_more() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _served(stream: EventStream, send: Any) -> None:
    async with asyncio.timeout(GUARD_S):
        await stream({"type": "http"}, _nothing_more, send)


async def test_each_object_is_an_event_and_done_is_the_last() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await _served(EventStream(Source(2).chunks(), {"x-mine": "1"}), send)
    assert (b"x-mine", b"1") in sent[0]["headers"]
    assert b"content-length" not in dict(sent[0]["headers"])
    assert b"".join(m["body"] for m in sent[1:]) == b'data: {"n":0}\n\ndata: {"n":1}\n\ndata: [DONE]\n\n'
    assert [m["more_body"] for m in sent[1:]] == [True, True, False]


async def test_a_client_that_stops_reading_does_not_keep_the_chunks_from_being_taken() -> None:
    """Its socket is full, so that `send` never comes back; the charge is behind the last chunk."""
    source = Source(100)
    bodies = 0

    async def send(message: Message) -> None:
        nonlocal bodies
        if message["type"] == "http.response.body":
            bodies += 1
            await asyncio.Event().wait()

    await _served(EventStream(source.chunks(), {}, patience=0.01), send)
    assert (source.taken, source.closed) == (100, True)
    assert bodies == 1


async def test_a_silent_source_is_bridged_by_comments() -> None:
    bridged = asyncio.Event()
    sent: list[bytes] = []

    async def silent() -> AsyncGenerator[dict[str, Any], None]:
        yield {"n": 0}
        await bridged.wait()
        yield {"n": 1}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))
        if sent.count(b": keep-alive\n\n") == 2:
            bridged.set()

    await _served(EventStream(silent(), {}, keep_alive=0.01), send)
    assert [body for body in sent if not body.startswith(b":")][1:] == [
        b'data: {"n":0}\n\n',
        b'data: {"n":1}\n\n',
        b"data: [DONE]\n\n",
    ]


async def test_a_stream_that_is_cut_off_closes_its_source() -> None:
    source = Source(3)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise asyncio.CancelledError

    try:
        await _served(EventStream(source.chunks(), {}), send)
    except asyncio.CancelledError:
        assert source.closed
    else:
        raise AssertionError("the cancellation was swallowed")
