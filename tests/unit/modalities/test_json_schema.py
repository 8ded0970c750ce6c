"""Which JSON schemas of a client's are passed on."""

from typing import Any

import pytest

from aig.modalities.json_schema import MAX_CHAIN, MAX_DEPTH, check, resolve


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


LINKED = {
    "$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {}]}}}},
    "$ref": "#/$defs/node",
}

GOOD: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False},
    {"type": ["string", "null"]},
    {"enum": [1, "a", None]},
    {"const": {"any": "thing"}},
    {"type": "array", "items": True, "prefixItems": [{"type": "integer"}, False]},
    {"anyOf": [{"type": "string"}, {"allOf": [{}, {"oneOf": [{"not": {"type": "null"}}]}]}]},
    {"if": {"type": "string"}, "then": {}, "else": False, "contains": {}, "propertyNames": {"pattern": "^a"}},
    {"patternProperties": {"^(a+)+$": {"type": "string", "pattern": "(a+)+$"}}},  # patterns are never run
    {"definitions": {"a": {"type": "null"}}, "$ref": "#/definitions/a"},
    {"$defs": {"a/b": {"type": "null"}, "c~d": {"$ref": "#/$defs/a~1b"}}, "$ref": "#/$defs/c~0d"},
    {"type": "object", "properties": {"self": {"$ref": "#"}}},
    LINKED,
    {"properties": {"$ref": {"type": "string"}, "type": {"type": "string"}, "enum": {}}},  # names, not keywords
    {"title": "T", "description": "d", "default": [], "examples": [1], "x-mine": {"type": "not a schema"}},
    nested(MAX_DEPTH),
    # A pointer may go through a list, and is percent-encoded in a URI: RFC 6901, 6.
    {"properties": {"a": {"anyOf": [{"type": "string"}]}, "b": {"$ref": "#/properties/a/anyOf/0"}}},
    {"definitions": {"Page<User>": {"type": "object"}}, "$ref": "#/definitions/Page%3CUser%3E"},
]

BAD: list[tuple[Any, str]] = [
    (None, "must be an object"),
    (True, "must be an object"),
    ([], "must be an object"),
    ({"type": "text"}, "'text' is not a JSON schema type"),
    ({"type": ["string", "text"]}, "'text' is not a JSON schema type"),
    ({"minimum": "1"}, "minimum must be a number"),
    ({"type": []}, "type must name a type"),
    (
        {"$defs": {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(MAX_CHAIN + 1)}, "$ref": "#/$defs/d0"},
        f"behind more than {MAX_CHAIN} others",
    ),
    ({"type": 5}, "5 is not a JSON schema type"),
    ({"type": {"a": 1}}, "is not a JSON schema type"),
    ({"type": [["string"]]}, "is not a JSON schema type"),
    ({"enum": []}, "enum must be a list that is not empty"),
    ({"enum": {"a": 1}}, "enum must be a list that is not empty"),
    ({"required": "city"}, "required must be a list of property names"),
    ({"required": [1]}, "required must be a list of property names"),
    ({"properties": ["city"]}, "properties must be an object"),
    ({"$defs": []}, r"\$defs must be an object"),
    ({"anyOf": {"type": "string"}}, "anyOf must be a list"),
    ({"items": "string"}, "neither an object nor a boolean"),
    ({"items": None}, "neither an object nor a boolean"),
    ({"properties": {"a": {"properties": {"b": 1}}}}, "neither an object nor a boolean"),
    ({"anyOf": [{"type": "string"}, "string"]}, "neither an object nor a boolean"),
    ({"$ref": 5}, r"\$ref must be a string"),
    ({"$ref": "https://example.com/schema.json"}, "not local"),
    ({"$ref": "other.json#/a"}, "not local"),
    ({"$ref": ""}, "not local"),
    ({"$ref": "#/$defs/missing"}, "points nowhere"),
    ({"$ref": "#/type/a", "type": "string"}, "points nowhere"),
    ({"items": {"$ref": "#missing"}}, "points nowhere"),
    ({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#/$defs/b"}}}, "points nowhere"),
    ({"$ref": "#"}, "refers to itself without end"),
    ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "refers to itself without end"),
    (nested(MAX_DEPTH + 1), "nested deeper than 64"),
]


@pytest.mark.parametrize("schema", GOOD, ids=lambda schema: repr(schema)[:60])
def test_passed(schema: dict[str, Any]) -> None:
    check(schema)


@pytest.mark.parametrize(("schema", "why"), BAD, ids=lambda value: repr(value)[:60])
def test_refused(schema: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check(schema)


@pytest.mark.parametrize(
    "key", ["items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames"]
)
def test_a_schema_in_any_place_is_looked_at(key: str) -> None:
    with pytest.raises(ValueError, match="not a JSON schema type"):
        check({key: {"type": "text"}})


def test_depth_beyond_what_the_interpreter_can_recurse() -> None:
    with pytest.raises(ValueError, match="nested deeper than 64"):
        check(nested(10_000))


def test_a_long_chain_of_references_is_refused() -> None:
    """Every link is followed to the end of the chain from every schema in it: the work grows with the square."""
    links: dict[str, Any] = {f"d{number}": {"$ref": f"#/$defs/d{number + 1}"} for number in range(1_000)}
    with pytest.raises(ValueError, match=r"\$ref"):
        check({"$defs": {**links, "d1000": {}}, "$ref": "#/$defs/d0"})


def test_resolve_unescapes_a_pointer() -> None:
    root = {"$defs": {"a/b": {"c~d": {"type": "null"}}}}
    assert resolve(root, "#/$defs/a~1b/c~0d") == {"type": "null"}
    assert resolve(root, "#") is root
