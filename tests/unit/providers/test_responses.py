"""OpenAI's Responses API: what is sent there, what stays a chat completion, and what its answers mean."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers.openai import OpenAIChat
from aig_providers.responses_input import FORMAT, is_chat_only, responses_body
from aig_providers.responses_output import StreamParser, parse_response
from aig_providers.wire import HttpRequest, Reply
from tests.unit.providers.replies import Canned

USER = {"role": "user", "content": "hi"}
PNG = "https://pictures.example/a.png"
FUNCTION = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CUSTOM = {
    "type": "custom",
    "custom": {"name": "g", "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}},
}
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 20},
}


def request(**fields: Any) -> ChatRequest:
    return chat_body.parse({"messages": [USER], **fields})


def upstream(*quirks: str) -> Upstream:
    return Upstream("openai", "gpt-x", "https://p.example/v1", "k", quirks=frozenset({"responses", *quirks}))


def sent(*quirks: str, **fields: Any) -> dict[str, Any]:
    return responses_body(upstream(*quirks), request(**fields), 100)


class TestWhatIsSent:
    def test_plain(self) -> None:
        assert sent() == {
            "model": "gpt-x",
            "input": [USER],
            "max_output_tokens": 100,
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }

    def test_settings_keep_their_names(self) -> None:
        same = {
            "temperature": 0.5, "top_p": 0.5, "user": "u", "metadata": {"a": "b"}, "service_tier": "flex",
            "parallel_tool_calls": False, "prompt_cache_key": "k", "younger_than_this": 1,
        }  # fmt: skip
        body = sent(**same, stream=True, stream_options={"include_usage": True}, models=["m"], provider={"only": ["x"]})
        assert {name: body[name] for name in same} == same
        assert body["stream"] is True
        assert not {"stream_options", "models", "provider", "max_tokens"} & body.keys()

    def test_nothing_is_strict_unless_it_is_said(self) -> None:
        """There, a tool without `strict` is strict; in chat completions it is not."""
        strict = {**FUNCTION, "function": {"name": "h", "strict": True}}
        tools = sent(tools=[FUNCTION, strict, CUSTOM])["tools"]
        assert [tool.get("strict") for tool in tools] == [False, True, None]
        assert tools[0]["parameters"] == {"type": "object"}
        assert tools[2]["format"] == {"type": "grammar", "syntax": "regex", "definition": "a+"}

    @pytest.mark.parametrize(
        ("choice", "there"),
        [
            ("required", "required"),
            ({"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "f"}),
            ({"type": "custom", "custom": {"name": "g"}}, {"type": "custom", "name": "g"}),
            (
                {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
                },
                {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ),
        ],
    )
    def test_tool_choice(self, choice: Any, there: Any) -> None:
        assert sent(tools=[FUNCTION, CUSTOM], tool_choice=choice)["tool_choice"] == there

    def test_text(self) -> None:
        wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
        assert sent(response_format=wanted, verbosity="low")["text"] == {
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
        }
        assert sent(response_format={"type": "json_object"})["text"] == {"format": {"type": "json_object"}}
        assert "text" not in sent(response_format={"type": "text"})

    @pytest.mark.parametrize(
        ("fields", "quirks", "reasoning"),
        [
            ({}, (), None),
            ({"reasoning_effort": "high"}, (), {"effort": "high"}),
            ({"reasoning_effort": "none"}, (), {"effort": "none"}),
            ({"reasoning_effort": "none"}, ("always_thinks",), {"effort": "low"}),
            ({"thinking": {"type": "disabled"}}, (), {"effort": "none"}),
            ({"thinking": {"type": "enabled", "budget_tokens": 9000}}, (), {"summary": "auto"}),
            (
                {"thinking": {"type": "adaptive"}, "reasoning_effort": "low"},
                (),
                {"effort": "low", "summary": "auto"},
            ),
        ],
    )
    def test_reasoning(self, fields: dict[str, Any], quirks: tuple[str, ...], reasoning: Any) -> None:
        assert sent(*quirks, **fields).get("reasoning") == reasoning

    def test_logprobs(self) -> None:
        body = sent(logprobs=True, top_logprobs=3)
        assert "message.output_text.logprobs" in body["include"]
        assert body["top_logprobs"] == 3
        assert "logprobs" not in body

    def test_a_conversation(self) -> None:
        reasoning = {"type": "reasoning.encrypted", "id": "rs_1", "format": FORMAT, "data": "x", "index": 0}
        foreign = {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
        unkept = {"type": "reasoning.summary", "id": "rs_2", "format": FORMAT, "summary": "s", "index": 2}
        calls = [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "aa"}},
        ]
        picture = {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}}
        file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
        body = sent(
            messages=[
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "t"}, picture, file]},
                {
                    "role": "assistant",
                    "content": "a",
                    "phase": "commentary",
                    "reasoning_content": "shown",
                    "reasoning_details": [{**reasoning, "summary": "told"}, foreign, unkept],
                    "tool_calls": calls,
                },
                {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}, picture]},
                {"role": "tool", "tool_call_id": "c2", "content": "r2"},
                {"role": "assistant", "content": None, "refusal": "no"},
            ]
        )
        image = {"type": "input_image", "image_url": PNG, "detail": "low"}
        assert body["input"] == [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "t"},
                    image,
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "told"}],
                "encrypted_content": "x",
            },
            {"role": "assistant", "content": "a", "phase": "commentary"},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "aa"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "r"}, image]},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "r2"},
            {"role": "assistant", "content": "no"},
        ]

    def test_sound_is_refused_by_its_place(self) -> None:
        clip = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
        with pytest.raises(UpstreamError) as raised:
            sent(messages=[{"role": "user", "content": [clip]}])
        assert (raised.value.kind, raised.value.param) == ("rejected", "messages[0].content[0]")


@pytest.mark.parametrize(
    ("fields", "limit", "there"),
    [
        ({}, 100, False),
        ({"tools": [FUNCTION], "reasoning_effort": "low"}, 100, False),
        ({"n": 1, "stop": None, "seed": None, "presence_penalty": 0.0, "modalities": ["text"]}, 100, False),
        ({}, 15, True),
        ({"n": 2}, 100, True),
        ({"stop": "x"}, 100, True),
        ({"seed": 7}, 100, True),
        ({"presence_penalty": 0.5}, 100, True),
        ({"logit_bias": {"5": 1}}, 100, True),
        ({"modalities": ["text", "audio"]}, 100, True),
        ({"messages": [USER, {"role": "function", "name": "f", "content": "x"}]}, 100, True),
    ],
)
def test_what_only_a_chat_completion_can_do(fields: dict[str, Any], limit: int, there: bool) -> None:
    assert is_chat_only(request(**fields), limit) == there


@pytest.mark.parametrize(
    ("quirks", "fields", "path"),
    [
        ((), {}, "/responses"),
        ((), {"seed": 7}, "/chat/completions"),
        (None, {}, "/chat/completions"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_where_it_goes(quirks: Any, fields: dict[str, Any], path: str, streamed: bool) -> None:
    asked: list[HttpRequest] = []

    @asynccontextmanager
    async def post(http: HttpRequest, _: Timeouts) -> AsyncIterator[Reply]:
        asked.append(http)
        yield Canned([b"{}"], 500)

    there = upstream() if quirks is not None else Upstream("openai", "gpt-x", "https://p.example/v1", "k")
    chat, made = OpenAIChat(post), request(**fields, stream=streamed)
    with pytest.raises(UpstreamError):
        await (anext(chat.stream(there, made, 100)) if streamed else chat.complete(there, made, 100))
    assert asked[0].url == f"https://p.example/v1{path}"
    assert asked[0].headers["Authorization"] == "Bearer k"


def response(*output: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "status": "completed", "output": list(output), "usage": USAGE, **more}


def parsed(*output: Mapping[str, Any], **more: Any) -> tuple[dict[str, Any], Usage | None]:
    result = parse_response(json.dumps(response(*output, **more)).encode(), 5)
    return result.body["choices"][0], result.usage


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "id": "m", "content": [{"type": "output_text", "text": text}], **more}


CALL = {"type": "function_call", "id": "fc", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'}
CUSTOM_CALL = {"type": "custom_tool_call", "id": "ct", "call_id": "c2", "name": "g", "input": "aa"}
REASONING = {
    "type": "reasoning",
    "id": "rs",
    "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}],
    "encrypted_content": "x",
}


class TestAnswers:
    def test_all_kinds_of_items(self) -> None:
        choice, usage = parsed(
            REASONING, message("so", phase="commentary"), CALL, CUSTOM_CALL, {"type": "from_the_future"}
        )
        assert choice["finish_reason"] == "tool_calls"
        detail = {"type": "reasoning.encrypted", "id": "rs", "format": FORMAT, "index": 0}
        assert choice["message"] == {
            "role": "assistant",
            "content": "so",
            "refusal": None,
            "reasoning_content": "one\n\ntwo",
            "reasoning_details": [{**detail, "summary": "one\n\ntwo", "data": "x"}],
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "aa"}},
            ],
            "phase": "commentary",
        }
        assert usage is not None
        units = {unit: count for unit, count in usage.units.items() if count}
        assert units == {
            "input_tokens": 50, "cached_input_tokens": 40, "cache_write_tokens": 10,
            "output_tokens": 10, "reasoning_tokens": 20,
        }  # fmt: skip

    def test_a_refusal_and_logprobs(self) -> None:
        said = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
        choice, _ = parsed(said)
        assert (choice["message"]["content"], choice["message"]["refusal"]) == (None, "no")
        token = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
        spoken = {"type": "message", "content": [{"type": "output_text", "text": "a", "logprobs": [token]}]}
        assert parsed(spoken)[0]["logprobs"] == {"content": [token], "refusal": None}

    @pytest.mark.parametrize(
        ("more", "finish"),
        [
            ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
            ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
            ({"status": "incomplete", "incomplete_details": None}, "length"),
            ({}, "stop"),
        ],
    )
    def test_how_it_ends(self, more: dict[str, Any], finish: str) -> None:
        assert parsed(message("x"), **more)[0]["finish_reason"] == finish

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"code": "server_error", "message": "m"}, "unavailable"),
            ({"code": "rate_limit_exceeded", "message": "m"}, "rate_limited"),
            ({"code": "insufficient_quota", "message": "m"}, "auth"),
            ({"code": "failed_to_download_image"}, "unavailable"),
            ({"code": "invalid_prompt", "message": "m"}, "rejected"),
            ({"code": 5}, "unavailable"),
            (None, "unavailable"),
        ],
    )
    def test_a_run_that_failed(self, error: Any, kind: str) -> None:
        with pytest.raises(UpstreamError) as raised:
            parsed(status="failed", error=error)
        assert raised.value.kind == kind
        with pytest.raises(UpstreamError) as raised:
            fed({"type": "response.failed", "response": {"status": "failed", "error": error}})
        assert raised.value.kind == kind

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"output": {}},
            {"status": "completed", "output": [5]},
            response({"type": "message", "content": 5}),
            response({"type": "message", "content": [5]}),
            response({"type": "function_call"}),
            response({**CALL, "arguments": {}}),
            response({**REASONING, "id": 5}),
            response({**REASONING, "summary": [5]}),
            response(message("x"), status="in_progress"),
            response(status=None),
            response({"type": "message", "content": [{"type": "output_text", "text": 5}]}),
        ],
    )
    def test_what_is_no_response(self, body: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            parse_response(json.dumps(body).encode(), 5)
        assert raised.value.kind == "malformed"


def fed(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices that come of a stream."""
    parser = StreamParser(5)
    pieces = [piece for event in events for piece in parser.feed(json.dumps(event).encode())]
    return [piece.body["choices"][0] for piece in pieces if piece.body is not None]


