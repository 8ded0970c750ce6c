"""Pictures, sound, moderation and rerank on OpenAI's wire, and all that our own has beside it.

Every trouble that a provider can make, over a loopback server; the requests, judged by OpenAI's and Together's own
descriptions; and what this gateway answers, read back by the adapter of its own wire.
"""

import base64
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from aig.errors import UpstreamError
from aig.modalities.classify import ClassifyRequest, ClassifyResult, Label
from aig.modalities.detect import Box, Detection, DetectRequest, DetectResult
from aig.modalities.files import Picture, Sound
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig.modalities.moderate import CATEGORIES, ModerateRequest, ModerateResult, Verdict
from aig.modalities.ocr import Line, OcrRequest, OcrResult, Page
from aig.modalities.rerank import RerankRequest, RerankResult, Score
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest, TranscribeResult
from aig.modalities.transcript import Segment, Word
from aig.modalities.translate import TranslateRequest, TranslateResult, Translation
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers import aigateway, compatible_audio, compatible_images, compatible_moderations, compatible_rerank
from aig_providers.aigateway import PICTURE_SETTINGS, parse_totals, parse_usage
from aig_providers.wire import Client, HttpRequest, Post
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.recordings import ABSENT, FOLDER, ROOT
from tests.conformance.test_vendor_specifications import SPECIFICATIONS, validator
from tests.multipart import parts

KEY = "sk-provider-42"
PATIENT, HASTY = Timeouts(5, 20, 20, 20), Timeouts(5, 0.2, 0.2, 0.2)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (64).to_bytes(4, "big") + (32).to_bytes(4, "big")
PICTURE = Picture(PNG, "image/png", 64, 32)
SOUND = Sound(b"RIFF....WAVE", "audio/wav", 3.2)
MODELS = ("acme/one",)

DRAW = ImageRequest(MODELS, "a cat", n=2)
EDIT = replace(DRAW, pictures=(PICTURE, PICTURE), mask=PICTURE)
HEAR = TranscribeRequest(MODELS, SOUND, "en", "p", 0.2, frozenset({"word", "segment"}))
ENGLISH = TranscribeRequest(MODELS, SOUND, into_english=True)
SAY = SpeakRequest(MODELS, "Hello.", "coral", "pcm", 1.5, "Softly.")
JUDGE = ModerateRequest(MODELS, (("a", PICTURE),))
RANK = RerankRequest(MODELS, "q", ("a", "b"))
CLASSIFY = ClassifyRequest(MODELS, ("a", "b"), ("spam", "ham"), multi_label=True)
TRANSLATE = TranslateRequest(MODELS, ("a", "b"), "pt")
DETECT = DetectRequest(MODELS, PICTURE, 0.5)
OCR = OcrRequest(MODELS, PICTURE)

BOX = Box(0.0, 1.5, 8.0, 4.0)
B64 = base64.b64encode(PNG).decode()
FLAGS = dict.fromkeys(CATEGORIES, False)
TRANSCRIPT = {
    "text": "Hi.",
    "language": "english",
    "duration": 3.2,
    "segments": [{"start": 0, "end": 1, "text": "Hi."}],
}
TABLE = {"index": 0, "label": "ham", "score": 0.9, "labels": [{"label": "ham", "score": 0.9}]}


@dataclass(frozen=True)
class Operation:
    """How it is asked for, where, and a good answer without its usage; which usage it may tell, and what that means."""

    ask: Callable[[Post, Upstream], Awaitable[Any]]
    path: str
    answer: Mapping[str, Any] | bytes
    usage: tuple[Mapping[str, Any], Usage] | None = None
    without: Usage | None = None  # what is known of the usage all the same
    quirks: frozenset[str] = frozenset()


async def _all(chunks: AsyncGenerator[Any, None]) -> Any:
    return [chunk async for chunk in chunks]


