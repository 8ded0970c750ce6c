"""How far a text is from what it should be."""

from hypothesis import given
from hypothesis import strategies as st

from bench.quality.edits import distance, words


def test_insertions_deletions_and_replacements_count_one_each() -> None:
    assert distance("kitten", "sitting") == 3
    assert distance(["the", "cat", "sat"], ["the", "bat", "sat", "down"]) == 2
    assert distance("", "abc") == distance("abc", "") == 3


@given(st.text("ab", max_size=8), st.text("ab", max_size=8))
def test_it_is_the_same_both_ways_and_nothing_only_between_equals(one: str, other: str) -> None:
    assert distance(one, other) == distance(other, one)
    assert (distance(one, other) == 0) == (one == other)
    assert abs(len(one) - len(other)) <= distance(one, other) <= max(len(one), len(other))


def test_words_have_neither_case_nor_punctuation() -> None:
    assert words("Well-known, isn't it?") == ["well", "known", "isn't", "it"]
