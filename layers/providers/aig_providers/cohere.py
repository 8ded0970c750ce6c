"""Cohere's API, version 2: chat, whole and streamed, embeddings and rerank."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedRequest, EmbedResult, InputType, Text, encoded
from aig.modalities.rerank import RerankRequest, RerankResult
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.batches import embed_in_batches
from aig_providers.shapes import (
    EFFORT_BUDGETS,
    CallNumbers,
    chunk,
    completion,
    function_tools,
    refuse,
    relevance_scores,
    string,
    text_of,
    tool_call,
    tool_pictures_apart,
    unsupported,
)
from aig_providers.wire import Detail, HttpRequest, Post, count, parse_object, post_json

_REFUSED = ("logit_bias", "top_logprobs", "audio", "prediction")
_FINISH: Mapping[str, str] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "CONTENT_FILTER": "content_filter",
}
_BROKEN = frozenset({"ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "TIMEOUT", "USER_CANCEL"})
_SETTINGS = {
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_INPUT_TYPES: Mapping[InputType, str] = {
    "query": "search_query",
    "document": "search_document",
    "classification": "classification",
    "clustering": "clustering",
}


def read_detail(body: Any) -> Detail:
    """`{"id", "message"}`: the kind of a mistake is in the status alone."""
    return Detail(code="invalid_request_error" if "message" in body else None)


def build_request(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API cannot do."""
    source = request.body
    refuse(source, _REFUSED)
    if (source.get("n") or 1) > 1:
        raise unsupported("n")
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "messages": [
            _message(message, f"messages[{at}]") for at, message in enumerate(tool_pictures_apart(source["messages"]))
        ],
        "max_tokens": max_output_tokens,
        **{native: source[name] for name, native in _SETTINGS.items() if source.get(name) is not None},
    }
    tools, choice = function_tools(source)
    if isinstance(choice, Mapping):  # one by its name cannot be forced: it is the only one to force
        tools = [tool for tool in tools if tool["function"]["name"] == choice["function"]["name"]]
        choice = "required"
    if tools:
        body["tools"] = [{"type": "function", "function": _function(tool["function"])} for tool in tools]
        if all(tool["function"].get("strict") for tool in tools):
            body["strict_tools"] = True
        if choice in ("required", "none"):
            body["tool_choice"] = choice.upper()
    if stop := source.get("stop"):
        body["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if wanted := _response_format(source):
        if tools:  # the API takes one or the other
            raise unsupported("response_format")
        body["response_format"] = wanted
    if source.get("logprobs"):
        body["logprobs"] = True
    if thinking := _thinking(source):
        body["thinking"] = thinking
    if request.stream:
        body["stream"] = True
    return post_json(upstream, "v2/chat", body)


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    made = {"name": function["name"], "parameters": function.get("parameters") or {"type": "object"}}
    return {**made, "description": function["description"]} if function.get("description") else made


def _response_format(source: Mapping[str, Any]) -> dict[str, Any] | None:
    wanted = source.get("response_format") or {}
    if wanted.get("type") not in ("json_object", "json_schema"):
        return None
    schema = (wanted.get("json_schema") or {}).get("schema")
    return {"type": "json_object", **({"json_schema": schema} if schema is not None else {})}


def _thinking(source: Mapping[str, Any]) -> dict[str, Any] | None:
    explicit, effort = source.get("thinking"), source.get("reasoning_effort")
    if explicit:
        off, budget = explicit["type"] == "disabled", explicit.get("budget_tokens")
    elif effort:
        off, budget = effort == "none", EFFORT_BUDGETS.get(effort)
    else:
        return None
    if off:
        return {"type": "disabled"}
    return {"type": "enabled", **({"token_budget": budget} if budget else {})}


def _message(message: Mapping[str, Any], path: str) -> dict[str, Any]:
    role, content = message["role"], message.get("content")
    match role:
        case "system" | "developer":
            return {"role": "system", "content": text_of(content)}
        case "user":
            return {"role": "user", "content": content if isinstance(content, str) else _parts(content, path)}
        case "tool":
            return {"role": "tool", "tool_call_id": message["tool_call_id"], "content": text_of(content)}
        case "assistant":
            text = text_of(content) or message.get("refusal") or ""
            calls = [
                tool_call(call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in message.get("tool_calls") or ()
                if "function" in call
            ]
            if calls:  # what it said before it called is its plan
                return {"role": role, "tool_calls": calls, **({"tool_plan": text} if text else {})}
            return {"role": role, "content": text}
    raise unsupported(path)


def _parts(content: Any, path: str) -> list[dict[str, Any]]:
    parts = []
    for at, part in enumerate(content):
        if part["type"] == "text":
            parts.append({"type": "text", "text": part["text"]})
        elif part["type"] == "image_url":
            image = part["image_url"]
            detail = {"detail": image["detail"]} if image.get("detail") in ("auto", "low", "high") else {}
            parts.append({"type": "image_url", "image_url": {"url": image["url"], **detail}})
        else:
            raise unsupported(f"{path}.content[{at}]")
    return parts


def parse_usage(raw: Any) -> Usage | None:
    """What is billed, which is less than what the model read: its own instructions are not counted."""
    billed = raw.get("billed_units") if isinstance(raw, Mapping) else None
    if not isinstance(billed, Mapping) or billed.get("input_tokens") is None or billed.get("output_tokens") is None:
        return None
    try:
        return Usage({"input_tokens": _whole(billed, "input_tokens"), "output_tokens": _whole(billed, "output_tokens")})
    except ValueError:
        return None


def _whole(billed: Mapping[str, Any], name: str) -> int:
    """The API's schema has numbers where it means counts: 12.0 is 12."""
    value = billed[name]
    return count({name: int(value) if isinstance(value, float) and value.is_integer() else value}, name)


def _logprobs(items: Any) -> dict[str, Any] | None:
    """As OpenAI has them, where each token has a text: tokens that share one are told as one, as likely as all."""
    pieces = [item for item in items or () if item.get("text")]
    if not pieces:
        return None
    content = [
        {
            "token": string(item["text"]),
            "logprob": sum(item.get("logprobs") or ()),
            "bytes": list(item["text"].encode()),
            "top_logprobs": [],
        }
        for item in pieces
    ]
    return {"content": content, "refusal": None}


def _arguments(text: Any) -> str:
    return text if isinstance(text, str) and text not in ("", "null") else "{}"


def _finish(reason: Any) -> str:
    if reason in _BROKEN:
        raise UpstreamError("unavailable")
    return _FINISH.get(reason, "stop") if isinstance(reason, str) else "stop"


def parse_response(payload: bytes, created: int) -> ChatResult:
    """The body of a 200. Raises UpstreamError if it is no message."""
    body = parse_object(payload)
    try:
        said, finish = body["message"], _finish(body["finish_reason"])
        content = said.get("content") or []
        texts = [part["text"] for part in content if part.get("type") == "text"]
        thoughts = [part["thinking"] for part in content if part.get("type") == "thinking"]
        calls = [
            tool_call(call["id"], call["function"]["name"], _arguments(call["function"].get("arguments")))
            for call in said.get("tool_calls") or ()
        ]
        plan, logprobs = said.get("tool_plan") or "", _logprobs(body.get("logprobs"))
        message: dict[str, Any] = {"role": "assistant", "content": plan + "".join(texts) or None, "refusal": None}
        if thoughts:
            message["reasoning_content"] = "".join(thoughts)
    except (KeyError, TypeError, AttributeError):
        raise UpstreamError("malformed") from None
    if calls:
        message["tool_calls"] = calls
    ended = {"logprobs": logprobs, "native_finish_reason": body["finish_reason"]}
    answer = completion(body.get("id"), created, message, finish, **ended)
    return ChatResult(answer, parse_usage(body.get("usage")))


class StreamParser:
    """Events in, chunks out."""

    def __init__(self, created: int) -> None:
        self._created = created
        self._id: Any = None
        self._role: dict[str, Any] = {"role": "assistant"}  # until it is said
        self._calls = CallNumbers()  # by the event's index
        self._silent: set[Any] = set()  # calls without arguments so far
        self.ended = False

    def feed(self, payload: bytes) -> list[ChatChunk]:
        """Raises UpstreamError for an error in the stream and for what is no event."""
        event = parse_object(payload)
        try:
            match event.get("type"):
                case "message-start":
                    self._id = event.get("id")
                case "content-start" | "content-delta":
                    return self._content(event["delta"]["message"]["content"], event.get("logprobs"))
                case "tool-plan-delta":
                    return [self._say({"content": string(event["delta"]["message"]["tool_plan"])})]
                case "tool-call-start":
                    return self._call(event.get("index"), event["delta"]["message"]["tool_calls"])
                case "tool-call-delta":
                    return self._arguments(event.get("index"), event["delta"]["message"]["tool_calls"])
                case "tool-call-end":
                    return self._call_ended(event.get("index"))
                case "message-end":
                    delta = event["delta"]
                    if delta.get("error"):
                        raise UpstreamError("unavailable")
                    reason = delta.get("finish_reason")
                    said = self._say({}, _finish(reason), native_finish_reason=reason)
                    self.ended = True
                    return [ChatChunk(said.body, parse_usage(delta.get("usage")))]
        except (KeyError, TypeError, AttributeError):
            raise UpstreamError("malformed") from None
        return []

    def _say(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> ChatChunk:
        if self._role:
            delta, self._role = {**self._role, **delta}, {}
        return ChatChunk(chunk(self._id, self._created, delta, finish_reason, **more))

    def _content(self, content: Mapping[str, Any], likely: Any) -> list[ChatChunk]:
        if content.get("thinking"):
            return [self._say({"reasoning_content": string(content["thinking"])})]
        logprobs = _logprobs([likely] if likely else ())
        told: dict[str, Any] = {"logprobs": logprobs} if logprobs else {}
        return [self._say({"content": string(content["text"])}, None, **told)] if content.get("text") else []

    def _call(self, index: Any, call: Mapping[str, Any]) -> list[ChatChunk]:
        number = self._calls.begin(index)
        arguments = call["function"].get("arguments") or ""
        if not arguments:
            self._silent.add(index)
        made = tool_call(string(call["id"]), string(call["function"]["name"]), string(arguments))
        return [self._say({"tool_calls": [{"index": number, **made}]})]

    def _arguments(self, index: Any, call: Mapping[str, Any]) -> list[ChatChunk]:
        text = string(call["function"].get("arguments") or "")
        if not text:
            return []
        self._silent.discard(index)
        return [self._say({"tool_calls": [{"index": self._calls[index], "function": {"arguments": text}}]})]

    def _call_ended(self, index: Any) -> list[ChatChunk]:
        if index not in self._silent:
            return []
        self._silent.discard(index)
        return [self._say({"tool_calls": [{"index": self._calls[index], "function": {"arguments": "{}"}}]})]


class CohereChat:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        http = build_request(upstream, request, max_output_tokens)
        return parse_response(await wire.exchange(self._post, http, upstream, read_detail), int(time.time()))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        http = build_request(upstream, request, max_output_tokens)
        parser = StreamParser(int(time.time()))
        events = wire.events(self._post, http, upstream, is_last=lambda _: parser.ended, read_detail=read_detail)
        async with aclosing(events) as payloads:
            async for payload in payloads:
                if payload == b"[DONE]":
                    continue
                for piece in parser.feed(payload):
                    yield piece
        if not parser.ended:
            raise UpstreamError("malformed")


class CohereEmbed:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        async def send(batch: tuple[Text, ...]) -> EmbedResult:
            http = post_json(upstream, "v2/embed", embed_body(upstream, request, batch))
            body = parse_object(await wire.exchange(self._post, http, upstream, read_detail))
            return parse_embeddings(body, request)

        return await embed_in_batches(upstream, request, send)


def embed_body(upstream: Upstream, request: EmbedRequest, batch: tuple[Text, ...]) -> dict[str, Any]:
    """A purpose must be named: documents, if the client names none. A text that is too long is refused, never cut."""
    if not all(isinstance(text, str) for text in batch):
        raise unsupported("input")
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "texts": list(batch),
        "input_type": _INPUT_TYPES[request.input_type or "document"],
        "embedding_types": ["float"],
        "truncate": "NONE",
    }
    return {**body, "output_dimension": request.dimensions} if request.dimensions else body


def parse_embeddings(body: Mapping[str, Any], request: EmbedRequest) -> EmbedResult:
    try:
        vectors = [encoded(vector, request.encoding) for vector in body["embeddings"]["float"]]
        billed = (body.get("meta") or {}).get("billed_units") or {}
        told = billed.get("input_tokens") is not None
        usage = Usage({"input_tokens": _whole(billed, "input_tokens")}) if told else None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UpstreamError("malformed") from None
    return EmbedResult(vectors, usage)


class CohereRerank:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def rerank(self, upstream: Upstream, request: RerankRequest) -> RerankResult:
        http = post_json(upstream, "v2/rerank", rerank_body(upstream, request))
        return parse_rerank(await wire.exchange(self._post, http, upstream, read_detail), request)


def rerank_body(upstream: Upstream, request: RerankRequest) -> dict[str, Any]:
    body = {"model": upstream.model_id, "query": request.query, "documents": list(request.documents)}
    return {**body, "top_n": request.top_n} if request.top_n else body


def parse_rerank(payload: bytes, request: RerankRequest) -> RerankResult:
    """The body of a 200. Long documents count as several, so that only the answer tells what is billed."""
    body = parse_object(payload)
    scores = relevance_scores(body.get("results"), request)
    try:
        billed = body["meta"]["billed_units"]
        usage = Usage({"search_units": _whole(billed, "search_units")})
    except (KeyError, TypeError, ValueError):
        usage = None
    return RerankResult(scores, usage)


class Cohere:
    chat = CohereChat(wire.CLIENT.post)
    embed = CohereEmbed(wire.CLIENT.post)
    rerank = CohereRerank(wire.CLIENT.post)


ADAPTER = Cohere()
