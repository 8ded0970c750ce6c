"""Moderation in OpenAI's shape: texts, or one input of a text and pictures, judged by thirteen categories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.files import Picture, fingerprint
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage, units_json

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
VERDICT_TOKENS = 128  # what a model that writes its verdict may write for one input
USUAL_VERDICT_TOKENS = 8

Part = str | Picture


@dataclass(frozen=True, slots=True)
class ModerateRequest:
    """Each of `inputs` is judged as a whole: a text, or texts and pictures that belong together."""

    models: tuple[str, ...]
    inputs: tuple[tuple[Part, ...], ...]
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        texts, pictures = self._texts(), self._pictures()
        capabilities = {"moderate"} | ({"vision"} if pictures else set()) | ({"texts"} if texts else set())
        return Demand(
            models=self.models,
            capabilities=frozenset(capabilities),
            input_tokens=sum(len(text.encode()) for text in texts) + 256 * len(self.inputs),
            output_tokens=VERDICT_TOKENS,
            samples=len(self.inputs),
            inputs=len(self.inputs),
            images=len(pictures),
            counts={"images": len(pictures)},
            preferences=self.preferences or {},
            fields={"vision": "input"},
        )

    @property
    def cache_form(self) -> CacheForm:
        inputs = [
            [part if isinstance(part, str) else {"picture": fingerprint(part.data)} for part in parts]
            for parts in self.inputs
        ]
        parameters = {"inputs": inputs, "provider": self.preferences}
        return CacheForm(modality="moderations", parameters=parameters, deterministic=True)

    def estimate(self, _: "ModerateResult") -> Usage:
        read = sum(len(text.encode()) for text in self._texts())
        return Usage(
            {
                "input_tokens": -(-read // BYTES_PER_TOKEN),
                "output_tokens": USUAL_VERDICT_TOKENS * len(self.inputs),
                "images": len(self._pictures()),
            },
            estimated=True,
        )

    def answer(self, result: "ModerateResult", usage: Usage) -> dict[str, Any]:
        results = [
            verdict.to_json(applied=self._applied(parts))
            for verdict, parts in zip(result.verdicts, self.inputs, strict=True)
        ]
        return {"object": "moderation", "results": results, "usage": units_json(usage)}

    def _texts(self) -> list[str]:
        return [part for parts in self.inputs for part in parts if isinstance(part, str)]

    def _pictures(self) -> list[Picture]:
        return [part for parts in self.inputs for part in parts if isinstance(part, Picture)]

    @staticmethod
    def _applied(parts: Sequence[Part]) -> list[str]:
        kinds = {"text" if isinstance(part, str) else "image" for part in parts}
        return sorted(kinds, reverse=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`scores` between 0 and 1, of the categories that the model knows; those in `flagged` it objects to.

    `applied` says for each category which kinds of input it was judged by, where the provider tells.
    """

    flagged: frozenset[str]
    scores: Mapping[str, float]
    applied: Mapping[str, Sequence[str]] | None = None

    def to_json(self, applied: Sequence[str]) -> dict[str, Any]:
        """OpenAI's result; a category that the model does not know has the score 0 and was judged by nothing."""
        kinds = self.applied or {name: list(applied) for name in self.scores}
        return {
            "flagged": bool(self.flagged),
            "categories": {name: name in self.flagged for name in CATEGORIES},
            "category_scores": {name: self.scores.get(name, 0.0) for name in CATEGORIES},
            "category_applied_input_types": {name: list(kinds.get(name, ())) for name in CATEGORIES},
        }


@dataclass(frozen=True, slots=True)
class ModerateResult:
    """One verdict for each input, in their order."""

    verdicts: Sequence[Verdict]
    usage: Usage | None


class ModerateAdapter(Protocol):
    """Raises UpstreamError."""

    async def moderate(self, upstream: Upstream, request: ModerateRequest) -> ModerateResult: ...
