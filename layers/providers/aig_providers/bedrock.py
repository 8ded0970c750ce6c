"""Amazon Bedrock through boto3: Converse and ConverseStream, and the embeddings of Titan.

boto3 blocks, so every call runs in a thread of this module's own. The reasons for boto3 are in docs/decisions/0009.
"""

import asyncio
import base64
import contextlib
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, TypeVar

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.parsers import ResponseParserError
from pydantic_core import from_json, to_json
from urllib3 import exceptions as http

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedRequest, EmbedResult, Text, encoded
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers.batches import embed_in_batches
from aig_providers.bedrock_messages import converse_arguments
from aig_providers.claude_thinking import FORMAT
from aig_providers.shapes import CallNumbers, arguments_json, chunk, completion, string, tool_call, unsupported
from aig_providers.wire import GRACE_S, count, within

T = TypeVar("T")

CONNECTIONS = 50
HALF_MINUTE_S = 30
_THREADS = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="bedrock")
_REGION = re.compile(r"https://[a-z-]+(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.")
_FINISH: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_UNREADABLE = (
    *(exceptions.BotoCoreError, ResponseParserError, ParserError),
    *(AttributeError, LookupError, RecursionError, TypeError, ValueError),
)
_BROKEN = frozenset({"malformed_model_output", "malformed_tool_use"})
_KINDS: Mapping[str, UpstreamKind] = {
    "throttlingexception": "rate_limited",
    "modelnotreadyexception": "rate_limited",
    "servicequotaexceededexception": "rate_limited",
    "accessdeniedexception": "auth",
    "unrecognizedclientexception": "auth",
    "expiredtokenexception": "auth",
    "invalidsignatureexception": "auth",
    "validationexception": "rejected",
    "resourcenotfoundexception": "rejected",
}
_CODES = {"validationexception": "invalid_request_error", "resourcenotfoundexception": "model_not_found"}


@lru_cache(maxsize=16)
def _client(endpoint: str, connect_s: float, read_s: float) -> Any:
    """Clients are safe to share between threads, and dear to make."""
    region = _REGION.match(endpoint)
    config = Config(
        connect_timeout=connect_s,
        read_timeout=read_s,
        retries={"total_max_attempts": 1},  # failover is the pipeline's
        max_pool_connections=CONNECTIONS,
    )
    name = region[1] if region else None
    return boto3.Session().client("bedrock-runtime", region_name=name, endpoint_url=endpoint, config=config)


def _read_s(total: float) -> float:
    """In half minutes, where it is more than one: each call has a time of its own, and a client is dear to make."""
    return total if total < HALF_MINUTE_S else math.ceil(total / HALF_MINUTE_S) * HALF_MINUTE_S


async def _in_thread(work: Callable[[], T]) -> T:
    """Raises UpstreamError for all that botocore raises, and for what it lets through.

    Of a stream it reads the connection itself, so that urllib3's errors come as they are; and its parsers take for
    granted that an answer has the shape of the service's model.
    """
    try:
        return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
    except exceptions.ClientError as error:
        raise _client_error(error) from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.NoRegionError):
        raise UpstreamError("auth") from None
    except (exceptions.ReadTimeoutError, exceptions.ConnectTimeoutError, http.TimeoutError):
        raise UpstreamError("timeout") from None
    except exceptions.ParamValidationError:
        raise UpstreamError("rejected", code="invalid_request_error") from None
    except (exceptions.HTTPClientError, http.HTTPError, OSError):
        raise UpstreamError("connect") from None
    except _UNREADABLE:
        raise UpstreamError("malformed") from None


def _client_error(error: Any) -> UpstreamError:
    """By the exception's name, which a stream has too, and by the status where it says nothing."""
    name = str(error.response.get("Error", {}).get("Code", "")).lower()
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    kind = _KINDS.get(name)
    if kind is None:
        kind = "auth" if status in (401, 403) else "unavailable"
        if isinstance(status, int) and 400 <= status < 500 and status not in (401, 403, 408, 424):
            kind = "rate_limited" if status == 429 else "rejected"
    return UpstreamError(kind, status=status if isinstance(status, int) else None, code=_CODES.get(name))


