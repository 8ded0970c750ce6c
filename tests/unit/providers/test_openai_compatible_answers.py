"""OpenAI's wire: where a stream ends, and what becomes of answers that no provider should give."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, output_text
from aig_providers.openai_compatible import OpenAICompatibleChat
from tests.unit.providers.replies import event, posting, request, upstream

COMPLETION = {"id": "c", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "hello"}}]}


def delta(content: str | None = None, *, index: int | None = 0, finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": {} if content is None else {"content": content}, "finish_reason": finish}
    return event({"id": "c", "choices": [choice]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
CALLING = event({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}, "finish_reason": None}]})
DONE = b"data: [DONE]\n\n"


async def chunks(*pieces: bytes) -> list[ChatChunk]:
    adapter = OpenAICompatibleChat(posting(*pieces))
    return [chunk async for chunk in adapter.stream(upstream(), request(stream=True), 100)]


class TestStream:
    @pytest.mark.parametrize(
        "pieces",
        [
            (delta("a"), delta(finish="stop"), USAGE, DONE),
            (delta("a", finish="stop"), DONE),
            (delta("a"), delta(finish="length")),  # no [DONE]: the finish reason is the end
            (
                delta("a", index=0),
                delta("b", index=1),
                delta(finish="stop", index=1),
                delta(finish="stop", index=0),
                DONE,
            ),
            (delta("a", index=None), delta(finish="stop", index=None), DONE),
            (delta(finish="content_filter"), DONE),
        ],
    )
    async def test_complete(self, pieces: tuple[bytes, ...]) -> None:
        assert "".join(output_text(chunk.body or {}) for chunk in await chunks(*pieces)) in ("a", "ab", "")

    @pytest.mark.parametrize(
        "pieces",
        [
            (),
            (DONE,),
            (USAGE, DONE),
            (delta("a"),),
            (delta("a"), DONE),
            (delta("a"), USAGE),
            (delta("a", index=0), delta("b", index=1), delta(finish="stop", index=0), DONE),
            (delta("a"), b"data: {not json}\n\n"),
            (delta("a"), event({"error": {"message": "m"}})),
        ],
    )
    async def test_an_early_end_is_no_answer(self, pieces: tuple[bytes, ...]) -> None:
        with pytest.raises(UpstreamError):
            await chunks(*pieces)

    @pytest.mark.parametrize(
        ("pieces", "reasons"),
        [
            ((delta("a"), delta(finish="stop"), USAGE, DONE), ["stop"]),
            # Usage and [DONE] without a reason: the answer is whole, and a reason is put in for who waits for it.
            ((delta("a"), USAGE, DONE), ["stop"]),
            ((delta("a"), CALLING, USAGE, DONE), ["tool_calls"]),
            ((CALLING, delta(""), USAGE, DONE), ["tool_calls"]),
            ((delta("a", index=0), CALLING, delta("b", index=1), USAGE, DONE), ["tool_calls", "stop"]),
            # A choice that has ended stays ended, whatever comes beside the usage.
            ((CALLING, delta(finish="tool_calls"), delta(""), USAGE, DONE), ["tool_calls"]),
            ((CALLING, delta(finish="tool_calls"), delta(""), DONE), ["tool_calls"]),
            ((delta("a"), delta(finish="length"), delta(""), USAGE), ["length"]),
        ],
    )
    async def test_every_choice_ends_once(self, pieces: tuple[bytes, ...], reasons: list[str]) -> None:
        choices = [choice for chunk in await chunks(*pieces) for choice in (chunk.body or {"choices": []})["choices"]]
        assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == reasons

    async def test_nothing_behind_done_is_read_as_an_event(self) -> None:
        got = await chunks(delta("a"), delta(finish="stop"), DONE + delta("b"))
        assert "".join(output_text(chunk.body or {}) for chunk in got) == "a"

    @pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
    async def test_a_status_comes_before_the_first_event(self, status: int) -> None:
        adapter = OpenAICompatibleChat(posting(b"{}", status=status))
        with pytest.raises(UpstreamError) as raised:
            await anext(adapter.stream(upstream(), request(stream=True), 100))
        assert raised.value.status == status


# Shapes that no provider should send and some have: none of them may end as an error of ours.
ODD_CHOICES: list[dict[str, Any]] = [
    {"index": [1]},
    {"index": {"a": 1}},
    {"index": "0"},
    {"index": 1.5},
    {"finish_reason": {}},
    {"said": {"content": 5}},
    {"said": {"content": [{"type": "text"}]}},
    {"said": {"tool_calls": 5}},
    {"said": {"tool_calls": "call"}},
    {"said": {"tool_calls": ["call"]}},
    {"said": {"tool_calls": [None]}},
    {"said": {"tool_calls": {"id": "call_1"}}},
    {"said": {"tool_calls": [{"function": "f"}]}},
    {"said": {"tool_calls": [{"function": ["f"]}]}},
    {"said": {"tool_calls": [{"function": {"name": 1, "arguments": {}}}]}},
    {"said": {"content": "\ud83d"}},  # half of an emoji, as servers that cut strings in UTF-16 send it
    {"said": {"reasoning_content": "\ude00"}},
]


def odd(choice: dict[str, Any], said: str) -> dict[str, Any]:
    fields = {"index": 0, "finish_reason": "stop", **choice}
    return {"id": "c", "choices": [{**fields, said: fields.pop("said", {"content": "a"})}]}


@pytest.mark.parametrize("choice", ODD_CHOICES, ids=repr)
class TestOddAnswers:
    """The gateway counts an answer's text and writes it as JSON; what it cannot do that with is malformed."""

    async def test_whole(self, choice: dict[str, Any]) -> None:
        adapter = OpenAICompatibleChat(posting(json.dumps(odd(choice, "message")).encode()))
        try:
            result = await adapter.complete(upstream(), request(), 100)
        except UpstreamError:
            return
        output_text(result.body).encode()
        json.dumps(result.body, ensure_ascii=False).encode()

    async def test_streamed(self, choice: dict[str, Any]) -> None:
        try:
            got = await chunks(delta("a"), event(odd(choice, "delta")), delta(finish="stop"), DONE)
        except UpstreamError:
            return
        for chunk in got:
            output_text(chunk.body or {}).encode()
            json.dumps(chunk.body, ensure_ascii=False).encode()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_what_is_no_json_does_not_reach_the_client_as_json(number: str) -> None:
    raw = json.dumps(COMPLETION)[:-1] + f', "logprobs": [{number}]}}'
    adapter = OpenAICompatibleChat(posting(raw.encode()))
    try:
        result = await adapter.complete(upstream(), request(), 100)
    except UpstreamError:
        return
    json.dumps(result.body, allow_nan=False)
