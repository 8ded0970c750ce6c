"""The wire of another AIgateway, and of our server of local models: OpenAI's, and ours where OpenAI has none."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from aig.errors import UpstreamError
from aig.modalities.classify import ClassifyRequest, ClassifyResult, Label
from aig.modalities.detect import Box, Detection, DetectRequest, DetectResult
from aig.modalities.files import Document
from aig.modalities.ocr import Line, OcrRequest, OcrResult, Page
from aig.modalities.translate import TranslateRequest, TranslateResult, Translation
from aig.modalities.upstream import Upstream
from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, CountUnit, TokenUnit, Unit, Usage
from aig_providers import wire
from aig_providers.compatible_audio import CompatibleSpeak, CompatibleTranscribe
from aig_providers.compatible_images import CompatibleImage
from aig_providers.compatible_moderations import CompatibleModerate
from aig_providers.compatible_rerank import CompatibleRerank
from aig_providers.openai_compatible import OpenAICompatibleChat, OpenAICompatibleEmbed
from aig_providers.shapes import number, score, string
from aig_providers.wire import HttpRequest, Post, count, parse_object, post_json

T = TypeVar("T")

PICTURE_SETTINGS = frozenset({"style", "output_format", "background", "seed", "steps", "guidance", "negative_prompt"})
_UNITS: tuple[Unit, ...] = (*get_args(TokenUnit), *get_args(CountUnit))


def parse_usage(raw: Any) -> Usage | None:
    """The counts by their units, as `units_json` writes them. None if there are none, or none that is credible."""
    try:
        units = {unit: found for unit in _UNITS if (found := count(raw, unit))}
    except ValueError:
        return None
    return Usage(units, estimated=raw.get("estimated") is True) if units else None


def parse_totals(raw: Any) -> Usage | None:
    """The same where `input_tokens` and `output_tokens` are the totals of all classes, as OpenAI has them."""
    usage = parse_usage(raw)
    if usage is None:
        return None
    units = dict(usage.units)
    for total, classes in (("input_tokens", INPUT_UNITS), ("output_tokens", OUTPUT_UNITS)):
        apart = sum(units.get(unit, 0) for unit in classes if unit != total)
        if total in units:
            units[total] = max(0, units[total] - apart)
    return Usage(units, usage.estimated)


def read(payload: bytes, parse: Callable[[Mapping[str, Any]], T]) -> T:
    """What `parse` makes of the body of a 200. Raises UpstreamError for what it raises."""
    body = parse_object(payload)
    try:
        return parse(body)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UpstreamError("malformed") from None


def table(value: Any, length: int | None = None) -> Sequence[Any]:
    """A list, of that length. Raises TypeError or ValueError for anything else."""
    if not isinstance(value, list):
        raise TypeError
    if length is not None and len(value) != length:
        raise ValueError
    return value


def classify_request(upstream: Upstream, request: ClassifyRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected where labels are missing."""
    if "wants_labels" in upstream.quirks and not request.labels:
        raise UpstreamError("rejected", code="missing_required_parameter", param="labels")
    body: dict[str, Any] = {"model": upstream.model_id, "input": list(request.texts)}
    if request.labels:
        body |= {"labels": list(request.labels), "multi_label": request.multi_label}
    return post_json(upstream, "classifications", body)


def parse_classifications(payload: bytes, request: ClassifyRequest) -> ClassifyResult:
    """Raises UpstreamError unless each text has a result, with labels of the request if that has some."""

    def label(entry: Mapping[str, Any]) -> Label:
        name = string(entry["label"])
        if request.labels and name not in request.labels:
            raise ValueError
        return Label(name, score(entry["score"]))

    def parse(body: Mapping[str, Any]) -> ClassifyResult:
        results = sorted(table(body["results"], len(request.texts)), key=lambda entry: int(entry["index"]))
        if [entry["index"] for entry in results] != list(range(len(results))):
            raise ValueError
        labels = [[label(one) for one in table(entry["labels"])] for entry in results]
        if not all(labels) or any(len({label.label for label in one}) < len(one) for one in labels):
            raise ValueError
        return ClassifyResult(labels, parse_usage(body.get("usage")))

    return read(payload, parse)


def translate_request(upstream: Upstream, request: TranslateRequest) -> HttpRequest:
    body = {"model": upstream.model_id, "text": list(request.texts), "target_lang": request.target}
    return post_json(upstream, "translations", {**body, "source_lang": request.source} if request.source else body)


