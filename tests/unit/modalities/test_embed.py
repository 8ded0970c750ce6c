"""Embeddings: what a request asks for, how it is cut into batches, and vectors in either encoding."""

import math
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from aig.modalities import embed_body
from aig.modalities.demand import TEXT_IN
from aig.modalities.embed import (
    EmbedRequest,
    EmbedResult,
    Encoding,
    Text,
    batches,
    encoded,
    from_base64,
    max_tokens,
    to_base64,
)
from aig.modalities.usage import Usage

singles = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)
texts: st.SearchStrategy[Text] = st.one_of(
    st.text(min_size=1, max_size=30), st.lists(st.integers(0, 100), min_size=1, max_size=30).map(tuple)
)


def parse(**body: Any) -> EmbedRequest:
    return embed_body.parse({"model": "v/e", "input": "hi", **body})


@pytest.mark.parametrize(
    ("sent", "inputs"),
    [
        ("hi", ("hi",)),
        (["hi", "ho"], ("hi", "ho")),
        ([1, 2], ((1, 2),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
    ],
)
def test_the_four_forms_of_input(sent: Any, inputs: tuple[Text, ...]) -> None:
    made = parse(input=sent)
    assert made.inputs == inputs
    assert ("token_ids" in made.demand.capabilities) == isinstance(inputs[0], tuple)


@pytest.mark.parametrize(
    "sent", ["", [], [""], [[]], [1, "a"], ["a", 1], [[1], "a"], [-1], [2**31], [True], 1, None, {}, [[1.0]]]
)
def test_what_is_no_input_is_refused_by_its_name(sent: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(input=sent)
    assert (raised.value.param or "").startswith("input")


@pytest.mark.parametrize(
    "more", [{"dimensions": 0}, {"encoding_format": "hex"}, {"extra": 1}, {"input_type": "odd"}, {"model": ""}]
)
def test_fields_are_checked(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(**more)
    assert raised.value.param == next(iter(more))


def test_what_it_asks_of_a_model() -> None:
    demand = parse(input=["hi", "three"], dimensions=8, provider={"only": ["p"]}).demand
    assert demand.models == ("v/e",)
    assert demand.capabilities == {"embed", "dimensions"}
    assert (demand.input_tokens, demand.inputs) == (2 + 2 + 5 + 2, 2)
    assert (demand.output_tokens, demand.preferences, demand.input_units) == (0, {"only": ["p"]}, TEXT_IN)
    assert "dimensions" not in parse().demand.capabilities


def test_an_estimate_is_four_bytes_a_token_and_an_id_is_one() -> None:
    none = EmbedResult([], None)
    assert parse(input=["hello", "\u20ac"]).estimate(none) == Usage({"input_tokens": 2 + 1}, estimated=True)
    assert parse(input=[[1, 2, 3], [4]]).estimate(none).units == {"input_tokens": 4}


@given(st.lists(texts, max_size=40), st.integers(1, 7), st.none() | st.integers(1, 60))
def test_batches_keep_the_order_and_the_bounds(inputs: list[Text], most: int, tokens: int | None) -> None:
    made = list(batches(inputs, most, tokens))
    assert [text for batch in made for text in batch] == inputs
    for batch in made:
        assert 1 <= len(batch) <= most
        # One that is too long by itself goes alone, for the provider to say so.
        assert tokens is None or len(batch) == 1 or sum(max_tokens(text) for text in batch) <= tokens


@given(singles)
def test_base64_keeps_every_float(vector: list[float]) -> None:
    assert from_base64(to_base64(vector)) == vector
    assert encoded(vector, "base64") == to_base64(vector)
    assert encoded(to_base64(vector), "float") == vector
    assert encoded(vector, "float") == vector
    assert encoded(to_base64(vector), "base64") == to_base64(vector)


def test_base64_is_little_endian() -> None:
    assert to_base64([1.0]) == "AACAPw=="
    assert array("f", [1.0]).itemsize == 4


INFINITY, NOT_A_NUMBER = "AACAfw==", "AADAfw=="


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize(
    "odd",
    [
        None,
        [],
        {},
        1,
        [1, "a"],
        [None],
        [True],
        "no base64!",
        "AACA",
        "",
        "AACAPw=",
        INFINITY,
        NOT_A_NUMBER,
        [10**400],
        [-(10**400)],
        [1e300],
        [1.0, math.inf, -math.inf],
        [math.nan],
        "Incorrect API key sk-1, org-1",
    ],
    ids=lambda odd: repr(odd)[:30],
)
def test_what_is_no_vector(odd: Any, encoding: Encoding) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (of base64, of array, or ours)
        encoded(odd, encoding)


def test_the_greatest_float32_is_a_number() -> None:
    greatest = [3.4028234663852886e38] * 3
    assert from_base64(str(encoded(greatest, "base64"))) == greatest


@pytest.mark.parametrize("estimated", [False, True])
def test_the_answer_is_openais_list(estimated: bool) -> None:
    body = parse(input=["a", "b"]).answer(
        EmbedResult([[1.0], [2.0]], None), Usage({"input_tokens": 3}, estimated=estimated)
    )
    told = {"estimated": True} if estimated else {}
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1.0]},
            {"object": "embedding", "index": 1, "embedding": [2.0]},
        ],
        "usage": {"prompt_tokens": 3, "total_tokens": 3, **told},
    }


def test_its_schema_names_its_fields() -> None:
    assert set(embed_body.body_schema()["required"]) == {"model", "input"}
