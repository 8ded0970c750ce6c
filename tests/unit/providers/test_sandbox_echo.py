"""What `sandbox/echo` says: the rules of its documentation, one by one."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities import json_schema
from aig_providers.sandbox_echo import echo, from_schema

USER = {"role": "user", "content": "What is  up?\n"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
CALL = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
RESULT = {"role": "tool", "tool_call_id": "c", "content": "sunny, 20 degrees"}


def tool(name: str, parameters: Any = CITY) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def body(**fields: Any) -> dict[str, Any]:
    return {"messages": [USER], "max_tokens": 1000, **fields}


def schema_format(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


def parts(*texts: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in texts] + [{"type": "image_url", "image_url": {"url": "u"}}]


@pytest.mark.parametrize(
    ("sent", "text", "finish", "prompt", "output"),
    [
        (body(), "echo: What is  up?\n", "stop", 3, 4),
        (body(messages=[USER, {"role": "assistant", "content": "a b"}]), "echo: What is  up?\n", "stop", 5, 4),
        (body(messages=[{"role": "system", "content": "be brief"}]), "echo: ", "stop", 2, 1),
        (body(messages=[{"role": "user", "content": parts("one two", "three")}]), "echo: one two three", "stop", 3, 4),
        (body(messages=[{"role": "user", "content": ""}]), "echo: ", "stop", 0, 1),
        (body(messages=[USER, CALL, RESULT]), "tool said: sunny, 20 degrees", "stop", 6, 5),
        (body(messages=[USER, CALL, RESULT], tools=[tool("f")]), "tool said: sunny, 20 degrees", "stop", 6, 5),
        (body(tools=[tool("f")], tool_choice="none"), "echo: What is  up?\n", "stop", 3, 4),
        (body(tools=[]), "echo: What is  up?\n", "stop", 3, 4),
        (body(response_format={"type": "text"}), "echo: What is  up?\n", "stop", 3, 4),
        (body(response_format={"type": "json_object"}), '{"echo": "What is  up?\\n"}', "stop", 3, 4),
        (body(response_format=schema_format(CITY)), '{"city": "Paris", "days": 7}', "stop", 3, 4),
        (body(response_format={"type": "json_schema", "json_schema": {"name": "n"}}), "{}", "stop", 3, 1),
        (body(max_tokens=4), "echo: What is  up?\n", "stop", 3, 4),
        (body(max_tokens=3), "echo: What is", "length", 3, 3),
        (body(max_tokens=1), "echo:", "length", 3, 1),
        (body(stop="is"), "echo: What ", "stop", 3, 2),
        (body(stop=["up", "What"]), "echo: ", "stop", 3, 1),
        (body(stop=[""]), "echo: What is  up?\n", "stop", 3, 4),
        (body(stop="up", max_tokens=2), "echo: What", "length", 3, 2),
        (body(n=3), "echo: What is  up?\n", "stop", 3, 12),
        (body(n=None, stop=None, tools=None, response_format=None), "echo: What is  up?\n", "stop", 3, 4),
    ],
)
def test_text(sent: dict[str, Any], text: str, finish: str, prompt: int, output: int) -> None:
    completion = echo(sent)
    assert completion.message == {"role": "assistant", "content": text, "refusal": None}
    assert (completion.finish_reason, completion.prompt_tokens, completion.output_tokens) == (finish, prompt, output)
    assert completion.samples == (sent.get("n") or 1)
    assert "".join(delta["content"] for delta in completion.deltas) == text


def test_a_stream_goes_word_by_word() -> None:
    deltas = [delta["content"] for delta in echo(body()).deltas]
    assert deltas == ["", "echo:", " What", " is", "  up?\n"]


@given(st.text(), st.integers(1, 20))
def test_the_pieces_of_any_text_are_the_text(text: str, most: int) -> None:
    completion = echo(body(messages=[{"role": "user", "content": text}], max_tokens=most))
    said = completion.message["content"]
    assert "".join(delta["content"] for delta in completion.deltas) == said
    assert completion.output_tokens == len(said.split()) <= most
    assert f"echo: {text}".startswith(said)
    assert (completion.finish_reason == "length") == (len(f"echo: {text}".split()) > most)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (None, "first"),
        ("auto", "first"),
        ("required", "first"),
        ({"type": "function", "function": {"name": "second"}}, "second"),
    ],
)
def test_one_call_of_the_chosen_tool_or_the_first(choice: Any, name: str) -> None:
    completion = echo(body(tools=[tool("first"), tool("second")], tool_choice=choice))
    (call,) = completion.message["tool_calls"]
    assert completion.message["content"] is None
    assert call["function"] == {"name": name, "arguments": '{"city": "Paris", "days": 7}'}
    assert (completion.finish_reason, completion.prompt_tokens, completion.output_tokens) == ("tool_calls", 3, 4)


def test_the_pieces_of_a_call_are_the_call() -> None:
    completion = echo(body(tools=[tool("f")]))
    (call,) = completion.message["tool_calls"]
    head, *rest = [delta["tool_calls"][0] for delta in completion.deltas]
    assert (head["id"], head["index"], head["function"]["name"]) == (call["id"], 0, "f")
    assert all(piece["index"] == 0 and piece.keys() == {"index", "function"} for piece in rest)
    said = head["function"]["arguments"] + "".join(piece["function"]["arguments"] for piece in rest)
    assert said == call["function"]["arguments"]
    assert len(rest) > 1


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}])
def test_a_tool_without_parameters_is_called_without_arguments(parameters: Any) -> None:
    (call,) = echo(body(tools=[tool("f", parameters)])).message["tool_calls"]
    assert call["function"]["arguments"] == "{}"


def test_the_same_request_gives_the_same_answer_and_id() -> None:
    assert echo(body()) == echo(body())
    assert echo(body()).id != echo(body(seed=1)).id


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": {"a": 1}, "enum": [2]}, {"a": 1}),
        ({"const": None}, None),
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        ({"oneOf": [{"type": "boolean"}]}, True),
        ({"allOf": [CITY]}, {"city": "Paris", "days": 7}),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"type": "null"}}}, {"a": None}),
        ({"type": "array"}, ["Paris"]),
        ({"type": "array", "items": {"type": "number"}}, [7.5]),
        ({"type": "integer"}, 7),
        ({"type": "integer", "minimum": 3}, 7),
        ({"type": "integer", "minimum": 12}, 12),
        ({"type": "integer", "minimum": 11.5}, 12),
        ({"type": "number", "minimum": 8}, 8),
        ({"type": "number", "minimum": -1}, 7.5),
        ({"type": ["null", "string"]}, None),
        ({"type": "string"}, "Paris"),
        ({}, "Paris"),
        (True, "Paris"),
        (False, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}}, True),
    ],
    ids=repr,
)
def test_values_from_schemas(schema: Any, value: Any) -> None:
    made = from_schema(schema)
    assert made == value
    assert type(made) is type(value)


_leaves = st.one_of(
    st.sampled_from([{"type": kind} for kind in ("string", "boolean", "null", "object", "array", "integer", "number")]),
    st.builds(lambda low: {"type": "integer", "minimum": low}, st.integers(-100, 100)),
    st.builds(lambda low: {"type": "number", "minimum": low}, st.floats(-100, 100)),
    st.builds(lambda value: {"const": value}, st.none() | st.booleans() | st.integers() | st.text(max_size=5)),
    st.builds(lambda values: {"enum": values}, st.lists(st.integers() | st.text(max_size=5), min_size=1, max_size=3)),
    st.just({"$ref": "#/$defs/shared"}),
)


def _object(properties: dict[str, Any], closed: bool) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": sorted(properties)}
    return {**schema, "additionalProperties": False} if closed else schema


def _branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(_object, st.dictionaries(st.text(max_size=5), inner, max_size=4), st.booleans()),
        st.builds(lambda items: {"type": "array", "items": items, "minItems": 1}, inner),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda kinds: {"type": kinds}, st.lists(st.sampled_from(["string", "null"]), min_size=1, unique=True)
        ),
    )


schemas = st.builds(
    lambda schema, shared: {"$defs": {"shared": shared}, "properties": {"value": schema}, "required": ["value"]},
    st.recursive(_leaves, _branches, max_leaves=12),
    st.sampled_from([CITY, {"type": "boolean"}]),
)


@given(schemas)
def test_a_value_made_from_a_schema_fits_it(schema: dict[str, Any]) -> None:
    json_schema.check(schema)
    value = json.loads(json.dumps(from_schema(schema)))
    jsonschema.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": []},
        {"type": "integer", "minimum": "5"},
        {"type": "integer", "minimum": None},
        {"type": "number", "minimum": [1]},
        {"type": "object", "properties": {"next": {"$ref": "#"}}},
        {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]},
        {"type": "array", "items": {"$ref": "#"}},
        {"anyOf": [{"$ref": "#"}]},
        {"anyOf": [], "type": "string"},
    ],
    ids=repr,
)
def test_a_schema_is_refused_or_filled_in(schema: dict[str, Any]) -> None:
    try:
        json_schema.check(schema)
    except ValueError:
        return
    json.dumps(from_schema(schema))


def test_a_small_schema_does_not_make_a_huge_answer() -> None:
    schema = {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}}
    json_schema.check(schema)
    assert len(json.dumps(from_schema(schema))) < 100_000
