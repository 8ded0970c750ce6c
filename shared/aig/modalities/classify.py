"""Classification of texts: by labels that the model was trained on, or by those of the request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage, units_json


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """`labels` empty asks for the model's own. With `multi_label` each label is judged by itself."""

    models: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    multi_label: bool = False
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        labels = sum(len(label.encode()) + 2 for label in self.labels)
        return Demand(
            models=self.models,
            capabilities=frozenset({"classify", "labels"} if self.labels else {"classify"}),
            input_tokens=sum(len(text.encode()) + 2 + labels for text in self.texts),
            output_tokens=0,
            inputs=len(self.texts),
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "texts": self.texts,
            "labels": self.labels,
            "multi_label": self.multi_label,
            "provider": self.preferences,
        }
        return CacheForm(modality="classifications", parameters=parameters, deterministic=True)

    def estimate(self, _: "ClassifyResult") -> Usage:
        read = sum(len(text.encode()) for text in (*self.texts, *self.labels))
        return Usage({"input_tokens": -(-read // BYTES_PER_TOKEN)}, estimated=True)

    def answer(self, result: "ClassifyResult", usage: Usage) -> dict[str, Any]:
        results = []
        for at, labels in enumerate(result.labels):
            best_first = sorted(labels, key=lambda one: -one.score)
            shown = [{"label": one.label, "score": one.score} for one in best_first]
            results.append({"index": at, **shown[0], "labels": shown})
        return {"object": "classification", "results": results, "usage": units_json(usage)}


@dataclass(frozen=True, slots=True)
class Label:
    """`score` between 0 and 1."""

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class ClassifyResult:
    """For each text at least one label, in any order."""

    labels: Sequence[Sequence[Label]]
    usage: Usage | None


class ClassifyAdapter(Protocol):
    """Raises UpstreamError."""

    async def classify(self, upstream: Upstream, request: ClassifyRequest) -> ClassifyResult: ...
