"""A body that two JSON parsers could read differently, or that could hurt us, is refused with a 400."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from aig.http.body import MAX_CONTAINERS, MAX_DEPTH, MAX_KEYS, parse_object

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> bytes:
    """An object that holds lists in lists, `depth` deep in all."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@given(st.dictionaries(st.text(), values, max_size=5), st.booleans())
def test_what_python_writes_is_read_back(value: dict[str, Any], ascii_only: bool) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=100))
def test_any_bytes_are_an_object_or_a_refusal(raw: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_object(raw), dict)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' \r\n\t{"a": 1}\n', {"a": 1}),
        (b'{"a": "\\u0000"}', {"a": "\0"}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ('{"a": "\U0001f600"}'.encode(), {"a": "\U0001f600"}),
        (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),  # a backslash and letters, no escape
        (b'{"a": {"b": 1}, "c": {"b": 1}}', {"a": {"b": 1}, "c": {"b": 1}}),
        (b'{"a": 1e308, "b": -0.0, "c": 1E+2}', {"a": 1e308, "b": -0.0, "c": 100.0}),
        (b'{"a": "[[[[{{{{' + b"[" * 100 + b'"}', {"a": "[[[[{{{{" + "[" * 100}),
    ],
)
def test_accepted(raw: bytes, value: dict[str, Any]) -> None:
    assert parse_object(raw) == value


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "it is empty"),
        (b" \n\t", "it is empty"),
        (b"null", "must be an object"),
        (b"[]", "must be an object"),
        (b'"x"', "must be an object"),
        (b"1", "must be an object"),
        (b'{"a": 1', "at character"),
        (b'{"a": 1,}', "at character"),
        (b'{"a": 1} x', "at character"),
        (b"{'a': 1}", "at character"),
        (b'{"a": 1 /* one */}', "at character"),
        (b'{"a": 01}', "at character"),
        (b'{"a": +1}', "at character"),
        (b'{"a": "\n"}', "at character"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "at character"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\xc3"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "\xc0\xaf"}', "not UTF-8"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\\uDFFF"}', "surrogate"),
        (b'{"a": "\\ude00\\ud83d"}', "surrogate"),
        (b'{"a": ["x", {"\\ud83d": 1}]}', "surrogate"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": Infinity}', "Infinity is not a JSON number"),
        (b'{"a": [-Infinity]}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "too large a number"),
        (b'{"a": -1e999}', "too large a number"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "too many digits"),
        (b'{"a": ' + b"9" * 5_000 + b".0}", "too large a number"),
        (b'{"model": "a", "model": "b"}', "'model' stands twice"),
        (b'{"model": "a", "mod\\u0065l": "b"}', "'model' stands twice"),
        (b'{"a": [{"b": 1, "b": 1}]}', "'b' stands twice"),
        (nested(MAX_DEPTH + 1), "deeper than 64"),
        (b'{"a": ' * 65 + b"1" + b"}" * 65, "deeper than 64"),
        (b'{"a": ' + b'{"a": [' * 40 + b"]}" * 40 + b"}", "deeper than 64"),
        (nested(1_000), "deeper than 64"),
        (nested(100_000), "deeper than 64"),
        (b"[" * 100_000, "deeper than 64"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_refused(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_object(raw)
    assert why in raised.value.message
    assert (raised.value.status, raised.value.code) == (400, "invalid_json")
    assert len(raised.value.message) < 300
    raised.value.message.encode()


def test_the_bounds_are_inside() -> None:
    assert parse_object(nested(MAX_DEPTH))
    keys = {f"k{number}": number for number in range(MAX_KEYS)}
    assert parse_object(json.dumps(keys).encode()) == keys
    with pytest.raises(InvalidRequest, match="more than 10000 keys"):
        parse_object(json.dumps({**keys, "one more": 0}).encode())


def test_a_body_of_nothing_but_objects_is_bounded() -> None:
    assert parse_object(b'{"a": [' + b",".join([b"{}"] * (MAX_CONTAINERS - 2)) + b"]}")
    with pytest.raises(InvalidRequest, match=f"more than {MAX_CONTAINERS} objects"):
        parse_object(b'{"a": [' + b",".join([b"{}"] * MAX_CONTAINERS) + b"]}")
    with pytest.raises(InvalidRequest, match=f"more than {MAX_CONTAINERS} objects"):
        parse_object(b'{"a": [' + b",".join([b"[]"] * MAX_CONTAINERS) + b"]}")
    braces = "{[" * MAX_CONTAINERS
    assert parse_object(json.dumps({"a": braces}).encode()) == {"a": braces}


def test_width_is_not_depth() -> None:
    wide = {"a": [[] for _ in range(1000)], "b": [{"c": [1]} for _ in range(1000)]}
    assert parse_object(json.dumps(wide).encode()) == wide


def test_a_key_of_any_length_is_shown_short() -> None:
    key = json.dumps("\u00e9" * 10_000)
    with pytest.raises(InvalidRequest) as raised:
        parse_object(f"{{{key}: 1, {key}: 2}}".encode())
    assert len(raised.value.message) < 300
