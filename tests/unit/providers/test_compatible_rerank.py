"""Rerank as servers of OpenAI's wire have it."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.rerank import RerankRequest, Score
from aig.modalities.usage import Usage
from aig_providers.compatible_rerank import build_request, parse_response, parse_usage
from tests.unit.providers.replies import upstream


def asked(**fields: Any) -> RerankRequest:
    return RerankRequest(("acme/one",), "q", ("a", "b", "c"), **fields)


def payload(*results: tuple[Any, Any], **body: Any) -> bytes:
    rows = [{"index": index, "relevance_score": relevance, "document": {}} for index, relevance in results]
    return json.dumps({"object": "rerank", "model": "m", "results": rows, **body}).encode()


ALL = (2, 0.9), (0, 0.5), (1, 0)


def test_a_request() -> None:
    http = build_request(upstream(), asked())
    assert http.url == "https://acme.example/v1/rerank"
    assert json.loads(http.body) == {
        "model": "one-v1", "query": "q", "documents": ["a", "b", "c"], "return_documents": False
    }  # fmt: skip
    assert json.loads(build_request(upstream(), asked(top_n=2, return_documents=True)).body)["top_n"] == 2


def test_an_answer() -> None:
    result = parse_response(payload(*ALL, usage={"prompt_tokens": 9, "total_tokens": 9}), asked())
    assert result.scores == [Score(2, 0.9), Score(0, 0.5), Score(1, 0.0)]
    assert result.usage == Usage({"input_tokens": 9})


@pytest.mark.parametrize(("top_n", "told"), [(1, ALL[:1]), (2, ALL[:2]), (3, ALL), (9, ALL)])
def test_the_best_only(top_n: int, told: Any) -> None:
    assert len(parse_response(payload(*told), asked(top_n=top_n)).scores) == len(told)


@pytest.mark.parametrize(
    "results",
    [
        (),
        ALL[:2],
        (*ALL, (0, 0.1)),
        ((0, 0.9), (0, 0.5), (1, 0)),
        ((0, 0.9), (1, 0.5), (3, 0)),
        ((0, 0.9), (1, 0.5), (-1, 0)),
        ((0, 0.9), (1, 0.5), ("2", 0)),
        ((0, 0.9), (1, 0.5), (2, 1.01)),
        ((0, 0.9), (1, 0.5), (2, -8.5)),
        ((0, 0.9), (1, 0.5), (2, None)),
    ],
)
def test_what_is_none(results: Any) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse_response(payload(*results), asked())
    assert raised.value.kind == "malformed"


def test_more_than_the_best_is_none_either() -> None:
    with pytest.raises(UpstreamError):
        parse_response(payload(*ALL), asked(top_n=1))


@pytest.mark.parametrize("body", [b"{}", b'{"results": 5}', b'{"results": [5]}', b"<html>"])
def test_no_answer_at_all(body: bytes) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse_response(body, asked())
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}, Usage({"input_tokens": 9})),
        ({"total_tokens": 9}, Usage({"input_tokens": 9})),
        ({"input_tokens": 9, "estimated": True, "cost": "0.1"}, Usage({"input_tokens": 9}, estimated=True)),
        ({"search_units": 1}, Usage({"search_units": 1})),
        ({"prompt_tokens": -9}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_usage(raw: Any, expected: Usage | None) -> None:
    assert parse_usage(raw) == expected
