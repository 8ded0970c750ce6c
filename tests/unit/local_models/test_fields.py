"""The checks that the local models' routes share."""

from typing import Any

import pytest

from local.models import fields
from local.models.errors import BadRequestError


def test_one_text_is_a_list_of_one() -> None:
    assert fields.texts({"input": "a"}, "input", 2) == ["a"]
    assert fields.texts({"input": ["a", "b"]}, "input", 2) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (None, "input"),
        ([], "input"),
        ({}, "input"),
        (["a", "b", "c"], "input"),
        ("  ", "input"),
        (["a", ""], "input[1]"),
        (["a", 1], "input[1]"),
        ("\ud800", "input"),
    ],
)
def test_what_is_no_text_is_refused_by_its_place(value: Any, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        fields.texts({"input": value}, "input", 2)
    assert caught.value.param == param


@pytest.mark.parametrize("value", [True, "1", 3, -0.1])
def test_numbers_keep_to_their_bounds(value: Any) -> None:
    with pytest.raises(BadRequestError, match="threshold"):
        fields.number({"threshold": value}, "threshold", 0, 1)
    assert fields.number({"threshold": 0.5}, "threshold", 0, 1) == 0.5
    assert fields.number({}, "threshold", 0, 1) is None
