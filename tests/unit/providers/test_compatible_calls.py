"""Streamed tool calls of vendors who number them in ways of their own, as OpenAI's clients put them together."""

from typing import Any

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from aig_providers.openai_compatible import OpenAICompatibleChat
from tests.unit.providers.replies import event, posting, request, upstream

DONE = b"data: [DONE]\n\n"
Piece = dict[str, Any]


def piece(arguments: str = "", *, name: str | None = None, **fields: Any) -> Piece:
    return {**fields, "function": {**({"name": name} if name is not None else {}), "arguments": arguments}}


def chunk_of(*pieces: Piece, choice: int = 0) -> bytes:
    delta = {"role": "assistant", "tool_calls": list(pieces)}
    return event({"id": "c", "choices": [{"index": choice, "delta": delta, "finish_reason": None}]})


def ended(choice: int = 0) -> bytes:
    return event({"id": "c", "choices": [{"index": choice, "delta": {}, "finish_reason": "tool_calls"}]})


async def deltas(*events: bytes) -> list[tuple[int, Any]]:
    """The choice and the delta of every chunk that goes out."""
    adapter = OpenAICompatibleChat(posting(*events, DONE))
    chunks = [chunk.body async for chunk in adapter.stream(upstream(), request(stream=True), 100)]
    return [(choice["index"], choice["delta"]) for body in chunks if body is not None for choice in body["choices"]]


async def together(*pieces: list[Piece]) -> list[tuple[str, str, str]]:
    """Id, name and arguments of each call, as OpenAI's own client for Python joins the deltas."""
    message: dict[object, object] = {}
    for _, delta in await deltas(*(chunk_of(*several) for several in pieces), ended()):
        message = accumulate_delta(message, delta)
    calls: Any = message["tool_calls"]
    assert [call["index"] for call in calls] == list(range(len(calls)))
    assert {call["type"] for call in calls} == {"function"}
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls]


TWO = [("a", "f", '{"x":1}'), ("b", "g", "{}")]
STREAMS: dict[str, list[list[Piece]]] = {
    "as OpenAI does": [
        [piece(name="f", index=0, id="a", type="function")],
        [piece('{"x"', index=0)],
        [piece(":1}", index=0)],
        [piece("{}", name="g", index=1, id="b", type="function")],
    ],
    "from one on": [
        [piece('{"x"', name="f", index=1, id="a")],
        [piece(":1}", index=1)],
        [piece("{}", name="g", index=2, id="b")],
    ],
    "with gaps": [
        [piece('{"x":1}', name="f", index=3, id="a")],
        [piece(name="g", index=7, id="b")],
        [piece("{}", index=7)],
    ],
    "the pieces of both in turn": [
        [piece(name="f", index=1, id="a"), piece(name="g", index=2, id="b")],
        [piece('{"x"', index=1)],
        [piece("{}", index=2)],
        [piece(":1}", index=1)],
    ],
    "without an index, whole": [[piece('{"x":1}', name="f", id="a")], [piece("{}", name="g", id="b")]],
    "without an index, both in one delta": [[piece('{"x":1}', name="f", id="a"), piece("{}", name="g", id="b")]],
    "without an index, by the id": [
        [piece('{"x"', name="f", id="a"), piece(name="g", id="b")],
        [piece(":1}", id="a"), piece("{}", id="b")],
    ],
    "without an index or an id after the first": [
        [piece('{"x"', name="f", id="a")],
        [piece(":1}")],
        [piece("{", name="g", id="b")],
        [piece("}")],
    ],
    "the same index for all": [[piece('{"x":1}', name="f", index=0, id="a")], [piece("{}", name="g", index=0, id="b")]],
    "id and name said again": [
        [piece('{"x"', name="f", index=0, id="a", type="function")],
        [piece(":1}", name="f", index=0, id="a", type="function")],
        [piece("{}", name="g", index=1, id="b", type="function")],
    ],
    "empty where there is nothing to say": [
        [piece('{"x"', name="f", index=0, id="a")],
        [piece(":1}", name="", index=0, id="", type="function")],
        [piece("{}", name="g", index=1, id="b")],
    ],
    "an index that is no number": [
        [piece('{"x"', name="f", index=None, id="a")],
        [piece(":1}", index="0", id="a")],
        [piece("{}", name="g", index=True, id="b")],
    ],
}


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
async def test_two_calls(stream: list[list[Piece]]) -> None:
    assert await together(*stream) == TWO


