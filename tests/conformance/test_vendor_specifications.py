"""What we send to OpenAI's Responses, Mistral, Together and Cohere, judged by their own descriptions of their APIs."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from aig.catalog.model import builtin
from aig.errors import UpstreamError
from aig.modalities.chat import ChatRequest
from aig.modalities.embed import EmbedRequest
from aig.modalities.upstream import Upstream
from aig_providers import cohere, openai, openai_compatible
from aig_providers.wire import HttpRequest
from tests.conformance.recordings import ROOT
from tests.conformance.test_requests import CALLS, FIELDS, IMAGE, PDF, PNG, TEXT, TOOL, TURNS, USER, request

SPECIFICATIONS = ROOT.parent / "shared" / "specs"
pytestmark = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(), reason=f"there are no {SPECIFICATIONS.relative_to(ROOT.parent)} beside the repository"
)

CLIP = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
MORE: dict[str, dict[str, Any]] = {
    "penalties and a seed": {"seed": 7, "presence_penalty": 0.5, "frequency_penalty": -0.5},
    "a developer": {"messages": [{"role": "developer", "content": "d"}, {**USER, "name": "ann"}]},
    "hints": {"user": "u", "metadata": {"a": "b"}, "store": False, "verbosity": "low", "service_tier": "auto"},
    "a thinker": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "reasoning_effort": "xhigh"},
    "little effort": {"reasoning_effort": "minimal"},
    "all pictures": {"messages": [{"role": "user", "content": [TEXT, IMAGE]}]},
    "what another model said": {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": "a",
                "refusal": None,
                "phase": "final_answer",
                "reasoning_content": "r",
                "reasoning_details": [{"type": "reasoning.text", "text": "r", "signature": "s", "format": "x"}],
                "tool_calls": [{**CALLS[0], "index": 0, "extra_content": {"google": {"thought_signature": "x"}}}],
            },
            {"role": "tool", "tool_call_id": "call:1", "content": [TEXT, IMAGE]},
        ],
        "tools": [TOOL],
    },
    "a strict tool in a strict place": {
        "tools": [{**TOOL, "function": {**TOOL["function"], "strict": True}}],  # type: ignore[dict-item]
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "strict": True, "schema": {"type": "object", "properties": {}}},
        },
    },
    "many answers": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "logprobs without others": {"logprobs": True},
    "a file": {"messages": [{"role": "user", "content": [TEXT, PDF]}]},
    "a clip": {"messages": [{"role": "user", "content": [TEXT, CLIP]}]},
    "a tier": {"service_tier": "flex"},
}
Build = Callable[[Upstream, ChatRequest, int], HttpRequest]


@dataclass(frozen=True)
class Judge:
    """A vendor's description of its chat, the row of ours, and what the vendor does not have: refused by name."""

    file: str
    pointer: str
    provider: str
    build: Build
    refused: Mapping[str, str]
    quirks: frozenset[str] = frozenset()


JUDGES = {
    "openai responses": Judge(
        "openai/openapi.json", "components/schemas/CreateResponse", "openai", openai.build_request,
        # These go to chat completions, before anything is built: see openai._by_responses.
        {"settings": "stop", "one stop": "stop", "penalties and a seed": "seed", "a clip": "messages[0].content[1]"},
        frozenset({"responses"}),
    ),
    "mistral": Judge(
        "mistral/openapi.yaml", "components/schemas/ChatCompletionRequest", "mistral", openai_compatible.build_request,
        {
            "one stop": "top_k", "logprobs": "logprobs", "logprobs without others": "logprobs",
            "a tier": "service_tier",
        },
    ),
    "together": Judge(
        "together/openapi.yaml", "components/schemas/ChatCompletionRequest", "together",
        openai_compatible.build_request, {},
    ),
    "cohere": Judge(
        "cohere/openapi.yaml", "paths/~1v2~1chat/post/requestBody/content/application~1json/schema", "cohere",
        cohere.build_request,
        {
            "many answers": "n", "logprobs": "top_logprobs", "a file": "messages[0].content[1]",
            "a clip": "messages[0].content[1]", "a strict tool in a strict place": "response_format",
        },
    ),
}  # fmt: skip
# Where a description is known to be wrong, or to lag behind what its vendor takes.
PRECAUTIONS = {
    ("openai responses", "one stop"): "`top_k` is not known there: the provider says so",
    ("together", "one stop"): "`stop` is a list there; a text has been taken since the completions of old",
    ("together", "logprobs"): "`logprobs` is a number there; OpenAI's switch is taken too",
    ("together", "logprobs without others"): "`logprobs` is a number there; OpenAI's switch is taken too",
    ("together", "a file"): "files are passed on: the provider says that it has none",
    ("together", "a clip"): "clips are described as `audio_url` and `input_audio` in turn",
    ("together", "*tool_choice"): "an object is described as a tool call, with an index and arguments",
}