def _events(*events: Mapping[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


OPERATIONS = {
    "image": Operation(
        lambda post, upstream: compatible_images.CompatibleImage(post).image(upstream, DRAW),
        "/v1/images/generations",
        {"created": 1, "data": [{"b64_json": B64}]},
        (
            {"input_tokens": 5, "output_tokens": 272, "input_tokens_details": {"text_tokens": 5, "image_tokens": 0}},
            Usage({"input_tokens": 5, "output_image_tokens": 272}),
        ),
    ),
    "edit": Operation(
        lambda post, upstream: compatible_images.CompatibleImage(post).image(upstream, EDIT),
        "/v1/images/edits",
        {"created": 1, "data": [{"b64_json": B64}, {"b64_json": B64}]},
        (
            {"input_tokens": 50, "output_tokens": 272, "input_tokens_details": {"text_tokens": 5, "image_tokens": 45}},
            Usage({"input_tokens": 5, "input_image_tokens": 45, "output_image_tokens": 272}),
        ),
    ),
    "transcribe": Operation(
        lambda post, upstream: compatible_audio.CompatibleTranscribe(post).transcribe(upstream, HEAR),
        "/v1/audio/transcriptions",
        TRANSCRIPT,
        ({"type": "duration", "seconds": 4}, Usage({"seconds": 4})),
        Usage({"seconds": 4}),
    ),
    "into English": Operation(
        lambda post, upstream: compatible_audio.CompatibleTranscribe(post).transcribe(upstream, ENGLISH),
        "/v1/audio/translations",
        {**TRANSCRIPT, "task": "translate"},
        ({"type": "duration", "seconds": 4}, Usage({"seconds": 4})),
        Usage({"seconds": 4}),
    ),
    "speak": Operation(
        lambda post, upstream: _all(compatible_audio.CompatibleSpeak(post).speak(upstream, SAY)),
        "/v1/audio/speech",
        b"ID3",
    ),
    "speak in events": Operation(
        lambda post, upstream: _all(compatible_audio.CompatibleSpeak(post).speak(upstream, SAY)),
        "/v1/audio/speech",
        _events(
            {"type": "speech.audio.delta", "audio": "SUQz"},
            {"type": "speech.audio.done", "usage": {"input_tokens": 3, "output_tokens": 40, "total_tokens": 43}},
        ),
        quirks=frozenset({"speech_events"}),
    ),
    "moderate": Operation(
        lambda post, upstream: compatible_moderations.CompatibleModerate(post).moderate(upstream, JUDGE),
        "/v1/moderations",
        {"results": [{"flagged": False, "categories": FLAGS, "category_scores": dict.fromkeys(CATEGORIES, 0.1)}]},
    ),
    "rerank": Operation(
        lambda post, upstream: compatible_rerank.CompatibleRerank(post).rerank(upstream, RANK),
        "/v1/rerank",
        {"results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]},
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}, Usage({"input_tokens": 9})),
    ),
    "classify": Operation(
        lambda post, upstream: aigateway.Classify(post).classify(upstream, CLASSIFY),
        "/v1/classifications",
        {"object": "classification", "results": [TABLE, {**TABLE, "index": 1}]},
        ({"input_tokens": 9}, Usage({"input_tokens": 9})),
    ),
    "translate": Operation(
        lambda post, upstream: aigateway.Translate(post).translate(upstream, TRANSLATE),
        "/v1/translations",
        {"translations": [{"text": "x", "source_lang": "en", "target_lang": "pt"}] * 2},
        ({"characters": 2}, Usage({"characters": 2})),
    ),
    "detect": Operation(
        lambda post, upstream: aigateway.Detect(post).detect(upstream, DETECT),
        "/v1/detections",
        {"detections": [{"label": "cat", "score": 0.9, "box": BOX.to_json()}]},
        ({"images": 1}, Usage({"images": 1})),
    ),
    "ocr": Operation(
        lambda post, upstream: aigateway.Ocr(post).ocr(upstream, OCR),
        "/v1/ocr",
        {"pages": [{"index": 0, "text": "Hi", "width": 64, "height": 32, "lines": [{"text": "Hi"}]}]},
        ({"pages": 1}, Usage({"pages": 1})),
    ),
}
IN_JSON = [name for name, operation in OPERATIONS.items() if isinstance(operation.answer, Mapping)]
THAT_TELL = [name for name in IN_JSON if OPERATIONS[name].usage]
every_operation = pytest.mark.parametrize("name", OPERATIONS)


@pytest.fixture
def ask(provider: Loopback, client: Client) -> Callable[..., Awaitable[Any]]:
    def asked(name: str, timeouts: Timeouts = PATIENT) -> Awaitable[Any]:
        operation = OPERATIONS[name]
        upstream = Upstream("p", "m", provider.base_url, KEY, timeouts, quirks=operation.quirks)
        return operation.ask(client.post, upstream)

    return asked


@pytest.fixture
def failure(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[UpstreamError]]:
    async def failed(name: str, timeouts: Timeouts = PATIENT) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await ask(name, timeouts)
        return raised.value

    return failed


def encoded(name: str, **more: Any) -> bytes:
    answer = OPERATIONS[name].answer
    return answer if isinstance(answer, bytes) else json.dumps({**answer, **more}).encode()


Ask = Callable[..., Awaitable[Any]]
Fail = Callable[..., Awaitable[UpstreamError]]


@every_operation
async def test_all_is_well_however_it_is_cut(name: str, ask: Ask, provider: Loopback) -> None:
    payload = encoded(name)
    provider.answer = Answer([payload[:2], payload[2:]])
    assert await ask(name)
    (received,) = provider.received
    assert received.path == OPERATIONS[name].path
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in str(received.body)


@pytest.mark.parametrize("name", THAT_TELL)
async def test_usage_is_told_or_is_not(name: str, ask: Ask, provider: Loopback) -> None:
    told = OPERATIONS[name].usage
    assert told is not None
    provider.answer = Answer([encoded(name, usage=told[0])])
    usage = (await ask(name)).usage
    assert {unit: n for unit, n in usage.units.items() if n} == told[1].units
    nothings: tuple[Any, ...] = (None, {}, "much", [5])
    for nothing in nothings:
        provider.answer = Answer([encoded(name, usage=nothing)])
        assert (await ask(name)).usage == OPERATIONS[name].without


STATUSES = {400: "rejected", 401: "auth", 404: "rejected", 413: "rejected", 429: "rate_limited", 500: "unavailable"}


@pytest.mark.parametrize("status", STATUSES)
@every_operation
async def test_a_status(name: str, status: int, failure: Fail, provider: Loopback) -> None:
    error = {"type": "some_error", "message": f"see https://internal.example/org-1?key={KEY}", "code": None}
    provider.answer = Answer([json.dumps({"error": error}).encode()], status, {"retry-after": "7"})
    raised = await failure(name)
    assert (raised.kind, raised.status) == (STATUSES[status], status)
    assert raised.retry_after == (7.0 if status in (429, 500) else None)
    assert not {KEY, "org-1"} & set(f"{raised} {raised.code} {raised.param}".split())


@pytest.mark.parametrize(
    ("name", "param"),
    [
        ("edit", "prompt"),
        ("edit", "mask"),
        ("transcribe", "language"),
        ("transcribe", "timestamp_granularities"),
        ("speak", "voice"),
    ],
)
async def test_a_field_that_was_sent_is_named(name: str, param: str, failure: Fail, provider: Loopback) -> None:
    error = {"code": "invalid_value", "param": param}
    provider.answer = Answer([json.dumps({"error": error}).encode()], 400)
    raised = await failure(name)
    assert (raised.code, raised.param) == ("invalid_value", param)


@pytest.mark.parametrize("name", ["edit", "transcribe", "speak"])
async def test_a_field_that_was_not_is_not(name: str, failure: Fail, provider: Loopback) -> None:
    provider.answer = Answer([b'{"error": {"code": "moderation_blocked", "param": "account"}}'], 400)
    raised = await failure(name)
    assert (raised.code, raised.param) == ("moderation_blocked", None)


@every_operation
async def test_silence(name: str, failure: Fail, provider: Loopback) -> None:
    provider.answer = Answer(ending="silence")
    assert (await failure(name, HASTY)).kind == "timeout"


@every_operation
async def test_a_connection_that_breaks(name: str, failure: Fail, provider: Loopback) -> None:
    provider.answer = Answer([encoded(name)[:2]], ending="reset")
    assert (await failure(name)).kind == "connect"


@every_operation
async def test_an_answer_of_nothing(name: str, failure: Fail, provider: Loopback) -> None:
    assert (await failure(name)).kind == "malformed"


@pytest.mark.parametrize("body", [b"<html>a page</html>", b"[]", b"{}", b'{"data": NaN}', b"\xff\xfe"])
@pytest.mark.parametrize("name", IN_JSON)
async def test_an_answer_of_something_else(name: str, body: bytes, failure: Fail, provider: Loopback) -> None:
    provider.answer = Answer([body])
    assert (await failure(name)).kind == "malformed"


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)
async def test_a_ranking_as_together_has_answered_it(provider: Loopback, client: Client) -> None:
    provider.answer = Answer([(FOLDER / "vercel-ai/togetherai/togetherai-reranking.1.json").read_bytes()])
    upstream = Upstream("p", "m", provider.base_url, KEY, PATIENT)
    request = RerankRequest(MODELS, "q", tuple("abcdef"), top_n=2)
    result = await compatible_rerank.CompatibleRerank(client.post).rerank(upstream, request)
    assert result.scores == [Score(0, 0.6475887154399037), Score(5, 0.6323295373206566)]
    assert result.usage == Usage({"input_tokens": 2966})


