"""Cutting texts for the translator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.models.sentences import MOST_WORDS, cut


def sentences(text: str) -> list[str]:
    return [piece for piece in cut(text) if not piece.isspace()]


@given(st.text(alphabet="aB1 .!?,\n\t\"'é", max_size=300))
def test_nothing_is_lost(text: str) -> None:
    assert "".join(cut(text)) == text


@given(st.lists(st.sampled_from(["word", "clause,", "end.", "End", "\n"]), max_size=400).map(" ".join))
def test_no_piece_is_too_long(text: str) -> None:
    assert all(len(piece.split()) <= MOST_WORDS for piece in cut(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("A title\n\nAnd a text.", ["A title", "And a text."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Mr. Smith met Dr. Jones.", ["Mr. Smith met Dr. Jones."]),
        ("It is 3.5 metres, e.g. here.", ["It is 3.5 metres, e.g. here."]),
        ("Onde? Água!", ["Onde?", "Água!"]),
        ("  padded  ", ["padded"]),
    ],
)
def test_sentences_end_where_a_reader_sees_it(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_a_long_sentence_is_cut_behind_a_comma() -> None:
    text = ", ".join(["ten words make up a clause of this long sentence"] * 9)
    assert all(piece.endswith(",") for piece in sentences(text)[:-1])
    assert len(sentences(text)) > 1
