"""The wires of their own against what providers really answered: whole, cut anywhere, ended too early, sent back."""

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatAdapter, ChatChunk, ChatRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers import anthropic, cohere, google, openai
from aig_providers.anthropic_messages import conversation
from aig_providers.wire import Client, Post
from tests.conformance import natives
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.natives import Said, Streamed, Whole, assembled, of_message
from tests.conformance.recordings import ABSENT, FOLDER, Exchange, load, matching

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)


@dataclass(frozen=True)
class Wire:
    """An adapter, the part of the path that its chat has, and how its answers are read without it."""

    adapter: Callable[[Post], ChatAdapter]
    path: str
    whole: Whole
    streamed: Streamed
    quirks: frozenset[str] = frozenset()


WIRES = {
    "anthropic": Wire(anthropic.AnthropicChat, "/v1/messages", natives.anthropic_message, natives.anthropic_stream),
    "google": Wire(
        google.GoogleChat, "enerateContent", lambda body: natives.google_answer([body]), natives.google_answer
    ),
    "openai": Wire(
        openai.OpenAIChat,
        "/v1/responses",
        natives.responses_message,
        natives.responses_stream,
        frozenset({"responses"}),
    ),
    "cohere": Wire(cohere.CohereChat, "/v2/chat", natives.cohere_message, natives.cohere_stream),
}
# The recordings of each wire, and why.
USED = {
    "llm-anthropic/*": ("anthropic", "vendor: text, thinking, tools, schema, images, streamed"),
    "pydantic-ai/test_anthropic/*": ("anthropic", "vendor: caching, tools beside thinking, parallel tools, errors"),
    "pydantic-ai/test_tool_choice_matrix/*-anthropic*": ("anthropic", "tool_choice at Anthropic"),
    "vercel-ai/anthropic/anthropic-*": ("anthropic", "vendor: context editing, JSON output, refusal, no arguments"),
    "vercel-ai/anthropic/duplicate-*": ("anthropic", "a stream that starts twice"),
    "llm-gemini/test_gemini/test_nested*": ("google", "vendor: schema"),
    "llm-gemini/test_gemini/test_prompt*": ("google", "vendor: text, schema"),
    "llm-gemini/test_gemini/test_tools*": ("google", "vendor: tools, thought signatures"),
    "pydantic-ai/test_google/*": ("google", "vendor: images, retries, thoughts, safety, tools with signatures"),
    "vercel-ai/google/google-429-*": ("google", "the time to wait in an error's body"),
    "vercel-ai/google/google-reasoning*": ("google", "vendor: reasoning"),
    "vercel-ai/google/google-stream-*": ("google", "arguments of a call in pieces"),
    "vercel-ai/google/google-text*": ("google", "vendor: text"),
    "vercel-ai/google/google-tool-call*": ("google", "vendor: tools with thought signatures"),
    "llm/test_openai_responses/*": ("openai", "vendor: text, tools, encrypted reasoning sent back"),
    "pydantic-ai/test_tool_choice_matrix/*-openai_responses*": ("openai", "tool_choice at OpenAI's Responses"),
    "pydantic-ai/test_cohere/test_cohere_model_thinking_part.yaml": ("openai", "a turn before another vendor's"),
    "pydantic-ai/test_mistral/test_mistral_model_thinking_part.yaml": ("openai", "a turn before another vendor's"),
    "vercel-ai/openai/openai-code-*": ("openai", "items that are neither text nor calls"),
    "vercel-ai/openai/openai-custom-*": ("openai", "custom tools"),
    "vercel-ai/openai/openai-error.1.chunks.txt": ("openai", "an account without credit, told in a stream"),
    "vercel-ai/openai/openai-image-*": ("openai", "items that are neither text nor calls"),
    "vercel-ai/openai/openai-phase*": ("openai", "a commentary before the answer"),
    "pydantic-ai/test_cohere/*": ("cohere", "vendor: text, reasoning"),
    "vercel-ai/cohere/cohere-empty*": ("cohere", "a call without arguments"),
    "vercel-ai/cohere/cohere-max*": ("cohere", "an answer cut at its limit"),
    "vercel-ai/cohere/cohere-null*": ("cohere", "arguments that are null"),
    "vercel-ai/cohere/cohere-reasoning*": ("cohere", "vendor: reasoning"),
    "vercel-ai/cohere/cohere-t*": ("cohere", "vendor: text, tools"),
}
COUNTING = "pydantic-ai/test_anthropic/test_anthropic_count_tokens_error.yaml"
NOT_USED = {
    "llm-gemini/test_gemini/test_cli_gemini_models.yaml": "a list of models",
    COUNTING: "another endpoint: counting tokens",
    "vercel-ai/google/google-live-*": "another wire: Google's Live",
}


