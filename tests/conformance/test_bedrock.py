"""Bedrock through boto3 against what AWS really answered, its binary event streams byte for byte."""

import asyncio
import binascii
import json
import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities import chat_body
from aig.modalities.chat import ChatChunk, ChatRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers import bedrock
from aig_providers.bedrock_messages import converse_arguments
from tests.conformance import natives
from tests.conformance.loopback import Answer, Loopback
from tests.conformance.natives import assembled, of_message
from tests.conformance.recordings import ABSENT, FOLDER, Exchange, load, matching

USED = {
    "pydantic-ai/test_bedrock/*": "vendor: text, tools, caching, thinking as a binary stream, an error",
    "vercel-ai/amazon-bedrock/amazon-bedrock-json*.chunks.txt": "vendor: tools in the place of a schema",
    "vercel-ai/amazon-bedrock/amazon-bedrock-json-other-tool.1.json": "vendor: tools in the place of a schema",
    "vercel-ai/amazon-bedrock/amazon-bedrock-json-tool.1.json": "vendor: tools in the place of a schema",
    "vercel-ai/amazon-bedrock/amazon-bedrock-reasoning*": "vendor: reasoning",
    "vercel-ai/amazon-bedrock/amazon-bedrock-text*": "vendor: text",
    "vercel-ai/amazon-bedrock/amazon-bedrock-tool-call*": "vendor: tools",
    "vercel-ai/amazon-bedrock/amazon-bedrock-tool-no-args.json": "vendor: tools",
}
_BY_HAND = "made by hand: a block with two members, or none, which AWS's own client refuses"
NOT_USED = {
    "vercel-ai/amazon-bedrock/amazon-bedrock-json-tool-with-answer.1.json": _BY_HAND,
    "vercel-ai/amazon-bedrock/amazon-bedrock-json-tool.[23].json": _BY_HAND,
    "vercel-ai/amazon-bedrock/amazon-bedrock-json-with-tool*.json": _BY_HAND,
    "vercel-ai/amazon-bedrock/amazon-bedrock-tool-no-args.chunks.txt": _BY_HAND,
}
ALL = [e for file in matching(*USED) for e in load(file, "/converse", done=False)] if FOLDER.is_dir() else []
WHOLE = [exchange for exchange in ALL if exchange.status == 200 and not exchange.streamed]
# Two forms: AWS's own frames, and the events that were in them, which are framed here.
BINARY = [exchange for exchange in ALL if exchange.status == 200 and exchange.streamed and exchange.request is not None]
EVENTS = [exchange for exchange in ALL if exchange.status == 200 and exchange.streamed and exchange.request is None]
ERRORS = [exchange for exchange in ALL if exchange.status != 200]
recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason=ABSENT)


