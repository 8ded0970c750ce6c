"""Streams whose answer is whole before they end: their server says no end to them, or breaks off before."""

from typing import Any, Literal

import pytest

from aig.errors import UpstreamError
from aig.modalities.chat import ChatAdapter, ChatChunk
from aig.modalities.upstream import Timeouts
from aig_providers import wire
from aig_providers.anthropic import AnthropicChat
from aig_providers.google import GoogleChat
from aig_providers.openai_compatible import OpenAICompatibleChat
from tests.unit.providers.replies import event, posting, request, upstream

Broken = Literal["reset", "silence"]
BROKEN: tuple[Broken, ...] = ("reset", "silence")
USAGE = {"prompt_tokens": 5, "completion_tokens": 1}


def delta(content: str | None = None, finish: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    said = {} if content is None else {"content": content}
    return {"id": "c", "choices": [{"index": index, "delta": said, "finish_reason": finish}], **more}


COUNTED = {"choices": [], "usage": USAGE}


def parts(text: str, finish: str | None = None, *, index: int = 0, counted: bool = True) -> dict[str, Any]:
    end = {"finishReason": finish} if finish else {}
    usage = {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 1}} if counted else {}
    return {"candidates": [{"index": index, "content": {"parts": [{"text": text}]}, **end}], **usage}


CLAUDE_SAYS = [
    {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}},
]
CLAUDE_ENDS = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for its own sake: what is waited for at all is waited for an instant."""
    monkeypatch.setattr(wire, "GRACE_S", {"said": 0.02, "counted": 0.01})


async def read(
    adapter: type[OpenAICompatibleChat | GoogleChat | AnthropicChat], bodies: list[Any], broken: Broken, **fields: Any
) -> list[ChatChunk]:
    """A stream that is not ended; nobody would wait for its idle time to be over."""
    made: ChatAdapter = adapter(posting(*map(event, bodies), broken=broken))
    patient = upstream(timeouts=Timeouts(first_byte=20, idle=20))
    return [chunk async for chunk in made.stream(patient, request(stream=True, **fields), 100)]


def told(pieces: list[ChatChunk]) -> tuple[str, int | None]:
    """The text, and the tokens of the output."""
    usages = [piece.usage for piece in pieces if piece.usage is not None]
    choices = [choice for piece in pieces if piece.body for choice in piece.body["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, usages[-1].units["output_tokens"] if usages else None


@pytest.mark.parametrize("broken", BROKEN)
class TestWhole:
    async def test_openais_with_its_usage_behind_its_end(self, broken: Broken) -> None:
        got = await read(OpenAICompatibleChat, [delta("hi"), delta(finish="stop"), COUNTED], broken)
        assert told(got) == ("hi", 1)

    async def test_openais_with_its_usage_beside_its_end(self, broken: Broken) -> None:
        again = {"choices": [], "usage": {**USAGE, "completion_tokens": 2}}
        assert told(await read(OpenAICompatibleChat, [delta("hi", "stop", usage=USAGE)], broken)) == ("hi", 1)
        assert told(await read(OpenAICompatibleChat, [delta("hi", "stop", usage=USAGE), again], broken)) == ("hi", 2)

    async def test_openais_without_usage(self, broken: Broken) -> None:
        assert told(await read(OpenAICompatibleChat, [delta("hi"), delta(finish="stop")], broken)) == ("hi", None)

    async def test_openais_of_two_choices(self, broken: Broken) -> None:
        both = [delta("a"), delta("b", index=1), delta(finish="stop"), delta(finish="stop", index=1), COUNTED]
        assert told(await read(OpenAICompatibleChat, both, broken, n=2)) == ("ab", 1)

    async def test_geminis(self, broken: Broken) -> None:
        assert told(await read(GoogleChat, [parts("h"), parts("i", "STOP")], broken)) == ("hi", 1)
        assert told(await read(GoogleChat, [parts("hi", "STOP", counted=False)], broken)) == ("hi", None)

    async def test_anthropics_without_its_last_event(self, broken: Broken) -> None:
        assert told(await read(AnthropicChat, [*CLAUDE_SAYS, CLAUDE_ENDS], broken)) == ("hi", 1)


async def fails(adapter: Any, bodies: list[Any], **fields: Any) -> str:
    with pytest.raises(UpstreamError) as raised:
        await read(adapter, bodies, "reset", **fields)
    return raised.value.kind


class TestNotWhole:
    async def test_openais(self) -> None:
        assert await fails(OpenAICompatibleChat, [delta("hi")]) == "connect"
        assert await fails(OpenAICompatibleChat, [delta("hi"), COUNTED]) == "connect"
        one_of_two = [delta("a"), delta("b", index=1), delta(finish="stop"), COUNTED]
        assert await fails(OpenAICompatibleChat, one_of_two) == "connect"

    async def test_where_more_choices_are_to_come(self) -> None:
        """The second has not begun when the first has ended."""
        assert await fails(OpenAICompatibleChat, [delta("a"), delta(finish="stop"), COUNTED], n=2) == "connect"
        assert await fails(GoogleChat, [parts("a", "STOP")], n=2) == "connect"

    async def test_geminis_and_anthropics(self) -> None:
        assert await fails(GoogleChat, [parts("hi")]) == "connect"
        assert await fails(AnthropicChat, CLAUDE_SAYS) == "connect"


async def test_no_longer_than_the_idle_time_is_waited() -> None:
    made = OpenAICompatibleChat(posting(event(delta("a")), broken="silence"))
    hurried = upstream(timeouts=Timeouts(first_byte=0.02, idle=0.02))
    with pytest.raises(UpstreamError) as raised:
        _ = [chunk async for chunk in made.stream(hurried, request(stream=True), 100)]
    assert raised.value.kind == "timeout"
