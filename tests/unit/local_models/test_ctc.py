"""The text of a line out of what is likely at each step."""

import pytest

pytest.importorskip("numpy", reason="local models: not installed: numpy")

import numpy as np

from local.models.ctc import SpacedDecoder

BLANK, A, B, SPACE = range(4)
decode = SpacedDecoder(["blank", "a", "b", " "])


def line(*steps: int, space: float = 0.0) -> list[list[float]]:
    """Each step sure of one class; the blanks between leave this much to the space."""
    rows = []
    for step in steps:
        row = [0.0] * 4
        row[step] = 1.0 if step != BLANK else 1.0 - space
        row[SPACE] += space if step == BLANK else 0.0
        rows.append(row)
    return rows


def text(*steps: int, space: float = 0.0) -> str:
    return decode(np.array([line(*steps, space=space)]))[0][0]


def test_repeated_steps_are_one_character_unless_a_blank_is_between() -> None:
    assert text(A, A, B, B, B) == "ab"
    assert text(A, BLANK, A) == "aa"


def test_a_space_counts_as_soon_as_it_is_likely_between_two_characters() -> None:
    assert text(A, BLANK, BLANK, B, space=0.05) == "a b"
    assert text(A, BLANK, BLANK, B, space=0.001) == "ab"
    assert text(A, SPACE, B) == "a b"
    assert text(A, BLANK, SPACE, BLANK, B, space=0.05) == "a b"


def test_no_space_is_put_around_a_line() -> None:
    assert text(BLANK, A, BLANK, space=0.4) == "a"


def test_nothing_is_an_empty_text() -> None:
    assert decode(np.array([line(BLANK, BLANK)])) == [("", 0.0)]


def test_the_score_is_how_sure_the_characters_are() -> None:
    likely = np.array([[[0, 0.8, 0.2, 0], [1, 0, 0, 0], [0, 0.4, 0.6, 0]]])
    ((_, score),) = decode(likely)
    assert score == pytest.approx(0.7)
