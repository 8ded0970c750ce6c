"""Workers AI, Deepgram and ElevenLabs over a connection: their answers, and every trouble that they can make."""

import base64
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.classify import ClassifyRequest
from aig.modalities.detect import DetectRequest
from aig.modalities.files import Picture, Sound
from aig.modalities.image import ImageRequest
from aig.modalities.moderate import ModerateRequest
from aig.modalities.rerank import RerankRequest
from aig.modalities.speak import SpeakRequest
from aig.modalities.transcribe import TranscribeRequest
from aig.modalities.translate import TranslateRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig_providers import deepgram, elevenlabs
from aig_providers.cloudflare import classify, detect, image, moderate, rerank, speak, transcribe, translate
from aig_providers.wire import Client, Post
from tests.conformance.loopback import Answer, Loopback, Received
from tests.conformance.recordings import ABSENT, FOLDER, Exchange, load, matching

KEY = "sk-provider-42"
PATIENT, HASTY = Timeouts(5, 20, 20, 20), Timeouts(5, 0.2, 0.2, 0.2)
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x04\x00\x04\x00\x03\x01\x11\x00" + b"x" * 200
AUDIO = b"ID3\x04" + bytes(range(256)) * 8
SOUND, PICTURE = Sound(b"RIFF....WAVE", "audio/wav", 4), Picture(JPEG, "image/jpeg", 1024, 1024)
BOX = {"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 40}
HEARD = {"channels": [{"alternatives": [{"transcript": "Hi.", "words": []}]}]}

USED = {
    "vercel-ai/deepgram/*": "vendor: Deepgram",
    "vercel-ai/elevenlabs/*": "vendor: ElevenLabs",
}


def enveloped(result: Any) -> bytes:
    return json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()


def whole(make: Callable[[Post], Any], name: str, request: Any) -> Callable[[Post, Upstream], Coroutine[Any, Any, Any]]:
    async def ask(post: Post, upstream: Upstream) -> Any:
        return await getattr(make(post), name)(upstream, request)

    return ask


def spoken(make: Callable[[Post], Any]) -> Callable[[Post, Upstream], Coroutine[Any, Any, Any]]:
    async def ask(post: Post, upstream: Upstream) -> Any:
        chunks = [chunk async for chunk in make(post).speak(upstream, SpeakRequest(("m",), "Hi."))]
        return b"".join(chunk.audio for chunk in chunks)

    return ask


@dataclass(frozen=True)
class Operation:
    """A call, the model that it is of, an answer to it, and how its vendor says what went wrong."""

    ask: Callable[[Post, Upstream], Coroutine[Any, Any, Any]]
    answer: bytes
    model: str = "m"
    error: Callable[[str], Any] = lambda message: {"success": False, "errors": [{"code": 5000, "message": message}]}
    audio: bool = False  # of which anything may be an answer


def _deepgram_error(message: str) -> Any:
    return {"err_code": "SOME", "err_msg": message, "request_id": "r"}


def _elevenlabs_error(message: str) -> Any:
    return {"detail": {"status": "some", "message": message}}


OPERATIONS = {
    "a picture, inline": Operation(
        whole(image.CloudflareImage, "image", ImageRequest(("m",), "a cat")),
        enveloped({"image": base64.b64encode(JPEG).decode()}), "@cf/black-forest-labs/flux-1-schnell",
    ),
    "a picture, as it is": Operation(
        whole(image.CloudflareImage, "image", ImageRequest(("m",), "a cat")), JPEG, "@cf/leonardo/phoenix-1.0",
    ),
    "whisper": Operation(
        whole(transcribe.CloudflareTranscribe, "transcribe", TranscribeRequest(("m",), SOUND)),
        enveloped({"text": "Hi."}), "@cf/openai/whisper",
    ),
    "whisper turbo": Operation(
        whole(transcribe.CloudflareTranscribe, "transcribe", TranscribeRequest(("m",), SOUND)),
        enveloped({"text": "Hi.", "transcription_info": {"duration": 4}}), "@cf/openai/whisper-large-v3-turbo",
    ),
    "nova at Workers AI": Operation(
        whole(transcribe.CloudflareTranscribe, "transcribe", TranscribeRequest(("m",), SOUND)),
        enveloped({"results": HEARD}), "@cf/deepgram/nova-3",
    ),
    "aura at Workers AI": Operation(spoken(speak.CloudflareSpeak), AUDIO, "@cf/deepgram/aura-2-en", audio=True),
    "melotts": Operation(
        spoken(speak.CloudflareSpeak), enveloped({"audio": base64.b64encode(AUDIO).decode()}),
        "@cf/myshell-ai/melotts",
    ),
    "moderate": Operation(
        whole(moderate.CloudflareModerate, "moderate", ModerateRequest(("m",), (("a",),))),
        enveloped({"response": {"safe": False, "categories": ["S10"]}}),
    ),
    "translate": Operation(
        whole(translate.CloudflareTranslate, "translate", TranslateRequest(("m",), ("a",), "de", "en")),
        enveloped({"translated_text": "b"}),
    ),
    "classify": Operation(
        whole(classify.CloudflareClassify, "classify", ClassifyRequest(("m",), ("a",))),
        enveloped([{"label": "POSITIVE", "score": 0.9}]),
    ),
    "detect": Operation(
        whole(detect.CloudflareDetect, "detect", DetectRequest(("m",), PICTURE)),
        enveloped([{"label": "cat", "score": 0.9, "box": BOX}]),
    ),
    "rerank": Operation(
        whole(rerank.CloudflareRerank, "rerank", RerankRequest(("m",), "q", ("a",))),
        enveloped({"response": [{"id": 0, "score": 0.9}]}),
    ),
    "nova": Operation(
        whole(deepgram.DeepgramTranscribe, "transcribe", TranscribeRequest(("m",), SOUND)),
        json.dumps({"metadata": {"duration": 4}, "results": HEARD}).encode(), error=_deepgram_error,
    ),
    "aura": Operation(spoken(deepgram.DeepgramSpeak), AUDIO, "aura-2-thalia-en", _deepgram_error, audio=True),
    "scribe": Operation(
        whole(elevenlabs.ElevenLabsTranscribe, "transcribe", TranscribeRequest(("m",), SOUND)),
        json.dumps({"text": "Hi.", "words": []}).encode(), error=_elevenlabs_error,
    ),
    "eleven": Operation(spoken(elevenlabs.ElevenLabsSpeak), AUDIO, error=_elevenlabs_error, audio=True),
}  # fmt: skip
READ = {name: operation for name, operation in OPERATIONS.items() if not operation.audio}


def ask(
    operation: Operation, provider: Loopback, client: Client, timeouts: Timeouts = PATIENT
) -> Coroutine[Any, Any, Any]:
    return operation.ask(client.post, Upstream("p", operation.model, provider.base_url, KEY, timeouts))


async def failure(operation: Operation, provider: Loopback, client: Client, timeouts: Timeouts = PATIENT) -> Any:
    with pytest.raises(UpstreamError) as raised:
        await ask(operation, provider, client, timeouts)
    return raised.value


@pytest.mark.parametrize("name", OPERATIONS)
async def test_all_is_well(name: str, provider: Loopback, client: Client) -> None:
    operation = OPERATIONS[name]
    provider.answer = Answer([operation.answer[:7], operation.answer[7:]])
    found = await ask(operation, provider, client)
    assert found == AUDIO if operation.audio or name == "melotts" else found
    (sent,) = provider.received
    assert KEY in str(sent.headers)
    assert KEY not in f"{sent.path} {sent.body!r}"


STATUSES = {
    400: "rejected", 401: "auth", 402: "auth", 404: "rejected", 408: "unavailable", 413: "rejected", 422: "rejected",
    429: "rate_limited", 500: "unavailable", 502: "unavailable", 503: "unavailable", 504: "unavailable",
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_status(name: str, status: int, provider: Loopback, client: Client) -> None:
    """Its prose says where we are and who we are; none of that may go on."""
    prose = f"see https://internal.example/org-1?key={KEY}"
    provider.answer = Answer([json.dumps(OPERATIONS[name].error(prose)).encode()], status, {"retry-after": "7"})
    error = await failure(OPERATIONS[name], provider, client)
    wait = 7.0 if STATUSES[status] in ("rate_limited", "unavailable") else None
    assert (error.kind, error.status, error.retry_after) == (STATUSES[status], status, wait)
    for secret in (KEY, "org-1", "internal.example"):
        assert secret not in f"{error} {error.code} {error.param}"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b'"text"', b'{"errors": 5, "detail": []}'])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_a_status_with_another_body(name: str, body: bytes, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([body], 500)
    assert (await failure(OPERATIONS[name], provider, client)).kind == "unavailable"


ODD = [b"<html>hello</html>", b'{"choices": [{"mess', b"[]", b"7", b"null", b"{}", b'{"a": "\xff\xfe"}']


@pytest.mark.parametrize("body", ODD)
@pytest.mark.parametrize("name", READ)
async def test_a_200_that_is_none(name: str, body: bytes, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([body])
    assert (await failure(READ[name], provider, client)).kind == "malformed"


@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_answer_of_nothing(name: str, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([])
    assert (await failure(OPERATIONS[name], provider, client)).kind == "malformed"


@pytest.mark.parametrize("name", OPERATIONS)
async def test_silence(name: str, provider: Loopback, client: Client) -> None:
    for pieces in ([], [OPERATIONS[name].answer[:20]]):
        provider.answer = Answer(pieces, ending="silence")
        assert (await failure(OPERATIONS[name], provider, client, HASTY)).kind == "timeout"
    await provider.all_closed()


@pytest.mark.parametrize("ending", ["eof", "reset"])
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_answer_that_breaks_off(name: str, ending: Any, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([OPERATIONS[name].answer[:-10]], ending=ending)
    assert (await failure(OPERATIONS[name], provider, client)).kind == "connect"


def mutated(node: Any, chance: random.Random) -> Any:
    """The same with one value that is another, or is not there."""
    if not isinstance(node, dict | list) or not node:
        return chance.choice([None, 5, -1, 10**30, "x", [], {}, [None], {"a": 1}, True, 1.5])
    made = dict(node) if isinstance(node, dict) else list(node)
    keys: list[Any] = list(made) if isinstance(made, dict) else list(range(len(made)))
    key = chance.choice(keys)
    if isinstance(made, dict) and chance.random() < 0.1:
        del made[key]
    else:
        made[key] = mutated(made[key], chance)
    return made


@pytest.mark.parametrize("name", [name for name in READ if READ[name].answer[:1] == b"{"])
async def test_an_answer_with_something_wrong_is_read_or_is_malformed(
    name: str, provider: Loopback, client: Client
) -> None:
    """Never another exception, whatever it is that is wrong."""
    chance, body = random.Random(name), json.loads(READ[name].answer)
    for _ in range(150):
        provider.answer = Answer([json.dumps(mutated(body, chance)).encode()])
        try:
            await ask(READ[name], provider, client)
        except UpstreamError as error:
            assert error.kind in ("malformed", "unavailable")  # noqa: PT017


class TestSeveralAtOnce:
    """One of them fails: what the others were billed for is told."""

    async def test_pictures(self, provider: Loopback, client: Client) -> None:
        def choose(received: Received) -> Answer:
            failing = received.body["seed"] == 12
            return Answer([b"{}"], 400) if failing else Answer([JPEG])

        provider.choose = choose
        request = ImageRequest(("m",), "a cat", n=3, seed=10, steps=10)
        upstream = Upstream("p", "@cf/leonardo/phoenix-1.0", provider.base_url, KEY, PATIENT)
        with pytest.raises(UpstreamError) as raised:
            await image.CloudflareImage(client.post).image(upstream, request)
        assert {received.body["seed"] for received in provider.received} == {10, 11, 12}
        assert raised.value.kind == "rejected"
        # Whoever is not done when one fails is given up: nobody knows what those will cost.
        assert raised.value.usage in (None, Usage({"tiles": 4, "steps": 40}), Usage({"tiles": 8, "steps": 80}))

    async def test_texts_keep_their_order(self, provider: Loopback, client: Client) -> None:
        provider.choose = lambda received: Answer([enveloped({"translated_text": received.body["text"].upper()})])
        request = TranslateRequest(("m",), tuple("abcdefghi"), "de", "en")
        upstream = Upstream("p", "m", provider.base_url, KEY, PATIENT)
        result = await translate.CloudflareTranslate(client.post).translate(upstream, request)
        assert [one.text for one in result.translations] == list("ABCDEFGHI")


ADAPTERS: Mapping[str, Callable[[bytes], Any]] = {"deepgram": deepgram.parse, "elevenlabs": elevenlabs.parse}
ALL = [exchange for file in matching(*USED) for exchange in load(file)] if FOLDER.is_dir() else []


@pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("exchange", ALL, ids=[exchange.name for exchange in ALL])
def test_what_was_really_answered(exchange: Exchange) -> None:
    theirs, ours = exchange.json, ADAPTERS[exchange.name.split("/")[1]](exchange.body)
    if "results" in theirs:
        best = theirs["results"]["channels"][0]["alternatives"][0]
        assert (ours.text, len(ours.words)) == (best["transcript"], len(best["words"]))
        assert (ours.seconds, ours.usage) == (theirs["metadata"]["duration"], Usage({"seconds": 37}))
    else:
        assert (ours.text, ours.language) == (theirs["text"], "en")
        assert " ".join(word.word for word in ours.words) == theirs["text"]
