"""Rerank at three vendors: what is sent, and what of an answer is believed."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.rerank import RerankRequest, RerankResult, Score
from aig_providers import cohere, jina, voyage
from tests.unit.providers.replies import posting, upstream

REQUEST = RerankRequest((), "q", ("a", "b", "c"), top_n=2)
ALL = RerankRequest((), "q", ("a", "b"))
SCORES = [{"index": 2, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0}]
Parse = Callable[[bytes, RerankRequest], RerankResult]
PARSERS: dict[str, tuple[Parse, str]] = {
    "cohere": (cohere.parse_rerank, "results"),
    "voyage": (voyage.parse_rerank, "data"),
    "jina": (jina.parse_rerank, "results"),
}


def parsed(vendor: str, scores: Any, request: RerankRequest = REQUEST, **more: Any) -> RerankResult:
    parse, field = PARSERS[vendor]
    return parse(json.dumps({field: scores, **more}).encode(), request)


def test_what_is_sent() -> None:
    given = {"model": "m", "query": "q", "documents": ["a", "b", "c"]}
    assert cohere.rerank_body(upstream("m"), REQUEST) == {**given, "top_n": 2}
    assert voyage.rerank_body(upstream("m"), REQUEST) == {**given, "top_k": 2, "truncation": False}
    assert jina.rerank_body(upstream("m"), REQUEST) == {**given, "top_n": 2, "return_documents": False}
    for body in (cohere.rerank_body, voyage.rerank_body, jina.rerank_body):
        assert not {"top_n", "top_k"} & body(upstream("m"), ALL).keys()


@pytest.mark.parametrize("vendor", PARSERS)
class TestAnAnswer:
    def test_scores_have_the_indexes_of_the_documents(self, vendor: str) -> None:
        assert parsed(vendor, SCORES).scores == [Score(2, 0.75), Score(0, 0.0)]

    @pytest.mark.parametrize(
        "scores",
        [
            None,
            5,
            {},
            [],
            SCORES[:1],
            [*SCORES, {"index": 1, "relevance_score": 0.1}],
            [SCORES[0], SCORES[0]],
            [SCORES[0], {"index": 3, "relevance_score": 0.5}],
            [SCORES[0], {"index": -1, "relevance_score": 0.5}],
            [SCORES[0], {"index": "1", "relevance_score": 0.5}],
            [SCORES[0], {"index": True, "relevance_score": 0.5}],
            [SCORES[0], {"index": 1, "relevance_score": 1.01}],
            [SCORES[0], {"index": 1, "relevance_score": -0.01}],
            [SCORES[0], {"index": 1, "relevance_score": "0.5"}],
            [SCORES[0], {"index": 1, "relevance_score": True}],
            [SCORES[0], {"index": 1, "relevance_score": 10**400}],
            [SCORES[0], {"index": 1}],
            [SCORES[0], 7],
        ],
    )
    def test_what_is_none(self, vendor: str, scores: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            parsed(vendor, scores)
        assert raised.value.kind == "malformed"

    def test_without_a_limit_all_documents_have_a_score(self, vendor: str) -> None:
        scores = [{"index": at, "relevance_score": 0.5} for at in (1, 0)]
        assert len(parsed(vendor, scores, ALL).scores) == 2
        with pytest.raises(UpstreamError):
            parsed(vendor, scores[:1], ALL)

    def test_usage_that_is_not_told_is_not_made_up(self, vendor: str) -> None:
        untold: list[dict[str, Any]] = [{}, {"usage": None, "meta": None}, {"usage": 5, "meta": 5}]
        untold.append({"usage": {"total_tokens": -1}, "meta": {"billed_units": {"search_units": -1}}})
        untold.append({"usage": {"total_tokens": "9"}, "meta": {"billed_units": {}}})
        for more in untold:
            assert parsed(vendor, SCORES, **more).usage is None


def test_each_is_billed_by_its_own_unit() -> None:
    usage = parsed("cohere", SCORES, meta={"billed_units": {"search_units": 3.0}, "tokens": {"input_tokens": 9}}).usage
    assert usage is not None
    assert usage.units == {"search_units": 3}
    for vendor in ("voyage", "jina"):
        usage = parsed(vendor, SCORES, usage={"total_tokens": 41}).usage
        assert usage is not None
        assert usage.units == {"input_tokens": 41}


@pytest.mark.parametrize("adapter", [cohere.CohereRerank, voyage.VoyageRerank, jina.JinaRerank])
async def test_an_error_keeps_its_prose(adapter: Any) -> None:
    for body in ({"message": "secret"}, {"detail": "secret"}):
        with pytest.raises(UpstreamError) as raised:
            await adapter(posting(json.dumps(body).encode(), status=400)).rerank(upstream("m"), REQUEST)
        assert raised.value.kind == "rejected"
        assert "secret" not in f"{raised.value} {raised.value.code} {raised.value.param}"
