"""Rerank by BGE: scores by the index of the document."""

import math
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.rerank import RerankRequest, RerankResult, Score
from aig.modalities.upstream import Upstream
from aig_providers.cloudflare.run import ask, number, opened_table, run_json, token_usage
from aig_providers.wire import HttpRequest, Post


def build_request(upstream: Upstream, request: RerankRequest) -> HttpRequest:
    body: dict[str, Any] = {"query": request.query, "contexts": [{"text": text} for text in request.documents]}
    if request.top_n is not None:
        body["top_k"] = request.top_n
    return run_json(upstream, body)


def parse(payload: bytes, request: RerankRequest) -> RerankResult:
    """Raises UpstreamError for another number of scores than was asked for, and for indexes that there are not."""
    result, documents = opened_table(payload), len(request.documents)
    try:
        scores = {_index(entry["id"]): number(entry["score"]) for entry in result["response"]}
        told = len(result["response"])
    except (TypeError, KeyError, ValueError):
        raise UpstreamError("malformed") from None
    wanted = min(request.top_n or documents, documents)
    if not len(scores) == told == wanted or not scores.keys() <= set(range(documents)):
        raise UpstreamError("malformed")
    relevances = scores if all(0 <= score <= 1 for score in scores.values()) else _squashed(scores)
    return RerankResult([Score(index, relevance) for index, relevance in relevances.items()], token_usage(result))


def _index(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _squashed(scores: dict[int, float]) -> dict[int, float]:
    """By the sigmoid, as the model's page says of its raw scores; what has been answered were fractions."""
    return {index: 1 / (1 + math.exp(-min(max(score, -700.0), 700.0))) for index, score in scores.items()}


class CloudflareRerank:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult:
        return parse(await ask(self._post, build_request(upstream, request), upstream), request)
