"""Mistral: OpenAI's wire for chat and embeddings, and its own for OCR and moderation."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.moderate import ModerateRequest, ModerateResult, Part, Verdict
from aig.modalities.ocr import Line, OcrRequest, OcrResult, Page
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.openai_compatible import OpenAICompatible
from aig_providers.shapes import score, string, unsupported
from aig_providers.wire import HttpRequest, Post, count, parse_object, post_json

# Its categories, those of both generations of its models, by OpenAI's. What OpenAI has no category for is left out:
# health, financial, law, pii, jailbreaking.
_CATEGORIES: Mapping[str, str] = {
    "sexual": "sexual",
    "hate_and_discrimination": "hate",
    "violence_and_threats": "violence",
    "dangerous_and_criminal_content": "illicit",
    "dangerous": "illicit",
    "criminal": "illicit",
    "selfharm": "self-harm",
}


def ocr_body(upstream: Upstream, request: OcrRequest) -> dict[str, Any]:
    """Hints on languages have no field there. Pictures inside of a page are not wanted back."""
    kind = "image_url" if isinstance(request.source, Picture) else "document_url"
    document = {"type": kind, kind: request.source.data_url}
    return {"model": upstream.model_id, "document": document, "include_image_base64": False}


def parse_ocr(payload: bytes, request: OcrRequest) -> OcrResult:
    """The body of a 200: a page is Markdown, whose lines are taken for those of the page."""
    body = parse_object(payload)
    most = 1 if isinstance(request.source, Picture) else request.source.pages
    try:
        pages = [_page(entry, request) for entry in body["pages"]]
        order = [entry["index"] for entry in body["pages"]]
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UpstreamError("malformed") from None
    if not 1 <= len(pages) <= most or order != sorted({*order}):
        raise UpstreamError("malformed")
    return OcrResult(pages, _pages_read(body.get("usage_info")))


def _page(entry: Mapping[str, Any], request: OcrRequest) -> Page:
    text = string(entry["markdown"])
    count(entry, "index")
    lines = [Line(line) for line in text.splitlines() if line.strip()]
    if isinstance(request.source, Picture):  # which is told of in the size that it was scaled to
        return Page(text, lines, request.source.width, request.source.height)
    size = entry.get("dimensions") or {}
    return Page(text, lines, count(size, "width") or None, count(size, "height") or None)


def _pages_read(raw: Any) -> Usage | None:
    try:
        told = isinstance(raw, Mapping) and raw.get("pages_processed") is not None
        return Usage({"pages": count(raw, "pages_processed")}) if told else None
    except ValueError:
        return None


class MistralOcr:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def ocr(self, upstream: Upstream, request: OcrRequest) -> OcrResult:
        http = post_json(upstream, "ocr", ocr_body(upstream, request))
        return parse_ocr(await wire.exchange(self._post, http, upstream), request)


def _text(parts: tuple[Part, ...]) -> str:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise unsupported("input")
    return "\n".join(texts)


def moderation_request(upstream: Upstream, request: ModerateRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for pictures."""
    body = {"model": upstream.model_id, "input": [_text(parts) for parts in request.inputs]}
    return post_json(upstream, "moderations", body)


def parse_moderation(payload: bytes, request: ModerateRequest) -> ModerateResult:
    """The body of a 200, which counts no tokens."""
    try:
        verdicts = [_verdict(result) for result in parse_object(payload)["results"]]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        raise UpstreamError("malformed") from None
    if len(verdicts) != len(request.inputs):
        raise UpstreamError("malformed")
    return ModerateResult(verdicts, None)


def _verdict(result: Mapping[str, Any]) -> Verdict:
    """A category of ours that several of theirs are in has the highest of their scores."""
    said, scores = result["categories"], dict[str, float]()
    for theirs, likely in result["category_scores"].items():
        if ours := _CATEGORIES.get(theirs):
            scores[ours] = max(score(likely), scores.get(ours, 0.0))
    if not scores:
        raise ValueError("categories")
    flagged = {ours for theirs, ours in _CATEGORIES.items() if said.get(theirs) is True}
    return Verdict(frozenset(flagged), scores)


class MistralModerate:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def moderate(self, upstream: Upstream, request: ModerateRequest) -> ModerateResult:
        http = moderation_request(upstream, request)
        return parse_moderation(await wire.exchange(self._post, http, upstream), request)


class Mistral(OpenAICompatible):
    ocr = MistralOcr(wire.CLIENT.post)
    moderate = MistralModerate(wire.CLIENT.post)


ADAPTER = Mistral()
