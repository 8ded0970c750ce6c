"""Rerank as servers of OpenAI's wire have it, which OpenAI has not."""

from collections.abc import Mapping
from typing import Any

from aig.modalities.rerank import RerankRequest, RerankResult
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Unit, Usage
from aig_providers import wire
from aig_providers.shapes import relevance_scores
from aig_providers.wire import HttpRequest, Post, count, parse_object, post_json


def build_request(upstream: Upstream, request: RerankRequest) -> HttpRequest:
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "query": request.query,
        "documents": list(request.documents),
        "return_documents": False,  # we have them
    }
    if request.top_n is not None:
        body["top_n"] = request.top_n
    return post_json(upstream, "rerank", body)


def parse_usage(raw: Any) -> Usage | None:
    """Tokens under the names that vendors have for them, and queries where these are billed."""
    units: dict[Unit, int] = {}
    try:
        tokens = count(raw, "prompt_tokens") or count(raw, "input_tokens") or count(raw, "total_tokens")
        queries = count(raw, "search_units")
    except ValueError:
        return None
    units |= {"input_tokens": tokens} if tokens else {}
    units |= {"search_units": queries} if queries else {}
    return Usage(units, isinstance(raw, Mapping) and raw.get("estimated") is True) if units else None


def parse_response(payload: bytes, request: RerankRequest) -> RerankResult:
    """The body of a 200. Raises UpstreamError unless it scores as many documents of ours as it was to."""
    body = parse_object(payload)
    return RerankResult(relevance_scores(body.get("results"), request), parse_usage(body.get("usage")))


class CompatibleRerank:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult:
        http = build_request(upstream, request)
        return parse_response(await wire.exchange(self._post, http, upstream), request)