def parse_translations(payload: bytes, request: TranslateRequest) -> TranslateResult:
    """Raises UpstreamError unless each text has a translation."""

    def one(entry: Mapping[str, Any]) -> Translation:
        source = entry.get("source_lang")
        return Translation(string(entry["text"]), string(source) if source is not None else None)

    def parse(body: Mapping[str, Any]) -> TranslateResult:
        found = [one(entry) for entry in table(body["translations"], len(request.texts))]
        return TranslateResult(found, parse_usage(body.get("usage")))

    return read(payload, parse)


def detect_request(upstream: Upstream, request: DetectRequest) -> HttpRequest:
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "image_b64": request.picture.base64,
        "threshold": request.threshold,
    }
    return post_json(upstream, "detections", {**body, "labels": list(request.labels)} if request.labels else body)


def _box(raw: Mapping[str, Any]) -> Box:
    box = Box(number(raw["xmin"]), number(raw["ymin"]), number(raw["xmax"]), number(raw["ymax"]))
    if box.xmin > box.xmax or box.ymin > box.ymax:
        raise ValueError
    return box


def parse_detections(payload: bytes) -> DetectResult:
    """Raises UpstreamError for what is no detection."""

    def parse(body: Mapping[str, Any]) -> DetectResult:
        found = [
            Detection(string(entry["label"]), score(entry["score"]), _box(entry["box"]))
            for entry in table(body["detections"])
        ]
        return DetectResult(found, parse_usage(body.get("usage")))

    return read(payload, parse)


def ocr_request(upstream: Upstream, request: OcrRequest) -> HttpRequest:
    source = request.source
    sent = {"document_url": source.data_url} if isinstance(source, Document) else {"image_b64": source.base64}
    body: dict[str, Any] = {"model": upstream.model_id, **sent}
    return post_json(upstream, "ocr", {**body, "languages": list(request.languages)} if request.languages else body)


def _page(raw: Mapping[str, Any]) -> Page:
    lines = [_line(entry) for entry in table(raw["lines"])]
    width, height = count(raw, "width"), count(raw, "height")
    return Page(string(raw["text"]), lines, width or None, height or None)


def _line(raw: Mapping[str, Any]) -> Line:
    sure, box = raw.get("score"), raw.get("box")
    return Line(string(raw["text"]), None if sure is None else score(sure), None if box is None else _box(box))


def parse_ocr(payload: bytes, request: OcrRequest) -> OcrResult:
    """Raises UpstreamError for no page, or for more than there are."""
    most = request.source.pages if isinstance(request.source, Document) else 1

    def parse(body: Mapping[str, Any]) -> OcrResult:
        pages = [_page(entry) for entry in table(body["pages"])]
        if not 0 < len(pages) <= most:
            raise ValueError
        return OcrResult(pages, parse_usage(body.get("usage")))

    return read(payload, parse)


class Classify:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def classify(self, upstream: Upstream, request: ClassifyRequest) -> ClassifyResult:
        http = classify_request(upstream, request)
        return parse_classifications(await wire.exchange(self._post, http, upstream), request)


class Translate:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def translate(self, upstream: Upstream, request: TranslateRequest) -> TranslateResult:
        http = translate_request(upstream, request)
        return parse_translations(await wire.exchange(self._post, http, upstream), request)


class Detect:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def detect(self, upstream: Upstream, request: DetectRequest) -> DetectResult:
        return parse_detections(await wire.exchange(self._post, detect_request(upstream, request), upstream))


class Ocr:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def ocr(self, upstream: Upstream, request: OcrRequest) -> OcrResult:
        http = ocr_request(upstream, request)
        return parse_ocr(await wire.exchange(self._post, http, upstream), request)


class AIgateway:
    chat = OpenAICompatibleChat(wire.CLIENT.post)
    embed = OpenAICompatibleEmbed(wire.CLIENT.post)
    image = CompatibleImage(wire.CLIENT.post, PICTURE_SETTINGS, parse_totals)
    transcribe = CompatibleTranscribe(wire.CLIENT.post, parse_totals)
    speak = CompatibleSpeak(wire.CLIENT.post, usual_voice=None)
    moderate = CompatibleModerate(wire.CLIENT.post, parse_usage)
    rerank = CompatibleRerank(wire.CLIENT.post)
    classify = Classify(wire.CLIENT.post)
    translate = Translate(wire.CLIENT.post)
    detect = Detect(wire.CLIENT.post)
    ocr = Ocr(wire.CLIENT.post)


ADAPTER = AIgateway()