def parse_usage(raw: Any, service_tier: Any = None) -> Usage | None:
    """Input counts leave the cache out, as Anthropic's do. None if absent or not credible."""
    if not isinstance(raw, Mapping) or raw.get("inputTokens") is None or raw.get("outputTokens") is None:
        return None
    try:
        written = count(raw, "cacheWriteInputTokens")
        details = raw.get("cacheDetails") or ()
        hour = min(sum(count(entry, "inputTokens") for entry in details if entry.get("ttl") == "1h"), written)
        units = {
            "input_tokens": count(raw, "inputTokens"),
            "cached_input_tokens": count(raw, "cacheReadInputTokens"),
            "cache_write_tokens": written - hour,
            "cache_write_1h_tokens": hour,
            "output_tokens": count(raw, "outputTokens"),
        }
    except (ValueError, AttributeError, TypeError):
        return None
    tier = service_tier.get("type") if isinstance(service_tier, Mapping) else None
    return Usage(units, service_tier=tier if tier in ("flex", "priority") else None)  # type: ignore[arg-type]


def _finish(reason: Any) -> str:
    if reason in _BROKEN:
        raise UpstreamError("malformed")
    return _FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def _thought(block: Mapping[str, Any], index: int) -> dict[str, Any]:
    if "redactedContent" in block:
        data = base64.b64encode(block["redactedContent"]).decode()
        return {"type": "reasoning.encrypted", "data": data, "format": FORMAT, "index": index}
    said = block["reasoningText"]
    detail = {"type": "reasoning.text", "text": string(said["text"]), "format": FORMAT, "index": index}
    return {**detail, "signature": said["signature"]} if said.get("signature") else detail


def _tool_call(use: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    return tool_call(string(use["toolUseId"]), string(use["name"]), arguments)


def parse_response(answer: Mapping[str, Any], created: int) -> ChatResult:
    """What converse() returns. Raises UpstreamError if it is no message."""
    texts: list[str] = []
    details: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    try:
        for index, block in enumerate(answer["output"]["message"]["content"]):
            if not isinstance(block, Mapping):
                raise TypeError
            if "text" in block:
                texts.append(string(block["text"]))
            elif "reasoningContent" in block:
                details.append(_thought(block["reasoningContent"], index))
            elif "toolUse" in block:
                use = block["toolUse"]
                calls.append(_tool_call(use, arguments_json(use.get("input"))))
        finish = _finish(answer["stopReason"])
    except (KeyError, TypeError, AttributeError):
        raise UpstreamError("malformed") from None
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None, "refusal": None}
    if details:
        message["reasoning_content"] = "".join(detail.get("text", "") for detail in details)
        message["reasoning_details"] = details
    if calls:
        message["tool_calls"] = calls
    answer_id = (answer.get("ResponseMetadata") or {}).get("RequestId")
    usage = parse_usage(answer.get("usage"), answer.get("serviceTier"))
    return ChatResult(completion(answer_id, created, message, finish, native_finish_reason=answer["stopReason"]), usage)


