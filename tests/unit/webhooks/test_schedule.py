"""When attempts follow each other: never early, never much later, and as receivers ask within bounds."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.webhooks.schedule import ATTEMPTS, DELAYS_S, asked_s, wait_s

NOW = 1_795_000_000.0


def test_the_attempts_of_a_delivery_that_always_fails() -> None:
    waits = [wait_s(number, 0.0) for number in range(1, ATTEMPTS + 1)]
    assert list(accumulate(waits)) == [0, 30, 150, 750, 4350, 25_950]


@given(st.integers(1, ATTEMPTS), st.floats(0, 1), st.none() | st.floats(0, 1e9), st.floats(0.001, 1))
def test_a_wait_is_never_early_and_never_much_too_late(
    number: int, chance: float, asked: float | None, scale: float
) -> None:
    base, wait = DELAYS_S[number - 1] * scale, wait_s(number, chance, asked, scale)
    assert base <= wait * (1 + 1e-9)
    assert wait <= base * (1.1 if asked is None else 2.1) * (1 + 1e-9)


@pytest.mark.parametrize(("asked", "waited"), [(1.0, 30), (45.0, 45), (60.0, 60), (3600.0, 60)])
def test_a_receiver_may_ask_for_twice_the_wait(asked: float, waited: float) -> None:
    assert wait_s(2, 0.0, asked) == waited


@pytest.mark.parametrize(
    ("status", "header", "asked"),
    [
        (429, "45", 45.0),
        (503, " 45 ", 45.0),
        (500, "45", None),
        (None, "45", None),
        (429, "", None),
        (429, "-1", None),
        (429, "soon", None),
        (429, "Wed, 18 Nov 2026 11:07:20 GMT", 40.0),
        (429, "Wed, 18 Nov 2020 00:00:00 GMT", 0.0),
        (429, "Wed, 18 Nov 99999999999999999999 00:00:00 GMT", None),
    ],
)
def test_what_answers_ask_for(status: int | None, header: str, asked: float | None) -> None:
    assert asked_s(status, {"retry-after": header}, NOW) == asked


def test_an_answer_that_asks_for_nothing() -> None:
    assert asked_s(429, {}, NOW) is None
