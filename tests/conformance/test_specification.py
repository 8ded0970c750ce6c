"""What we send is what OpenAI's own description of its API allows, and so is what the sandbox answers."""

import json
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from aig.errors import InvalidRequest
from aig.modalities import chat_body
from aig.modalities.chat import usage_json
from aig.modalities.upstream import Upstream
from aig_providers.openai_compatible import build_request
from aig_providers.sandbox import ADAPTER
from tests.conformance.recordings import ROOT, SPECIFICATION, load, matching

pytestmark = pytest.mark.skipif(
    not SPECIFICATION.is_file(), reason=f"there is no {SPECIFICATION.relative_to(ROOT.parent)} beside the repository"
)

USER = {"role": "user", "content": "hi"}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA, "strict": True},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}

REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stream": {"stream": True},
    "stream with usage": {"stream": True, "stream_options": {"include_usage": True}},
    "stream without usage": {"stream": True, "stream_options": {"include_usage": False, "include_obfuscation": False}},
    "limits": {"max_tokens": 5, "max_completion_tokens": 6, "stop": ["a", "b"], "n": 2, "seed": 7},
    "sampling": {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": -1.5},
    "logits": {"logprobs": True, "top_logprobs": 3, "logit_bias": {"50256": -100}},
    "tools": {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    "one tool": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
    "second turn": {
        "tools": [TOOL],
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "t"}]},
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        ],
    },
    "schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    },
    "object": {"response_format": {"type": "json_object"}},
    "vision": {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            }
        ]
    },
    "the rest": {
        "user": "u",
        "metadata": {"k": "v"},
        "reasoning_effort": "low",
        "verbosity": "low",
        "store": False,
        "service_tier": "default",
        "prediction": {"type": "content", "content": "c"},
        "modalities": ["text"],
    },
    "preferences of ours": {"provider": {"only": ["openai"]}},
}


@cache
def validator(name: str) -> Draft202012Validator:
    """For one of the named schemas of the description."""
    resource = Resource.from_contents(json.loads(SPECIFICATION.read_text()), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openai", resource)
    return Draft202012Validator({"$ref": f"urn:openai#/components/schemas/{name}"}, registry=registry)


def complaints(name: str, value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator(name).iter_errors(value)]


def body(upstream_field: str, **fields: Any) -> Any:
    """What goes to a provider for a client's body."""
    upstream = Upstream(
        "openai", "gpt-5.4-mini", "https://api.example/v1", "sk-provider", max_tokens_field=upstream_field
    )
    request = chat_body.parse({"model": "openai/gpt-5.4-mini", "messages": [USER], **fields})
    return json.loads(build_request(upstream, request, 100).body)


@pytest.mark.parametrize("upstream_field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("fields", REQUESTS.values(), ids=REQUESTS)
def test_requests(fields: dict[str, Any], upstream_field: str) -> None:
    sent = body(upstream_field, **fields)
    assert complaints("CreateChatCompletionRequest", sent) == []
    assert sent[upstream_field] == 100


def test_the_description_refuses_what_it_should() -> None:
    """An oracle that says yes to everything proves nothing."""
    robot = {"role": "robot", "content": "x"}
    wrong: list[dict[str, Any]] = [{"messages": []}, {"messages": [robot]}, {"n": 200}, {"tools": [{}]}]
    for fields in wrong:
        assert complaints("CreateChatCompletionRequest", {**body("max_tokens"), **fields}), fields
    assert complaints("CreateChatCompletionRequest", {"model": "m"})


RECORDED = ("llm/test_tools/*.yaml", "llm/test_tools_streaming/*.yaml", "pydantic-ai/test_openai/*.yaml")


def test_requests_that_clients_really_sent() -> None:
    exchanges = [exchange for file in matching(*RECORDED) for exchange in load(file)]
    if not exchanges:
        pytest.skip("there are no recordings beside the repository")
    for exchange in exchanges:
        assert exchange.request is not None
        sent = body("max_completion_tokens", **{**exchange.request, "model": "openai/gpt-5.4-mini"})
        assert complaints("CreateChatCompletionRequest", sent) == [], exchange.name
        kept = exchange.request.keys() - {"model", "max_tokens", "max_completion_tokens", "stream", "stream_options"}
        assert {name: sent[name] for name in kept} == {name: exchange.request[name] for name in kept}


def test_requests_of_other_vendors_are_accepted_or_refused_by_name() -> None:
    exchanges = [exchange for file in matching("pydantic-ai/*.yaml") for exchange in load(file)]
    for exchange in exchanges:
        assert exchange.request is not None
        try:
            body("max_tokens", **{**exchange.request, "model": "acme/one"})
        except InvalidRequest as error:
            assert error.param, exchange.name  # noqa: PT017


SANDBOX: dict[str, dict[str, Any]] = {
    "text": {},
    "samples": {"n": 2},
    "cut short": {"max_tokens": 1},
    "tools": {"tools": [TOOL]},
    "schema": REQUESTS["schema"],
}


@pytest.mark.parametrize("fields", SANDBOX.values(), ids=SANDBOX)
async def test_answers_of_the_sandbox(fields: dict[str, Any]) -> None:
    upstream = Upstream("sandbox", "echo", "sandbox:")
    request = chat_body.parse({"model": "sandbox/echo", "messages": [USER], **fields})
    result = await ADAPTER.chat.complete(upstream, request, 10)
    assert result.usage is not None
    assert complaints("CreateChatCompletionResponse", {**result.body, "usage": usage_json(result.usage)}) == []


@pytest.mark.parametrize("fields", SANDBOX.values(), ids=SANDBOX)
async def test_streams_of_the_sandbox(fields: dict[str, Any]) -> None:
    upstream = Upstream("sandbox", "echo", "sandbox:")
    request = chat_body.parse({"model": "sandbox/echo", "messages": [USER], "stream": True, **fields})
    async for chunk in ADAPTER.chat.stream(upstream, request, 10):
        if chunk.body is not None:
            for choice in chunk.body["choices"]:
                choice["finish_reason"] = (
                    choice["finish_reason"] or "stop"
                )  # OpenAI sends null, its description has none
            assert complaints("CreateChatCompletionStreamResponse", chunk.body) == []
