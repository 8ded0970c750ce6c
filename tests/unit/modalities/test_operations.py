"""What the requests of every modality but chat tell the gateway: demand, cache form, estimate and answer."""

import base64
from dataclasses import fields, replace
from typing import Any

import pytest

from aig.catalog.model import COUNTED
from aig.modalities.classify import ClassifyRequest, ClassifyResult, Label
from aig.modalities.detect import Box, Detection, DetectRequest, DetectResult
from aig.modalities.files import Document, Picture, Sound
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig.modalities.moderate import CATEGORIES, ModerateRequest, ModerateResult, Verdict
from aig.modalities.ocr import Line, OcrRequest, OcrResult, Page
from aig.modalities.rerank import RerankRequest, RerankResult, Score
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.transcript import Segment, Word
from aig.modalities.translate import TranslateRequest, TranslateResult, Translation
from aig.modalities.usage import Usage

PICTURE = Picture(b"RAW picture", "image/png", 640, 480)
OTHER_PICTURE = Picture(b"another", "image/png", 640, 480)
SOUND = Sound(b"RAW sound", "audio/wav", 12.3)
PDF = Document(b"%PDF-1.7", "application/pdf", 3)
MODELS = ("v/m",)
ONE = Usage({"images": 1})

RERANK = RerankRequest(MODELS, "red apples", ("green pears", "red apples"))
TRANSLATE = TranslateRequest(MODELS, ("hello", "big world"), "pt", "en")
CLASSIFY = ClassifyRequest(MODELS, ("one", "two"))
MODERATE = ModerateRequest(MODELS, (("kind words",), ("see", PICTURE)))
DETECT = DetectRequest(MODELS, PICTURE)
OCR = OcrRequest(MODELS, PICTURE)
IMAGE = ImageRequest(MODELS, "a cat")
TRANSCRIBE = TranscribeRequest(MODELS, SOUND)
SPEAK = SpeakRequest(MODELS, "hello")

# Another value of each field: whatever changes, another answer is asked for.
OTHERWISE: list[tuple[Any, dict[str, Any]]] = [
    (RERANK, {"query": "x", "documents": ("x",), "top_n": 1, "return_documents": True}),
    (TRANSLATE, {"texts": ("x",), "target": "de", "source": None}),
    (CLASSIFY, {"texts": ("x",), "labels": ("a",), "multi_label": True}),
    (MODERATE, {"inputs": (("see", OTHER_PICTURE),)}),
    (DETECT, {"picture": OTHER_PICTURE, "threshold": 0.1, "labels": ("cat",)}),
    (OCR, {"source": PDF, "languages": ("pt",)}),
    (
        IMAGE,
        {
            "prompt": "a dog",
            "n": 2,
            "size": (512, 512),
            "quality": "high",
            "style": "vivid",
            "form": "jpeg",
            "background": "opaque",
            "seed": 7,
            "steps": 4,
            "guidance": 2.5,
            "negative_prompt": "dogs",
            "pictures": (PICTURE,),
            "mask": PICTURE,
        },
    ),
    (
        TRANSCRIBE,
        {
            "sound": Sound(b"x", "audio/wav", 12.3),
            "language": "en",
            "prompt": "names",
            "temperature": 0.2,
            "granularities": frozenset({"word"}),
            "into_english": True,
        },
    ),
    (SPEAK, {"text": "x", "voice": "joe", "form": "wav", "speed": 2.0, "instructions": "slowly"}),
]
NAMES = [type(request).__name__ for request, _ in OTHERWISE]


@pytest.mark.parametrize(("request_", "otherwise"), OTHERWISE, ids=NAMES)
def test_whatever_changes_the_answer_is_in_the_cache_form(request_: Any, otherwise: dict[str, Any]) -> None:
    beside = {"models", "user"}
    assert otherwise.keys() | beside | {"preferences"} >= {field.name for field in fields(request_)}
    for name, value in {**otherwise, "preferences": {"only": ["p"]}}.items():
        changed = replace(request_, **{name: value})
        assert changed.cache_form.parameters != request_.cache_form.parameters, name
    assert replace(request_, models=("v/other",)).cache_form == request_.cache_form


