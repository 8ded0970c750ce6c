"""Why an answer stopped, in its provider's own word, whole and streamed; and a tool result that is an error."""

import json
from typing import Any

import pytest

from aig_providers import anthropic, cohere, google
from aig_providers.anthropic_messages import conversation
from aig_providers.bedrock import parse_response as bedrock_response
from aig_providers.compatible_body import compatible_body
from tests.unit.providers.replies import request, upstream

BLOCK = {"type": "text", "text": "x"}


def encoded(body: Any) -> bytes:
    return json.dumps(body).encode()


def ends(pieces: list[Any]) -> dict[str, Any]:
    """The last choice of a stream."""
    choice: dict[str, Any] = [piece.body["choices"][0] for piece in pieces if piece.body is not None][-1]
    return choice


@pytest.mark.parametrize(
    ("stopped", "finish"),
    [
        ({"stop_reason": "stop_sequence", "stop_sequence": "END"}, "stop"),
        ({"stop_reason": "pause_turn"}, "length"),
        ({"stop_reason": "refusal", "stop_details": {"category": "cyber", "explanation": "no"}}, "content_filter"),
        ({"stop_reason": "from_the_future", "stop_sequence": None}, "stop"),
    ],
)
def test_anthropic(stopped: dict[str, Any], finish: str) -> None:
    told = {
        "native_finish_reason": stopped["stop_reason"],
        **{name: value for name, value in stopped.items() if name != "stop_reason" and value},
    }
    whole = anthropic.parse_response(encoded({"id": "m", "content": [BLOCK], **stopped}), 5).body["choices"][0]
    parser = anthropic.StreamParser(5)
    streamed = ends(parser.feed(encoded({"type": "message_delta", "delta": stopped})))
    for choice in (whole, streamed):
        assert choice["finish_reason"] == finish
        assert {name: choice[name] for name in told} == told
        assert ("stop_sequence" in choice) == ("stop_sequence" in told)


def test_google_bedrock_and_cohere() -> None:
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "RECITATION"}
    choice = google.parse_response(encoded({"candidates": [candidate]}), 5).body["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("content_filter", "RECITATION")
    answer = {"stopReason": "guardrail_intervened", "output": {"message": {"content": [{"text": "x"}]}}}
    choice = bedrock_response(answer, 5).body["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("content_filter", "guardrail_intervened")
    said = {"id": "c", "message": {"content": [BLOCK]}, "finish_reason": "STOP_SEQUENCE"}
    choice = cohere.parse_response(encoded(said), 5).body["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "STOP_SEQUENCE")


def test_a_tool_result_that_is_an_error() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "boom", "is_error": True},
    ]
    turns = conversation(request(messages=history).body["messages"])[1]
    (result,) = turns[-1]["content"]
    assert result == {"type": "tool_result", "tool_use_id": "c1", "content": "boom", "is_error": True}
    body = compatible_body(upstream(), request(messages=history), 100)
    assert body["messages"][-1] == {"role": "tool", "tool_call_id": "c1", "content": "boom"}
