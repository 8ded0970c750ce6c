"""Moderation on OpenAI's wire: texts side by side, or texts and pictures as one."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.moderate import CATEGORIES, ModerateRequest, ModerateResult
from aig.modalities.usage import Usage
from aig_providers.aigateway import parse_usage
from aig_providers.compatible_moderations import build_request, parse_response
from tests.unit.providers.replies import upstream

PICTURE = Picture(b"png", "image/png", 1, 1)


def asked(*inputs: tuple[str | Picture, ...]) -> ModerateRequest:
    return ModerateRequest(("acme/one",), inputs)


def verdict(**fields: Any) -> dict[str, Any]:
    return {
        "flagged": True,
        "categories": {name: name == "violence" for name in CATEGORIES},
        "category_scores": dict.fromkeys(CATEGORIES, 0.25) | {"violence": 1},
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES} | {"violence": ["text", "image"]},
        **fields,
    }


def parsed(results: Any, inputs: int = 1, **body: Any) -> ModerateResult:
    payload = json.dumps({"id": "modr-1", "model": "m", "results": results, **body}).encode()
    return parse_response(payload, asked(*[("a",)] * inputs))


class TestARequest:
    def test_texts(self) -> None:
        http = build_request(upstream(), asked(("a",), ("b",)))
        assert http.url == "https://acme.example/v1/moderations"
        assert json.loads(http.body) == {"model": "one-v1", "input": ["a", "b"]}

    def test_a_text_and_a_picture_are_judged_together(self) -> None:
        assert json.loads(build_request(upstream(), asked(("a", PICTURE))).body)["input"] == [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
        ]

    def test_so_are_two_texts_of_one_input(self) -> None:
        assert [part["text"] for part in json.loads(build_request(upstream(), asked(("a", "b"))).body)["input"]] == [
            "a", "b"
        ]  # fmt: skip

    @pytest.mark.parametrize("inputs", [[("a",), (PICTURE,)], [("a", "b"), ("c",)]])
    def test_several_that_are_more_than_texts_are_refused_unasked(self, inputs: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            build_request(upstream(), asked(*inputs))
        assert (raised.value.param, raised.value.unasked) == ("input", True)


class TestAnAnswer:
    def test_a_verdict(self) -> None:
        (found,) = parsed([verdict()]).verdicts
        assert found.flagged == {"violence"}
        assert (found.scores["violence"], found.scores["hate"]) == (1.0, 0.25)
        assert found.applied is not None
        assert (found.applied["violence"], found.applied["hate"]) == (["text", "image"], ["text"])

    def test_a_model_that_knows_fewer_categories(self) -> None:
        told = {"categories": {"hate": False, "illicit": None}, "category_scores": {"hate": 0.1, "illicit": None}}
        (found,) = parsed([verdict(**told, category_applied_input_types=None)]).verdicts
        assert (found.flagged, found.scores, found.applied) == (frozenset(), {"hate": 0.1}, None)

    def test_categories_of_others_are_not_shown(self) -> None:
        (found,) = parsed([verdict(categories={"spam": True}, category_scores={"spam": 0.9})]).verdicts
        assert (found.flagged, found.scores) == (frozenset(), {})

    def test_usage_is_another_gateways_only(self) -> None:
        assert parsed([verdict()], usage={"input_tokens": 5}).usage is None
        payload = json.dumps({"results": [verdict()], "usage": {"input_tokens": 5, "cost": "0"}}).encode()
        assert parse_response(payload, asked(("a",)), parse_usage).usage == Usage({"input_tokens": 5})

    @pytest.mark.parametrize(
        "results",
        [
            None,
            {},
            [],
            [verdict(), verdict()],
            [5],
            [{"flagged": False}],
            [verdict(categories=[])],
            [verdict(categories={"hate": "yes"})],
            [verdict(category_scores={"hate": "0.5"})],
            [verdict(category_scores={"hate": 1.5})],
            [verdict(category_scores={"hate": -0.5})],
            [verdict(category_scores={"hate": True})],
            [verdict(category_applied_input_types={"hate": 5})],
        ],
    )
    def test_what_is_none(self, results: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            parsed(results)
        assert raised.value.kind == "malformed"