@pytest.mark.parametrize(("request_", "_"), OTHERWISE, ids=NAMES)
def test_no_file_is_in_the_cache_form(request_: Any, _: Any) -> None:
    assert "RAW" not in repr(request_.cache_form)


def test_what_is_deterministic() -> None:
    for request in (RERANK, TRANSLATE, CLASSIFY, MODERATE, DETECT, OCR, SPEAK, TRANSCRIBE):
        assert request.cache_form.deterministic, request
    assert replace(TRANSCRIBE, temperature=0.0).cache_form.deterministic
    assert not replace(TRANSCRIBE, temperature=0.2).cache_form.deterministic
    assert not IMAGE.cache_form.deterministic
    assert replace(IMAGE, seed=0).cache_form.deterministic


@pytest.mark.parametrize(
    ("request_", "operation", "bounds"),
    [
        (RERANK, "rerank", {"search_units": 1}),
        (replace(RERANK, documents=("x",) * 101), "rerank", {"search_units": 2}),
        (replace(RERANK, documents=("x" * 1_000,) * 40), "rerank", {"search_units": 2}),  # long ones count for several
        (TRANSLATE, "translate", {"characters": 14}),
        (CLASSIFY, "classify", {}),
        (MODERATE, "moderate", {"images": 1}),
        (DETECT, "detect", {"images": 1}),
        (OCR, "ocr", {"pages": 1, "images": 1}),
        (replace(OCR, source=PDF), "ocr", {"pages": 3, "images": 3}),
        (replace(TRANSCRIBE, sound=SOUND), "transcribe", {"seconds": 13}),
        (replace(TRANSCRIBE, sound=Sound(b"x", "audio/wav", 0.4)), "transcribe", {"seconds": 10}),  # some bill that
        (SPEAK, "speak", {"characters": 5, "seconds": 4}),
        (replace(SPEAK, speed=0.25), "speak", {"characters": 5, "seconds": 7}),
    ],
)
def test_what_is_counted_is_bounded(request_: Any, operation: str, bounds: dict[str, int]) -> None:
    assert request_.demand.counts == bounds
    assert operation in request_.demand.capabilities
    assert bounds.keys() <= set(COUNTED.get(operation, ()))


def test_pictures_are_bounded_by_number_tiles_and_steps() -> None:
    asked = replace(IMAGE, n=2, size=(1024, 512), steps=4).demand
    assert (asked.counts["images"], asked.samples) == (2, 2)
    assert asked.counts["tiles"] >= 2 * 2
    assert asked.counts["steps"] >= 2 * 4
    assert IMAGE.demand.counts["tiles"] > replace(IMAGE, size=(512, 512)).demand.counts["tiles"]


@pytest.mark.parametrize(
    ("request_", "capabilities"),
    [
        (IMAGE, {"image"}),
        (replace(IMAGE, pictures=(PICTURE,), mask=PICTURE), {"image", "edit", "mask"}),
        (replace(TRANSLATE, source=None), {"translate", "detect_language"}),
        (replace(CLASSIFY, labels=("a",)), {"classify", "labels"}),
        (MODERATE, {"moderate", "texts", "vision"}),
        (replace(MODERATE, inputs=(("x",),)), {"moderate", "texts"}),
        (replace(OCR, source=PDF), {"ocr", "files"}),
        (replace(TRANSCRIBE, into_english=True), {"transcribe", "into_english"}),
        (replace(TRANSCRIBE, granularities=frozenset({"word", "segment"})), {"transcribe", "words", "segments"}),
    ],
)
def test_what_a_model_must_be_able_to(request_: Any, capabilities: set[str]) -> None:
    assert request_.demand.capabilities == capabilities


def test_rerank_answers_with_the_best_first() -> None:
    result = RerankResult([Score(0, 0.25), Score(1, 0.75)], None)
    shown = replace(RERANK, top_n=1, return_documents=True).answer(result, Usage({"search_units": 1}))
    assert shown["results"] == [{"index": 1, "relevance_score": 0.75, "document": {"text": "red apples"}}]
    whole = RERANK.answer(result, Usage({"search_units": 1}, estimated=True))
    assert [one["index"] for one in whole["results"]] == [1, 0]
    assert (whole["object"], whole["usage"]) == ("rerank", {"search_units": 1, "estimated": True})
    assert RERANK.estimate(result).units == {"input_tokens": 11, "search_units": 1}


