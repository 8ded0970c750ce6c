"""Voyage's embeddings and rerank: nearly the wires of others, with names and counts of its own."""

from typing import Any

from aig.modalities.embed import EmbedRequest, EmbedResult, Text
from aig.modalities.rerank import RerankRequest, RerankResult
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.batches import embed_in_batches
from aig_providers.shapes import parse_embeddings, relevance_scores, tokens_read, unsupported
from aig_providers.wire import HttpRequest, Post, parse_object, post_json, prose_detail

# It knows these two; for other purposes none is the right one.
_INPUT_TYPES = {"query": "query", "document": "document"}


def build_request(upstream: Upstream, request: EmbedRequest, batch: tuple[Text, ...]) -> HttpRequest:
    """Raises UpstreamError of kind rejected for token ids. A text that is too long is refused, never cut."""
    if not all(isinstance(text, str) for text in batch):
        raise unsupported("input")
    body: dict[str, Any] = {"model": upstream.model_id, "input": list(batch), "truncation": False}
    if request.encoding == "base64":
        body["encoding_format"] = "base64"
    if request.dimensions:
        body["output_dimension"] = request.dimensions
    if request.input_type in _INPUT_TYPES:
        body["input_type"] = _INPUT_TYPES[request.input_type]
    return post_json(upstream, "embeddings", body)


class VoyageEmbed:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        async def send(batch: tuple[Text, ...]) -> EmbedResult:
            http = build_request(upstream, request, batch)
            return parse_embeddings(await wire.exchange(self._post, http, upstream, prose_detail), request.encoding)

        return await embed_in_batches(upstream, request, send)


def rerank_body(upstream: Upstream, request: RerankRequest) -> dict[str, Any]:
    """A document that is too long is refused, never cut."""
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "query": request.query,
        "documents": list(request.documents),
        "truncation": False,
    }
    return {**body, "top_k": request.top_n} if request.top_n else body


def parse_rerank(payload: bytes, request: RerankRequest) -> RerankResult:
    body = parse_object(payload)
    return RerankResult(relevance_scores(body.get("data"), request), tokens_read(body.get("usage")))


class VoyageRerank:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult:
        http = post_json(upstream, "rerank", rerank_body(upstream, request))
        return parse_rerank(await wire.exchange(self._post, http, upstream, prose_detail), request)


class Voyage:
    embed = VoyageEmbed(wire.CLIENT.post)
    rerank = VoyageRerank(wire.CLIENT.post)


ADAPTER = Voyage()
