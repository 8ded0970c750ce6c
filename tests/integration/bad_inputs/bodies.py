"""Rows 40 to 72 and 94 to 115: what a chat body may not be, and what a key may not spend."""

import json
from collections.abc import Callable
from typing import Any

from aig.http.body import MAX_BODY_BYTES
from tests.integration.bad_inputs.case import GONE, OK, TOO_LARGE, B, Case, N, P, R, U, each, good_body, user


def _with(name: str, value: str) -> Callable[[], bytes]:
    """A good body with a field whose value is written as it stands, be it JSON or not."""
    return lambda: json.dumps(good_body()).replace('"max_tokens": 16', f'"{name}": {value}').encode()


def _of_bytes(length: int) -> bytes:
    body = good_body()
    body["messages"][0]["content"] = ""
    body["messages"][0]["content"] = "a" * (length - len(json.dumps(body)))
    return json.dumps(body).encode()


def _keys(number: int) -> bytes:
    return json.dumps({**good_body(), "metadata": {f"{n:x}": 0 for n in range(number)}}).encode()


def _raw(row: int, what: str, body: bytes | Callable[[], bytes], **more: Any) -> Case:
    return Case(row, what, B, raw=body if callable(body) else lambda: body, code="invalid_json", **more)


_GOOD = json.dumps(good_body()).encode()

JSON = [
    Case(40, "6 MB and a byte", TOO_LARGE, raw=lambda: _of_bytes(MAX_BODY_BYTES + 1)),
    Case(40, "6 MB", OK, raw=lambda: _of_bytes(MAX_BODY_BYTES), reached=True),
    _raw(41, "empty", b""),
    _raw(41, "white space", b" \r\n\t"),
    *[_raw(42, text.decode(), text) for text in (b"null", b"[]", b'"x"', b"1", b"true")],
    _raw(43, "byte order mark", b"\xef\xbb\xbf" + _GOOD),
    _raw(44, "UTF-16", json.dumps(good_body()).encode("utf-16")),
    _raw(44, "UTF-16 without mark", json.dumps(good_body()).encode("utf-16-le")),
    _raw(45, "invalid UTF-8", _GOOD.replace(b"prompt", b"pr\xff\xfempt")),
    _raw(45, "a surrogate in UTF-8", _GOOD.replace(b"prompt", b"pr\xed\xa0\x80mpt")),
    _raw(46, "lone surrogate", _GOOD.replace(b"prompt", b"pr\\ud800mpt")),
    _raw(46, "lone surrogate in a key", _GOOD.replace(b'"max_tokens"', b'"\\udfff"')),
    Case(46, "a whole pair", OK, raw=lambda: _GOOD.replace(b"prompt", b"\\ud83d\\ude00"), reached=True),
    Case(47, "NUL in the model", N, {"model": "sandbox/echo\0"}),
    _raw(48, "1,000 arrays", _with("max_tokens", "[" * 1_000 + "]" * 1_000)),
    _raw(48, "100,000 arrays", _with("max_tokens", "[" * 100_000 + "]" * 100_000)),
    _raw(48, "100,000 objects", _with("max_tokens", '{"a":' * 100_000 + "1" + "}" * 100_000)),
    _raw(48, "65 arrays", _with("extra", "[" * 65 + "]" * 65)),
    Case(48, "32 arrays", OK, raw=_with("extra", "[" * 32 + "]" * 32), reached=True),
    _raw(49, "an integer of 5,000 digits", _with("max_tokens", "1" * 5_000)),
    *[_raw(50, text, _with("temperature", text)) for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999")],
    _raw(51, "the model twice", _with("model", '"openai/gpt-5.4-mini"')),
    _raw(51, "a nested key twice", _with("metadata", '{"a": 1, "\\u0061": 2}')),
    Case(52, "1,000,000 keys", TOO_LARGE, raw=lambda: _keys(1_000_000)),
    _raw(52, "100,000 keys", lambda: _keys(100_000)),
    _raw(53, "truncated", _GOOD[:-1]),
    _raw(53, "truncated in a string", _GOOD[:60]),
    _raw(53, "two documents", _GOOD + _GOOD),
    _raw(54, "a comment", b"/* hi */" + _GOOD),
    _raw(54, "a trailing comma", _GOOD[:-1] + b",}"),
    _raw(54, "single quotes", _GOOD.replace(b'"', b"'")),
]

MODEL_AND_MESSAGES = [
    # Without a model the gateway chooses one; here none is set up but test models, which are never chosen.
    *each(59, "model", U, "model", GONE, None, "auto", code="provider_not_configured"),
    *each(60, "model", B, "model", ""),
    *each(61, "model", B, "model", 1, [], {}),
    *each(62, "model", N, "model", "gpt-5.4"),
    *each(62, "the nearest is named", N, "model", "gpt-5.4-mini", says="openai/gpt-5.4-mini"),
    *each(63, "model", N, "model", "openai/gpt-5.4-mini ", " sandbox/echo", "Sandbox/Echo"),
    *each(64, "model", N, "model", "openai/../anthropic/x", "sandbox/../sandbox/echo", "sandbox//echo"),
    *each(65, "model", N, "model", "eval:unknown"),
    Case(67, "an image model", B, {"model": "sandbox/image"}, code="wrong_modality"),
    *each(68, "removed model, the nearest is named", N, "model", "openai/gpt-4-mini", says="openai/gpt-5.4-mini"),
    *each(69, "messages", B, "messages", GONE, [], None),
    *each(70, "messages", B, "messages", {}, "hi", ["hi"], [None], 7),
    *each(71, "role", B, "messages", [{"role": "root", "content": "hi"}], [{"content": "hi"}]),
    *each(72, "content", B, "messages", [{"role": "user", "content": None}], [{"role": "user"}], user()),
    Case(
        73,
        "2,000,001 words",
        B,
        {"messages": [{"role": "user", "content": "a " * 2_000_001}]},
        code="context_length_exceeded",
        reached=True,
    ),
    *each(74, "part", B, "messages", user({"type": "video"}), user({"text": "hi"}), user("hi"), user(None)),
]


def _tool(**function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "look", **function}}


