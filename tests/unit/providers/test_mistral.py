"""Mistral's OCR and moderation; its chat and embeddings are those of OpenAI's wire."""

import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Document, Picture
from aig.modalities.moderate import ModerateRequest
from aig.modalities.ocr import Line, OcrRequest
from aig_providers import mistral, openai_compatible
from tests.unit.providers.replies import upstream

PICTURE = Picture(b"\x89PNG", "image/png", 640, 480)
DOCUMENT = Document(b"%PDF", "application/pdf", 2)
READ = OcrRequest((), PICTURE)
READ_ALL = OcrRequest((), DOCUMENT)


def page(index: Any = 0, markdown: Any = "# A\n\nb\n", **more: Any) -> dict[str, Any]:
    return {"index": index, "markdown": markdown, "images": [], "dimensions": None, **more}


def ocr(pages: Any, request: OcrRequest = READ, **more: Any) -> Any:
    return mistral.parse_ocr(json.dumps({"pages": pages, "model": "m", **more}).encode(), request)


def test_chat_and_embeddings_are_those_of_the_wire_that_it_speaks() -> None:
    assert isinstance(mistral.ADAPTER.chat, openai_compatible.OpenAICompatibleChat)
    assert isinstance(mistral.ADAPTER.embed, openai_compatible.OpenAICompatibleEmbed)


class TestOcr:
    def test_what_is_sent(self) -> None:
        asked = mistral.ocr_body(upstream("m"), READ)
        assert asked["document"] == {"type": "image_url", "image_url": "data:image/png;base64,iVBORw=="}
        assert asked["include_image_base64"] is False
        asked = mistral.ocr_body(upstream("m"), READ_ALL)
        assert asked["document"] == {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERg=="}

    def test_a_page_of_markdown(self) -> None:
        result = ocr([page()], usage_info={"pages_processed": 1, "doc_size_bytes": 9})
        (only,) = result.pages
        assert only.text == "# A\n\nb\n"
        assert only.lines == [Line("# A"), Line("b")]
        assert (only.width, only.height) == (640, 480)
        assert result.usage.units == {"pages": 1}

    def test_a_document_has_the_sizes_that_are_told(self) -> None:
        sized = page(1, dimensions={"dpi": 200, "width": 1700, "height": 2200})
        result = ocr([page(0), sized], READ_ALL)
        assert [(one.width, one.height) for one in result.pages] == [(None, None), (1700, 2200)]
        assert result.usage is None

    @pytest.mark.parametrize("told", [None, 5, {}, {"pages_processed": None}, {"pages_processed": -1}])
    def test_usage_that_is_none(self, told: Any) -> None:
        assert ocr([page()], usage_info=told).usage is None

    @pytest.mark.parametrize(
        "pages",
        [None, 5, {}, [], [5], [{}], [page(), page(1)], [page(markdown=None)], [page(-1)], [page(index="0")]],
    )
    def test_what_is_no_page(self, pages: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            ocr(pages)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize("size", [{"width": -1, "height": 9}, {"width": "9", "height": 9}, {"height": 1e9}])
    def test_a_size_that_is_none(self, size: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            ocr([page(dimensions=size)], READ_ALL)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize("indexes", [(0, 0), (1, 0), (0, 1, 2)])
    def test_pages_are_in_their_order_and_no_more_than_there_are(self, indexes: tuple[int, ...]) -> None:
        with pytest.raises(UpstreamError):
            ocr([page(index) for index in indexes], READ_ALL)


class TestModeration:
    request = ModerateRequest((), (("a", "b"), ("c",)))

    def parsed(self, *results: Any) -> Any:
        return mistral.parse_moderation(json.dumps({"results": results}).encode(), self.request)

    def test_what_is_sent(self) -> None:
        http = mistral.moderation_request(upstream("m"), self.request)
        assert json.loads(http.body) == {"model": "m", "input": ["a\nb", "c"]}

    def test_a_picture_is_refused_before_anybody_is_asked(self) -> None:
        with pytest.raises(UpstreamError) as raised:
            mistral.moderation_request(upstream("m"), ModerateRequest((), (("a", PICTURE),)))
        assert (raised.value.param, raised.value.unasked) == ("input", True)

    def test_categories_are_openais_where_it_has_them(self) -> None:
        scores = {"sexual": 0.1, "hate_and_discrimination": 0.2, "violence_and_threats": 0, "selfharm": 0.4}
        scores |= {"dangerous": 0.3, "criminal": 0.9, "pii": 1.0, "jailbreaking": 0.8, "law": 0.7}
        flags = {name: score > 0.5 for name, score in scores.items()}
        result = self.parsed({"categories": flags, "category_scores": scores}, *[self.calm()])
        bad, calm = result.verdicts
        assert bad.flagged == {"illicit"}
        assert bad.scores == {"sexual": 0.1, "hate": 0.2, "violence": 0.0, "self-harm": 0.4, "illicit": 0.9}
        assert calm.flagged == frozenset()
        assert result.usage is None

    def calm(self, **more: Any) -> dict[str, Any]:
        return {"categories": {"sexual": False}, "category_scores": {"sexual": 0.0}, **more}

    @pytest.mark.parametrize(
        "bad",
        [
            5, {}, {"categories": {}, "category_scores": {}}, {"categories": 5, "category_scores": {"sexual": 0.1}},
            {"categories": {}, "category_scores": {"sexual": 1.5}},
            {"categories": {}, "category_scores": {"sexual": "1"}},
            {"categories": {}, "category_scores": {"sexual": None}}, {"categories": {}, "category_scores": 5},
        ],
    )  # fmt: skip
    def test_what_is_no_verdict(self, bad: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            self.parsed(self.calm(), bad)
        assert raised.value.kind == "malformed"

    def test_each_input_has_one(self) -> None:
        for results in ([], [self.calm()], [self.calm()] * 3):
            with pytest.raises(UpstreamError):
                self.parsed(*results)