def recorded(exchanges: list[Exchange]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exchange", exchanges, ids=lambda exchange: exchange.name)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    bedrock._client.cache_clear()
    yield
    bedrock._client.cache_clear()


def upstream(provider: Loopback, **fields: Any) -> Upstream:
    return Upstream("bedrock", "us.anthropic.claude-x", provider.base_url.removesuffix("/v1"), **fields)


def request(*, stream: bool = False, **fields: Any) -> ChatRequest:
    return chat_body.parse({"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **fields})


def frame(name: str, payload: bytes, message_type: str = "event") -> bytes:
    """A message of AWS's event stream."""
    headers = b""
    for key, value in (
        (":event-type" if message_type == "event" else ":exception-type", name),
        (":message-type", message_type),
    ):
        headers += bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = prelude + struct.pack(">I", binascii.crc32(prelude))
    return head + headers + payload + struct.pack(">I", binascii.crc32(head + headers + payload))


def framed(events: list[Mapping[str, Any]]) -> list[bytes]:
    return [frame(name, json.dumps(body).encode()) for event in events for name, body in event.items()]


async def stream(provider: Loopback, answer: Answer, **fields: Any) -> list[ChatChunk]:
    provider.answer = answer
    adapter = bedrock.ADAPTER.chat
    return [chunk async for chunk in adapter.stream(upstream(provider, **fields), request(stream=True), 100)]


@recordings
@recorded(WHOLE)
async def test_a_whole_answer(exchange: Exchange, provider: Loopback) -> None:
    provider.answer = Answer([exchange.body])
    result = await bedrock.ADAPTER.chat.complete(upstream(provider), request(), 100)
    assert of_message(result.body, result.usage) == natives.bedrock_message(exchange.json)


BINARY_HEADERS = {"content-type": "application/vnd.amazon.eventstream"}


@recordings
@pytest.mark.parametrize("size", [7, 1000, 10**9])
@recorded(BINARY)
async def test_a_binary_stream(exchange: Exchange, size: int, provider: Loopback) -> None:
    body = exchange.body
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = await stream(provider, Answer(pieces, headers=BINARY_HEADERS))
    message, usage = assembled(chunks)
    ours = of_message(message, usage)
    assert ours.text
    assert ours.finish == "stop"
    assert (ours.prompt or 0) > 0
    assert (ours.completion or 0) > 0
    if "thinking" in exchange.name:
        assert ours.thoughts
        assert ours.signatures


@recordings
@recorded(EVENTS)
async def test_a_stream(exchange: Exchange, provider: Loopback) -> None:
    chunks = await stream(provider, Answer(framed(exchange.events), headers=BINARY_HEADERS))
    message, usage = assembled(chunks)
    assert of_message(message, usage) == natives.bedrock_stream(exchange.events)


@recordings
@recorded(EVENTS)
async def test_a_stream_that_ends_too_early(exchange: Exchange, provider: Loopback) -> None:
    pieces = framed([event for event in exchange.events if not {"messageStop", "metadata"} & event.keys()])
    for cut in (pieces, pieces[:1], [b"".join(pieces)[:-5]]):
        with pytest.raises(UpstreamError) as raised:
            await stream(provider, Answer(cut, headers=BINARY_HEADERS))
        assert raised.value.kind in ("malformed", "connect")


@recordings
@recorded(ERRORS)
async def test_an_error(exchange: Exchange, provider: Loopback) -> None:
    headers = {"x-amzn-errortype": "ValidationException:http://internal.amazon.com/"}
    with pytest.raises(UpstreamError) as raised:
        await stream(provider, Answer([exchange.body], exchange.status, headers))
    assert (raised.value.kind, raised.value.code) == ("rejected", "invalid_request_error")


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("ThrottlingException", 429, "rate_limited"),
        ("ModelNotReadyException", 429, "rate_limited"),
        ("ServiceUnavailableException", 503, "unavailable"),
        ("InternalServerException", 500, "unavailable"),
        ("ModelTimeoutException", 408, "unavailable"),
        ("ModelErrorException", 424, "unavailable"),
        ("AccessDeniedException", 403, "auth"),
        ("UnrecognizedClientException", 403, "auth"),
        ("ExpiredTokenException", 403, "auth"),
        ("ResourceNotFoundException", 404, "rejected"),
        ("ValidationException", 400, "rejected"),
        ("SomethingNewException", 418, "rejected"),
    ],
)
async def test_an_exception_by_its_name(name: str, status: int, kind: str, provider: Loopback) -> None:
    provider.answer = Answer(
        [b'{"message": "arn:aws:iam::123456789012:role/secret may not"}'], status, {"x-amzn-errortype": name}
    )
    with pytest.raises(UpstreamError) as raised:
        await bedrock.ADAPTER.chat.complete(upstream(provider), request(), 100)
    assert (raised.value.kind, raised.value.status) == (kind, status)
    assert "123456789012" not in str(raised.value)
    assert len(provider.received) == 1  # nobody but the pipeline tries again


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("throttlingException", "rate_limited"),
        ("modelStreamErrorException", "unavailable"),
        ("validationException", "rejected"),
    ],
)
async def test_an_exception_in_a_stream(name: str, kind: str, provider: Loopback) -> None:
    said = framed(
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}},
        ]
    )
    broken = frame(name, b'{"message": "no"}', "exception")
    with pytest.raises(UpstreamError) as raised:
        await stream(provider, Answer([*said, broken], headers=BINARY_HEADERS))
    assert raised.value.kind == kind