class StreamParser:
    """Events of converse_stream() in, chunks out."""

    def __init__(self, answer_id: Any, created: int) -> None:
        self._id = answer_id
        self._created = created
        self._role: dict[str, Any] = {"role": "assistant"}  # until it is said
        self._calls = CallNumbers()
        self._silent: set[Any] = set()  # calls without arguments so far
        self._signed: set[Any] = set()  # blocks whose reasoning has said whose it is
        self.ended = False
        self.counted = False

    def feed(self, event: Mapping[str, Any]) -> list[ChatChunk]:
        """Raises UpstreamError for what is no event."""
        try:
            for name, body in event.items():
                match name:
                    case "contentBlockStart" if "toolUse" in body["start"]:
                        return self._call(body["contentBlockIndex"], body["start"]["toolUse"])
                    case "contentBlockDelta":
                        return self._delta(body["contentBlockIndex"], body["delta"])
                    case "contentBlockStop":
                        return self._stop(body["contentBlockIndex"])
                    case "messageStop":
                        said = self._say({}, _finish(body["stopReason"]), native_finish_reason=body["stopReason"])
                        self.ended = True
                        return [said]
                    case "metadata":
                        self.counted = True
                        return [ChatChunk(None, parse_usage(body.get("usage"), body.get("serviceTier")))]
        except (KeyError, TypeError, AttributeError):
            raise UpstreamError("malformed") from None
        return []

    def _say(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> ChatChunk:
        if self._role:
            delta, self._role = {**self._role, **delta}, {}
        return ChatChunk(chunk(self._id, self._created, delta, finish_reason, **more))

    def _call(self, index: Any, use: Mapping[str, Any]) -> list[ChatChunk]:
        number = self._calls.begin(index)
        self._silent.add(index)
        return [self._say({"tool_calls": [{"index": number, **_tool_call(use, "")}]})]

    def _delta(self, index: Any, delta: Mapping[str, Any]) -> list[ChatChunk]:
        if "text" in delta:
            return [self._say({"content": text})] if (text := string(delta["text"])) else []
        if "toolUse" in delta:
            text = string(delta["toolUse"].get("input") or "")
            return [self._arguments(index, text)] if text and index in self._calls else []
        if "reasoningContent" in delta:
            return [self._say(self._reasoning(index, delta["reasoningContent"]))]
        return []

    def _reasoning(self, index: Any, block: Mapping[str, Any]) -> dict[str, Any]:
        detail: dict[str, Any] = {"type": "reasoning.text", "index": index}
        if index not in self._signed:
            self._signed.add(index)
            detail["format"] = FORMAT
        if "redactedContent" in block:
            data = base64.b64encode(block["redactedContent"]).decode()
            return {"reasoning_details": [{**detail, "type": "reasoning.encrypted", "data": data}]}
        if "signature" in block:
            return {"reasoning_details": [{**detail, "signature": block["signature"]}]}
        text = string(block["text"])
        return {"reasoning_content": text, "reasoning_details": [{**detail, "text": text}]}

    def _arguments(self, index: Any, text: str) -> ChatChunk:
        self._silent.discard(index)
        return self._say({"tool_calls": [{"index": self._calls[index], "function": {"arguments": text}}]})

    def _stop(self, index: Any) -> list[ChatChunk]:
        """A call without arguments has said none: an empty object is what it means."""
        return [self._arguments(index, "{}")] if index in self._silent else []


async def _next(events: Iterator[Any], patience: float, parser: StreamParser) -> Any:
    """The next event; None at the end, and where the answer is whole and no more comes. Raises UpstreamError."""
    grace = GRACE_S["counted" if parser.counted else "said"] if parser.ended else patience
    try:
        return await within(min(grace, patience), _in_thread(partial(next, events, None)))
    except UpstreamError:
        if not parser.ended:
            raise
        return None


def _close(stream: Any) -> None:
    """A thread that still reads holds the lock that closing takes: it must be woken first, or this loop stood still."""
    with contextlib.suppress(AttributeError, ValueError, RuntimeError, OSError):  # where there is nothing to wake
        stream._raw_stream.shutdown()
    _THREADS.submit(stream.close)


class BedrockChat:
    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        arguments, timeouts = converse_arguments(upstream, request, max_output_tokens), upstream.timeouts

        def ask() -> Any:
            return _client(upstream.base_url, timeouts.connect, _read_s(timeouts.total)).converse(**arguments)

        return parse_response(await within(timeouts.total, _in_thread(ask)), int(time.time()))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        arguments, timeouts = converse_arguments(upstream, request, max_output_tokens), upstream.timeouts

        def ask() -> Any:
            return _client(upstream.base_url, timeouts.connect, timeouts.idle).converse_stream(**arguments)

        answer = await within(timeouts.first_byte, _in_thread(ask))
        parser = StreamParser(answer["ResponseMetadata"].get("RequestId"), int(time.time()))
        events, patience = iter(answer["stream"]), timeouts.first_byte
        try:
            # One event at a time: nothing is read that nobody takes, and no thread stays behind.
            while (event := await _next(events, patience, parser)) is not None:
                patience = timeouts.idle
                for piece in parser.feed(event):
                    yield piece
        finally:
            _close(answer["stream"])
        if not parser.ended:
            raise UpstreamError("malformed")


class BedrockEmbed:
    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        """Titan takes one text a call. Raises UpstreamError."""
        timeouts = upstream.timeouts

        async def send(batch: tuple[Text, ...]) -> EmbedResult:
            body = to_json(embed_body(request, batch))

            def ask() -> bytes:
                client = _client(upstream.base_url, timeouts.connect, _read_s(timeouts.total))
                answer = client.invoke_model(modelId=upstream.model_id, body=body, contentType="application/json")
                payload: bytes = answer["body"].read()
                return payload

            return parse_embedding(await within(timeouts.total, _in_thread(ask)), request)

        return await embed_in_batches(upstream, request, send)


def embed_body(request: EmbedRequest, batch: tuple[Text, ...]) -> dict[str, Any]:
    (text,) = batch
    if not isinstance(text, str):
        raise unsupported("input")
    return {"inputText": text, **({"dimensions": request.dimensions} if request.dimensions else {})}


def parse_embedding(payload: bytes, request: EmbedRequest) -> EmbedResult:
    try:
        body = from_json(payload)
        told = body.get("inputTextTokenCount") is not None
        usage = Usage({"input_tokens": count(body, "inputTextTokenCount")}) if told else None
        return EmbedResult([encoded(body["embedding"], request.encoding)], usage)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UpstreamError("malformed") from None


class Bedrock:
    chat = BedrockChat()
    embed = BedrockEmbed()


ADAPTER = Bedrock()