def _exchanges() -> Iterator[tuple[str, Exchange]]:
    for pattern, (name, _) in USED.items():
        for file in matching(pattern):
            for exchange in load(file, WIRES[name].path, done=False):
                if file != COUNTING:
                    yield name, _framed(exchange)


def _framed(exchange: Exchange) -> Exchange:
    """A stream of Gemini's that was asked for without `alt=sse` is an array of what are events with it."""
    if not exchange.streamed or not exchange.body.lstrip().startswith(b"["):
        return exchange
    events = b"".join(b"data: %b\r\n\r\n" % json.dumps(entry).encode() for entry in json.loads(exchange.body))
    return Exchange(exchange.name, exchange.status, events, streamed=True, request=exchange.request)


# Streams that hold an error.
BROKEN = {"vercel-ai/openai/openai-error.1.chunks.txt": "auth"}

ALL = list(_exchanges()) if FOLDER.is_dir() else []
WHOLE = [(name, exchange) for name, exchange in ALL if exchange.status == 200 and not exchange.streamed]
STREAMS = [
    (name, exchange)
    for name, exchange in ALL
    if exchange.status == 200 and exchange.streamed and exchange.name not in BROKEN
]
ERRORS = [(name, exchange) for name, exchange in ALL if exchange.status != 200]


def recorded(exchanges: list[tuple[str, Exchange]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "exchange"), exchanges, ids=[exchange.name for _, exchange in exchanges])


def upstream(provider: Loopback, name: str) -> Upstream:
    timeouts, quirks = Timeouts(5, 20, 20, 20), WIRES[name].quirks
    return Upstream("acme", "m", provider.base_url, timeouts=timeouts, quirks=quirks)


def request(*, stream: bool = False, **fields: Any) -> ChatRequest:
    return chat_body.parse({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **fields})


def events(exchange: Exchange) -> list[Any]:
    return exchange.events


def test_there_is_enough_to_go_by() -> None:
    found = {name: [e for n, e in WHOLE + STREAMS if n == name] for name in WIRES}
    assert len(found["anthropic"]) >= 40
    assert len(found["google"]) >= 25
    assert len(found["cohere"]) >= 10
    assert len(found["openai"]) >= 15
    assert ERRORS


def same(ours: Said, theirs: Said) -> None:
    assert ours == theirs


@recorded(WHOLE)
async def test_a_whole_answer(name: str, exchange: Exchange, provider: Loopback, client: Client) -> None:
    cut = len(exchange.body) // 2
    provider.answer = Answer([exchange.body[:cut], exchange.body[cut:]])
    result = await WIRES[name].adapter(client.post).complete(upstream(provider, name), request(), 100)
    assert result.body["object"] == "chat.completion"
    same(of_message(result.body, result.usage), WIRES[name].whole(exchange.json))


def _pieces(body: bytes, cutting: str, name: str) -> list[bytes]:
    if cutting == "events":
        ends = [at + 2 for at in range(len(body) - 1) if body[at : at + 2] == b"\n\n"]
    elif cutting == "bytes":
        ends = list(range(1, len(body))) if len(body) < 6000 else []
    elif cutting == "CRLF":
        body = body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        ends = list(range(61, len(body), 61))
    else:
        ends = sorted(random.Random(name).sample(range(1, len(body)), min(60, len(body) - 1)))
    ends = [end for end in ends if end < len(body)]
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


async def stream(name: str, provider: Loopback, client: Client, answer: Answer) -> list[ChatChunk]:
    provider.answer = answer
    adapter = WIRES[name].adapter(client.post)
    return [chunk async for chunk in adapter.stream(upstream(provider, name), request(stream=True), 100)]


@pytest.mark.parametrize("cutting", ["events", "random", "bytes", "CRLF"])
@recorded(STREAMS)
async def test_a_stream(name: str, exchange: Exchange, cutting: str, provider: Loopback, client: Client) -> None:
    chunks = await stream(name, provider, client, Answer(_pieces(exchange.body, cutting, exchange.name)))
    body, usage = assembled(chunks)
    bodies = [chunk.body for chunk in chunks if chunk.body is not None]
    assert bodies[0]["choices"][0]["delta"]["role"] == "assistant"
    assert {(body["object"], body["id"]) for body in bodies} == {("chat.completion.chunk", bodies[0]["id"])}
    same(of_message(body, usage), WIRES[name].streamed(events(exchange)))


