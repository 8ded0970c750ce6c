"""The bodies of every modality but chat: what becomes of them, and what is refused by the field's name."""

from collections.abc import Callable
from typing import Any

import pytest

from aig.errors import InvalidRequest
from aig.modalities import (
    classify_body,
    detect_body,
    image_body,
    moderate_body,
    ocr_body,
    rerank_body,
    speak_body,
    transcribe_body,
    translate_body,
)
from aig.modalities.files import Picture, Sound
from aig.modalities.given import Given, given

PICTURE = Picture(b"x", "image/png", 640, 480)
SOUND = Sound(b"x", "audio/wav", 1.0)
UPLOAD = "upload_01KAP6V3J8Q0ZB5N7E2XWY4T9C"
PARSE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "rerank": rerank_body.parse,
    "translate": translate_body.parse,
    "classify": classify_body.parse,
    "speak": speak_body.parse,
    "moderate": moderate_body.checked,
    "detect": detect_body.checked,
    "ocr": ocr_body.checked,
    "image": image_body.checked,
    "transcribe": transcribe_body.checked,
}
LEAST: dict[str, dict[str, Any]] = {
    "rerank": {"query": "q", "documents": ["a"]},
    "translate": {"text": "hello", "target_lang": "pt"},
    "classify": {"input": "hello"},
    "speak": {"input": "hello"},
    "moderate": {"input": "hello"},
    "detect": {"image_b64": "eA=="},
    "ocr": {"image_b64": "eA=="},
    "image": {"prompt": "a cat"},
    "transcribe": {},
}
SCHEMAS = (
    rerank_body, translate_body, classify_body, speak_body, moderate_body, detect_body, ocr_body, image_body,
    transcribe_body,
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(PARSE))
def test_models_and_preferences_are_those_of_chat(name: str) -> None:
    asked = {**LEAST[name], "model": "v/a", "models": ["v/b", "v/a"], "provider": {"only": ["p"]}}
    body = PARSE[name](asked)
    requests: dict[str, Callable[[Any], Any]] = {
        "moderate": lambda body: moderate_body.request(body, []),
        "detect": lambda body: detect_body.request(body, PICTURE),
        "ocr": lambda body: ocr_body.request(body, PICTURE),
        "image": image_body.request,
        "transcribe": lambda body: transcribe_body.request(body, SOUND),
    }
    request = requests.get(name, lambda body: body)(body)
    assert (request.models, request.preferences) == (("v/a", "v/b"), {"only": ["p"]})
    unnamed = requests.get(name, lambda body: body)(PARSE[name]({**LEAST[name], "model": "auto"}))
    assert (unnamed.models, unnamed.preferences) == ((), {})
    assert unnamed.demand.preferences == {}


@pytest.mark.parametrize(
    ("name", "wrong", "param"),
    [
        *[(name, {"no_such_field": 1}, "no_such_field") for name in PARSE],
        *[(name, {"model": 5}, "model") for name in PARSE],
        *[(name, {"api_key": "x"}, "api_key") for name in PARSE],
        ("rerank", {"query": ""}, "query"),
        ("rerank", {"documents": []}, "documents"),
        ("rerank", {"documents": ["a"] * 1_001}, "documents"),
        ("rerank", {"documents": [{"txt": "a"}]}, "documents[0].txt"),
        ("rerank", {"top_n": 0}, "top_n"),
        ("rerank", {"top_n": "3"}, "top_n"),
        ("rerank", {"return_documents": 1}, "return_documents"),
        ("translate", {"target_lang": "portuguese"}, "target_lang"),
        ("translate", {"target_lang": "pt_BR_x"}, "target_lang"),
        ("translate", {"text": []}, "text"),
        ("translate", {"text": ""}, "text"),
        ("translate", {"text": ["a"] * 51}, "text"),
        ("translate", {"text": "a" * 100_001}, "text"),
        ("classify", {"labels": []}, "labels"),
        ("classify", {"labels": ["a", "a"]}, "labels"),
        ("classify", {"labels": [" "]}, "labels[0]"),
        ("classify", {"input": ["a"] * 129}, "input"),
        ("speak", {"input": " "}, "input"),
        ("speak", {"input": "a" * 10_001}, "input"),
        ("speak", {"speed": 5}, "speed"),
        ("speak", {"speed": "fast"}, "speed"),
        ("speak", {"response_format": "aac"}, "response_format"),
        ("speak", {"stream_format": "sse"}, "stream_format"),
        ("moderate", {"input": []}, "input"),
        ("moderate", {"input": [{"type": "text"}]}, "input[0].text"),
        ("moderate", {"input": [{"type": "video", "url": "x"}]}, "input[0]"),
        ("moderate", {"input": ["a"] * 257}, "input"),
        ("detect", {"threshold": 1.5}, "threshold"),
        ("detect", {"labels": []}, "labels"),
        ("detect", {"upload_id": "upload_x"}, "upload_id"),
        ("ocr", {"languages": ["english"]}, "languages[0]"),
        ("image", {"prompt": "\n"}, "prompt"),
        ("image", {"n": 11}, "n"),
        ("image", {"size": "big"}, "size"),
        ("image", {"size": "5000x100"}, "size"),
        ("image", {"size": "0x100"}, "size"),
        ("image", {"seed": -1}, "seed"),
        ("image", {"steps": 51}, "steps"),
        ("image", {"output_format": "gif"}, "output_format"),
        ("transcribe", {"response_format": "xml"}, "response_format"),
        ("transcribe", {"temperature": 2}, "temperature"),
        ("transcribe", {"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ("transcribe", {"language": "en-English"}, "language"),
    ],
)
def test_what_is_refused_and_named(name: str, wrong: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        PARSE[name]({**LEAST[name], **wrong})
    assert raised.value.param == param


@pytest.mark.parametrize("name", sorted(set(PARSE) - {"detect", "ocr", "transcribe"}))
def test_what_is_missing_is_named(name: str) -> None:
    for field in LEAST[name]:
        with pytest.raises(InvalidRequest) as raised:
            PARSE[name]({key: value for key, value in LEAST[name].items() if key != field})
        assert (raised.value.code, raised.value.param) == ("missing_required_parameter", field)


@pytest.mark.parametrize("module", SCHEMAS)
def test_each_has_a_schema(module: Any) -> None:
    assert module.body_schema()["properties"]["model"]


@pytest.mark.parametrize(
    ("sent", "read"), [("PT", "pt"), ("pt_br", "pt-BR"), ("ZH-hans", "zh-Hans"), ("fil", "fil"), ("es-419", None)]
)
def test_languages_are_read_however_they_are_cased(sent: str, read: str | None) -> None:
    if read is None:
        with pytest.raises(InvalidRequest):
            translate_body.parse({"text": "a", "target_lang": sent})
    else:
        assert translate_body.parse({"text": "a", "target_lang": sent}).target == read


def test_texts_are_one_or_many() -> None:
    assert translate_body.parse({"text": ["a", "b"], "target_lang": "pt"}).texts == ("a", "b")
    assert classify_body.parse({"input": ["a", "b"], "labels": [" x "], "multi_label": True}).labels == ("x",)
    assert rerank_body.parse({"query": "q", "documents": ["a", {"text": "b"}]}).documents == ("a", "b")


def test_parts_are_judged_together_and_texts_one_by_one() -> None:
    texts = moderate_body.checked({"input": ["a", "b"]})
    assert moderate_body.pictures(texts) == []
    assert moderate_body.request(texts, []).inputs == (("a",), ("b",))
    url = "https://example.com/a.png"
    parts = moderate_body.checked(
        {"input": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": url}}]}
    )
    assert moderate_body.pictures(parts) == [Given("url", url, "input[1].image_url.url")]
    assert moderate_body.request(parts, [PICTURE]).inputs == (("a", PICTURE),)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"image_url": "https://example.com/a.png"}, "url"),
        ({"image_url": "data:image/png;base64,eA=="}, "url"),
        ({"image_b64": "eA=="}, "base64"),
        ({"upload_id": UPLOAD}, "upload"),
    ],
)
def test_a_picture_is_given_in_one_of_three_ways(body: dict[str, str], kind: str) -> None:
    ((name, value),) = body.items()
    assert detect_body.picture(detect_body.checked(dict(body))) == Given(kind, value, name)  # type: ignore[arg-type]
    assert ocr_body.source(ocr_body.checked(dict(body))) == Given(kind, value, name)  # type: ignore[arg-type]


