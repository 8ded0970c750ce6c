"""A stream's chunks, put together, are the answer that it would have been."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.chat_assembly import Assembly


def assembled(*chunks: dict[str, Any]) -> dict[str, Any]:
    assembly = Assembly()
    for chunk in chunks:
        assembly.add(chunk)
    return assembly.body


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "v/m",
        "choices": [{"index": index, "delta": fields, "finish_reason": finish}],
    }  # fmt: skip


def test_texts_are_joined_and_the_head_is_kept() -> None:
    body = assembled(
        delta(role="assistant", content=""),
        delta(reasoning_content="hm"),
        delta(content="one "),
        delta(content="two", refusal=None),
        delta(finish="stop"),
        {"id": "c1", "choices": [], "usage": {}},
    )
    assert body == {
        "id": "c1",
        "created": 7,
        "model": "v/m",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "one two", "reasoning_content": "hm"},
                "finish_reason": "stop",
            }
        ],
    }


def test_calls_are_joined_by_their_index() -> None:
    body = assembled(
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{"}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": '{"x":'}}, {"index": 1, "function": {}}]),
        delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}, {"index": 1, "function": {"arguments": "}"}}]),
        delta(finish="tool_calls"),
    )
    (choice,) = body["choices"]
    assert choice["message"]["content"] is None
    assert choice["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_choices_lists_and_single_values() -> None:
    body = assembled(
        delta(1, content="b"),
        delta(0, content="a", reasoning_details=[{"type": "x"}]),
        delta(0, reasoning_details=[{"type": "y"}], audio={"id": "1"}),
    )
    first, second = body["choices"]
    assert (first["message"]["content"], second["message"]["content"]) == ("a", "b")
    assert first["message"]["reasoning_details"] == [{"type": "x"}, {"type": "y"}]
    assert first["message"]["audio"] == {"id": "1"}


@given(st.lists(st.text(max_size=5), max_size=8))
def test_however_a_text_is_cut_it_is_the_same(pieces: list[str]) -> None:
    body = assembled(delta(content="".join(pieces)), *[delta(content="") for _ in pieces])
    assert body["choices"] == assembled(delta(content=""), *[delta(content=piece) for piece in pieces])["choices"]


@given(st.lists(st.integers(0, 50), max_size=6))
def test_odd_indices_make_no_gaps(indices: list[int]) -> None:
    calls = [{"index": index, "function": {"name": "f", "arguments": "{}"}} for index in indices]
    made = assembled(delta(tool_calls=calls))["choices"][0]["message"].get("tool_calls", [])
    assert len(made) <= len(indices)
    assert all(call["function"]["name"] for call in made)