async def test_a_silent_provider_is_given_up_and_no_thread_is_left(provider: Loopback) -> None:
    waiting = Timeouts(connect=1, first_byte=0.2, idle=0.2, total=0.2)
    provider.answer = Answer([], ending="silence", headers=BINARY_HEADERS)
    with pytest.raises(UpstreamError) as raised:
        await stream(provider, provider.answer, timeouts=waiting)
    assert raised.value.kind == "timeout"
    bedrock._client.cache_clear()


@pytest.mark.parametrize(("seconds", "clients"), [((268.2, 267.9, 240.1), 1), ((20.0, 20.5), 2)])
async def test_calls_that_may_take_about_as_long_share_a_client(
    provider: Loopback, seconds: tuple[float, ...], clients: int
) -> None:
    provider.answer = Answer([b"{}"], status=429)
    for total in seconds:
        with pytest.raises(UpstreamError):
            await bedrock.ADAPTER.chat.complete(upstream(provider, timeouts=Timeouts(total=total)), request(), 100)
    assert bedrock._client.cache_info().misses == clients


TEXT: list[Mapping[str, Any]] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}},
]
ENDED: Mapping[str, Any] = {"messageStop": {"stopReason": "end_turn"}}
COUNTED: Mapping[str, Any] = {"metadata": {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}}


def damaged(event: Mapping[str, Any]) -> bytes:
    """A message whose checksum is another's."""
    (whole,) = framed([event])
    return whole[:-1] + bytes([whole[-1] ^ 1])


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("ending", ["reset", "eof"])
async def test_a_connection_that_breaks(provider: Loopback, begun: bool, ending: Any) -> None:
    with pytest.raises(UpstreamError) as raised:
        await stream(provider, Answer(framed(TEXT) if begun else [], headers=BINARY_HEADERS, ending=ending))
    assert raised.value.kind == "connect"


@pytest.mark.parametrize("begun", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(
    "broken",
    [
        damaged(TEXT[1]),
        b"<html>this is a page, and no stream of events</html>" * 9,
        frame("contentBlockDelta", b"5"),
        frame("contentBlockDelta", b'"text"'),
        frame("contentBlockDelta", b"{cut"),
        frame("contentBlockDelta", b'{"contentBlockIndex": "x", "delta": "y"}'),
        frame("contentBlockDelta", b'{"contentBlockIndex": 0, "delta": {"text": 5}}'),
        frame("messageStop", b'{"stopReason": ["x"]}'),
    ],
    ids=["checksum", "HTML", "number", "text", "cut", "kinds", "text-of-a-number", "reason"],
)
async def test_an_event_that_cannot_be_read(provider: Loopback, broken: bytes, begun: bool) -> None:
    pieces = [*(framed(TEXT) if begun else []), broken, *framed([ENDED, COUNTED])]
    with pytest.raises(UpstreamError) as raised:
        await stream(provider, Answer(pieces, headers=BINARY_HEADERS))
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b"5", b"<html>", b'{"output": "\xff"}', b'{"output": 5}'),
        b'{"output": {"message": 5}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": 5}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": ["x"]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"text": 5}]}}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": ["x"]}',
        b'{"output": {"message": {"content": [{"reasoningContent": {"redactedContent": "a"}}]}}, "stopReason": "x"}',
        b'{"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "end_turn", "usage": 7}',
        b'{"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "x", "usage": {"inputTokens": "x"}}',
        b"[" * 5000,
    ],
    ids=lambda body: repr(body)[:60],
)
async def test_a_200_that_is_none(provider: Loopback, body: bytes) -> None:
    provider.answer = Answer([body])
    with pytest.raises(UpstreamError) as raised:
        await bedrock.ADAPTER.chat.complete(upstream(provider), request(), 100)
    assert raised.value.kind == "malformed"


