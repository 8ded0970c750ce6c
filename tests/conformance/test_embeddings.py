"""Embeddings of every provider against what was really answered: vectors, order, usage, batches, bodies."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.embed import EmbedAdapter, EmbedRequest, EmbedResult, Encoding, from_base64
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import INPUT_UNITS, Usage
from aig_providers import batches, bedrock, cohere, google, openai_compatible, voyage
from aig_providers.batches import AT_ONCE, embed_in_batches
from aig_providers.wire import Client, Post
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.recordings import ABSENT, FOLDER, Exchange, load, matching

Vectors = Callable[[Any], list[list[float]]]
Tokens = Callable[[Any], int | None]


@dataclass(frozen=True)
class Wire:
    """An adapter, the path of its calls, and how its answers are read without it."""

    adapter: Callable[[Post], EmbedAdapter]
    path: str
    vectors: Vectors
    tokens: Tokens


def _openai_vectors(body: Any) -> list[list[float]]:
    found = [entry["embedding"] for entry in sorted(body["data"], key=lambda entry: int(entry["index"]))]
    return [from_base64(vector) if isinstance(vector, str) else vector for vector in found]


WIRES = {
    "openai": Wire(
        openai_compatible.OpenAICompatibleEmbed, "/embeddings", _openai_vectors,
        lambda body: body["usage"]["prompt_tokens"],
    ),
    "voyage": Wire(voyage.VoyageEmbed, "/embeddings", _openai_vectors, lambda body: body["usage"]["total_tokens"]),
    "google": Wire(
        google.GoogleEmbed, ":batchEmbedContents", lambda body: [e["values"] for e in body["embeddings"]],
        lambda body: (body.get("usageMetadata") or {}).get("promptTokenCount"),
    ),
    "cohere": Wire(
        cohere.CohereEmbed, "/v2/embed", lambda body: body["embeddings"]["float"],
        lambda body: body["meta"]["billed_units"]["input_tokens"],
    ),
    "bedrock": Wire(
        lambda _: bedrock.BedrockEmbed(), "titan-embed-text", lambda body: [body["embedding"]],
        lambda body: body["inputTextTokenCount"],
    ),
}  # fmt: skip
USED = {
    "pydantic-ai/test_embeddings/TestOpenAI.*": ("openai", "vendor: OpenAI, an error too"),
    "pydantic-ai/test_embeddings/TestVoyageAI.*": ("voyage", "vendor: Voyage, an error too"),
    "vercel-ai/voyage/voyage-embedding.json": ("voyage", "vendor: Voyage"),
    "pydantic-ai/test_embeddings/TestGoogle.test_query*": ("google", "vendor: Gemini"),
    "llm-gemini/test_gemini/test_embedding*": ("google", "vendor: Gemini, several and shortened"),
    "pydantic-ai/test_embeddings/TestCohere.test_[deq]*": ("cohere", "vendor: Cohere, an error too"),
    "vercel-ai/cohere/cohere-embedding.json": ("cohere", "vendor: Cohere"),
    "pydantic-ai/test_embeddings/TestBedrock.test_titan*": ("bedrock", "vendor: Titan"),
}
NOT_USED = {
    "pydantic-ai/test_embeddings/TestBedrock.test_cohere*": "models that the catalog has at Cohere only",
    "pydantic-ai/test_embeddings/TestBedrock.test_nova*": "a model that the catalog does not have",
    "pydantic-ai/test_embeddings/TestCohere.test_count_tokens.yaml": "a call that no adapter makes",
    "pydantic-ai/test_embeddings/TestGoogle.test_count_tokens_error.yaml": "a call that no adapter makes",
    "pydantic-ai/test_embeddings/TestGoogle.test_vertex_query.yaml": "another wire: Vertex AI's",
}
recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)


def _exchanges() -> Iterator[tuple[str, Exchange]]:
    for pattern, (name, _) in USED.items():
        for file in matching(pattern):
            yield from ((name, exchange) for exchange in load(file, WIRES[name].path))


ALL = list(_exchanges()) if FOLDER.is_dir() else []
GOOD = [(name, exchange) for name, exchange in ALL if exchange.status == 200]
ERRORS = [(name, exchange) for name, exchange in ALL if exchange.status != 200]


def recorded(exchanges: list[tuple[str, Exchange]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "exchange"), exchanges, ids=[exchange.name for _, exchange in exchanges])


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bedrock._client.cache_clear()
    yield
    bedrock._client.cache_clear()


def upstream(provider: Loopback, **fields: Any) -> Upstream:
    base_url = provider.base_url.removesuffix("/v1")
    return Upstream("acme", "m", base_url, "key", Timeouts(5, 20, 20, 20), **{"max_batch": 100, **fields})


@recordings
def test_there_is_enough_to_go_by() -> None:
    assert {name for name, _ in GOOD} == set(WIRES)
    assert {name for name, _ in ERRORS} == {"openai", "voyage", "cohere"}


@recordings
@pytest.mark.parametrize("encoding", ["float", "base64"])
@recorded(GOOD)
async def test_vectors_and_usage(
    name: str, exchange: Exchange, encoding: Any, provider: Loopback, client: Client
) -> None:
    wire = WIRES[name]
    theirs = wire.vectors(exchange.json)
    provider.answer = Answer([exchange.body[:100], exchange.body[100:]])
    request = EmbedRequest("m", tuple(f"text {at}" for at in range(len(theirs))), encoding)
    result = await wire.adapter(client.post).embed(upstream(provider), request)
    ours = [from_base64(vector) if isinstance(vector, str) else vector for vector in result.vectors]
    assert {type(vector) for vector in result.vectors} == {str if encoding == "base64" else list}
    assert ours == [pytest.approx(vector, rel=1e-6) for vector in theirs]
    tokens = wire.tokens(exchange.json)
    assert (result.usage.total(INPUT_UNITS) if result.usage else None) == tokens


@recordings
@recorded(ERRORS)
async def test_an_error(name: str, exchange: Exchange, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([exchange.body], exchange.status)
    with pytest.raises(UpstreamError) as raised:
        await WIRES[name].adapter(client.post).embed(upstream(provider), EmbedRequest("m", ("a",)))
    assert (raised.value.kind, raised.value.status) == ("rejected", exchange.status)


ANSWERS: dict[str, Any] = {
    "openai": {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"prompt_tokens": 1}},
    "voyage": {"data": [{"index": 0, "embedding": [1.0]}], "usage": {"total_tokens": 1}},
    "google": {"embeddings": [{"values": [1.0]}]},
    "cohere": {"embeddings": {"float": [[1.0]]}, "meta": {"billed_units": {"input_tokens": 1}}},
    "bedrock": {"embedding": [1.0], "inputTextTokenCount": 1},
}


ENCODINGS: tuple[Encoding, ...] = ("float", "base64")


@pytest.mark.parametrize("name", WIRES)
class TestEveryWire:
    async def test_what_is_sent(self, name: str, provider: Loopback, client: Client) -> None:
        provider.answer = Answer([json.dumps(ANSWERS[name]).encode()])
        request = EmbedRequest("m", ("hello",), dimensions=256, input_type="query")
        await WIRES[name].adapter(client.post).embed(upstream(provider), request)
        (sent,) = provider.received
        expected: dict[str, Any] = {
            "openai": {"model": "m", "input": ["hello"], "encoding_format": "base64", "dimensions": 256},
            "voyage": {
                "model": "m", "input": ["hello"], "output_dimension": 256, "input_type": "query", "truncation": False
            },
            "google": {
                "requests": [
                    {
                        "model": "models/m", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 256,
                        "content": {"parts": [{"text": "hello"}]},
                    }
                ]
            },
            "cohere": {
                "model": "m", "texts": ["hello"], "input_type": "search_query", "embedding_types": ["float"],
                "truncate": "NONE", "output_dimension": 256,
            },
            "bedrock": {"inputText": "hello", "dimensions": 256},
        }  # fmt: skip
        assert sent.body == expected[name]
        assert "key" not in sent.path

    @pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b"<html>", b'{"data": 5, "embeddings": 5, "embedding": 5}'])
    async def test_what_is_no_answer(self, name: str, answer: bytes, provider: Loopback, client: Client) -> None:
        provider.answer = Answer([answer])
        with pytest.raises(UpstreamError) as raised:
            await WIRES[name].adapter(client.post).embed(upstream(provider), EmbedRequest("m", ("a",)))
        assert raised.value.kind in ("malformed", "unavailable")

    async def test_fewer_vectors_than_texts_are_no_answer(self, name: str, provider: Loopback, client: Client) -> None:
        if name == "bedrock":
            return  # one text a call
        provider.answer = Answer([json.dumps(ANSWERS[name]).encode()])
        with pytest.raises(UpstreamError) as raised:
            await WIRES[name].adapter(client.post).embed(upstream(provider), EmbedRequest("m", ("a", "b")))
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize(
        "number", ["1" + "0" * 400, "-1" + "0" * 400, "1e999", "1e300", "true", "null", '"a"', "[1]"]
    )
    async def test_what_is_no_float_is_no_vector(
        self, name: str, number: str, provider: Loopback, client: Client
    ) -> None:
        provider.answer = Answer([json.dumps(ANSWERS[name]).replace("1.0", number).encode()])
        for encoding in ENCODINGS:
            request = EmbedRequest("m", ("a",), encoding)
            with pytest.raises(UpstreamError) as raised:
                await WIRES[name].adapter(client.post).embed(upstream(provider), request)
            assert raised.value.kind == "malformed"

    async def test_vectors_of_two_lengths_are_no_answer(self, name: str, provider: Loopback, client: Client) -> None:
        two: dict[str, Any] = {
            "google": {"embeddings": [{"values": [1.0]}, {"values": [1.0, 2.0]}]},
            "cohere": {"embeddings": {"float": [[1.0], [1.0, 2.0]]}},
        }
        usual = {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}
        longer = Answer([json.dumps({**ANSWERS["bedrock"], "embedding": [1.0, 2.0]}).encode()])
        provider.answer = Answer([json.dumps(two.get(name, usual)).encode()])
        if name == "bedrock":  # one text a call
            usual_answer = Answer([json.dumps(ANSWERS[name]).encode()])
            provider.choose = lambda received: longer if received.body["inputText"] == "b" else usual_answer
        target = upstream(provider, max_batch=1 if name == "bedrock" else 100)
        with pytest.raises(UpstreamError) as raised:
            await WIRES[name].adapter(client.post).embed(target, EmbedRequest("m", ("a", "b")))
        assert raised.value.kind == "malformed"

    async def test_token_ids(self, name: str, provider: Loopback, client: Client) -> None:
        provider.answer = Answer([json.dumps(ANSWERS[name]).encode()])
        asked = WIRES[name].adapter(client.post).embed(upstream(provider), EmbedRequest("m", ((1, 2),)))
        if name == "openai":
            await asked
            assert provider.received[0].body["input"] == [[1, 2]]
            return
        with pytest.raises(UpstreamError) as raised:
            await asked
        assert (raised.value.code, raised.value.param) == ("unsupported_parameter", "input")
        assert provider.received == []


@pytest.mark.parametrize("index", ["1e999", "0.0", "true", '"0"', "null", "1", "-1", "[0]", "{}"])
async def test_an_index_that_is_none(index: str, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([b'{"data": [{"index": %s, "embedding": [1.0]}]}' % index.encode()])
    with pytest.raises(UpstreamError) as raised:
        await openai_compatible.OpenAICompatibleEmbed(client.post).embed(upstream(provider), EmbedRequest("m", ("a",)))
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize(
    "text", ["", "AAAA", "AACAPw", "Incorrect API key sk-1, org-1", "AADAfw==", "AACAfw==", "AACA\nPw=="]
)
@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_base64_that_is_no_vector(text: str, encoding: Any, provider: Loopback, client: Client) -> None:
    """It would be passed on as it is, and paid for."""
    provider.answer = Answer([json.dumps({"data": [{"index": 0, "embedding": text}]}).encode()])
    request = EmbedRequest("m", ("a",), encoding)
    with pytest.raises(UpstreamError) as raised:
        await openai_compatible.OpenAICompatibleEmbed(client.post).embed(upstream(provider), request)
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 0}, 0),
        ({"prompt_tokens": 0, "total_tokens": 0}, 0),
        ({"total_tokens": 0}, 0),
        ({"prompt_tokens": 0, "total_tokens": 7}, 7),
        ({"prompt_tokens": 7, "total_tokens": 9}, 7),
        ({}, None),
        ({"prompt_tokens": None}, None),
        ({"prompt_tokens": -1}, None),
    ],
)
async def test_nothing_is_a_count(usage: Any, tokens: int | None, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([json.dumps({"data": [{"index": 0, "embedding": [1.0]}], "usage": usage}).encode()])
    result = await openai_compatible.OpenAICompatibleEmbed(client.post).embed(
        upstream(provider), EmbedRequest("m", ("a",))
    )
    assert (result.usage.units["input_tokens"] if result.usage else None) == tokens


async def test_a_wire_without_encodings_is_not_asked_for_one(provider: Loopback, client: Client) -> None:
    provider.answer = Answer([json.dumps({"data": [{"index": 0, "embedding": [1.0, 0.5]}]}).encode()])
    target = upstream(provider, quirks=frozenset({"no_encoding_format"}))
    result = await openai_compatible.OpenAICompatibleEmbed(client.post).embed(
        target, EmbedRequest("m", ("a",), "base64")
    )
    assert "encoding_format" not in provider.received[0].body
    assert [from_base64(str(vector)) for vector in result.vectors] == [[1.0, 0.5]]
    assert result.usage is None


class TestBatches:
    def request(self, count: int) -> EmbedRequest:
        return EmbedRequest("m", tuple(f"{number:03d}" for number in range(count)))

    async def test_order_is_kept_whatever_comes_first_and_few_are_at_work_at_once(self) -> None:
        at_work, most, sizes = 0, 0, list[int]()

        async def send(batch: Any) -> EmbedResult:
            nonlocal at_work, most
            at_work += 1
            most = max(most, at_work)
            sizes.append(len(batch))
            for _ in range(200 - int(batch[0])):  # the first takes longest
                await asyncio.sleep(0)
            at_work -= 1
            return EmbedResult([[float(text)] for text in batch], Usage({"input_tokens": len(batch)}))

        target = Upstream("p", "m", "http://x", max_batch=7)
        result = await embed_in_batches(target, self.request(100), send)
        assert result.vectors == [[float(number)] for number in range(100)]
        assert result.usage is not None
        assert result.usage.units == {"input_tokens": 100}
        assert sizes[:-1] == [7] * 14
        assert most == AT_ONCE

    async def test_a_limit_of_tokens_splits_too(self) -> None:
        sizes: list[int] = []

        async def send(batch: Any) -> EmbedResult:
            sizes.append(len(batch))
            return EmbedResult([[0.0]] * len(batch), None)

        target = Upstream("p", "m", "http://x", max_batch=100, max_batch_tokens=16)  # a text is at most 5
        result = await embed_in_batches(target, self.request(7), send)
        assert sorted(sizes) == [1, 3, 3]
        assert result.usage is None  # one part told none

    async def test_one_that_fails_once_is_sent_again_and_the_others_are_not(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batches, "BACK_OFF_S", 0.0)
        sent: Counter[str] = Counter()

        async def send(batch: Any) -> EmbedResult:
            sent[batch[0]] += 1
            if batch[0] == "003" and sent["003"] < 3:
                raise UpstreamError("rate_limited")
            return EmbedResult([[0.0]], Usage({"input_tokens": 1}))

        target = Upstream("p", "m", "http://x", max_batch=1)
        result = await embed_in_batches(target, self.request(10), send)
        assert sent == {**dict.fromkeys([f"{number:03d}" for number in range(10)], 1), "003": 3}
        assert result.usage is not None
        assert result.usage.units == {"input_tokens": 10}

    @pytest.mark.parametrize(
        ("kind", "again", "told"), [("rate_limited", 2, True), ("auth", 0, True), ("rejected", 0, False)]
    )
    async def test_what_was_done_before_one_failed_for_good_is_told(
        self, monkeypatch: pytest.MonkeyPatch, kind: Any, again: int, told: bool
    ) -> None:
        monkeypatch.setattr(batches, "BACK_OFF_S", 0.0)
        sent: Counter[str] = Counter()

        async def send(batch: Any) -> EmbedResult:
            sent[batch[0]] += 1
            if batch[0] == "009":
                raise UpstreamError(kind)
            return EmbedResult([[0.0]], Usage({"input_tokens": 2}) if told else None)

        target = Upstream("p", "m", "http://x", max_batch=1)
        with pytest.raises(UpstreamError) as raised:
            await embed_in_batches(target, self.request(10), send)
        assert sent["009"] == 1 + again
        assert raised.value.usage is not None
        assert raised.value.usage.units == {"input_tokens": 18 if told else 9}  # or a token for three bytes

    @pytest.mark.parametrize(("budget", "sent"), [(0, 10), (1, 11), (9, 12)])
    async def test_resends_are_of_the_budget_of_all_calls(
        self, monkeypatch: pytest.MonkeyPatch, budget: int, sent: int
    ) -> None:
        monkeypatch.setattr(batches, "BACK_OFF_S", 0.0)
        left, asked = budget, 0

        def may_ask_again() -> bool:
            nonlocal left
            left -= 1
            return left >= 0

        async def send(batch: Any) -> EmbedResult:
            nonlocal asked
            asked += 1
            if batch[0] == "009":
                raise UpstreamError("unavailable")
            return EmbedResult([[0.0]], None)

        target = Upstream("p", "m", "http://x", max_batch=1, may_ask_again=may_ask_again)
        with pytest.raises(UpstreamError):
            await embed_in_batches(target, self.request(10), send)
        assert asked == sent

    async def test_vectors_of_two_lengths_in_two_parts(self) -> None:
        async def send(batch: Any) -> EmbedResult:
            return EmbedResult([[0.0] * (1 + (batch[0] == "004"))], Usage({"input_tokens": 1}))

        with pytest.raises(UpstreamError) as raised:
            await embed_in_batches(Upstream("p", "m", "http://x", max_batch=1), self.request(5), send)
        assert raised.value.kind == "malformed"
        assert raised.value.usage is not None  # what was done will be billed

    async def test_one_that_fails_fails_all_and_stops_the_rest(self) -> None:
        begun: list[str] = []

        async def send(batch: Any) -> EmbedResult:
            begun.append(batch[0])
            if batch[0] == "001":
                raise UpstreamError("rate_limited", retry_after=20.0)
            await asyncio.Event().wait()
            raise AssertionError

        target = Upstream("p", "m", "http://x", max_batch=1)
        with pytest.raises(UpstreamError) as raised:
            await embed_in_batches(target, self.request(50), send)
        assert raised.value.retry_after == 20.0
        assert len(begun) <= AT_ONCE + 1

    async def test_one_batch_goes_straight_through(self) -> None:
        usage = replace(Usage({"input_tokens": 3}), estimated=False)

        async def send(batch: Any) -> EmbedResult:
            return EmbedResult(["AAAA"] * len(batch), usage)

        result = await embed_in_batches(Upstream("p", "m", "http://x", max_batch=3), self.request(3), send)
        assert result.usage is usage
