"""Every trouble that a provider can make of a call that is answered once: rerank, pictures, translation, moderation.

OCR and detection by chat are as good as the chat that they go by, whose troubles have a file of their own.
"""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.image import ImageRequest
from aig.modalities.moderate import ModerateRequest
from aig.modalities.ocr import OcrRequest
from aig.modalities.rerank import RerankRequest
from aig.modalities.translate import TranslateRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers import bfl, cohere, deepl, jina, mistral, stability, voyage
from aig_providers.wire import Client, Post
from tests.conformance.loopback import Answer, Loopback, Received
from tests.conformance.test_requests import PNG

KEY = "sk-provider-42"
PATIENT, HASTY = Timeouts(5, 20, 20, 20), Timeouts(5, 0.2, 0.2, 0.2)
PIXEL = base64.b64decode(PNG.partition(",")[2])
SCORES = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]
RANK = RerankRequest((), "q", ("a", "b"))
DRAW = ImageRequest((), "a cat")
TRANSLATE = TranslateRequest((), ("a",), "de")
JUDGE = ModerateRequest((), (("a",),))
READ = OcrRequest((), Picture(PIXEL, "image/png", 1, 1))

Ask = Callable[[Post, Upstream], Awaitable[Any]]


@dataclass(frozen=True)
class Operation:
    """How it is asked, a good answer to it, what that is billed as, and its errors: a message -> a body."""

    ask: Ask
    answer: Any
    units: Mapping[str, int] | None
    error: Callable[[str], Any]
    uncounted: Any = None  # the same answer, with no usage in it, where there is some

    def encoded(self) -> bytes:
        return json.dumps(self.answer).encode()


def _jina_like(message: str) -> Any:
    return {"detail": message}


def _openai_like(message: str) -> Any:
    return {"object": "error", "error": {"message": message, "type": "some_error", "code": None}}


OPERATIONS = {
    "cohere rerank": Operation(
        lambda post, upstream: cohere.CohereRerank(post).rerank(upstream, RANK),
        {"results": SCORES, "meta": {"billed_units": {"search_units": 1}}}, {"search_units": 1},
        lambda message: {"id": "x", "message": message}, {"results": SCORES},
    ),
    "voyage rerank": Operation(
        lambda post, upstream: voyage.VoyageRerank(post).rerank(upstream, RANK),
        {"data": SCORES, "usage": {"total_tokens": 9}}, {"input_tokens": 9}, _jina_like, {"data": SCORES},
    ),
    "jina rerank": Operation(
        lambda post, upstream: jina.JinaRerank(post).rerank(upstream, RANK),
        {"results": SCORES, "usage": {"total_tokens": 9}}, {"input_tokens": 9}, _jina_like, {"results": SCORES},
    ),
    "mistral ocr": Operation(
        lambda post, upstream: mistral.MistralOcr(post).ocr(upstream, READ),
        {"pages": [{"index": 0, "markdown": "a"}], "usage_info": {"pages_processed": 1}}, {"pages": 1}, _openai_like,
        {"pages": [{"index": 0, "markdown": "a"}]},
    ),
    "mistral moderate": Operation(
        lambda post, upstream: mistral.MistralModerate(post).moderate(upstream, JUDGE),
        {"results": [{"categories": {"sexual": False}, "category_scores": {"sexual": 0.1}}]}, None, _openai_like,
    ),
    "deepl translate": Operation(
        lambda post, upstream: deepl.DeepLTranslate(post).translate(upstream, TRANSLATE),
        {"translations": [{"text": "x", "detected_source_language": "EN", "billed_characters": 1}]}, {"characters": 1},
        lambda message: {"message": message}, {"translations": [{"text": "x", "detected_source_language": "EN"}]},
    ),
    "stability image": Operation(
        lambda post, upstream: stability.StabilityImage(post).image(upstream, DRAW),
        {"image": base64.b64encode(PIXEL).decode(), "finish_reason": "SUCCESS"}, {"images": 1},
        lambda message: {"id": "x", "name": "some_error", "errors": [message]},
    ),
    "bfl image": Operation(
        lambda post, upstream: bfl.BflImage(post).image(upstream, DRAW),
        {"id": "1", "polling_url": "{base_url}/poll"}, {"images": 1}, lambda message: {"detail": message},
    ),
}  # fmt: skip


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> Operation:
    return OPERATIONS[request.param]


class Caller:
    def __init__(self, operation: Operation, provider: Loopback, client: Client) -> None:
        self._operation, self._provider, self._client = operation, provider, client

    async def ask(self, timeouts: Timeouts = PATIENT) -> Any:
        upstream = Upstream("p", "m", self._provider.base_url, KEY, timeouts)
        return await self._operation.ask(self._client.post, upstream)

    async def failure(self, timeouts: Timeouts = PATIENT) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await self.ask(timeouts)
        return raised.value


