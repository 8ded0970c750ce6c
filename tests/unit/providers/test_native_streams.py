"""Streams of the wires that are not OpenAI's: which event is the last, whose arguments are whose, what was counted."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.chat import ChatAdapter, ChatChunk
from aig_providers import anthropic, bedrock, cohere
from aig_providers.responses_output import StreamParser as ResponsesParser
from tests.unit.providers.replies import posting, request, upstream


async def streamed(adapter: ChatAdapter) -> list[ChatChunk]:
    return [chunk async for chunk in adapter.stream(upstream(), request(stream=True), 100)]


def event(body: dict[str, Any]) -> bytes:
    """Without a space, as the vendors write it: short texts make short events."""
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


async def of_anthropic(*bodies: dict[str, Any]) -> list[ChatChunk]:
    return await streamed(anthropic.AnthropicChat(posting(*map(event, bodies))))


async def of_cohere(*bodies: dict[str, Any]) -> list[ChatChunk]:
    return await streamed(cohere.CohereChat(posting(*map(event, bodies))))


def said(pieces: list[ChatChunk]) -> str:
    deltas = [choice["delta"] for piece in pieces if piece.body for choice in piece.body["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


def called(pieces: list[ChatChunk]) -> list[tuple[str, str]]:
    """The calls by their index, as a client puts them together."""
    made: dict[int, list[str]] = {}
    for piece in pieces:
        for choice in piece.body["choices"] if piece.body else ():
            for call in choice["delta"].get("tool_calls") or ():
                entry = made.setdefault(call["index"], ["", ""])
                entry[0] += call["function"].get("name") or ""
                entry[1] += call["function"].get("arguments") or ""
    assert list(made) == list(range(len(made)))
    return [(name, given) for name, given in made.values()]


def anthropic_start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 10, "output_tokens": 1, **usage}}}


def anthropic_text(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def anthropic_call(index: int | None, name: str, given: str) -> list[dict[str, Any]]:
    block = {"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": {}}
    piece = {"type": "input_json_delta", "partial_json": given}
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        {"type": "content_block_delta", "index": index, "delta": piece},
        {"type": "content_block_stop", "index": index},
    ]


def anthropic_end(usage: Any = None, reason: str = "end_turn") -> list[dict[str, Any]]:
    told = {"usage": usage} if usage is not None else {}
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, **told}, {"type": "message_stop"}]


class TestTheLastEvent:
    @pytest.mark.parametrize("text", ["message_stop", '"message_stop"', '{"type":"message_stop"}'])
    async def test_anthropics_is_no_text_that_names_it(self, text: str) -> None:
        got = await of_anthropic(anthropic_start(), anthropic_text(text), anthropic_text(" ends"), *anthropic_end())
        assert said(got) == f"{text} ends"

    @pytest.mark.parametrize("text", ["message-end", '"message-end"', '{"type":"message-end"}'])
    async def test_nor_is_coheres(self, text: str) -> None:
        def piece(words: str) -> dict[str, Any]:
            return {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": words}}}}

        end = {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}
        assert said(await of_cohere({"type": "message-start"}, piece(text), piece(" ends"), end)) == f"{text} ends"

    async def test_nothing_behind_it_is_read(self) -> None:
        got = await of_anthropic(anthropic_start(), anthropic_text("a"), *anthropic_end(), anthropic_text("b"))
        assert said(got) == "a"


class TestCallNumbers:
    async def test_a_message_that_is_begun_anew(self) -> None:
        """A server between us and Anthropic has spliced two messages: its blocks are counted from nought again."""
        got = await of_anthropic(
            anthropic_start(),
            *anthropic_call(0, "a", '{"x":1}'),
            *anthropic_call(1, "b", "{}"),
            anthropic_start(),
            *anthropic_call(0, "c", '{"y":2}'),
            *anthropic_call(1, "d", '{"z":3}'),
            *anthropic_end(reason="tool_use"),
        )
        assert called(got) == [("a", '{"x":1}'), ("b", "{}"), ("c", '{"y":2}'), ("d", '{"z":3}')]

    async def test_anthropics_blocks_without_a_number(self) -> None:
        calls = [anthropic_call(None, name, f'{{"{name}":1}}') for name in "abc"]
        got = await of_anthropic(anthropic_start(), *[one for call in calls for one in call], *anthropic_end())
        assert called(got) == [("a", '{"a":1}'), ("b", '{"b":1}'), ("c", '{"c":1}')]

    async def test_coheres(self) -> None:
        def call(name: str) -> dict[str, Any]:
            made = {"id": name, "function": {"name": name, "arguments": f'{{"{name}":1}}'}}
            return {"type": "tool-call-start", "delta": {"message": {"tool_calls": made}}}

        end = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}
        got = await of_cohere({"type": "message-start"}, *map(call, "abc"), end)
        assert called(got) == [("a", '{"a":1}'), ("b", '{"b":1}'), ("c", '{"c":1}')]

    def test_bedrocks(self) -> None:
        parser = bedrock.StreamParser("id", 5)
        got: list[ChatChunk] = []
        for name in "abc":  # each in block 0
            use = {"toolUse": {"toolUseId": name, "name": name}}
            got += parser.feed({"contentBlockStart": {"contentBlockIndex": 0, "start": use}})
            piece = {"toolUse": {"input": f'{{"{name}":1}}'}}
            got += parser.feed({"contentBlockDelta": {"contentBlockIndex": 0, "delta": piece}})
            got += parser.feed({"contentBlockStop": {"contentBlockIndex": 0}})
        assert called(got) == [("a", '{"a":1}'), ("b", '{"b":1}'), ("c", '{"c":1}')]

    def test_responses(self) -> None:
        parser, got = ResponsesParser(5), list[ChatChunk]()
        for name in "abc":  # no output index
            item = {"type": "function_call", "call_id": name, "name": name, "arguments": ""}
            given = {"type": "response.function_call_arguments.delta", "delta": f'{{"{name}":1}}'}
            for body in ({"type": "response.output_item.added", "item": item}, given):
                got += parser.feed(json.dumps(body).encode())
        assert called(got) == [("a", '{"a":1}'), ("b", '{"b":1}'), ("c", '{"c":1}')]

    def test_a_block_whose_number_is_none_at_all(self) -> None:
        call = anthropic_call(0, "a", "{}")[0]
        with pytest.raises(UpstreamError) as raised:
            anthropic.StreamParser(5).feed(json.dumps({**call, "index": [0]}).encode())
        assert raised.value.kind == "malformed"


class TestAnthropicsCounts:
    async def test_the_count_of_the_start_stands_for_nothing(self) -> None:
        got = await of_anthropic(anthropic_start(), anthropic_text("many words"), *anthropic_end())
        assert [piece.usage for piece in got if piece.usage] == []  # it is estimated then, and flagged

    @pytest.mark.parametrize("usage", [{"output_tokens": 5}, {"output_tokens": 5, "input_tokens": None}])
    async def test_that_of_the_end_counts(self, usage: Any) -> None:
        got = await of_anthropic(anthropic_start(), anthropic_text("many words"), *anthropic_end(usage))
        (told,) = [piece.usage for piece in got if piece.usage]
        assert (told.units["input_tokens"], told.units["output_tokens"]) == (10, 5)

    async def test_so_does_nought(self) -> None:
        got = await of_anthropic(anthropic_start(), *anthropic_end({"output_tokens": 0}))
        (told,) = [piece.usage for piece in got if piece.usage]
        assert told.units["output_tokens"] == 0


class TestBedrocksShapes:
    """botocore does not look at the types of what it parses."""

    @pytest.mark.parametrize("content", [[{"text": 5}], [{"toolUse": {"toolUseId": 1, "name": "f"}}], ["x"], 5, "x"])
    def test_a_message_that_is_none(self, content: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            bedrock.parse_response({"output": {"message": {"content": content}}, "stopReason": "end_turn"}, 5)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize(
        "delta", [{"text": 5}, {"text": None}, {"toolUse": {"input": 5}}, {"reasoningContent": {"text": 5}}, 5]
    )
    def test_an_event_that_is_none(self, delta: Any) -> None:
        parser, use = bedrock.StreamParser("id", 5), {"toolUse": {"toolUseId": "a", "name": "f"}}
        parser.feed({"contentBlockStart": {"contentBlockIndex": 0, "start": use}})
        with pytest.raises(UpstreamError) as raised:
            parser.feed({"contentBlockDelta": {"contentBlockIndex": 0, "delta": delta}})
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize("details", [5, [5], "x", {"a": 1}])
    def test_a_usage_that_is_none(self, details: Any) -> None:
        assert bedrock.parse_usage({"inputTokens": 5, "outputTokens": 1, "cacheDetails": details}) is None
