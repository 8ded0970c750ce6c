"""A chat request's own arithmetic, and usage as OpenAI writes it."""

import json
from typing import Any

import pytest
from hypothesis import given

from aig.modalities import chat_body
from aig.modalities.chat import (
    MESSAGE_OVERHEAD_TOKENS,
    PROMPT_OVERHEAD_TOKENS,
    ChatRequest,
    estimate,
    output_text,
    usage_json,
)
from aig.modalities.demand import UNBOUNDED_TOKENS
from aig.modalities.usage import Usage
from aig_providers.sandbox_echo import echo
from tests.unit.modalities.strategies import bodies


def request(**fields: Any) -> ChatRequest:
    return chat_body.parse({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


@pytest.mark.parametrize(
    ("fields", "stream", "include_usage", "samples", "max_tokens"),
    [
        ({}, False, False, 1, None),
        ({"stream": None, "stream_options": None, "n": None, "max_tokens": None}, False, False, 1, None),
        ({"stream": False}, False, False, 1, None),
        ({"stream": True}, True, False, 1, None),
        ({"stream": True, "stream_options": {}}, True, False, 1, None),
        ({"stream": True, "stream_options": {"include_usage": None}}, True, False, 1, None),
        ({"stream": True, "stream_options": {"include_usage": True}}, True, True, 1, None),
        ({"n": 3, "max_tokens": 5}, False, False, 3, 5),
        ({"max_completion_tokens": 7}, False, False, 1, 7),
        ({"max_completion_tokens": 7, "max_tokens": 5}, False, False, 1, 7),
    ],
)
def test_what_the_body_asks_for(
    fields: dict[str, Any], stream: bool, include_usage: bool, samples: int, max_tokens: int | None
) -> None:
    made = request(**fields)
    demand = made.demand
    assert (made.stream, made.include_usage, demand.samples, demand.output_tokens) == (
        stream,
        include_usage,
        samples,
        max_tokens,
    )


def _texts(value: Any) -> list[str]:
    """Every string that a model is shown: contents, arguments, names, descriptions."""
    if isinstance(value, str):
        return [] if value.startswith(("data:", "https:")) else [value]
    if isinstance(value, dict):
        return [text for key, inner in value.items() if key != "input_audio" for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return []


@given(bodies())
def test_no_tokenizer_counts_more_than_the_upper_bound(body: dict[str, Any]) -> None:
    made = chat_body.parse(body)
    shown = [body["messages"], body.get("tools"), body.get("response_format")]
    finest = sum(len(text.encode()) for text in _texts(shown))  # a token a byte: no tokenizer is finer
    overhead = MESSAGE_OVERHEAD_TOKENS * len(body["messages"])
    assert made.demand.input_tokens >= finest + overhead + made.media.audio_tokens
    assert made.demand.input_tokens >= echo({**body, "max_tokens": 100}).prompt_tokens
    assert made.input_bytes >= 0


@given(bodies())
def test_media_count_by_the_piece_and_not_by_their_bytes(body: dict[str, Any]) -> None:
    made = chat_body.parse(body)
    parts = [part for message in body["messages"] for part in message["content"] or () if isinstance(part, dict)]
    media = [part for part in parts if part["type"] != "text"]
    assert made.media.pieces == len(media)
    without_data = json.dumps(body["messages"], ensure_ascii=False)
    assert made.input_bytes <= len(without_data.encode()) + len(json.dumps(body, ensure_ascii=False).encode())


def test_the_upper_bound_in_figures() -> None:
    made = request()
    assert made.input_bytes == len('{"messages":[{"role":"user","content":"hi"}]}')
    assert made.demand.input_tokens == made.input_bytes + MESSAGE_OVERHEAD_TOKENS + PROMPT_OVERHEAD_TOKENS
    longer = request(messages=[{"role": "user", "content": "hi \u20ac"}])
    assert longer.demand.input_tokens == made.demand.input_tokens + 4  # a space, and three bytes of UTF-8


def test_tools_and_formats_are_part_of_the_prompt() -> None:
    plain = request().input_bytes
    tool = {"type": "function", "function": {"name": "f", "description": "d" * 1000}}
    assert request(tools=[tool]).input_bytes > plain + 1000
    schema = {"type": "object", "description": "d" * 1000}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert request(response_format=wanted).input_bytes > plain + 1000
    assert request(functions=[{"name": "f", "description": "d" * 1000}]).input_bytes > plain + 1000
    assert request(documents=[{"text": "d" * 1000}]).input_bytes > plain + 1000  # a field that some provider knows


def test_nothing_but_the_models_context_bounds_a_file() -> None:
    content = [{"type": "file", "file": {"file_id": "file_1"}}]
    assert request(messages=[{"role": "user", "content": content}]).demand.input_tokens == UNBOUNDED_TOKENS


def test_usage_in_openais_shape() -> None:
    usage = Usage(
        {
            "input_tokens": 1,
            "cached_input_tokens": 2,
            "input_audio_tokens": 4,
            "output_tokens": 8,
            "reasoning_tokens": 16,
            "output_audio_tokens": 32,
            "cache_write_tokens": 64,
            "cache_write_1h_tokens": 128,
            "cached_input_audio_tokens": 256,
            "input_image_tokens": 512,
            "output_image_tokens": 1024,
        }
    )
    prompt, completion = 1 + 2 + 4 + 64 + 128 + 256 + 512, 8 + 16 + 32 + 1024
    assert usage_json(usage) == {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": 258,
            "cache_write_tokens": 192,
            "audio_tokens": 260,
            "image_tokens": 512,
        },
        "completion_tokens_details": {"reasoning_tokens": 16, "audio_tokens": 32, "image_tokens": 1024},
    }


def test_usage_that_was_estimated_says_so() -> None:
    assert usage_json(Usage({}, estimated=True))["estimated"] is True
    assert usage_json(Usage({}))["total_tokens"] == 0


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, ""),
        ({"choices": []}, ""),
        ({"choices": [{"message": {"content": "a"}}, {"message": {"content": "b"}}]}, "ab"),
        ({"choices": [{"delta": {"content": None, "reasoning_content": "r", "refusal": "n"}}]}, "rn"),
        ({"choices": [{"delta": {"reasoning": "r"}}]}, "r"),
        ({"choices": [{"delta": {"reasoning": "r", "reasoning_content": "r"}}]}, "r"),
        ({"choices": [{"delta": {}}]}, ""),
        ({"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]}, "f{}"),
        ({"choices": [{"delta": {"tool_calls": [{"index": 0}, {"function": {"arguments": "1"}}]}}]}, "1"),
        ({"choices": [{"delta": {"tool_calls": None, "content": [{"type": "text", "text": "t"}]}}]}, "t"),
        ({"choices": [{"message": "odd", "delta": {"content": "t"}}]}, "t"),
    ],
)
def test_all_that_an_answer_says(body: dict[str, Any], text: str) -> None:
    assert output_text(body) == text


def test_an_estimate_is_four_bytes_a_token_rounded_up() -> None:
    made = request()
    usage = estimate(made, 9)
    assert usage.units == {"input_tokens": len('[{"role":"user","content":"hi"}]') // 4, "output_tokens": 3}
    assert usage.estimated
    assert estimate(made, 0).units["output_tokens"] == 0


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, None),
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": "none"}, None),
        ({"thinking": None}, None),
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "none"}, None),
        *(({"reasoning_effort": effort}, "reasoning_effort") for effort in ("minimal", "low", "high", "xhigh")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"),
        ({"thinking": {"type": "adaptive"}, "reasoning_effort": "low"}, "thinking"),
        ({"thinking": {"type": "disabled"}, "reasoning_effort": "low"}, "reasoning_effort"),
    ],
)
def test_reasoning_is_needed_by_who_asks_for_it(asked: dict[str, Any], field: str | None) -> None:
    demand = request(**asked).demand
    assert demand.capabilities == {"chat", *(["reasoning"] if field else [])}
    assert demand.fields.get("reasoning") == field
