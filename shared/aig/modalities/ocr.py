"""OCR: the text of a picture or a document, by page and line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import UNBOUNDED_TOKENS, Demand
from aig.modalities.detect import PROMPT_TOKENS, Box
from aig.modalities.files import Document, Picture, fingerprint
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage, units_json


@dataclass(frozen=True, slots=True)
class OcrRequest:
    """`languages` are those that the text may be in, as a hint; none leaves it open."""

    models: tuple[str, ...]
    source: Picture | Document
    languages: tuple[str, ...] = ()
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        document = isinstance(self.source, Document)
        pages = self.source.pages if isinstance(self.source, Document) else 1
        return Demand(
            models=self.models,
            capabilities=frozenset({"ocr", "files"} if document else {"ocr"}),
            input_tokens=UNBOUNDED_TOKENS if document else PROMPT_TOKENS,  # a page may hold any amount of text
            output_tokens=None,
            images=pages,
            counts={"pages": pages, "images": pages},
            preferences=self.preferences or {},
            fields={"files": "document_url"},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "source": fingerprint(self.source.data),
            "languages": self.languages,
            "provider": self.preferences,
        }
        return CacheForm(modality="ocr", parameters=parameters, deterministic=True)

    def estimate(self, result: "OcrResult") -> Usage:
        pages = max(1, len(result.pages))
        return Usage({"pages": pages, "images": pages}, estimated=True)

    def answer(self, result: "OcrResult", usage: Usage) -> dict[str, Any]:
        return {
            "object": "ocr",
            "text": "\n\n".join(page.text for page in result.pages),
            "pages": [page.to_json(at) for at, page in enumerate(result.pages)],
            "usage": units_json(usage),
        }


@dataclass(frozen=True, slots=True)
class Line:
    """`score` between 0 and 1 and `box` where the model tells them."""

    text: str
    score: float | None = None
    box: Box | None = None

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "score": self.score, "box": self.box.to_json() if self.box else None}


@dataclass(frozen=True, slots=True)
class Page:
    """`text` is the whole page's, its lines in reading order; the size in pixels, None where nobody tells it."""

    text: str
    lines: Sequence[Line]
    width: int | None = None
    height: int | None = None

    def to_json(self, index: int) -> dict[str, Any]:
        lines = [line.to_json() for line in self.lines]
        return {"index": index, "text": self.text, "width": self.width, "height": self.height, "lines": lines}


@dataclass(frozen=True, slots=True)
class OcrResult:
    pages: Sequence[Page]
    usage: Usage | None


class OcrAdapter(Protocol):
    """Raises UpstreamError."""

    async def ocr(self, upstream: Upstream, request: OcrRequest) -> OcrResult: ...
