"""What `sandbox/echo` says: pure, the same for the same request. A token is a word."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aig.modalities.json_schema import resolve

_MAX_DEPTH = 12
_MAX_NODES = 500


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, given `samples` times over; `deltas` are the same answer in pieces."""

    id: str
    message: dict[str, Any]
    deltas: Sequence[dict[str, Any]]
    finish_reason: str
    prompt_tokens: int
    output_tokens: int
    samples: int


class _Maker:
    """Values for the schemas of one document. A recursion without end is cut by its depth and by the nodes made."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._nodes = 0

    def value(self, schema: Any, depth: int = 0) -> Any:
        self._nodes += 1
        if not isinstance(schema, Mapping) or depth > _MAX_DEPTH:
            return "Paris" if schema is not False else None
        if "$ref" in schema:
            return self.value(resolve(self._root, schema["$ref"]), depth + 1)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        for key in ("anyOf", "oneOf", "allOf"):
            if schema.get(key):
                return self.value(schema[key][0], depth + 1)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        ending = depth >= _MAX_DEPTH or self._nodes > _MAX_NODES
        match kind[0] if isinstance(kind, list) else kind:
            case "object":
                properties = schema.get("properties", {})
                wanted = schema.get("required", ()) if ending else properties
                return {name: self.value(properties[name], depth + 1) for name in wanted if name in properties}
            case "array":
                return [] if ending else [self.value(schema.get("items", {}), depth + 1)]
            case "integer":
                return max(7, math.ceil(schema.get("minimum", 7)))
            case "number":
                return max(7.5, schema.get("minimum", 7.5))
            case "boolean":
                return True
            case "null":
                return None
        return "Paris"


def from_schema(schema: Any) -> Any:
    """A value that fits a JSON schema: const, the first enum or alternative, all properties, one item."""
    return _Maker(schema).value(schema)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content or () if part.get("type") == "text")


def _words(text: str) -> int:
    return len(text.split())


def _called(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The function that is to be called: the named one, else the first, unless its result is already there."""
    tools, choice = body.get("tools") or [], body.get("tool_choice")
    if not tools or choice == "none" or body["messages"][-1]["role"] == "tool":
        return None
    functions = [tool[tool["type"]] for tool in tools]
    if isinstance(choice, dict) and choice["type"] == "function":
        functions = [function for function in functions if function["name"] == choice["function"]["name"]]
    return dict(functions[0])


def _answer(body: Mapping[str, Any]) -> str:
    last = body["messages"][-1]
    said = f"tool said: {_text(last['content'])}" if last["role"] == "tool" else None
    wanted = body.get("response_format") or {"type": "text"}
    asked = next((_text(m["content"]) for m in reversed(body["messages"]) if m["role"] == "user"), "")
    if wanted["type"] == "json_schema":
        return json.dumps(from_schema(wanted["json_schema"].get("schema", {"type": "object"})))
    if wanted["type"] == "json_object":
        return json.dumps({"echo": said or asked})
    return said or f"echo: {asked}"


def _cut(text: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """The text up to the first stop sequence and `max_tokens` words, and the finish reason."""
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        if stop:
            text = text.partition(stop)[0]
    pieces = _pieces(text)
    if len(pieces) > body["max_tokens"]:
        return "".join(pieces[: body["max_tokens"]]), "length"
    return text, "stop"


def _pieces(text: str) -> list[str]:
    """The text word by word, each with the white space before it."""
    pieces: list[str] = []
    position = 0
    for word in text.split():
        end = text.index(word, position) + len(word)
        pieces.append(text[position:end])
        position = end
    if position < len(text) and pieces:
        pieces[-1] += text[position:]
    return pieces


def echo(body: Mapping[str, Any]) -> Completion:
    """The completion of an OpenAI chat body that has passed `chat_body.parse` and been given `max_tokens`."""
    prompt = sum(_words(_text(message.get("content"))) for message in body["messages"])
    identity = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:24]
    samples = body.get("n") or 1
    function = _called(body)
    if function is None:
        text, finish = _cut(_answer(body), body)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        deltas: list[dict[str, Any]] = [
            {"role": "assistant", "content": ""},
            *({"content": piece} for piece in _pieces(text)),
        ]
        output = _words(text)
    else:
        arguments = json.dumps(from_schema(function.get("parameters") or {"type": "object"}))
        call = {
            "id": f"call_{identity}",
            "type": "function",
            "function": {"name": function["name"], "arguments": arguments},
        }
        message = {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}
        head = {**call, "index": 0, "function": {"name": function["name"], "arguments": ""}}
        deltas = [
            {"role": "assistant", "content": None, "tool_calls": [head]},
            *({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in _pieces(arguments)),
        ]
        finish, output = "tool_calls", _words(arguments)
    return Completion(identity, message, deltas, finish, prompt, output * samples, samples)
