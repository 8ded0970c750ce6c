"""What the text models' routes make of requests and results, without a model."""

import base64
import struct
from typing import Any

import pytest

from local.models import classifications, embeddings, moderations, rerank, translations
from local.models.classifications import Classified
from local.models.embeddings import Embedded
from local.models.errors import BadRequestError
from local.models.moderations import Item, Judged
from local.models.rerank import Relevance
from local.models.translations import Piece
from local.models.vader import sentiment


def test_base64_holds_the_numbers_of_the_floats() -> None:
    rows = [Embedded((0.5, -0.25), 3), Embedded((1.0, 0.0), 4)]
    plain = embeddings.render(embeddings.parse({"model": "m", "input": ["a", "b"]}), rows)
    encoded = embeddings.render(
        embeddings.parse({"model": "m", "input": ["a", "b"], "encoding_format": "base64"}), rows
    )
    assert [struct.unpack("<2f", base64.b64decode(row["embedding"])) for row in encoded["data"]] == [
        tuple(row["embedding"]) for row in plain["data"]
    ]
    assert plain["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert [row["index"] for row in plain["data"]] == [0, 1]


def test_as_many_inputs_as_openai_takes() -> None:
    assert len(embeddings.parse({"model": "m", "input": ["a"] * 2048}).inputs) == 2048


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"input": None}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1, 2]]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "int8"}, "encoding_format"),
        ({"dimensions": 384}, "dimensions"),
    ],
)
def test_embeddings_requests_are_refused_by_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        embeddings.parse({"model": "m", "input": "a", **change})
    assert caught.value.param == param


def test_the_best_document_comes_first_and_scores_stay_within_0_and_1() -> None:
    body = {"model": "m", "query": "q", "documents": ["a", {"text": "b"}, "c"], "return_documents": True}
    found = [Relevance(-0.2, 5), Relevance(1.0000001, 2), Relevance(-0.1, 3)]
    answer = rerank.render(rerank.parse(body), found)
    assert [row["index"] for row in answer["results"]] == [1, 2, 0]
    assert [row["relevance_score"] for row in answer["results"]] == [1, 0, 0]
    assert answer["results"][0]["document"] == {"text": "b"}
    assert answer["usage"]["total_tokens"] == 10
    top = rerank.render(rerank.parse({**body, "top_n": 1, "return_documents": False}), found)
    assert top["results"] == [{"index": 1, "relevance_score": 1.0}]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"query": ""}, "query"),
        ({"query": None}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": "a"}, "documents"),
        ({"documents": ["a"] * 1001}, "documents"),
        ({"documents": ["a", {"title": "b"}]}, "documents[1]"),
        ({"top_n": 0}, "top_n"),
        ({"return_documents": 1}, "return_documents"),
    ],
)
def test_rerank_requests_are_refused_by_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        rerank.parse({"model": "m", "query": "q", "documents": ["a"], **change})
    assert caught.value.param == param


def test_labels_come_best_first() -> None:
    body = {"model": "m", "input": ["x", "y"], "labels": ["a", "b"]}
    rows = [Classified({"a": 0.25, "b": 0.75}, 4), Classified({"a": 0.5, "b": 0.5}, 2)]
    answer = classifications.render(classifications.parse(body), rows)
    assert answer["results"][0] == {
        "index": 0,
        "label": "b",
        "score": 0.75,
        "labels": [{"label": "b", "score": 0.75}, {"label": "a", "score": 0.25}],
    }
    assert answer["usage"] == {"input_tokens": 6}


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"], ["a", ""], "ab", [1, 2], [str(n) for n in range(101)]])
def test_labels_that_cannot_be_chosen_from_are_refused(labels: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        classifications.parse({"model": "m", "input": "x", "labels": labels})
    assert str(caught.value.param).startswith("labels")


def test_one_label_is_enough_where_several_may_be_right() -> None:
    wanted = classifications.parse({"model": "m", "input": "x", "labels": ["a"], "multi_label": True})
    assert wanted.labels == ["a"]


def test_pieces_are_put_together_text_by_text() -> None:
    wanted = translations.parse({"model": "m", "text": ["a b", "c"], "target_lang": "PT-br"})
    answer = translations.render(wanted, [Piece(0, "en", "x"), Piece(0, "en", " y"), Piece(1, "pt", "z")])
    assert answer["translations"] == [
        {"text": "x y", "source_lang": "en", "target_lang": "pt"},
        {"text": "z", "source_lang": "pt", "target_lang": "pt"},
    ]
    assert answer["usage"] == {"characters": 4}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"text": None}, "text"),
        ({"text": "a" * 20_001}, "text"),
        ({"target_lang": None}, "target_lang"),
        ({"target_lang": "portuguese"}, "target_lang"),
        ({"source_lang": "e"}, "source_lang"),
        ({"source_lang": 1}, "source_lang"),
    ],
)
def test_translation_requests_are_refused_by_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        translations.parse({"model": "m", "text": "a", "target_lang": "pt", **change})
    assert caught.value.param == param


def test_strings_get_a_result_each_and_parts_one_together() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    assert moderations.parse(["a", "b"]) == [Item(("a",)), Item(("b",))]
    assert moderations.parse([{"type": "text", "text": "a"}, picture]) == [
        Item(("a",), ("data:image/png;base64,AA==",))
    ]


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (None, "input"),
        ([], "input"),
        ([{"type": "video"}], "input[0].type"),
        ([{"type": "text", "text": "a"}, "b"], "input[1].type"),
        ([{"type": "text"}], "input[0].text"),
        ([{"type": "image_url", "image_url": "x"}], "input[0].image_url.url"),
    ],
)
def test_moderation_inputs_are_refused_by_place(value: Any, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        moderations.parse(value)
    assert caught.value.param == param


def test_every_result_has_all_categories() -> None:
    answer = moderations.render("m", [Judged({"violence": 0.5, "hate": 0.49}, {"violence": ("text",)})])
    (row,) = answer["results"]
    assert row["flagged"] is True
    assert {category for category, on in row["categories"].items() if on} == {"violence"}
    assert set(row["categories"]) == set(row["category_scores"]) == set(row["category_applied_input_types"])
    assert len(row["categories"]) == 13
    assert row["category_applied_input_types"]["violence"] == ["text"]
    assert row["category_applied_input_types"]["hate"] == []


@pytest.mark.parametrize(
    ("compound", "label"), [(1, "positive"), (0.06, "positive"), (0.04, "neutral"), (0, "neutral"), (-0.06, "negative")]
)
def test_the_label_changes_where_vader_s_authors_say(compound: float, label: str) -> None:
    scores = sentiment(compound)
    assert max(scores, key=lambda name: scores[name]) == label
    assert sum(scores.values()) == pytest.approx(1)
    assert sentiment(1)["positive"] == 1
