"""Every way in which a provider on OpenAI's wire can answer, over a real connection, streamed and not."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatChunk, ChatResult, output_text
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers.openai_compatible import OpenAICompatibleChat
from aig_providers.wire import IDLE_S, Client
from tests.conformance.loopback import Answer, Loopback, loopback
from tests.unit.clock import FixedClock

PATIENT = Timeouts(connect=20, first_byte=20, idle=20, total=20)
HASTY = Timeouts(connect=20, first_byte=0.2, idle=0.2, total=0.2)
KEY = "skprovider42"
DONE = b"data: [DONE]\n\n"
CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": '{"city": "Paris"}'}}
    for n, name in enumerate(("get_weather", "get_time"))
]


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(1_795_305_600.0)


@pytest.fixture
async def client(clock: FixedClock) -> AsyncIterator[Client]:
    made = Client(clock)
    yield made
    await made.close()


class Caller:
    """Asks the provider through the adapter."""

    def __init__(self, client: Client, provider: Loopback) -> None:
        self._chat = OpenAICompatibleChat(client.post)
        self.provider = provider

    def _upstream(self, timeouts: Timeouts) -> Upstream:
        return Upstream("acme", "one-v1", self.provider.base_url, KEY, timeouts)

    def stream(self, timeouts: Timeouts = PATIENT) -> AsyncGenerator[ChatChunk, None]:
        request = chat_body.parse({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True})
        return self._chat.stream(self._upstream(timeouts), request, 100)

    async def streamed(self, timeouts: Timeouts = PATIENT) -> list[ChatChunk]:
        return [chunk async for chunk in self.stream(timeouts)]

    async def whole(self, timeouts: Timeouts = PATIENT) -> ChatResult:
        request = chat_body.parse({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
        return await self._chat.complete(self._upstream(timeouts), request, 100)

    async def failure(self, *, streamed: bool, timeouts: Timeouts = PATIENT) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await (self.streamed(timeouts) if streamed else self.whole(timeouts))
        return raised.value


@pytest.fixture
def caller(client: Client, provider: Loopback) -> Caller:
    return Caller(client, provider)


def completion(message: dict[str, Any], finish: str = "stop", **more: Any) -> Answer:
    body = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}
    return Answer([json.dumps(body).encode()])


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "c", "choices": choices, **more}).encode() + b"\n\n"


def usage(prompt: int, output: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}


def counts(found: Usage | None) -> tuple[int, int] | None:
    return None if found is None else (found.units["input_tokens"], found.units["output_tokens"])


def last(chunks: list[ChatChunk]) -> Usage | None:
    """The usage that a stream is settled by."""
    seen = [chunk.usage for chunk in chunks if chunk.usage is not None]
    return seen[-1] if seen else None


async def test_ok(caller: Caller) -> None:
    caller.provider.answer = completion({"role": "assistant", "content": "hello \u20ac"}, usage=usage(3, 2))
    result = await caller.whole()
    assert output_text(result.body) == "hello \u20ac"
    assert counts(result.usage) == (3, 2)
    (received,) = caller.provider.received
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"
    assert received.body["max_tokens"] == 100


async def test_tools(caller: Caller) -> None:
    caller.provider.answer = completion({"role": "assistant", "tool_calls": CALLS[:1]}, "tool_calls")
    assert (await caller.whole()).body["choices"][0]["message"]["tool_calls"] == CALLS[:1]


async def test_parallel_tools_streamed(caller: Caller) -> None:
    events = []
    for index, call in enumerate(CALLS):
        function = call["function"]
        assert isinstance(function, dict)
        head = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        events.append(event({"tool_calls": [head]}))
    for half in (0, 1):
        for index in (1, 0):  # interleaved
            piece = '{"city": "Paris"}'[half * 9 : half * 9 + 9]
            events.append(event({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
    caller.provider.answer = Answer([*events, event({}, "tool_calls"), DONE])
    arguments = {0: "", 1: ""}
    for chunk in await caller.streamed():
        for delta in (chunk.body or {"choices": []})["choices"]:
            for call in delta["delta"].get("tool_calls", ()):
                arguments[call["index"]] += call["function"]["arguments"]
    assert arguments == {0: '{"city": "Paris"}', 1: '{"city": "Paris"}'}


@pytest.mark.parametrize(
    ("events", "counted"),
    [
        ([event({"content": "a"}), event({}, "stop"), event(usage=usage(3, 2))], (3, 2)),
        ([event({"content": "a"}), event({}, "stop")], None),
        ([event({"content": "a"}), event({}, "stop"), event(usage=usage(0, 0))], (0, 0)),
        ([event({"content": "a"}), event({}, "stop", usage=usage(3, 2))], (3, 2)),
        ([event({"content": "a"}), event({}, "stop", usage=None), event(usage=usage(3, 2))], (3, 2)),
        # Each chunk tells the usage so far: the last one counts, they are not added up.
        ([event({"content": "a"}, usage=usage(3, 1)), event({}, "stop", usage=usage(3, 2))], (3, 2)),
        ([event({"content": "a"}, usage=usage(3, 2)), event({}, "stop")], (3, 2)),
        ([event({"content": "a"}), event({}, "stop"), event(usage=usage(3, 2)), event(usage=usage(3, 2))], (3, 2)),
        # Some send the usage beside a choice that has ended before.
        ([event({"content": "a"}), event({}, "stop"), event({"content": ""}, usage=usage(3, 2))], (3, 2)),
    ],
    ids=[
        "last",
        "missing",
        "zero",
        "in the finish chunk",
        "null first",
        "running",
        "early",
        "twice",
        "beside a choice",
    ],
)
async def test_usage_of_a_stream(caller: Caller, events: list[bytes], counted: tuple[int, int] | None) -> None:
    caller.provider.answer = Answer([*events, DONE])
    chunks = await caller.streamed()
    assert "".join(output_text(chunk.body or {}) for chunk in chunks) == "a"
    assert counts(last(chunks)) == counted


@pytest.mark.parametrize(
    ("more", "counted"), [({"usage": usage(3, 2)}, (3, 2)), ({}, None), ({"usage": usage(0, 0)}, (0, 0))]
)
async def test_usage_of_a_whole_answer(caller: Caller, more: dict[str, Any], counted: tuple[int, int] | None) -> None:
    caller.provider.answer = completion({"content": "a"}, **more)
    assert counts((await caller.whole()).usage) == counted


def _error(status: int, **headers: str) -> Answer:
    body = {"error": {"message": "words", "type": "t", "code": "some_code", "param": "messages"}}
    return Answer([json.dumps(body).encode()], status, {key.replace("_", "-"): value for key, value in headers.items()})


FAILURES: list[tuple[str, Answer | None, str, int | None, float | None]] = [
    ("400", _error(400), "rejected", 400, None),
    ("401", _error(401), "auth", 401, None),
    ("402", _error(402), "auth", 402, None),
    ("403, of what was said", _error(403), "rejected", 403, None),
    ("403, a page", Answer([b"<html>Forbidden</html>"], 403), "unavailable", 403, None),
    ("404", _error(404), "rejected", 404, None),
    ("408", _error(408), "unavailable", 408, None),
    ("413", _error(413), "rejected", 413, None),
    ("422", _error(422), "rejected", 422, None),
    ("429", _error(429), "rate_limited", 429, None),
    ("429 with seconds", _error(429, retry_after="7"), "rate_limited", 429, 7.0),
    ("429 with milliseconds", _error(429, retry_after_ms="250"), "rate_limited", 429, 0.25),
    ("500", _error(500), "unavailable", 500, None),
    ("503 with seconds", _error(503, retry_after="7"), "unavailable", 503, 7.0),
    ("529", _error(529), "unavailable", 529, None),
    ("a redirect", Answer([], 307, {"location": "http://127.0.0.1:9/"}), "unavailable", 307, None),
    ("an error page", Answer([b"<html>Bad Gateway</html>"], 502), "unavailable", 502, None),
    ("empty", Answer([]), "malformed", None, None),
    ("HTML", Answer([b"<html>hello</html>"]), "malformed", None, None),
    ("cut JSON", Answer([b'{"choices": [{"mess']), "malformed", None, None),
    ("not UTF-8", Answer([b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n']), "malformed", None, None),
    ("no answer", None, "connect", None, None),
    ("broken body", Answer([b"data: {"], ending="eof"), "connect", None, None),
    ("reset", Answer([b"data: {"], ending="reset"), "connect", None, None),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("answer", "kind", "status", "retry_after"), [row[1:] for row in FAILURES], ids=[row[0] for row in FAILURES]
)
async def test_failures(
    caller: Caller, answer: Answer | None, kind: str, status: int | None, retry_after: float | None, streamed: bool
) -> None:
    caller.provider.answer = answer
    error = await caller.failure(streamed=streamed)
    assert (error.kind, error.status, error.retry_after) == (kind, status, retry_after)
    assert len(caller.provider.received) == 1
    assert "words" not in str(error)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_an_error_that_quotes_our_key(caller: Caller, streamed: bool) -> None:
    body = {"error": {"message": f"{KEY} is wrong", "code": f"no_such_key_{KEY}", "param": KEY}}
    caller.provider.answer = Answer([json.dumps(body).encode()], 401)
    error = await caller.failure(streamed=streamed)
    assert (error.kind, error.code, error.param) == ("auth", None, None)
    assert KEY not in str(error)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_nobody_listens(caller: Caller, streamed: bool) -> None:
    caller.provider.base_url = "http://127.0.0.1:9/v1"
    assert (await caller.failure(streamed=streamed)).kind == "connect"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("pieces", [[], [event({"content": "a"})]], ids=["at once", "after a while"])
async def test_silence(caller: Caller, pieces: list[bytes], streamed: bool) -> None:
    caller.provider.answer = Answer(pieces, ending="silence")
    assert (await caller.failure(streamed=streamed, timeouts=HASTY)).kind == "timeout"
    await caller.provider.all_closed()


async def test_a_stream_that_is_cut_gives_what_came_before(caller: Caller) -> None:
    caller.provider.answer = Answer([event({"content": "a"}), event({"content": "b"})], ending="reset")
    text = ""

    async def read() -> None:
        nonlocal text
        async for chunk in caller.stream():
            text += output_text(chunk.body or {})

    with pytest.raises(UpstreamError):
        await read()
    assert text == "ab"


async def test_odd_framing(caller: Caller) -> None:
    long = "x" * (1 << 20)
    stream = (
        b": comment\r\r" + event({"content": "\U0001f600"}).replace(b"\n", b"\r") + b"event: message\nid: 1\n"
        b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "b"}, "finish_reason": null}]}\n\n'
        + event({"content": long}) + event({}, "stop").replace(b"\n", b"\r\n") + b"data:[DONE]\r\n\r\n"
    )  # fmt: skip
    raw = "\U0001f600".encode()
    stream = stream.replace(b"\\ud83d\\ude00", raw)
    middle = stream.index(raw) + 2
    caller.provider.answer = Answer([stream[:middle], stream[middle:]])
    assert "".join(output_text(chunk.body or {}) for chunk in await caller.streamed()) == f"\U0001f600b{long}"


class TestConnections:
    GOOD = Answer([event({"content": "a"}), event({}, "stop"), DONE])

    async def test_one_connection_serves_call_after_call(self, caller: Caller) -> None:
        for _ in range(3):
            caller.provider.answer = self.GOOD
            await caller.streamed()
            caller.provider.answer = completion({"content": "a"})
            await caller.whole()
            caller.provider.answer = _error(429)
            await caller.failure(streamed=True)
        assert caller.provider.connections == 1

    async def test_what_has_been_idle_for_long_is_not_used_again(self, caller: Caller, clock: FixedClock) -> None:
        caller.provider.answer = self.GOOD
        await caller.streamed()
        clock.time += IDLE_S
        await caller.streamed()
        assert caller.provider.connections == 1
        clock.time += IDLE_S + 1
        await caller.streamed()
        assert caller.provider.connections == 2

    async def test_a_call_that_takes_long_keeps_its_connection(self, caller: Caller, clock: FixedClock) -> None:
        caller.provider.answer = self.GOOD
        slow = caller.stream()
        await anext(slow)
        clock.time += IDLE_S + 1
        await caller.streamed()
        assert [chunk async for chunk in slow]

    async def test_a_call_does_not_wait_for_another(self, caller: Caller) -> None:
        caller.provider.answer = Answer([event({"content": "a"})], ending="silence")
        waiting = [caller.stream() for _ in range(3)]
        for chunks in waiting:
            await anext(chunks)
        caller.provider.answer = self.GOOD
        assert len(await caller.streamed()) == 2
        for chunks in waiting:
            await chunks.aclose()

    async def test_calls_that_start_together_after_a_pause_leave_nothing_open(
        self, caller: Caller, clock: FixedClock, client: Client
    ) -> None:
        caller.provider.answer = self.GOOD
        await asyncio.gather(*(caller.streamed() for _ in range(3)))
        clock.time += IDLE_S + 1
        await asyncio.gather(*(caller.streamed() for _ in range(3)))
        await client.close()
        await caller.provider.all_closed()

    async def test_leaving_a_stream_closes_its_connection(self, caller: Caller) -> None:
        caller.provider.answer = Answer([event({"content": "a"})], ending="silence")
        chunks = caller.stream()
        await anext(chunks)
        await chunks.aclose()
        await caller.provider.all_closed()

    async def test_a_server_that_does_not_end_its_stream_does_not_hold_up_ours(self, caller: Caller) -> None:
        caller.provider.answer = Answer([event({"content": "a"}), event({}, "stop"), DONE], ending="silence")
        assert len(await caller.streamed()) == 2
        await caller.provider.all_closed()

    async def test_a_closed_client_can_be_used_again(self, caller: Caller, client: Client) -> None:
        caller.provider.answer = self.GOOD
        await caller.streamed()
        await client.close()
        await client.close()
        await caller.streamed()
        assert caller.provider.connections == 2

    def test_a_new_loop_gets_connections_of_its_own(self) -> None:
        client = Client(FixedClock())

        async def once() -> None:
            async with loopback() as provider:
                provider.answer = self.GOOD
                await Caller(client, provider).streamed()
                await client.close()

        for _ in range(2):
            asyncio.run(once())