def test_a_document_is_given_by_url() -> None:
    url = "https://example.com/a.pdf"
    assert ocr_body.source(ocr_body.checked({"document_url": url})) == Given("url", url, "document_url")


@pytest.mark.parametrize("body", [{}, {"image_url": "https://a.b/c", "image_b64": "eA=="}])
def test_exactly_one_file_is_given(body: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest, match="exactly one of image_url, image_b64, upload_id") as raised:
        given(body, ("image_url",), ("image_b64",))
    assert raised.value.code == ("invalid_value" if body else "missing_required_parameter")


def test_pictures_are_made_as_they_are_asked_for() -> None:
    asked = {"prompt": "a cat", "n": 2, "size": "512x256", "guidance": 3, "negative_prompt": "", "seed": 0}
    request = image_body.request(image_body.checked(asked))
    assert (request.n, request.size, request.guidance, request.negative_prompt) == (2, (512, 256), 3.0, None)
    assert request.seed == 0
    assert image_body.request(image_body.checked({"prompt": "a cat", "size": "auto"})).size is None


def test_a_mask_is_as_large_as_its_picture() -> None:
    body = image_body.checked({"prompt": "a cat"})
    assert image_body.request(body, [PICTURE], PICTURE).mask is PICTURE
    with pytest.raises(InvalidRequest, match="mask"):
        image_body.request(body, [PICTURE], Picture(b"x", "image/png", 64, 64))


@pytest.mark.parametrize(
    ("asked", "granularities"),
    [
        ({}, set()),
        ({"response_format": "text"}, set()),
        ({"response_format": "srt"}, {"segment"}),
        ({"response_format": "vtt"}, {"segment"}),
        ({"response_format": "verbose_json"}, {"segment"}),
        ({"response_format": "verbose_json", "timestamp_granularities": ["word"]}, {"word"}),
    ],
)
def test_the_times_that_a_form_needs_are_asked_for(asked: dict[str, Any], granularities: set[str]) -> None:
    request = transcribe_body.request(transcribe_body.checked(asked), SOUND)
    assert request.granularities == granularities
    assert not request.into_english
    assert transcribe_body.request(transcribe_body.checked(asked), SOUND, into_english=True).into_english


def test_speech_is_asked_for_as_openai_does() -> None:
    request = speak_body.parse(
        {"input": "hi", "voice": "alloy", "speed": 1, "instructions": "", "stream_format": "audio"}
    )
    assert (request.text, request.voice, request.form, request.speed) == ("hi", "alloy", "mp3", 1)
    assert request.instructions is None


def test_a_threshold_of_nothing_is_one() -> None:
    assert detect_body.request(detect_body.checked({"image_b64": "eA==", "threshold": 0}), PICTURE).threshold == 0.0
    assert detect_body.request(detect_body.checked({"image_b64": "eA=="}), PICTURE).threshold == 0.5
