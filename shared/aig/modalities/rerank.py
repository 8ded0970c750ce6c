"""Rerank: the documents that answer a query best, first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage, units_json

# Cohere bills a query over up to a hundred documents, and takes one of more than 500 tokens for several.
DOCUMENTS_PER_UNIT = 100
TOKENS_PER_DOCUMENT = 500


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """`top_n` None is all of them. `documents` are texts; their order is that of the indexes in the answer."""

    models: tuple[str, ...]
    query: str
    documents: tuple[str, ...]
    top_n: int | None = None
    return_documents: bool = False
    preferences: Any = None

    @property
    def search_units(self) -> int:
        """An upper bound: tokens are taken for bytes."""
        query = len(self.query.encode())
        pieces = sum(-(-(query + len(text.encode())) // TOKENS_PER_DOCUMENT) or 1 for text in self.documents)
        return -(-pieces // DOCUMENTS_PER_UNIT)

    @property
    def demand(self) -> Demand:
        query, documents = len(self.query.encode()), [len(text.encode()) for text in self.documents]
        return Demand(
            models=self.models,
            capabilities=frozenset({"rerank"}),
            input_tokens=sum(query + size + 4 for size in documents),
            output_tokens=0,
            inputs=len(documents),
            counts={"search_units": self.search_units},
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "query": self.query,
            "documents": self.documents,
            "top_n": self.top_n,
            "return_documents": self.return_documents,
            "provider": self.preferences,
        }
        return CacheForm(modality="rerank", parameters=parameters, deterministic=True)

    def estimate(self, _: "RerankResult") -> Usage:
        read = len(self.query.encode()) * len(self.documents) + sum(len(text.encode()) for text in self.documents)
        return Usage({"input_tokens": -(-read // BYTES_PER_TOKEN), "search_units": self.search_units}, estimated=True)

    def answer(self, result: "RerankResult", usage: Usage) -> dict[str, Any]:
        best_first = sorted(result.scores, key=lambda score: (-score.relevance, score.index))
        return {
            "object": "rerank",
            "results": [self._shown(score) for score in best_first[: self.top_n]],
            "usage": units_json(usage),
        }

    def _shown(self, score: "Score") -> dict[str, Any]:
        document = {"document": {"text": self.documents[score.index]}} if self.return_documents else {}
        return {"index": score.index, "relevance_score": score.relevance, **document}


@dataclass(frozen=True, slots=True)
class Score:
    """How well the document at `index` answers: 0 not at all, 1 perfectly."""

    index: int
    relevance: float


@dataclass(frozen=True, slots=True)
class RerankResult:
    """In any order; of a provider that was asked for the best only, those."""

    scores: Sequence[Score]
    usage: Usage | None


class RerankAdapter(Protocol):
    """Raises UpstreamError."""

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult: ...