@pytest.mark.parametrize("usage", [{"inputTokens": 5, "outputTokens": 1, "cacheDetails": 5}, {"inputTokens": -5}])
async def test_a_usage_that_is_none_is_not_told(provider: Loopback, usage: Any) -> None:
    body = {"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "end_turn", "usage": usage}
    provider.answer = Answer([json.dumps(body).encode()])
    asked = bedrock.ADAPTER.chat.complete(upstream(provider), request(), 100)
    if usage.get("cacheDetails"):  # which botocore does not pass
        with pytest.raises(UpstreamError) as raised:
            await asked
        assert raised.value.kind == "malformed"
    else:
        assert (await asked).usage is None


@pytest.mark.parametrize("ending", ["reset", "silence"])
@pytest.mark.parametrize("counted", [False, True])
async def test_a_whole_answer_that_is_not_ended(
    provider: Loopback, monkeypatch: pytest.MonkeyPatch, ending: Any, counted: bool
) -> None:
    monkeypatch.setattr(bedrock, "GRACE_S", {"said": 0.05, "counted": 0.05})
    pieces = framed([*TEXT, ENDED, *([COUNTED] if counted else [])])
    async with asyncio.timeout(20):  # and not the idle time of a minute, at which a thread would read that is left
        message, usage = assembled(await stream(provider, Answer(pieces, headers=BINARY_HEADERS, ending=ending)))
        if ending == "silence":
            await provider.all_closed()
    assert message["choices"][0]["message"]["content"] == "a"
    assert (usage is not None) == counted


def test_without_credentials_it_is_our_key_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    bare = Upstream("bedrock", "m", "https://bedrock-runtime.eu-west-1.amazonaws.com")
    with pytest.raises(UpstreamError) as raised:
        asyncio.run(bedrock.ADAPTER.chat.complete(bare, request(), 100))
    assert raised.value.kind == "auth"


PNG = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
MARK = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"temperature": 0.5, "top_p": 0.9, "stop": "x", "service_tier": "flex", "user": "u", "seed": 5},
        {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False},
        {"tools": [{**TOOL, "cache_control": MARK}], "tool_choice": {"type": "function", "function": {"name": "f"}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "high"},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        {
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": MARK}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "t"},
                        {"type": "image_url", "image_url": {"url": PNG}},
                        {
                            "type": "file",
                            "file": {"filename": "a_b.pdf", "file_data": "data:application/pdf;base64,JVBERg=="},
                        },
                    ],
                },
                {
                    "role": "assistant",
                    "content": "a",
                    "reasoning_details": [
                        {"type": "reasoning.text", "text": "r", "signature": "s", "format": "anthropic-claude-v1"},
                        {"type": "reasoning.encrypted", "data": "AAAA", "format": "anthropic-claude-v1"},
                        {"type": "reasoning.text", "text": "another's", "format": "google-gemini-v1"},
                    ],
                    "tool_calls": [{"id": "functions.f:0", "function": {"name": "f", "arguments": '{"a": 1}'}}],
                },
                {
                    "role": "tool",
                    "tool_call_id": "functions.f:0",
                    "content": [{"type": "image_url", "image_url": {"url": PNG}}],
                },
            ]
        },
    ],
)
async def test_what_is_sent_is_valid_by_awss_own_model(fields: dict[str, Any], provider: Loopback) -> None:
    """botocore checks every argument against the service's model before it sends; so this would raise."""
    provider.answer = Answer(
        [
            json.dumps(
                {
                    "output": {"message": {"role": "assistant", "content": [{"text": "a"}]}},
                    "stopReason": "end_turn",
                    "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
                }
            ).encode()
        ]
    )
    result = await bedrock.ADAPTER.chat.complete(upstream(provider), request(**fields), 5000)
    assert result.body["choices"][0]["message"]["content"] == "a"
    sent = provider.received[0].body
    assert sent["inferenceConfig"]["maxTokens"] == 5000
    turns = [turn["role"] for turn in sent["messages"]]
    assert all(first != second for first, second in pairwise(turns))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}],
                    }
                ]
            },
            "messages[0].content[0]",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            "messages[0].content[0]",
        ),
    ],
)
def test_what_it_cannot_do_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        converse_arguments(Upstream("bedrock", "m", "https://x"), request(**fields), 100)
    assert (raised.value.kind, raised.value.code, raised.value.param) == ("rejected", "unsupported_parameter", param)
