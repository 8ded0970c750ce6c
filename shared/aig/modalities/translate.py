"""Translation of texts into another language. Languages are ISO 639-1 codes, with a region where it matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import BYTES_PER_TOKEN, Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage, units_json


@dataclass(frozen=True, slots=True)
class TranslateRequest:
    """`source` None leaves it to the model to find out the language."""

    models: tuple[str, ...]
    texts: tuple[str, ...]
    target: str
    source: str | None = None
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        return Demand(
            models=self.models,
            capabilities=frozenset({"translate"} if self.source else {"translate", "detect_language"}),
            input_tokens=sum(len(text.encode()) + 2 for text in self.texts),
            output_tokens=None,
            samples=len(self.texts),
            inputs=len(self.texts),
            counts={"characters": sum(map(len, self.texts))},
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "texts": self.texts,
            "target": self.target,
            "source": self.source,
            "provider": self.preferences,
        }
        return CacheForm(modality="translations", parameters=parameters, deterministic=True)

    def estimate(self, result: "TranslateResult") -> Usage:
        read = sum(len(text.encode()) for text in self.texts)
        written = sum(len(one.text.encode()) for one in result.translations)
        return Usage(
            {
                "characters": sum(map(len, self.texts)),
                "input_tokens": -(-read // BYTES_PER_TOKEN),
                "output_tokens": -(-written // BYTES_PER_TOKEN),
            },
            estimated=True,
        )

    def answer(self, result: "TranslateResult", usage: Usage) -> dict[str, Any]:
        translations = [
            {"text": one.text, "source_lang": one.source or self.source, "target_lang": self.target}
            for one in result.translations
        ]
        return {"object": "translation", "translations": translations, "usage": units_json(usage)}


@dataclass(frozen=True, slots=True)
class Translation:
    """`source` is the language that the provider found, if it was to."""

    text: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class TranslateResult:
    """One for each text, in their order."""

    translations: Sequence[Translation]
    usage: Usage | None


class TranslateAdapter(Protocol):
    """Raises UpstreamError; `rejected` with the param for a language that the model does not have."""

    async def translate(self, upstream: Upstream, request: TranslateRequest) -> TranslateResult: ...