def _format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


_HUGE_SCHEMA = {"type": "object", "description": "a" * 1_000_000}
_ENDLESS = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
_LIST = {"type": "object", "properties": {"next": {"$ref": "#"}}}
_ANSWER_TO_NO_CALL = [{"role": "user", "content": "hi"}, {"role": "tool", "tool_call_id": "call_1", "content": "12"}]

PARAMETERS = [
    *each(94, "n", B, "n", 0, -1, 10**9, 1.5, "2", True),
    *each(95, "max_tokens", B, "max_tokens", 0, -1, 2**63, "5", True, 5.0),
    *each(95, "max_completion_tokens", B, "max_completion_tokens", 0, -1, 2**63),
    *each(95, "max_tokens", OK, "max_tokens", None, reached=True),
    *each(96, "temperature", B, "temperature", -0.1, 2.1, "hot", True),
    *each(97, "top_p", B, "top_p", 0, 1.1),
    *each(98, "stop", B, "stop", ["a"] * 5, "a" * 10_000, [1], 1),
    *each(99, "stream", B, "stream", "yes", 1, "true"),
    Case(100, "stream_options without stream", B, {"stream_options": {"include_usage": True}}),
    Case(100, "include_usage yes", B, {"stream": True, "stream_options": {"include_usage": "yes"}}),
    *each(101, "129 tools", B, "tools", [_tool()] * 129),
    *each(101, "tool", B, "tools", [_tool(name="a b")], [_tool(name="")], [{"type": "function"}], ["look"], {}),
    *each(101, "endless recursion", B, "tools", [_tool(parameters=_ENDLESS)]),
    *each(101, "a schema of 1 MB", B, "tools", [_tool(parameters=_HUGE_SCHEMA)]),
    # Only a cycle that passes through no value has no end; a linked list is a fine schema.
    *each(101, "recursion through a value", OK, "tools", [_tool(parameters=_LIST)], reached=True),
    Case(
        102,
        "tool_choice names no tool",
        B,
        {"tools": [_tool()], "tool_choice": {"type": "function", "function": {"name": "touch"}}},
    ),
    Case(102, "tool_choice required without tools", B, {"tool_choice": "required"}),
    *each(103, "a result without a call", B, "messages", _ANSWER_TO_NO_CALL),
    *each(104, "schema", B, "response_format", _format({"type": "word"}), _format([]), _format({"$ref": "#/no"})),
    *each(104, "response_format", B, "response_format", {"type": "json_schema"}, {"type": "xml"}, "json_object"),
    # A pattern is handed on and never run here, so it cannot be slow.
    *each(104, "slow", OK, "response_format", _format({"type": "string", "pattern": "(a+)+$"}), reached=True),
    *each(105, "logit_bias of 100,000", B, "logit_bias", {str(number): 1 for number in range(100_000)}),
    *each(105, "logit_bias", B, "logit_bias", {"x": 1}, {"1": 101}, {"1": "1"}),
    *each(106, "seed", B, "seed", 1e30, 10**30, "1"),
    *each(107, "user of 10 kB", B, "user", "a" * 10_000),
    *[
        Case(108, name, B, {name: value})
        for name, value in {
            "base_url": "https://evil.example",
            "api_base": "https://evil.example",
            "api_key": "sk-evil",
            "extra_headers": {"authorization": "evil"},
            "extra_body": {},
        }.items()
    ],
    *each(109, "provider", B, "provider", {"order": ["../x"]}, {"order": "sandbox"}, {"url": "x"}, "sandbox"),
    *each(110, "metadata of 1,000 keys", B, "metadata", {str(number): "" for number in range(1_000)}),
]

BUDGETS = [
    Case(112, "an empty wallet", P, sender="empty", code="insufficient_balance"),
    Case(113, "a cap that would be crossed", P, sender="capped", code="spend_cap_reached"),
    Case(114, "too many requests", R, sender="rated", code="rate_limit_exceeded"),
]
