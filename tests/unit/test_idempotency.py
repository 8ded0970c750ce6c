"""What an idempotency key stands for."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import Conflict, InvalidRequest
from aig.idempotency import Answer, Record, fingerprint, judge, name

ANSWER = Answer(200, "{}")
keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)
texts = st.text(st.characters(codec="utf-8"))
bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@given(keys, keys)
def test_a_key_stands_for_one_operation_and_is_not_stored_itself(one: str, other: str) -> None:
    assert (name("top-ups", one) == name("top-ups", other)) == (one == other)
    assert name("top-ups", one) != name("jobs", one)
    assert len(name("top-ups", one)) == 64


@pytest.mark.parametrize("key", ["", "a" * 256, "ü", "a\n", "\x7f"])
def test_what_is_no_key(key: str) -> None:
    with pytest.raises(InvalidRequest):
        name("top-ups", key)


@given(st.dictionaries(texts, bodies, max_size=5), st.randoms())
def test_the_order_of_fields_does_not_matter(body: dict[str, object], shuffled: random.Random) -> None:
    names = list(body)
    shuffled.shuffle(names)
    assert fingerprint({key: body[key] for key in names}) == fingerprint(json.loads(json.dumps(body)))


@given(st.integers(), st.integers())
def test_another_value_does(one: int, other: int) -> None:
    assert (fingerprint({"amount": one}) == fingerprint({"amount": other})) == (one == other)
    assert fingerprint({"amount": one}) != fingerprint({"amount": str(one)})


class TestJudging:
    def test_the_same_body_gets_the_answer(self) -> None:
        assert judge(Record("f", "topup_1", 0, ANSWER), "f", 100) == ANSWER

    @pytest.mark.parametrize("answer", [None, ANSWER])
    @pytest.mark.parametrize("until", [0, 200])
    def test_another_body_is_a_conflict_whatever_became_of_the_first(self, answer: Answer | None, until: int) -> None:
        with pytest.raises(Conflict) as refused:
            judge(Record("f", "topup_1", until, answer), "g", 100)
        assert refused.value.code == "idempotency_mismatch"

    def test_while_the_first_is_worked_on_the_second_has_to_wait(self) -> None:
        with pytest.raises(Conflict) as refused:
            judge(Record("f", "topup_1", 101, None), "f", 100)
        assert (refused.value.code, refused.value.retry_after) == ("idempotency_in_progress", 1)

    def test_of_one_that_has_died_the_next_takes_over(self) -> None:
        assert judge(Record("f", "topup_1", 100, None), "f", 100) is None
