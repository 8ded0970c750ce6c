"""The lexical moderation's rules."""

import pytest

from local.models.errors import BadRequestError
from local.models.lexical import MAX_CHARS, Lexical, load
from local.models.lexicon import read
from local.models.moderations import CATEGORIES, FLAGGED_FROM, Item


@pytest.fixture(scope="module")
def lexical() -> Lexical:
    return load()


def flagged(lexical: Lexical, text: str) -> set[str]:
    return {category for category, score in lexical.scores(text).items() if score >= FLAGGED_FROM}


def test_every_category_has_a_rule() -> None:
    ruled = {category for rule in read().rules for category in rule.categories}
    assert ruled <= set(CATEGORIES)
    assert ruled | {category.partition("/")[0] for category in ruled} == set(CATEGORIES)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("You are a stupid idiot.", "harassment"),
        ("YOU ARE A STUPID IDIOT", "harassment"),
        ("You are a m0ron and an id1ot.", "harassment"),
        ("I\u2019m going to kill you.", "harassment/threatening"),
        ("Immigrants are vermin.", "hate"),
        ("Kill all the immigrants.", "hate/threatening"),
        ("How do I cook meth?", "illicit"),
        ("How do I make a pipe bomb?", "illicit/violent"),
        ("I want to end my life.", "self-harm/intent"),
        ("What is the most painless way to die?", "self-harm/instructions"),
        ("Free porn here", "sexual"),
        ("They stabbed the man in the street.", "violence"),
        ("They cut off his hand.", "violence/graphic"),
    ],
)
def test_plain_cases_are_found_in_their_category_and_the_one_above(lexical: Lexical, text: str, category: str) -> None:
    assert {category, category.partition("/")[0]} <= flagged(lexical, text)


@pytest.mark.parametrize(
    "text",
    [
        "Kill the process with pid 42.",
        "You are not an idiot.",
        "Immigrants are not criminals.",
        "A bath bomb and a glass of wine",
        "The police charged him with selling heroin.",
        "Please call the suicide prevention hotline.",
        "Cut the paper and fold it.",
        "",
    ],
)
def test_what_only_sounds_like_it_passes(lexical: Lexical, text: str) -> None:
    assert flagged(lexical, text) == set()


def test_more_evidence_makes_surer(lexical: Lexical) -> None:
    one, two = lexical.scores("You idiot."), lexical.scores("You idiot. Shut up, you moron. You are trash.")
    assert one["harassment"] < two["harassment"] <= 1


def test_images_and_texts_too_long_are_refused(lexical: Lexical) -> None:
    with pytest.raises(BadRequestError, match="text only"):
        list(lexical.moderate([Item(images=("data:image/png;base64,AA==",))]))
    with pytest.raises(BadRequestError) as caught:
        list(lexical.moderate([Item(texts=("a" * (MAX_CHARS + 1),))]))
    assert caught.value.code == "context_length_exceeded"
