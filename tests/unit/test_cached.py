"""An answer as the cache keeps it, and which answers are whole."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.cached import CachedAnswer, is_complete
from aig.modalities.usage import Usage
from tests.unit.money.strategies import usages

ANSWER = CachedAnswer("v/m", "provider", "m-1", Usage({"input_tokens": 1}, service_tier="flex"), ({"id": "é"},))


@given(usages, st.booleans(), st.lists(st.dictionaries(st.text(), st.integers()), min_size=1))
def test_an_answer_survives_its_bytes(usage: Usage, estimated: bool, pieces: list[dict[str, Any]]) -> None:
    told = Usage(usage.units, estimated, usage.service_tier)
    made = CachedAnswer("v/m", "provider", "m-1", told, tuple(pieces))
    assert CachedAnswer.load(made.dump()) == made


def broken(**changes: Any) -> bytes:
    return json.dumps({**json.loads(ANSWER.dump()), **changes}).encode()


def usage(**changes: Any) -> dict[str, Any]:
    return {"units": {}, "estimated": False, "service_tier": None, **changes}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        broken(pieces=[]),
        broken(pieces=["text"]),
        broken(pieces=None),
        broken(usage=None),
        broken(usage=usage(units=None)),
        broken(usage=usage(units={"input_tokens": -1})),
        broken(usage=usage(units={"input_tokens": 1.5})),
        broken(usage=usage(units={"input_tokens": True})),
        broken(usage=usage(units={"wishes": 3})),
    ],
)
def test_garbage_is_no_answer(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"cached answer|JSON|Expecting|utf-8"):
        CachedAnswer.load(data)


def piece(*ends: tuple[int | None, str | None]) -> dict[str, Any]:
    return {"choices": [{"index": index, "finish_reason": end} for index, end in ends]}


@pytest.mark.parametrize(
    ("pieces", "complete"),
    [
        ([piece((0, "stop"))], True),
        ([piece((0, "length")), {"choices": []}], True),
        ([piece((0, None)), piece((0, "tool_calls"))], True),
        ([piece((0, "stop")), piece((0, None))], True),  # what comes behind the end does not open it again
        ([piece((None, "stop"))], True),
        ([{"object": "list", "data": []}], True),  # embeddings have no choices
        ([{"choices": None}], True),
        ([piece((0, None))], False),
        ([piece((0, "error"))], False),
        ([piece((0, "stop"), (1, None))], False),
        ([piece((0, "stop")), piece((1, "error"))], False),
    ],
)
def test_an_answer_is_complete_when_all_its_choices_have_ended_well(pieces: list[Any], complete: bool) -> None:
    assert is_complete(pieces) is complete
