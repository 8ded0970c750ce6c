"""Ids have one form, sort by time and do not repeat."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aig.ids import Ids, Prefix, derived
from tests.unit.clock import FixedClock

FORM = re.compile(r"(acct|adj|key|refund|req|topup|txn)_[0-7][0-9A-HJKMNP-TV-Z]{25}")
prefixes: st.SearchStrategy[Prefix] = st.sampled_from(["acct", "adj", "key", "refund", "req", "topup", "txn"])
milliseconds = st.integers(0, 2**44)


@given(prefixes, milliseconds)
def test_the_form(prefix: Prefix, now: int) -> None:
    text = Ids(FixedClock(now / 1000)).new(prefix)
    assert FORM.fullmatch(text)
    assert text.startswith(f"{prefix}_")


@given(milliseconds, st.integers(2, 10**6))
def test_a_later_id_sorts_after_an_earlier_one(now: int, later: int) -> None:
    assert Ids(FixedClock(now / 1000)).new("req") < Ids(FixedClock((now + later) / 1000)).new("req")


def test_the_time_is_that_of_the_ulid_specification() -> None:
    # https://github.com/ulid/spec: 1469918176385 ms is written 01ARYZ6S41.
    assert Ids(FixedClock(1469918176.385)).new("req").startswith("req_01ARYZ6S41")


def test_ids_of_one_instant_differ_in_all_of_their_random_part() -> None:
    ids = Ids(FixedClock(1_795_305_600.0))
    made = [ids.new("txn") for _ in range(1000)]
    assert len(set(made)) == len(made)
    assert len({text[:14] for text in made}) == 1
    for position in range(14, 30):
        assert len({text[position] for text in made}) == 32
    assert any(a > b for a, b in pairwise(made))


@given(prefixes, st.integers(0, 2**34), st.text(st.characters(codec="utf-8")))
def test_what_is_derived_has_the_form_too_and_is_always_the_same(prefix: Prefix, at: int, text: str) -> None:
    made = derived(prefix, at, text)
    assert FORM.fullmatch(made)
    assert made == derived(prefix, at, text)
    assert made != derived(prefix, at, f"{text}!")
    assert made[: len(prefix) + 11] == Ids(FixedClock(float(at))).new(prefix)[: len(prefix) + 11]
