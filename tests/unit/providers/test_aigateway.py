"""Our own wire: classifications, translations, detections and OCR, as another gateway takes and gives them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.classify import ClassifyRequest, Label
from aig.modalities.detect import Box, Detection, DetectRequest
from aig.modalities.files import Document, Picture
from aig.modalities.ocr import Line, OcrRequest, Page
from aig.modalities.translate import TranslateRequest, Translation
from aig.modalities.usage import Usage
from aig_providers import aigateway
from aig_providers.aigateway import (
    classify_request,
    detect_request,
    ocr_request,
    parse_classifications,
    parse_detections,
    parse_ocr,
    parse_totals,
    parse_translations,
    parse_usage,
    translate_request,
)
from aig_providers.wire import HttpRequest
from tests.unit.providers.replies import upstream

PICTURE = Picture(b"png", "image/png", 8, 4)
BOX = {"xmin": 0, "ymin": 1.5, "xmax": 8, "ymax": 4}
CLASSIFY = ClassifyRequest(("acme/one",), ("a", "b"), ("spam", "ham"))
TRANSLATE = TranslateRequest(("acme/one",), ("a", "b"), "pt-BR", "en")
DETECT = DetectRequest(("acme/one",), PICTURE, 0.4)
OCR = OcrRequest(("acme/one",), PICTURE)


def body_of(http: HttpRequest, path: str) -> Any:
    assert http.url == f"https://acme.example/v1/{path}"
    return json.loads(http.body)


def malformed(parse: Callable[[bytes], object], body: Any) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(json.dumps(body).encode())
    assert raised.value.kind == "malformed"


class TestClassifications:
    def parse(self, body: Any, request: ClassifyRequest = CLASSIFY) -> Any:
        return parse_classifications(json.dumps(body).encode(), request)

    def results(self, *labels: Any) -> dict[str, Any]:
        return {"results": [{"index": at, "labels": labels} for at in range(2)]}

    def test_a_request(self) -> None:
        assert body_of(classify_request(upstream(), CLASSIFY), "classifications") == {
            "model": "one-v1", "input": ["a", "b"], "labels": ["spam", "ham"], "multi_label": False
        }  # fmt: skip
        own = ClassifyRequest(("acme/one",), ("a",))
        assert body_of(classify_request(upstream(), own), "classifications") == {"model": "one-v1", "input": ["a"]}

    def test_a_model_without_labels_of_its_own(self) -> None:
        with pytest.raises(UpstreamError) as raised:
            classify_request(upstream(quirks=frozenset({"wants_labels"})), ClassifyRequest(("acme/one",), ("a",)))
        assert (raised.value.code, raised.value.param) == ("missing_required_parameter", "labels")
        assert raised.value.unasked

    def test_an_answer_by_its_indexes(self) -> None:
        second = {"index": 1, "label": "ham", "score": 1, "labels": [{"label": "ham", "score": 1}]}
        first = {"index": 0, "labels": [{"label": "spam", "score": 0.8}, {"label": "ham", "score": 0.2}]}
        result = self.parse({"results": [second, first], "usage": {"input_tokens": 7}})
        assert result.labels == [[Label("spam", 0.8), Label("ham", 0.2)], [Label("ham", 1.0)]]
        assert result.usage == Usage({"input_tokens": 7})

    def test_labels_of_the_models_own(self) -> None:
        own = ClassifyRequest(("acme/one",), ("a", "b"))
        assert self.parse(self.results({"label": "joy", "score": 0.5}), own).labels[0] == [Label("joy", 0.5)]

    @pytest.mark.parametrize(
        "labels",
        [
            [],
            [{"label": "joy", "score": 0.5}],
            [{"label": "spam", "score": 1.5}],
            [{"label": "spam", "score": "high"}],
            [{"label": "spam", "score": 0.5}, {"label": "spam", "score": 0.4}],
            [{"label": None, "score": 0.5}],
            [5],
        ],
    )
    def test_labels_that_are_none(self, labels: Any) -> None:
        malformed(lambda payload: parse_classifications(payload, CLASSIFY), self.results(*labels))

    @pytest.mark.parametrize("indexes", [[0], [0, 0], [0, 2], [0, 1, 2], ["0", "1"], [None, 1]])
    def test_results_that_are_not_one_for_each_text(self, indexes: Any) -> None:
        results = [{"index": index, "labels": [{"label": "ham", "score": 1}]} for index in indexes]
        malformed(lambda payload: parse_classifications(payload, CLASSIFY), {"results": results})


class TestTranslations:
    def test_a_request(self) -> None:
        assert body_of(translate_request(upstream(), TRANSLATE), "translations") == {
            "model": "one-v1", "text": ["a", "b"], "target_lang": "pt-BR", "source_lang": "en"
        }  # fmt: skip
        open_source = TranslateRequest(("acme/one",), ("a",), "pt")
        assert "source_lang" not in body_of(translate_request(upstream(), open_source), "translations")

    def test_an_answer(self) -> None:
        rows = [{"text": "x", "source_lang": "en", "target_lang": "pt"}, {"text": "y", "source_lang": None}]
        payload = json.dumps({"translations": rows, "usage": {"characters": 2}}).encode()
        result = parse_translations(payload, TRANSLATE)
        assert result.translations == [Translation("x", "en"), Translation("y")]
        assert result.usage == Usage({"characters": 2})

    @pytest.mark.parametrize(
        "rows", [None, {}, [], [{"text": "x"}], [{"text": "x"}] * 3, [{"text": "x"}, {"text": 5}], ["x", "y"],
                 [{"text": "x"}, {"text": "y", "source_lang": 5}]]
    )  # fmt: skip
    def test_what_is_none(self, rows: Any) -> None:
        malformed(lambda payload: parse_translations(payload, TRANSLATE), {"translations": rows})


class TestDetections:
    def test_a_request(self) -> None:
        assert body_of(detect_request(upstream(), DETECT), "detections") == {
            "model": "one-v1", "image_b64": "cG5n", "threshold": 0.4
        }  # fmt: skip
        labels = DetectRequest(("acme/one",), PICTURE, labels=("cat",))
        assert body_of(detect_request(upstream(), labels), "detections")["labels"] == ["cat"]

    def test_an_answer(self) -> None:
        payload = json.dumps({"detections": [{"label": "cat", "score": 0.7, "box": BOX}], "usage": {"images": 1}})
        result = parse_detections(payload.encode())
        assert result.detections == [Detection("cat", 0.7, Box(0.0, 1.5, 8.0, 4.0))]
        assert result.usage == Usage({"images": 1})

    def test_a_picture_of_nothing(self) -> None:
        assert parse_detections(b'{"detections": []}').detections == []

    @pytest.mark.parametrize(
        "row",
        [
            5,
            {"label": "cat", "score": 0.7},
            {"label": 5, "score": 0.7, "box": BOX},
            {"label": "cat", "score": 70, "box": BOX},
            {"label": "cat", "score": 0.7, "box": [0, 0, 1, 1]},
            {"label": "cat", "score": 0.7, "box": {**BOX, "xmax": -1}},
            {"label": "cat", "score": 0.7, "box": {**BOX, "ymin": "0"}},
        ],
    )
    def test_what_is_none(self, row: Any) -> None:
        malformed(parse_detections, {"detections": [row]})


class TestOcr:
    def test_a_request(self) -> None:
        assert body_of(ocr_request(upstream(), OCR), "ocr") == {"model": "one-v1", "image_b64": "cG5n"}
        document = OcrRequest(("acme/one",), Document(b"pdf", "application/pdf", 2), ("en",))
        assert body_of(ocr_request(upstream(), document), "ocr") == {
            "model": "one-v1", "document_url": "data:application/pdf;base64,cGRm", "languages": ["en"]
        }  # fmt: skip

    def test_an_answer(self) -> None:
        lines = [{"text": "Hi", "score": 0.9, "box": BOX}, {"text": "there", "score": None, "box": None}]
        page = {"index": 0, "text": "Hi\nthere", "width": 8, "height": 4, "lines": lines}
        payload = json.dumps({"text": "Hi\nthere", "pages": [page], "usage": {"pages": 1}}).encode()
        result = parse_ocr(payload, OCR)
        box = Box(0.0, 1.5, 8.0, 4.0)
        assert result.pages == [Page("Hi\nthere", [Line("Hi", 0.9, box), Line("there")], 8, 4)]
        assert result.usage == Usage({"pages": 1})

    def test_a_page_whose_size_nobody_tells(self) -> None:
        page: dict[str, Any] = {"text": "", "width": None, "height": None, "lines": []}
        assert parse_ocr(json.dumps({"pages": [page]}).encode(), OCR).pages == [Page("", [])]

    def test_no_more_pages_than_the_document_has(self) -> None:
        body = json.dumps({"pages": [{"text": "", "lines": []}] * 2}).encode()
        two = OcrRequest(("acme/one",), Document(b"pdf", "application/pdf", 2))
        assert len(parse_ocr(body, two).pages) == 2
        with pytest.raises(UpstreamError):
            parse_ocr(body, OCR)

    @pytest.mark.parametrize(
        "page",
        [
            5,
            {"text": "a"},
            {"text": None, "lines": []},
            {"text": "a", "lines": [{"text": 5}]},
            {"text": "a", "lines": [{"text": "a", "score": 93}]},
            {"text": "a", "lines": [{"text": "a", "box": [[0, 0], [1, 1]]}]},
            {"text": "a", "lines": [], "width": -8},
            {"text": "a", "lines": [], "height": "tall"},
        ],
    )
    def test_what_is_none(self, page: Any) -> None:
        malformed(lambda payload: parse_ocr(payload, OCR), {"pages": [page]})

    def test_no_page(self) -> None:
        malformed(lambda payload: parse_ocr(payload, OCR), {"pages": []})


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"characters": 5, "cost": "0.000005"}, Usage({"characters": 5})),
        ({"input_tokens": 5, "estimated": True}, Usage({"input_tokens": 5}, estimated=True)),
        ({"input_tokens": 0, "cost": "0"}, None),
        ({"input_tokens": -5}, None),
        (None, None),
        ([], None),
        ("much", None),
    ],
)
def test_usage(raw: Any, expected: Usage | None) -> None:
    assert parse_usage(raw) == expected
    assert parse_totals(raw) == expected


def test_it_does_everything() -> None:
    operations = ("chat", "embed", "image", "transcribe", "speak", "moderate", "rerank", "classify", "translate")
    assert all(hasattr(aigateway.ADAPTER, operation) for operation in (*operations, "detect", "ocr"))
