"""`sandbox/*` as the pipeline sees it: through the adapter, answers and faults alike."""

import asyncio
import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, output_text
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers.sandbox import ADAPTER, CONTEXT_TOKENS
from tests.unit.providers.replies import request

TIMEOUTS = Timeouts(first_byte=30.0, idle=30.0, total=30.0)
SHORT = Timeouts(first_byte=0.01, idle=0.01, total=0.01)


def upstream(model: str, timeouts: Timeouts = TIMEOUTS, **fields: Any) -> Upstream:
    return Upstream("sandbox", model, "sandbox:", timeouts=timeouts, **fields)


async def whole(model: str, timeouts: Timeouts = TIMEOUTS, **fields: Any) -> dict[str, Any]:
    result = await ADAPTER.chat.complete(upstream(model, timeouts), request(**fields), 100)
    return {**result.body, "usage": result.usage and dict(result.usage.units)}


async def streamed(model: str, timeouts: Timeouts = TIMEOUTS, **fields: Any) -> list[ChatChunk]:
    chunks = ADAPTER.chat.stream(upstream(model, timeouts), request(stream=True, **fields), 100)
    return [chunk async for chunk in chunks]


async def failure(model: str, timeouts: Timeouts = TIMEOUTS, *, stream: bool) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await (streamed(model, timeouts) if stream else whole(model, timeouts))
    return raised.value


def text(chunks: list[ChatChunk]) -> str:
    return "".join(output_text(chunk.body or {}) for chunk in chunks)


async def test_echo() -> None:
    answer = await whole("echo")
    assert answer["object"] == "chat.completion"
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "echo: hi", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert (answer["usage"]["input_tokens"], answer["usage"]["output_tokens"]) == (1, 2)


async def test_echo_streamed() -> None:
    chunks = await streamed("echo")
    bodies = [chunk.body for chunk in chunks if chunk.body is not None]
    assert text(chunks) == "echo: hi"
    assert {body["object"] for body in bodies} == {"chat.completion.chunk"}
    assert bodies[0]["choices"][0]["delta"]["role"] == "assistant"
    assert [body["choices"][0]["finish_reason"] for body in bodies] == [None, None, None, "stop"]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    assert (usage.units["input_tokens"], usage.units["output_tokens"]) == (1, 2)
    assert chunks[-1].body is None


async def test_samples_are_choices_of_their_own() -> None:
    answer = await whole("echo", n=2)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["output_tokens"] == 4
    chunks = await streamed("echo", n=2)
    said = {0: "", 1: ""}
    ends = []
    for chunk in chunks:
        for choice in (chunk.body or {"choices": ()})["choices"]:
            said[choice["index"]] += choice["delta"].get("content", "")
            ends += [choice["index"]] if choice["finish_reason"] == "stop" else []
    assert said == {0: "echo: hi", 1: "echo: hi"}
    assert ends == [0, 1]


async def test_the_limit_that_was_paid_for_holds() -> None:
    result = await ADAPTER.chat.complete(upstream("echo"), request(max_tokens=500), 1)
    assert result.body["choices"][0]["message"]["content"] == "echo:"
    assert result.body["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "kind", "status", "retry_after"),
    [
        ("fail-429", "rate_limited", 429, 1.0),
        ("fail-500", "unavailable", 500, None),
        ("fail-503", "unavailable", 503, None),
        ("fail-529", "unavailable", 529, None),
        ("fail-401", "auth", 401, None),
        ("fail-reset", "connect", None, None),
        ("fail-malformed", "malformed", None, None),
        ("fail-empty", "malformed", None, None),
    ],
)
async def test_failures(model: str, kind: str, status: int | None, retry_after: float | None, stream: bool) -> None:
    error = await failure(model, stream=stream)
    assert (error.kind, error.status, error.retry_after) == (kind, status, retry_after)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_timeout(stream: bool) -> None:
    assert (await failure("fail-timeout", SHORT, stream=stream)).kind == "timeout"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "status"), [("fail-once-429", 429), ("fail-once-500", 500)])
async def test_once_for_each_caller(model: str, status: int, stream: bool) -> None:
    seen: set[str] = set()

    async def first_time(name: str) -> bool:
        first = name not in seen
        seen.add(name)
        return first

    async def call(session: str) -> str:
        reach = upstream(model, session=session, first_time=first_time)
        if stream:
            return text([chunk async for chunk in ADAPTER.chat.stream(reach, request(stream=True), 100)])
        return output_text((await ADAPTER.chat.complete(reach, request(), 100)).body)

    for session in ("key_1/", "key_1/a", "key_2/"):
        with pytest.raises(UpstreamError) as raised:
            await call(session)
        assert raised.value.status == status
        assert await call(session) == "echo: hi"
        assert await call(session) == "echo: hi"


@pytest.mark.parametrize(("model", "timeouts", "kind"), [("cut", TIMEOUTS, "connect"), ("stall", SHORT, "timeout")])
async def test_trouble_after_three_chunks(model: str, timeouts: Timeouts, kind: str) -> None:
    chunks = ADAPTER.chat.stream(upstream(model, timeouts), request(stream=True), 100)
    got = [await anext(chunks) for _ in range(3)]
    with pytest.raises(UpstreamError) as raised:
        await anext(chunks)
    assert raised.value.kind == kind
    assert text(got) == "echo: hi"
    assert (await failure(model, SHORT, stream=False)).kind == kind


async def test_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    chunks = await streamed("slow")
    assert text(chunks) == "echo: hi"
    assert slept == [2.0] + [0.2] * 5  # before each of: head, two words, end, usage, [DONE]
    slept.clear()
    assert (await whole("slow"))["choices"][0]["message"]["content"] == "echo: hi"
    assert slept == [2.0]


async def test_the_slow_first_byte_counts_against_the_time_for_it() -> None:
    assert (await failure("slow", SHORT, stream=True)).kind == "timeout"


async def test_no_usage_and_zero_usage_are_not_the_same() -> None:
    assert (await whole("no-usage"))["usage"] is None
    assert set((await whole("zero-usage"))["usage"].values()) == {0}
    assert not [chunk.usage for chunk in await streamed("no-usage") if chunk.usage]
    (usage,) = [chunk.usage for chunk in await streamed("zero-usage") if chunk.usage]
    assert set(usage.units.values()) == {0}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_beyond_the_context_is_refused(stream: bool) -> None:
    def says(words: int) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": "a " * words}]}

    with pytest.raises(UpstreamError) as raised:
        await (streamed if stream else whole)("echo", **says(CONTEXT_TOKENS + 1))
    error = raised.value
    assert (error.kind, error.code, error.param) == ("rejected", "context_length_exceeded", "messages")
    assert await (streamed if stream else whole)("echo", **says(CONTEXT_TOKENS))


async def test_a_stream_that_nobody_reads_on_can_be_left() -> None:
    chunks = ADAPTER.chat.stream(upstream("echo"), request(stream=True), 100)
    await anext(chunks)
    async with asyncio.timeout(30):
        await chunks.aclose()


async def test_tool_calls_have_their_arguments_as_text() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}}}}
    answer = await whole("echo", tools=[tool])
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"a": 7}
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