needs_specifications = pytest.mark.skipif(
    not SPECIFICATIONS.is_dir(), reason=f"there are no {SPECIFICATIONS.relative_to(ROOT.parent)} beside the repository"
)
INLINE = frozenset({"no_response_format"})
SPOKEN = frozenset({"speech_events"})
GPT = replace(DRAW, size=(1536, 1024), quality="high", form="webp", background="transparent", user="u")
OPENAI, TOGETHER = "openai/openapi.json", "together/openapi.yaml"
SENT: dict[str, tuple[str, str, frozenset[str], Callable[[Upstream], HttpRequest]]] = {
    "a picture, inline": (OPENAI, "CreateImageRequest", INLINE, lambda to: compatible_images.build_request(to, GPT)),
    "a picture, as base64": (
        OPENAI, "CreateImageRequest", frozenset(),
        lambda to: compatible_images.build_request(to, replace(DRAW, style="vivid", quality="hd", size=(1792, 1024))),
    ),
    "an edit": (
        OPENAI, "CreateImageEditRequest", INLINE,
        lambda to: compatible_images.build_request(to, replace(GPT, pictures=EDIT.pictures, mask=PICTURE)),
    ),
    "an edit of one": (
        OPENAI, "CreateImageEditRequest", frozenset(),
        lambda to: compatible_images.build_request(to, replace(DRAW, pictures=(PICTURE,))),
    ),
    "a recording": (
        OPENAI, "CreateTranscriptionRequest", frozenset(), lambda to: compatible_audio.build_transcription(to, HEAR)
    ),
    "a recording, json only": (
        OPENAI, "CreateTranscriptionRequest", frozenset({"plain_transcripts"}),
        lambda to: compatible_audio.build_transcription(to, replace(HEAR, granularities=frozenset())),
    ),
    "a recording, at Together": (
        TOGETHER, "AudioTranscriptionRequest", frozenset(), lambda to: compatible_audio.build_transcription(to, HEAR)
    ),
    "into English": (
        OPENAI, "CreateTranslationRequest", frozenset(),
        lambda to: compatible_audio.build_transcription(to, replace(ENGLISH, language="de", prompt="p", temperature=0)),
    ),
    "speech": (OPENAI, "CreateSpeechRequest", frozenset(), lambda to: compatible_audio.build_speech(to, SAY)),
    "speech in events": (OPENAI, "CreateSpeechRequest", SPOKEN, lambda to: compatible_audio.build_speech(to, SAY)),
    "speech of no voice": (
        OPENAI, "CreateSpeechRequest", frozenset(),
        lambda to: compatible_audio.build_speech(to, SpeakRequest(MODELS, "Hello.")),
    ),
    "a text and a picture": (
        OPENAI, "CreateModerationRequest", frozenset(), lambda to: compatible_moderations.build_request(to, JUDGE)
    ),
    "texts": (
        OPENAI, "CreateModerationRequest", frozenset(),
        lambda to: compatible_moderations.build_request(to, ModerateRequest(MODELS, (("a",), ("b",)))),
    ),
    "a ranking": (TOGETHER, "RerankRequest", frozenset(), lambda to: compatible_rerank.build_request(to, RANK)),
    "the best of a ranking": (
        TOGETHER, "RerankRequest", frozenset(), lambda to: compatible_rerank.build_request(to, replace(RANK, top_n=1))
    ),
}  # fmt: skip
_NUMBERS: Mapping[str, Callable[[str], float]] = {"n": int, "temperature": float}