@pytest.mark.parametrize("documents", [("x",), ("x",) * 101, ("x" * 1_000,) * 40, ("x" * 400,) * 100])
def test_search_units_are_counted_as_they_are_held(documents: tuple[str, ...]) -> None:
    request = replace(RERANK, documents=documents)
    counted = request.estimate(RerankResult([], None)).units["search_units"]
    assert counted == request.demand.counts["search_units"]


def test_translations_keep_their_order_and_tell_the_language_that_was_found() -> None:
    result = TranslateResult([Translation("olá"), Translation("mundo grande", "en-US")], None)
    assert TRANSLATE.answer(result, Usage({"characters": 14}))["translations"] == [
        {"text": "olá", "source_lang": "en", "target_lang": "pt"},
        {"text": "mundo grande", "source_lang": "en-US", "target_lang": "pt"},
    ]
    assert TRANSLATE.estimate(result).units == {"characters": 14, "input_tokens": 4, "output_tokens": 4}


def test_classifications_have_the_best_label_beside_all_of_them() -> None:
    result = ClassifyResult([[Label("a", 0.2), Label("b", 0.8)], [Label("a", 1.0)]], None)
    first, second = CLASSIFY.answer(result, Usage({"input_tokens": 2}))["results"]
    assert (first["index"], first["label"], first["score"]) == (0, "b", 0.8)
    assert first["labels"] == [{"label": "b", "score": 0.8}, {"label": "a", "score": 0.2}]
    assert (second["index"], second["label"]) == (1, "a")
    assert CLASSIFY.estimate(result).units == {"input_tokens": 2}


def test_a_verdict_has_all_categories_and_says_what_it_was_judged_by() -> None:
    told = Verdict(frozenset({"violence"}), {"violence": 0.9, "hate": 0.1})
    of_its_own = Verdict(frozenset(), {"sexual": 0.0}, {"sexual": ["image"]})
    first, second = MODERATE.answer(ModerateResult([told, of_its_own], None), ONE)["results"]
    assert first["flagged"] is True
    assert second["flagged"] is False
    assert first["categories"].keys() == first["category_scores"].keys() == set(CATEGORIES)
    assert [name for name, yes in first["categories"].items() if yes] == ["violence"]
    assert first["category_scores"]["hate"] == 0.1
    assert first["category_applied_input_types"]["violence"] == ["text"]
    assert first["category_applied_input_types"]["sexual"] == []
    assert second["category_applied_input_types"]["sexual"] == ["image"]
    assert MODERATE.estimate(ModerateResult([], None)).units == {"input_tokens": 4, "output_tokens": 16, "images": 1}


def test_detections_are_cut_to_what_was_asked_for() -> None:
    box = Box(1.0, 2.0, 3.0, 4.0)
    found = DetectResult([Detection("dog", 0.6, box), Detection("cat", 0.9, box), Detection("cat", 0.4, box)], None)
    shown = DETECT.answer(found, ONE)
    assert [(one["label"], one["score"]) for one in shown["detections"]] == [("cat", 0.9), ("dog", 0.6)]
    assert shown["detections"][0]["box"] == {"xmin": 1.0, "ymin": 2.0, "xmax": 3.0, "ymax": 4.0}
    assert shown["image"] == {"width": 640, "height": 480}
    few = replace(DETECT, threshold=0.0, labels=("cat",)).answer(found, ONE)
    assert [one["score"] for one in few["detections"]] == [0.9, 0.4]
    assert DETECT.estimate(found).units == {"images": 1}


def test_pages_have_their_lines_and_the_whole_text() -> None:
    first = Page("one\ntwo", [Line("one", 0.9, Box(0, 0, 5, 5)), Line("two")], 640, 480)
    result = OcrResult([first, Page("three", [])], None)
    shown = OCR.answer(result, Usage({"pages": 2}))
    assert shown["text"] == "one\ntwo\n\nthree"
    assert [page["index"] for page in shown["pages"]] == [0, 1]
    assert shown["pages"][0]["lines"][0]["box"] == {"xmin": 0, "ymin": 0, "xmax": 5, "ymax": 5}
    assert shown["pages"][0]["lines"][1] == {"text": "two", "score": None, "box": None}
    assert OCR.estimate(result).units == {"pages": 2, "images": 2}
    assert OCR.estimate(OcrResult([], None)).units["pages"] == 1


