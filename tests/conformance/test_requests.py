"""What we send to each wire of its own, judged by the vendor's SDK types or its published specification."""

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatRequest
from aig.modalities.upstream import Upstream
from aig_providers import cohere
from aig_providers.anthropic_messages import messages_body
from aig_providers.google_contents import generate_body
from tests.conformance.sdk_types import check_anthropic, check_google

PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
LINK = {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}}
TEXT = {"type": "text", "text": "t"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
BARE = {"type": "function", "function": {"name": "g"}}
MARK = {"type": "ephemeral", "ttl": "1h"}
CALLS = [
    {"id": "call:1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
    {"id": "call:2", "type": "function", "function": {"name": "g", "arguments": ""}},
]
USER = {"role": "user", "content": "hi"}
TURNS = [
    {"role": "system", "content": "s"},
    {"role": "developer", "content": [TEXT]},
    USER,
    {"role": "assistant", "content": "a", "tool_calls": CALLS},
    {"role": "tool", "tool_call_id": "call:1", "content": '{"b": 2}'},
    {"role": "tool", "tool_call_id": "call:2", "content": [TEXT]},
    {"role": "user", "content": [TEXT, {"type": "text", "text": ""}]},
]
FIELDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "settings": {"temperature": 0.5, "top_p": 0.9, "stop": ["x", "y"], "seed": 7, "user": "u", "presence_penalty": 0.1},
    "one stop": {"stop": "x", "top_k": 5, "service_tier": "default"},
    "streamed": {"stream": True},
    "a conversation with tools": {"messages": TURNS, "tools": [TOOL, BARE], "tool_choice": "auto"},
    "a tool is forced": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    "some tool is forced": {"tools": [TOOL, BARE], "tool_choice": "required"},
    "no tool": {"tools": [TOOL], "tool_choice": "none"},
    "allowed tools": {
        "tools": [TOOL, BARE],
        "tool_choice": {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]},
        },
    },
    "pictures": {"messages": [{"role": "user", "content": [TEXT, IMAGE, LINK]}]},
    "a schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
    "an object": {"response_format": {"type": "json_object"}},
    "effort": {"reasoning_effort": "high"},
    "no effort": {"reasoning_effort": "none"},
    "a budget": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    "thinking off": {"thinking": {"type": "disabled"}},
}
INLINE = {"messages": [{"role": "user", "content": [TEXT, IMAGE]}]}
FILES = {"a file": {"messages": [{"role": "user", "content": [TEXT, PDF]}]}}
THOUGHTS = {
    "thoughts go back": {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": None,
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "r",
                        "signature": "s",
                        "format": "anthropic-claude-v1",
                        "index": 0,
                    },
                    {"type": "reasoning.encrypted", "data": "x", "format": "anthropic-claude-v1", "index": 1},
                    {"type": "reasoning.encrypted", "data": "QUJD", "format": "google-gemini-v1", "index": 0},
                ],
                "tool_calls": [{**CALLS[0], "extra_content": {"google": {"thought_signature": "QUJD"}}}],
            },
            {"role": "tool", "tool_call_id": "call:1", "content": [TEXT, IMAGE]},
        ],
        "tools": [TOOL],
        "reasoning_effort": "low",
    }
}
MARKS = {
    "cache marks": {
        "messages": [
            {"role": "system", "content": [{**TEXT, "cache_control": MARK}]},
            {
                "role": "user",
                "content": [{**IMAGE, "cache_control": MARK}, TEXT],
                "cache_control": {"type": "ephemeral"},
            },
        ],
        "tools": [{**TOOL, "cache_control": MARK}],
        "parallel_tool_calls": False,
    }
}


def request(fields: Mapping[str, Any]) -> ChatRequest:
    return chat_body.parse({"messages": [USER], **fields})


def upstream(*quirks: str) -> Upstream:
    return Upstream("p", "m", "https://p.example", quirks=frozenset(quirks))


@pytest.mark.parametrize("quirks", [(), ("adaptive_thinking",)])
@pytest.mark.parametrize("what", [*FIELDS, *FILES, *THOUGHTS, *MARKS])
def test_anthropic(what: str, quirks: tuple[str, ...]) -> None:
    fields = {**FIELDS, **FILES, **THOUGHTS, **MARKS}[what]
    body = messages_body(upstream(*quirks), request(fields), 8000)
    check_anthropic(body)
    assert body["max_tokens"] == 8000
    roles = [turn["role"] for turn in body["messages"]]
    assert roles[0] == "user"
    assert all(first != second for first, second in pairwise(roles))
    thinking = body.get("thinking", {}).get("type")
    wanted = "adaptive" if quirks else "enabled"
    assert thinking == {"effort": wanted, "a budget": wanted, "thoughts go back": wanted}.get(
        what, "disabled" if what in ("no effort", "thinking off") else None
    )


