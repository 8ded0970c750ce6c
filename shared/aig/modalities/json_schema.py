"""Whether a JSON schema that a client sends is one: enough to fail early, before a provider is paid to say so.

Patterns are never run. A recursive schema is fine as long as the recursion passes through a value.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

MAX_SCHEMA_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_CHAIN = 16  # references that lead to references
_TYPES = {"object", "array", "string", "number", "integer", "boolean", "null"}
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLES = ("items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames")


def resolve(root: Any, reference: str) -> Any:
    """What a local `$ref` points at. Raises ValueError if it is not local or points nowhere."""
    if not reference.startswith("#"):
        raise ValueError(f"$ref {reference!r} is not local: it must start with '#'")
    first, *parts = unquote(reference[1:]).split("/")
    node = root
    for part in parts:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and re.fullmatch(r"\d{1,6}", key, re.ASCII) and int(key) < len(node):
            node = node[int(key)]
        else:
            raise ValueError(f"$ref {reference!r} points nowhere")
    if first:
        raise ValueError(f"$ref {reference!r} points nowhere: after '#' comes '/'")
    return node


def _check_reference(root: Any, schema: dict[str, Any]) -> None:
    seen: set[str] = set()
    node: Any = schema
    while isinstance(node, dict) and isinstance(reference := node.get("$ref"), str):
        if reference in seen:
            raise ValueError(f"$ref {reference!r} refers to itself without end")
        if len(seen) == MAX_CHAIN:
            raise ValueError(f"$ref {reference!r} is behind more than {MAX_CHAIN} others")
        seen.add(reference)
        node = resolve(root, reference)


def _check_keywords(schema: dict[str, Any]) -> None:
    types = schema.get("type", "string")
    if types == []:
        raise ValueError("type must name a type")
    for name in types if isinstance(types, list) else [types]:
        if not isinstance(name, str) or name not in _TYPES:
            raise ValueError(f"{name!r} is not a JSON schema type")
    if "enum" in schema and not (isinstance(schema["enum"], list) and schema["enum"]):
        raise ValueError("enum must be a list that is not empty")
    required = schema.get("required", [])
    if not (isinstance(required, list) and all(isinstance(name, str) for name in required)):
        raise ValueError("required must be a list of property names")
    for bound in _BOUNDS:
        if bound in schema and type(schema[bound]) not in (int, float):
            raise ValueError(f"{bound} must be a number")
    if "$ref" in schema and not isinstance(schema["$ref"], str):
        raise ValueError("$ref must be a string")


def _children(schema: dict[str, Any]) -> Iterator[Any]:
    for key in _MAPS:
        value = schema.get(key, {})
        if not isinstance(value, dict):
            raise ValueError(f"{key} must be an object")
        yield from value.values()
    for key in _LISTS:
        value = schema.get(key, [])
        if not isinstance(value, list):
            raise ValueError(f"{key} must be a list")
        yield from value
    for key in _SINGLES:
        if key in schema:
            yield schema[key]


def check(root: Any) -> None:
    """Raises ValueError that says what is wrong with the schema."""
    if not isinstance(root, dict):
        raise ValueError("it must be an object")
    stack, followed = [(root, 0)], set[str]()
    while stack:
        schema, depth = stack.pop()
        if isinstance(schema, bool):
            continue
        if not isinstance(schema, dict):
            raise ValueError("a schema in it is neither an object nor a boolean")
        if depth > MAX_DEPTH:
            raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        _check_keywords(schema)
        if schema.get("$ref") not in followed:
            _check_reference(root, schema)
            followed.add(schema.get("$ref", ""))
        stack.extend((child, depth + 1) for child in _children(schema))
