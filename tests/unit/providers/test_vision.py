"""OCR and detection by chat: what the model is asked to fill, and what of it is believed."""

import json
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.detect import Box, DetectRequest
from aig.modalities.files import Document, Picture
from aig.modalities.ocr import Line, OcrRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import google, vision
from tests.conformance.test_requests import PNG
from tests.unit.providers.replies import posting, upstream

PICTURE = Picture(b"\x89PNG", "image/png", 2000, 500)
READ = OcrRequest((), PICTURE)
READ_ALL = OcrRequest((), Document(b"%PDF", "application/pdf", 2))
FIND = DetectRequest((), PICTURE)
COUNTED = Usage({"input_tokens": 900, "output_tokens": 40})
UNSET: Any = object()
AT = replace(upstream(), max_output=4_000)


class Model:
    """Says what it is told to, to whatever it is asked."""

    def __init__(self, filled: Any = UNSET, content: Any = None, finish: str = "stop", **told: Any) -> None:
        text = content if filled is UNSET else json.dumps(filled)
        usage = told.pop("usage", COUNTED)
        message = {"role": "assistant", "content": text, "refusal": None, **told}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self._result = ChatResult({"choices": [choice]}, usage)
        self.asked: list[tuple[ChatRequest, int]] = []

    async def complete(self, _: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        self.asked.append((request, max_output_tokens))
        return self._result

    def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        raise AssertionError


def lines(*pages: list[str]) -> dict[str, Any]:
    return {"pages": [{"lines": [{"text": text} for text in page]} for page in pages]}


def thing(**fields: Any) -> dict[str, Any]:
    return {"label": "cat", "score": 0.9, "box_2d": [100, 200, 500, 1000], **fields}


async def read(model: Model, request: OcrRequest = READ) -> Any:
    return await vision.OcrByChat(model).ocr(AT, request)


async def find(model: Model, request: DetectRequest = FIND) -> Any:
    return await vision.DetectByChat(model).detect(upstream(), request)


@pytest.mark.parametrize("asked", [vision.ocr_request(READ), vision.ocr_request(READ_ALL), vision.detect_request(FIND)])
def test_what_is_asked_is_a_chat_request_of_the_strict_kind(asked: ChatRequest) -> None:
    body = json.loads(json.dumps(asked.body))
    for part in body["messages"][0]["content"]:
        if part["type"] == "image_url":
            part["image_url"]["url"] = PNG  # one that its header can be read of
    assert chat_body.parse(body).capabilities == asked.capabilities
    assert body["temperature"] == 0
    wanted = body["response_format"]["json_schema"]
    assert wanted["strict"] is True

    def objects(schema: Any) -> list[Any]:
        if not isinstance(schema, dict):
            return []
        inside = [found for value in schema.values() for found in objects(value)]
        return [schema, *inside] if schema.get("type") == "object" else inside

    for schema in objects(wanted["schema"]):
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False


def test_hints_and_labels_are_handed_on() -> None:
    hinted = vision.ocr_request(OcrRequest((), PICTURE, ("de", "fr")))
    assert "de, fr" in str(hinted.body["messages"])
    labelled = vision.detect_request(DetectRequest((), PICTURE, labels=("cat", "dog", "cat")))
    assert "cat, dog" in str(labelled.body["messages"])
    assert '"enum": ["cat", "dog"]' in json.dumps(labelled.body["response_format"])
    assert "enum" not in json.dumps(vision.detect_request(FIND).body["response_format"])


class TestOcr:
    async def test_lines_in_order(self) -> None:
        model = Model(lines(["Hello", "world"]))
        result = await read(model)
        (page,) = result.pages
        assert (page.text, page.lines) == ("Hello\nworld", [Line("Hello"), Line("world")])
        assert (page.width, page.height) == (2000, 500)
        assert result.usage == COUNTED
        assert model.asked[0][1] == AT.max_output == 4_000

    async def test_a_document_has_pages(self) -> None:
        result = await read(Model(lines(["a"], [])), READ_ALL)
        assert [(page.text, page.width, page.height) for page in result.pages] == [("a", None, None), ("", None, None)]

    async def test_nothing_to_read_is_an_answer(self) -> None:
        assert [page.text for page in (await read(Model(lines([])))).pages] == [""]

    @pytest.mark.parametrize(
        "filled",
        [
            None, [], 5, "x", {}, {"lines": []}, {"pages": None}, {"pages": []}, lines(["a"], ["b"]), {"pages": [5]},
            {"pages": [{"lines": 5}]}, {"pages": [{"lines": [{"text": 5}]}]}, {"pages": [{"lines": ["a"]}]},
            {"pages": [{"lines": [], "more": 1}]}, {**lines([]), "more": 1},
        ],
    )  # fmt: skip
    async def test_what_does_not_fit(self, filled: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            await read(Model(filled))
        assert (raised.value.kind, raised.value.usage) == ("malformed", COUNTED)


class TestDetect:
    async def test_boxes_are_in_pixels(self) -> None:
        result = await find(Model({"detections": [thing(), thing(label="dog", score=1)]}))
        first, second = result.detections
        assert (first.label, first.score, first.box) == ("cat", 0.9, Box(400.0, 50.0, 2000.0, 250.0))
        assert (second.label, second.score) == ("dog", 1.0)
        assert result.usage == COUNTED

    async def test_nothing_to_find_is_an_answer(self) -> None:
        assert (await find(Model({"detections": []}))).detections == []

    @pytest.mark.parametrize(
        "bad",
        [
            thing(box_2d=[0, 0, 1001, 5]), thing(box_2d=[-1, 0, 5, 5]), thing(box_2d=[9, 0, 5, 5]),
            thing(box_2d=[0, 9, 5, 5]), thing(box_2d=[0, 0, 5]), thing(box_2d=[0, 0, 5, 5, 5]), thing(box_2d=None),
            thing(box_2d=["0", 0, 5, 5]), thing(box_2d=[True, 0, 5, 5]), thing(score=1.1), thing(score=-0.1),
            thing(score="high"), thing(score=None), thing(label=5), thing(more=1), {"label": "cat"}, 5, None,
            thing(box_2d=[0, 0, 10**400, 5]),
        ],
    )  # fmt: skip
    async def test_what_does_not_fit(self, bad: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            await find(Model({"detections": [thing(), bad]}))
        assert (raised.value.kind, raised.value.usage) == ("malformed", COUNTED)

    async def test_a_label_that_was_not_asked_for(self) -> None:
        only = DetectRequest((), PICTURE, labels=("dog",))
        with pytest.raises(UpstreamError):
            await find(Model({"detections": [thing()]}), only)
        assert len((await find(Model({"detections": [thing(label="dog")]}), only)).detections) == 1


def gemini(filled: Any, reason: str = "STOP") -> bytes:
    candidate = {"content": {"parts": [{"text": json.dumps(filled)}]}, "finishReason": reason}
    return json.dumps(
        {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 900, "candidatesTokenCount": 40}}
    ).encode()


async def test_it_goes_by_a_real_chat() -> None:
    chat = google.GoogleChat(posting(gemini({"detections": [thing()]})))
    result = await vision.DetectByChat(chat).detect(upstream(), FIND)
    assert [one.box for one in result.detections] == [Box(400.0, 50.0, 2000.0, 250.0)]
    assert result.usage is not None
    assert (result.usage.units["input_tokens"], result.usage.units["output_tokens"]) == (900, 40)
    cut = vision.OcrByChat(google.GoogleChat(posting(gemini(lines(["a"]), "MAX_TOKENS"))))
    with pytest.raises(UpstreamError) as raised:
        await cut.ocr(upstream(), READ)
    assert raised.value.kind == "rejected"


class TestEnds:
    async def test_more_than_the_model_may_write_is_the_clients_to_change(self) -> None:
        with pytest.raises(UpstreamError) as raised:
            await read(Model(lines(["a"]), finish="length"))
        assert (raised.value.kind, raised.value.status, raised.value.usage) == ("rejected", 400, COUNTED)
        assert "Send less" in (raised.value.message or "")
        assert not raised.value.retryable

    async def test_a_long_document_is_for_others(self) -> None:
        long = OcrRequest((), Document(b"%PDF", "application/pdf", vision.MAX_PAGES + 1))
        model = Model(lines(["a"]))
        with pytest.raises(UpstreamError) as raised:
            await read(model, long)
        assert raised.value.unasked
        assert "at most 16 pages" in (raised.value.message or "")
        assert model.asked == []

    @pytest.mark.parametrize("finish", ["tool_calls"])
    async def test_an_answer_that_is_cut(self, finish: str) -> None:
        with pytest.raises(UpstreamError) as raised:
            await read(Model(lines(["a"]), finish=finish))
        assert (raised.value.kind, raised.value.usage) == ("malformed", COUNTED)

    @pytest.mark.parametrize("content", [None, "", "{", "no JSON", '{"detections": NaN}', 5])
    async def test_what_is_no_json(self, content: Any) -> None:
        for asking in (read, find):
            with pytest.raises(UpstreamError) as raised:
                await asking(Model(content=content))
            assert raised.value.kind == "malformed"

    async def test_a_refusal(self) -> None:
        for model in (Model(finish="content_filter"), Model(content=None, refusal="I cannot")):
            with pytest.raises(UpstreamError) as raised:
                await find(model)
            assert (raised.value.kind, raised.value.code, raised.value.unasked) == ("rejected", "content_filter", False)

    async def test_usage_that_nobody_tells_is_estimated_in_tokens(self) -> None:
        result = await read(Model(lines(["word " * 100]), usage=None))
        assert result.usage.estimated
        assert result.usage.units["output_tokens"] > 100
        assert result.usage.units["input_tokens"] > 100