_ENDS = (b'"message_delta"', b'"message-end"', b'"finishReason"', b'"response.completed"')


@recorded(STREAMS)
async def test_a_stream_that_ends_too_early(name: str, exchange: Exchange, provider: Loopback, client: Client) -> None:
    pieces = _pieces(exchange.body.replace(b"\r\n", b"\n"), "events", exchange.name)
    last = next(at for at, piece in enumerate(pieces) if any(end in piece for end in _ENDS))
    for count in {0, last // 2, last}:
        for ending in ("end", "reset"):
            with pytest.raises(UpstreamError) as raised:
                await stream(name, provider, client, Answer(pieces[:count], ending=ending))
            assert raised.value.kind in ("malformed", "connect")


@recorded([(name, exchange) for name, exchange in ALL if exchange.name in BROKEN])
async def test_an_error_in_a_stream(name: str, exchange: Exchange, provider: Loopback, client: Client) -> None:
    with pytest.raises(UpstreamError) as raised:
        await stream(name, provider, client, Answer([exchange.body]))
    assert raised.value.kind == BROKEN[exchange.name]


@pytest.mark.parametrize("streamed", [False, True])
@recorded(ERRORS)
async def test_an_error(name: str, exchange: Exchange, streamed: bool, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([exchange.body], exchange.status)
    adapter = WIRES[name].adapter(client.post)
    with pytest.raises(UpstreamError) as raised:
        await (
            stream(name, provider, client, provider.answer)
            if streamed
            else adapter.complete(upstream(provider, name), request(), 100)
        )
    assert raised.value.status == exchange.status
    assert raised.value.kind == ("rate_limited" if exchange.status == 429 else "rejected")
    assert raised.value.retry_after == (34.4 if exchange.status == 429 else None)


def _blocks(turn: Mapping[str, Any]) -> list[dict[str, Any]]:
    keep = {"text": ("text",), "thinking": ("thinking", "signature"), "tool_use": ("id", "name", "input")}
    kept = [block for block in turn["content"] if block["type"] in keep and block.get("text") != ""]
    return [{"type": block["type"], **{name: block[name] for name in keep[block["type"]]}} for block in kept]


@recorded([(name, exchange) for name, exchange in WHOLE if name == "anthropic"])
async def test_what_a_client_sends_back_is_what_the_provider_said(
    name: str, exchange: Exchange, provider: Loopback, client: Client
) -> None:
    """Thinking with its signature, in its place before the call: the provider refuses anything else."""
    provider.answer = Answer([exchange.body])
    result = await WIRES[name].adapter(client.post).complete(upstream(provider, name), request(), 100)
    message = result.body["choices"][0]["message"]
    parsed = request(messages=[{"role": "user", "content": "hi"}, message])
    turns = conversation(parsed.body["messages"])[1]
    said = [turn for turn in turns if turn["role"] == "assistant"]
    theirs = _blocks(exchange.json)
    if message["refusal"]:  # why it declined goes back as what it said
        theirs = [{"type": "text", "text": message["refusal"]}]
    assert (_blocks(said[0]) if said else []) == theirs or len([b for b in theirs if b["type"] == "text"]) > 1


@recorded([(name, exchange) for name, exchange in WHOLE if name == "google"])
async def test_thought_signatures_come_back_where_they_were(
    name: str, exchange: Exchange, provider: Loopback, client: Client
) -> None:
    provider.answer = Answer([exchange.body])
    adapter = WIRES[name].adapter(client.post)
    result = await adapter.complete(upstream(provider, name), request(), 100)
    message = result.body["choices"][0]["message"]
    if not message.get("content") and not message.get("tool_calls"):
        return  # nothing was said that could be sent back
    history = [{"role": "user", "content": "hi"}, message, {"role": "user", "content": "go on"}]
    await adapter.complete(upstream(provider, name), request(messages=history), 100)
    sent = provider.received[-1].body["contents"][1]["parts"]
    parts = [part for part in exchange.json["candidates"][0]["content"]["parts"] if not part.get("thought")]

    def signed(part: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        call = part.get("functionCall") or {}
        return call.get("name"), call.get("args"), part.get("thoughtSignature")

    assert [signed(part) for part in sent if "functionCall" in part] == [
        signed(part) for part in parts if "functionCall" in part
    ]
    texts = [part.get("thoughtSignature") for part in parts if "text" in part and part.get("thoughtSignature")]
    assert [part["thoughtSignature"] for part in sent if "text" in part and "thoughtSignature" in part] == texts[-1:]
