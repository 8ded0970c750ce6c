"""Jina's rerank."""

from typing import Any

from aig.modalities.rerank import RerankRequest, RerankResult
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.shapes import relevance_scores, tokens_read
from aig_providers.wire import Post, parse_object, post_json, prose_detail


def rerank_body(upstream: Upstream, request: RerankRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "query": request.query,
        "documents": list(request.documents),
        "return_documents": False,
    }
    return {**body, "top_n": request.top_n} if request.top_n else body


def parse_rerank(payload: bytes, request: RerankRequest) -> RerankResult:
    body = parse_object(payload)
    return RerankResult(relevance_scores(body.get("results"), request), tokens_read(body.get("usage")))


class JinaRerank:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult:
        http = post_json(upstream, "rerank", rerank_body(upstream, request))
        return parse_rerank(await wire.exchange(self._post, http, upstream, prose_detail), request)


class Jina:
    rerank = JinaRerank(wire.CLIENT.post)


ADAPTER = Jina()
