"""Reranking on the wire: which documents answer a query best."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/rerank",)
MOST_DOCUMENTS = 1000


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """A checked request; `top_n` None: all."""

    model: str
    query: str
    documents: list[str]
    top_n: int | None
    return_documents: bool


@dataclass(frozen=True, slots=True)
class Relevance:
    """How well a document answers the query, any scale that rises with it, and the tokens read to tell."""

    similarity: float
    tokens: int


class Reranker(Protocol):
    """A loaded model that compares documents with a query."""

    def rerank(self, query: str, documents: Sequence[str]) -> Iterator[Relevance]:
        """One figure for each document, in the documents' order, -1 to 1; the query's tokens count with the first.

        Raises `BadRequestError` for a query or document that is too long.
        """
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """The documents' places in the order of their relevance."""
    wanted = parse(await fields.json_object(request))

    def work(engine: Reranker) -> Iterator[Relevance]:
        return engine.rerank(wanted.query, wanted.documents)

    return JSONResponse(render(wanted, await slots.ask(request, "rerank", wanted.model, work)))


def parse(body: Mapping[str, Any]) -> RerankRequest:
    """Check a decoded body. Raises `BadRequestError` naming the field."""
    query = fields.text(body.get("query"), "query")
    if not query.strip():
        raise BadRequestError("`query` is empty.", param="query")
    documents = body.get("documents")
    if not isinstance(documents, list) or not 1 <= len(documents) <= MOST_DOCUMENTS:
        raise BadRequestError(f"`documents` must be an array of 1 to {MOST_DOCUMENTS} texts.", param="documents")
    return RerankRequest(
        model=fields.model(body),
        query=query,
        documents=[_document(document, f"documents[{index}]") for index, document in enumerate(documents)],
        top_n=fields.integer(body, "top_n", 1),
        return_documents=fields.flag(body, "return_documents"),
    )


def _document(document: object, where: str) -> str:
    return fields.text(document.get("text") if isinstance(document, dict) else document, where)


def render(wanted: RerankRequest, found: Sequence[Relevance]) -> dict[str, Any]:
    """The answer's body, best first. Whatever is not alike at all (below 0) scores 0."""
    order = sorted(range(len(found)), key=lambda index: -found[index].similarity)[: wanted.top_n]
    results = [
        {
            "index": index,
            "relevance_score": round(min(1.0, max(0.0, found[index].similarity)), 6),
            **({"document": {"text": wanted.documents[index]}} if wanted.return_documents else {}),
        }
        for index in order
    ]
    tokens = sum(row.tokens for row in found)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "rerank", "model": wanted.model, "results": results, "usage": usage}
