"""The figures that the models' quality is told by."""

import pytest

from bench.quality import scores
from bench.quality.tasks import read


def test_chrf_of_the_same_of_nothing_alike_and_of_something_between() -> None:
    assert scores.chrf("the black dog", "the black dog") == pytest.approx(100)
    assert scores.chrf("xyz", "the black dog") == 0
    assert scores.chrf("", "the black dog") == 0
    assert 40 < scores.chrf("the black cat", "the black dog") < 90


def test_chrf_weighs_what_is_missing_more_than_what_is_too_much() -> None:
    assert scores.chrf("the black", "the black dog") < scores.chrf("the black dog", "the black")


def test_a_tie_is_no_first_place() -> None:
    assert scores.reciprocal_rank([0.5, 0.4, 0.1], 0) == 1
    assert scores.reciprocal_rank([0.5, 0.5, 0.1], 0) == 0.5
    assert scores.reciprocal_rank([0.1, 0.5, 0.4], 0) == pytest.approx(1 / 3)


def test_precision_and_recall() -> None:
    pairs = [(True, True), (True, False), (False, True), (False, True), (False, False)]
    assert scores.precision_recall(pairs) == pytest.approx((1 / 2, 1 / 3))
    assert scores.precision_recall([(False, False)]) == (1.0, 1.0)


def test_the_sets_are_as_large_as_their_figures_claim() -> None:
    assert len(read("ranking")["queries"]) >= 30
    assert sum(map(len, read("labels")["test"].values())) >= 40
    assert len(read("moderation")["test"]) >= 60


def test_what_the_choices_were_made_on_is_not_measured_on() -> None:
    labels, moderation = read("labels"), read("moderation")
    for name in labels["sets"]:
        assert not {text for text, _ in labels["fit"][name]} & {text for text, _ in labels["test"][name]}
    assert not {row["text"] for row in moderation["fit"]} & {row["text"] for row in moderation["test"]}