@pytest.mark.parametrize("quirks", [(), ("thinking_level",)])
@pytest.mark.parametrize("what", [*FIELDS, *FILES, *THOUGHTS, *MARKS])
def test_google(what: str, quirks: tuple[str, ...]) -> None:
    fields = {**FIELDS, **FILES, **THOUGHTS, **MARKS, "pictures": INLINE}[what]
    body = generate_body(upstream(*quirks), request(fields), 8000)
    check_google(body)
    assert body["generationConfig"]["maxOutputTokens"] == 8000
    thinking = body["generationConfig"].get("thinkingConfig", {})
    thinks = ("effort", "no effort", "a budget", "thinking off", "thoughts go back")
    assert ("thinkingBudget" in thinking) == (not quirks and what in thinks)


@pytest.mark.parametrize("what", FIELDS)
def test_cohere(what: str) -> None:
    fields = {name: value for name, value in FIELDS[what].items() if name not in ("user", "service_tier")}
    http = cohere.build_request(upstream(), request(fields), 800)
    body = json.loads(http.body)
    assert http.url == "https://p.example/v2/chat"
    assert (body["model"], body["max_tokens"]) == ("m", 800)
    names = {tool["function"]["name"] for tool in body.get("tools", ())}
    assert names == {
        "a conversation with tools": {"f", "g"}, "a tool is forced": {"f"}, "some tool is forced": {"f", "g"},
        "no tool": {"f"}, "allowed tools": {"g"},
    }.get(what, set())  # fmt: skip
    assert body.get("tool_choice") == {
        "a tool is forced": "REQUIRED", "some tool is forced": "REQUIRED", "no tool": "NONE", "allowed tools": "REQUIRED"  # noqa: E501
    }.get(what)  # fmt: skip
    assert body.get("thinking") == {
        "effort": {"type": "enabled", "token_budget": 16_384}, "no effort": {"type": "disabled"},
        "a budget": {"type": "enabled", "token_budget": 2000}, "thinking off": {"type": "disabled"},
    }.get(what)  # fmt: skip


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "n": ({"n": 2}, "n"),
    "logit_bias": ({"logit_bias": {"5": 1}}, "logit_bias"),
    "custom tools": ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools"),
    "functions": ({"functions": [{"name": "f"}]}, "functions"),
    "a function's result": ({"messages": [USER, {"role": "function", "name": "f", "content": "x"}]}, "messages[1]"),
    "a file by its id": (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        "messages[0].content[0]",
    ),
}
Build = Callable[[ChatRequest], Any]
BUILDS: dict[str, Build] = {
    "anthropic": lambda made: messages_body(upstream(), made, 100),
    "google": lambda made: generate_body(upstream(), made, 100),
    "cohere": lambda made: cohere.build_request(upstream(), made, 100),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("wire", BUILDS)
def test_what_a_wire_cannot_do_is_refused_by_name(wire: str, what: str) -> None:
    fields, param = REFUSED[what]
    if (wire, what) == ("google", "n"):
        assert BUILDS[wire](request(fields))["generationConfig"]["candidateCount"] == 2
        return
    with pytest.raises(UpstreamError) as raised:
        BUILDS[wire](request(fields))
    assert (raised.value.kind, raised.value.code) == ("rejected", "unsupported_parameter")
    assert (raised.value.param or "").startswith(param)


def test_google_gets_no_links() -> None:
    """It would follow them, to a film of any length: nobody has paid for that."""
    with pytest.raises(UpstreamError) as raised:
        generate_body(upstream(), request(FIELDS["pictures"]), 100)
    assert (raised.value.code, raised.value.param) == ("unsupported_parameter", "messages[0].content[2]")


def test_the_judges_see_a_mistake() -> None:
    good = messages_body(upstream(), request({}), 100)
    with pytest.raises((ValidationError, AssertionError)):
        check_anthropic({**good, "max_tokns": 5})
    with pytest.raises((ValidationError, AssertionError)):
        check_anthropic({**good, "messages": [{"role": "robot", "content": "x"}]})
    fine = generate_body(upstream(), request({}), 100)
    with pytest.raises((ValidationError, AssertionError)):
        check_google({**fine, "generationConfig": {"maxOutputTokns": 5}})