@pytest.fixture
def caller(operation: Operation, provider: Loopback, client: Client) -> Caller:
    return Caller(operation, provider, client)


def well(operation: Operation, provider: Loopback) -> None:
    """Lets the provider answer all that a call consists of."""
    job = {"status": "Ready", "result": {"sample": f"{provider.base_url}/sample"}}
    first = operation.encoded().replace(b"{base_url}", provider.base_url.encode())

    def choose(received: Received) -> Answer:
        if received.path.endswith("/sample"):
            return Answer([PIXEL], headers={"content-type": "image/png"})
        return Answer([json.dumps(job).encode() if received.path.endswith("/poll") else first])

    provider.choose = choose


async def test_all_is_well(operation: Operation, caller: Caller, provider: Loopback) -> None:
    well(operation, provider)
    result = await caller.ask()
    assert (result.usage.units if result.usage else None) == operation.units
    assert KEY in str(provider.received[0].headers)
    assert KEY not in str(provider.received[0].body)
    assert provider.received[0].method == "POST"


async def test_a_picture_is_fetched_without_the_key(provider: Loopback, client: Client) -> None:
    well(OPERATIONS["bfl image"], provider)
    await Caller(OPERATIONS["bfl image"], provider, client).ask()
    asked = [(one.method, one.path.rpartition("/")[2], KEY in str(one.headers)) for one in provider.received]
    assert asked == [("POST", "m", True), ("GET", "poll", True), ("GET", "sample", False)]


STATUSES = {
    400: "rejected", 401: "auth", 402: "auth", 404: "rejected", 408: "unavailable", 413: "rejected", 422: "rejected",
    429: "rate_limited", 500: "unavailable", 502: "unavailable", 503: "unavailable", 529: "unavailable",
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
async def test_a_status(operation: Operation, caller: Caller, provider: Loopback, status: int) -> None:
    prose = f"see https://internal.example/org-1?key={KEY}"
    provider.answer = Answer([json.dumps(operation.error(prose)).encode()], status)
    error = await caller.failure()
    assert (error.kind, error.status, error.retry_after, error.usage) == (STATUSES[status], status, None, None)
    for secret in (KEY, "org-1", "internal.example"):
        assert secret not in f"{error} {error.code} {error.param}"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"error": 5, "detail": 5, "message": 5, "name": 5}'])
async def test_a_status_whose_body_says_nothing(caller: Caller, provider: Loopback, body: bytes) -> None:
    provider.answer = Answer([body], 500)
    assert (await caller.failure()).kind == "unavailable"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_time_to_wait(operation: Operation, caller: Caller, provider: Loopback, status: int) -> None:
    provider.answer = Answer([json.dumps(operation.error("m")).encode()], status, {"retry-after": "7"})
    assert (await caller.failure()).retry_after == 7.0


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"results": [', b"[]", b"7", b"null", b"{}", b'{"a": "\xff\xfe"}', b'{"results": NaN}']
)
async def test_a_200_that_is_none(caller: Caller, provider: Loopback, body: bytes) -> None:
    provider.answer = Answer([body])
    assert (await caller.failure()).kind == "malformed"


async def test_what_is_empty_is_no_answer(operation: Operation, caller: Caller, provider: Loopback) -> None:
    empty = {name: type(value)() for name, value in operation.answer.items()}
    provider.answer = Answer([json.dumps(empty).encode()])
    assert (await caller.failure()).kind == "malformed"


async def test_silence(operation: Operation, caller: Caller, provider: Loopback) -> None:
    for pieces in ([], [operation.encoded()[:20]]):
        provider.answer = Answer(pieces, ending="silence")
        assert (await caller.failure(HASTY)).kind == "timeout"
    await provider.all_closed()


@pytest.mark.parametrize("ending", ["eof", "reset", "end"])
async def test_an_answer_that_is_cut(operation: Operation, caller: Caller, provider: Loopback, ending: Any) -> None:
    provider.answer = Answer([operation.encoded()[:-5]], ending=ending)
    assert (await caller.failure()).kind in ("connect", "malformed")


async def test_nobody_there(caller: Caller, provider: Loopback) -> None:
    provider.answer = None
    assert (await caller.failure()).kind == "connect"


@pytest.mark.parametrize("name", [name for name, operation in OPERATIONS.items() if operation.uncounted])
async def test_usage_that_is_missing_is_not_made_up(name: str, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([json.dumps(OPERATIONS[name].uncounted).encode()])
    assert (await Caller(OPERATIONS[name], provider, client).ask()).usage is None