def test_pictures_are_inline_with_their_type() -> None:
    made = ImageResult([Image(b"png", "image/png", "a fat cat"), Image(b"jpg", "image/jpeg")], None)
    shown = IMAGE.answer(made, Usage({"input_tokens": 5, "output_image_tokens": 100}))
    first, second = shown["data"]
    assert base64.b64decode(first["b64_json"]) == b"png"
    assert (first["media_type"], first["revised_prompt"]) == ("image/png", "a fat cat")
    assert "revised_prompt" not in second
    assert (shown["usage"]["input_tokens"], shown["usage"]["output_tokens"]) == (5, 100)
    assert shown["usage"]["total_tokens"] == 105
    assert "total_tokens" not in IMAGE.answer(made, ONE)["usage"]
    estimated = IMAGE.estimate(made)
    assert (estimated.units["images"], estimated.units["output_image_tokens"]) == (2, 2 * 1_056)


def test_transcripts_tell_all_and_are_billed_by_one_of_two_kinds() -> None:
    segments = [Segment(0.0, 1.0, "hello", avg_logprob=-0.5), Segment(1.0, 2.0, "world")]
    result = TranscribeResult("hello world", segments, [Word("hello", 0.0, 1.0)], "en", 2.0)
    shown = TRANSCRIBE.answer(result, Usage({"seconds": 2}))
    assert (shown["task"], shown["language"], shown["duration"], shown["text"]) == (
        "transcribe", "en", 2.0, "hello world",
    )  # fmt: skip
    assert shown["segments"] == [
        {"id": 0, "start": 0.0, "end": 1.0, "text": "hello", "avg_logprob": -0.5},
        {"id": 1, "start": 1.0, "end": 2.0, "text": "world"},
    ]
    assert shown["words"] == [{"word": "hello", "start": 0.0, "end": 1.0}]
    assert shown["usage"] == {"type": "duration", "seconds": 2}
    by_tokens = TRANSCRIBE.answer(result, Usage({"input_audio_tokens": 20, "input_tokens": 3, "output_tokens": 4}))
    usage = by_tokens["usage"]
    assert (usage["type"], usage["input_tokens"], usage["total_tokens"]) == ("tokens", 23, 27)
    untold = replace(TRANSCRIBE, into_english=True, language="pt").answer(
        TranscribeResult("hi"), Usage({"seconds": 13})
    )
    assert (untold["task"], untold["language"], untold["duration"]) == ("translate", "pt", 12.3)
    assert replace(TRANSCRIBE, prompt="names").estimate(result).units == {
        "seconds": 2, "input_tokens": 2, "input_audio_tokens": 20, "output_tokens": 3,
    }  # fmt: skip
    assert TRANSCRIBE.estimate(TranscribeResult("hi")).units["seconds"] == 13


def test_speech_is_counted_in_all_that_it_could_be_billed_by() -> None:
    assert replace(SPEAK, instructions="slow").estimate(1.5).units == {
        "characters": 5, "seconds": 2, "input_tokens": 3, "output_audio_tokens": 32,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "usual"),
    [
        (replace(IMAGE, n=2), {"images": 2, "tiles": 8, "steps": 160, "output_image_tokens": 2_112}),
        (replace(IMAGE, size=(512, 512), steps=4), {"images": 1, "tiles": 1, "steps": 4}),
        (TRANSCRIBE, {"seconds": 13, "input_tokens": 0, "input_audio_tokens": 123}),
        (replace(SPEAK, text="a" * 1000), {"characters": 1000, "seconds": 65, "output_audio_tokens": 1365}),
        (OCR, {"pages": 1, "images": 1}),
    ],
)
def test_what_a_run_usually_comes_to_is_less_than_its_bounds(request_: Any, usual: dict[str, int]) -> None:
    demand = request_.demand
    assert {unit: demand.usual_units[unit] for unit in usual} == usual
    assert all(demand.usual_units[unit] <= bound for unit, bound in demand.counts.items())


def test_files_are_shown_as_data_urls() -> None:
    assert PICTURE.data_url == f"data:image/png;base64,{PICTURE.base64}"
    assert base64.b64decode(PDF.data_url.partition(",")[2]) == PDF.data