def body_of(http: HttpRequest) -> dict[str, Any]:
    """The fields that were sent; those of a form as what their texts stand for."""
    if http.headers["Content-Type"] == "application/json":
        return cast("dict[str, Any]", json.loads(http.body))
    body: dict[str, Any] = {}
    for part in parts(http.headers["Content-Type"], http.body):
        text = "binary" if part.filename else part.data.decode()
        if part.name.endswith("[]"):
            body.setdefault(part.name.removesuffix("[]"), []).append(text)
        else:
            body[part.name] = _NUMBERS.get(part.name, str)(text)
    return body


def complaints(file: str, schema: str, body: Any) -> list[str]:
    found = validator(file, f"components/schemas/{schema}").iter_errors(body)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@needs_specifications
@pytest.mark.parametrize("what", SENT)
def test_a_request_is_as_its_vendor_describes_it(what: str) -> None:
    file, schema, quirks, build = SENT[what]
    body = body_of(build(Upstream("p", "acme-1", "https://p.example", KEY, quirks=quirks)))
    if schema == "AudioTranscriptionRequest":
        body["model"] = "openai/whisper-large-v3"  # the only one that it describes
    assert complaints(file, schema, body) == []
    assert complaints(file, schema, {**body, "model": 5})


ROUND = {
    "image": (
        DRAW, ImageResult([Image(PNG, "image/png", "a fluffy cat")], None),
        lambda post: compatible_images.CompatibleImage(post, PICTURE_SETTINGS, parse_totals).image,
        Usage({"images": 1, "input_tokens": 5, "input_image_tokens": 45, "output_image_tokens": 272}),
    ),
    "transcribe": (
        HEAR, TranscribeResult("Hi.", [Segment(0.0, 1.0, "Hi.")], [Word("Hi.", 0.0, 0.9)], "en", 3.2),
        lambda post: compatible_audio.CompatibleTranscribe(post, parse_totals).transcribe,
        Usage({"input_tokens": 5, "input_audio_tokens": 30, "output_tokens": 7}),
    ),
    "moderate": (
        JUDGE,
        ModerateResult([Verdict(frozenset({"hate"}), dict.fromkeys(CATEGORIES, 0.5),
                                {name: ["text", "image"] for name in CATEGORIES})], None),
        lambda post: compatible_moderations.CompatibleModerate(post, parse_usage).moderate,
        Usage({"input_tokens": 5}),
    ),
    "rerank": (
        RANK, RerankResult([Score(1, 0.9), Score(0, 0.1)], None),
        lambda post: compatible_rerank.CompatibleRerank(post).rerank, Usage({"input_tokens": 9, "search_units": 1}),
    ),
    "classify": (
        CLASSIFY, ClassifyResult([[Label("ham", 0.9), Label("spam", 0.1)], [Label("spam", 0.6)]], None),
        lambda post: aigateway.Classify(post).classify, Usage({"input_tokens": 9}),
    ),
    "translate": (
        TRANSLATE, TranslateResult([Translation("x", "en"), Translation("y", "de")], None),
        lambda post: aigateway.Translate(post).translate, Usage({"characters": 2}),
    ),
    "detect": (
        DETECT, DetectResult([Detection("cat", 0.9, BOX), Detection("dog", 0.6, BOX)], None),
        lambda post: aigateway.Detect(post).detect, Usage({"images": 1}),
    ),
    "ocr": (
        OCR, OcrResult([Page("Hi\nyou", [Line("Hi", 0.9, BOX), Line("you")], 64, 32)], None),
        lambda post: aigateway.Ocr(post).ocr, Usage({"pages": 1}, estimated=True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ROUND)
async def test_what_this_gateway_answers_its_own_wire_reads(name: str, provider: Loopback, client: Client) -> None:
    """With the model's name and the cost, as the pipeline adds them."""
    request, result, adapter, usage = cast("tuple[Any, Any, Any, Usage]", ROUND[name])
    body = request.answer(result, usage)
    body = {**body, "model": "acme/one", "usage": {**body["usage"], "cost": "0.000001"}}
    provider.answer = Answer([json.dumps(body).encode()])
    found = await adapter(client.post)(Upstream("p", "m", provider.base_url, KEY, PATIENT), request)
    assert replace(found, usage=None) == result
    assert {unit: n for unit, n in found.usage.units.items() if n} == usage.units
    assert found.usage.estimated == usage.estimated