@cache
def _document(file: str) -> Any:
    path = SPECIFICATIONS / file
    text = path.read_text()
    document = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.CSafeLoader)
    return _as_meant(document)


def _as_meant(node: Any) -> Any:
    """`nullable` is OpenAPI 3.0's, which 3.1 has dropped and vendors have kept; alternatives of `oneOf` overlap."""
    if isinstance(node, list):
        return [_as_meant(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    made = {key: _as_meant(value) for key, value in node.items()}
    if isinstance(made.get("oneOf"), list) and "anyOf" not in made:
        made["anyOf"] = made.pop("oneOf")
    return {"anyOf": [made, {"type": "null"}]} if made.pop("nullable", False) is True else made


@cache
def validator(file: str, pointer: str) -> Draft202012Validator:
    resource = Resource.from_contents(_document(file), default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:vendor", resource)
    return Draft202012Validator({"$ref": f"urn:vendor#/{pointer}"}, registry=registry)


def complaints(judge: Judge, body: Any) -> list[str]:
    if judge.provider == "together":  # its description wants an index in calls, which no client sends back
        for message in body["messages"]:
            for at, call in enumerate(message.get("tool_calls") or ()):
                call.setdefault("index", at)
    found = validator(judge.file, judge.pointer).iter_errors(body)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def sent(judge: Judge, fields: Mapping[str, Any]) -> Any:
    provider = builtin().providers[judge.provider]
    upstream = Upstream(
        provider.name,
        "m",
        "https://p.example",
        "k",
        max_tokens_field=provider.max_tokens_field,
        quirks=provider.quirks | judge.quirks,
    )
    return json.loads(judge.build(upstream, request(fields), 800).body)


def expected(name: str, what: str, fields: Mapping[str, Any]) -> bool:
    """Whether the description is to be believed."""
    forced = isinstance(fields.get("tool_choice"), Mapping)
    return (name, what) not in PRECAUTIONS and not (forced and (name, "*tool_choice") in PRECAUTIONS)


@pytest.mark.parametrize("what", [*FIELDS, *MORE])
@pytest.mark.parametrize("name", JUDGES)
def test_a_request(name: str, what: str) -> None:
    judge, fields = JUDGES[name], {**FIELDS, **MORE}[what]
    if what in judge.refused:
        with pytest.raises(UpstreamError) as raised:
            sent(judge, fields)
        assert (raised.value.kind, raised.value.param) == ("rejected", judge.refused[what])
        return
    body = sent(judge, fields)
    if expected(name, what, fields):
        assert complaints(judge, body) == []


@pytest.mark.parametrize("name", JUDGES)
def test_the_judges_see_a_mistake(name: str) -> None:
    judge = JUDGES[name]
    body = sent(judge, {"messages": TURNS, "tools": [TOOL]})
    assert complaints(judge, body) == []
    field = "input" if "input" in body else "messages"
    assert complaints(judge, {**body, field: [{"role": "robot", "content": 5}]})
    assert complaints(judge, {**body, "temperature": "hot"})


EMBED_JUDGES = {
    "cohere": ("cohere/openapi.yaml", "paths/~1v2~1embed/post/requestBody/content/application~1json/schema"),
    "together": ("together/openapi.yaml", "components/schemas/EmbeddingsRequest"),
    "mistral": ("mistral/openapi.yaml", "components/schemas/EmbeddingRequest"),
    "openai": ("openai/openapi.json", "components/schemas/CreateEmbeddingRequest"),
}


@pytest.mark.parametrize("dimensions", [None, 256])
@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("name", EMBED_JUDGES)
def test_a_request_for_embeddings(name: str, encoding: Any, dimensions: int | None) -> None:
    made = EmbedRequest("m", ("a", "b"), encoding=encoding, dimensions=dimensions, input_type="query")
    provider = builtin().providers[name]
    upstream = Upstream(name, "m", "https://p.example", "k", quirks=provider.quirks)
    build = cohere.embed_body if name == "cohere" else openai_compatible.embed_body
    body = json.loads(json.dumps(build(upstream, made, ("a", "b"))))
    if name == "mistral" and dimensions:
        body["output_dimension"] = body.pop("dimensions")  # no model of theirs in the catalog has a choice
    if name == "together":
        body.pop("dimensions", None)  # nor of theirs
    file, pointer = EMBED_JUDGES[name]
    assert [f"{error.json_path}: {error.message[:200]}" for error in validator(file, pointer).iter_errors(body)] == []


def test_every_description_is_there() -> None:
    assert all((SPECIFICATIONS / Path(judge.file)).is_file() for judge in JUDGES.values())
    assert PNG.startswith("data:image/png")