def deltas(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: value for name, value in choice["delta"].items() if name != "role"} for choice in fed(*events)]


class TestStreams:
    def test_the_role_comes_first_and_once(self) -> None:
        text = {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}
        assert [choice["delta"].get("role") for choice in fed(text, text)] == ["assistant", None]

    def test_a_commentary_and_an_answer(self) -> None:
        events: list[dict[str, Any]] = [
            {"type": "response.output_text.delta", "output_index": 0, "delta": "a"},
            {"type": "response.output_item.done", "output_index": 0, "item": message("a", phase="commentary")},
            {"type": "response.output_text.delta", "output_index": 1, "delta": "b"},
            {"type": "response.output_item.done", "output_index": 1, "item": message("b", phase="final_answer")},
            {"type": "response.completed", "response": response()},
        ]
        assert deltas(*events) == [{"content": "a"}, {"content": "\n\nb"}, {"phase": "final_answer"}]

    def test_reasoning_is_told_in_pieces_and_kept_whole(self) -> None:
        told = {"type": "response.reasoning_summary_text.delta", "output_index": 0}
        assert deltas(
            {**told, "summary_index": 0, "delta": "on"},
            {**told, "summary_index": 0, "delta": "e"},
            {**told, "summary_index": 1, "delta": "two"},
            {"type": "response.output_item.done", "output_index": 0, "item": REASONING},
        ) == [
            {"reasoning_content": "on"},
            {"reasoning_content": "e"},
            {"reasoning_content": "\n\ntwo"},
            {
                "reasoning_details": [
                    {
                        "type": "reasoning.encrypted", "id": "rs", "format": FORMAT, "index": 0,
                        "summary": "one\n\ntwo", "data": "x",
                    }
                ]
            },
        ]  # fmt: skip

    def test_calls_beside_each_other(self) -> None:
        begun = {"type": "response.output_item.added"}
        assert deltas(
            {**begun, "output_index": 1, "item": {**CALL, "arguments": ""}},
            {**begun, "output_index": 3, "item": {**CUSTOM_CALL, "input": ""}},
            {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a": 1}'},
            {"type": "response.output_item.done", "output_index": 1, "item": CALL},
            {"type": "response.output_item.done", "output_index": 3, "item": CUSTOM_CALL},  # told at its end only
        ) == [
            {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
            {"tool_calls": [{"index": 1, "id": "c2", "type": "custom", "custom": {"name": "g", "input": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]},
            {"tool_calls": [{"index": 1, "custom": {"input": "aa"}}]},
        ]

    def test_a_call_that_never_began(self) -> None:
        end = {"type": "response.output_item.done", "output_index": 0, "item": CALL}
        began, told = deltas(end)
        assert began["tool_calls"][0]["function"]["name"] == "f"
        assert told == {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1}'}}]}

    def test_what_is_not_known_is_passed_over(self) -> None:
        assert fed({"type": "response.from_the_future"}, {"type": 5}, {}, {"type": "response.in_progress"}) == []
        assert fed({"type": "response.function_call_arguments.delta", "output_index": 9, "delta": "x"}) == []

    def test_the_end_tells_what_it_consumed(self) -> None:
        parser = StreamParser(5)
        (end,) = parser.feed(json.dumps({"type": "response.completed", "response": response()}).encode())
        assert parser.ended
        assert end.usage is not None
        assert end.usage.units["cached_input_tokens"] == 40

    @pytest.mark.parametrize(
        "event",
        [
            {"type": "response.created"},
            {"type": "response.created", "response": 5},
            {"type": "response.output_item.added", "item": 5},
            {"type": "response.output_item.added", "item": {"type": "function_call"}},
            {"type": "response.output_text.delta"},
            {"type": "response.output_text.delta", "delta": 5},
            {"type": "response.completed", "response": {}},
            {"type": "response.output_item.done", "item": {"type": "reasoning", "id": "r", "summary": 5}},
        ],
    )
    def test_what_is_no_event(self, event: dict[str, Any]) -> None:
        with pytest.raises(UpstreamError) as raised:
            fed(event)
        assert raised.value.kind == "malformed"

    def test_an_error_in_either_form(self) -> None:
        for event in (
            {"type": "error", "code": "server_error", "message": "m"},
            {"type": "error", "error": {"code": "server_error", "message": "m"}},
        ):
            with pytest.raises(UpstreamError) as raised:
                fed(event)
            assert raised.value.kind == "unavailable"