async def test_ids_are_made_where_there_are_none() -> None:
    calls = await together([piece("{", name="f"), piece("{}", name="f")], [piece("}", name="g", index=4)])
    assert calls == [("call_0", "f", "{"), ("call_1", "f", "{}"), ("call_2", "g", "}")]


async def test_an_id_that_comes_later_does_not_change_the_one_that_was_told() -> None:
    assert await together([piece("{", name="f", index=0)], [piece("}", name="f", index=0, id="a")]) == [
        ("call_0", "f", "{}")
    ]


async def test_arguments_without_a_name_begin_a_call_where_there_is_none() -> None:
    (_, delta), _ = await deltas(chunk_of(piece("{}")), ended())
    assert delta["tool_calls"] == [
        {"index": 0, "id": "call_0", "type": "function", "function": {"arguments": "{}"}},
    ]


async def test_a_name_that_comes_later_is_passed_on() -> None:
    assert await together([piece(index=0, id="a")], [piece("{}", name="f", index=0)]) == [("a", "f", "{}")]


async def test_each_choice_counts_for_itself() -> None:
    seen = await deltas(
        chunk_of(piece("{}", name="f", id="a")), chunk_of(piece("{}", name="f", id="b"), choice=1), ended(), ended(1)
    )
    told = [(choice, call["index"], call["id"]) for choice, delta in seen for call in delta.get("tool_calls", ())]
    assert told == [(0, 0, "a"), (1, 0, "b")]


async def test_a_custom_tool_stays_one() -> None:
    call = {"id": "a", "custom": {"name": "sql", "input": "select 1"}}
    (_, delta), _ = await deltas(chunk_of(call), ended())
    assert delta["tool_calls"] == [{**call, "type": "custom", "index": 0}]


async def test_a_piece_without_a_function_has_an_empty_one() -> None:
    """OpenAI's client for Python reads it in every piece of a call."""
    (_, first), (_, second), _ = await deltas(chunk_of({"index": 0, "id": "a"}), chunk_of({"index": 0}), ended())
    assert first["tool_calls"] == [{"index": 0, "id": "a", "type": "function", "function": {}}]
    assert second["tool_calls"] == [{"index": 0, "function": {}}]


async def test_the_role_is_said_once_for_each_choice() -> None:
    bare = event({"id": "c", "choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]})
    seen = await deltas(chunk_of(piece("{}", name="f", id="a")), chunk_of(piece("")), bare, ended(), ended(1))
    assert [(choice, delta.get("role")) for choice, delta in seen] == [
        (0, "assistant"), (0, None), (1, "assistant"), (0, None), (1, None)
    ]  # fmt: skip


async def test_a_whole_call_has_its_type() -> None:
    calls = [
        {"id": "a", "function": {"name": "f", "arguments": "{}"}},
        {"function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "custom": {"name": "sql", "input": ""}},
    ]
    body = {"id": "c", "choices": [{"index": 0, "message": {"content": None, "tool_calls": calls}}]}
    adapter = OpenAICompatibleChat(posting(event(body).removeprefix(b"data: ")))
    told = (await adapter.complete(upstream(), request(), 100)).body["choices"][0]["message"]["tool_calls"]
    assert [(call["id"], call["type"]) for call in told] == [("a", "function"), ("call_1", "function"), ("b", "custom")]
