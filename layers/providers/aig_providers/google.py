"""Gemini's own API: chat, whole and streamed, and embeddings."""

import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedRequest, EmbedResult, InputType, Text, encoded
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.batches import embed_in_batches
from aig_providers.google_contents import FORMAT, generate_body
from aig_providers.google_video import GoogleVideo
from aig_providers.shapes import arguments_json, chunk_of, completion_of, string, tool_call, unsupported
from aig_providers.vision import DetectByChat, OcrByChat
from aig_providers.wire import Detail, HttpRequest, Post, Whole, count, parse_object

_FILTERED = frozenset(
    {"SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "ESCALATION"}
)
# The model has failed at its own form: asked again, it may not.
_FAILED = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE"})
_CODES = {"INVALID_ARGUMENT": "invalid_request_error", "NOT_FOUND": "model_not_found"}
_TASKS: Mapping[InputType, str] = {
    "query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
_SECONDS = re.compile(r"(\d{1,6}(?:\.\d{1,9})?)s")


def _http(upstream: Upstream, method: str, body: Mapping[str, Any]) -> HttpRequest:
    headers = {"Content-Type": "application/json"}
    if upstream.api_key:
        headers["x-goog-api-key"] = upstream.api_key
    url = f"{upstream.base_url.rstrip('/')}/models/{upstream.model_id}:{method}"
    return HttpRequest(url, headers, to_json(body))


def build_request(upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the API cannot do."""
    method = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
    return _http(upstream, method, generate_body(upstream, request, max_output_tokens))


def read_detail(body: Any) -> Detail:
    """A bad key comes as a 400, and the time to wait in the body."""
    error = (body[0] if isinstance(body, list) else body)["error"]
    details = [detail for detail in error.get("details") or () if isinstance(detail, Mapping)]
    refused = any(detail.get("reason") in ("API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED") for detail in details)
    waits = [_SECONDS.fullmatch(str(detail.get("retryDelay", ""))) for detail in details]
    wait = next((float(match[1]) for match in waits if match), None)
    status = error.get("status")
    code = _CODES.get(status) if isinstance(status, str) else None
    refused = refused or status in ("PERMISSION_DENIED", "UNAUTHENTICATED")
    return Detail("auth" if refused else None, code, retry_after=wait)


def _by_modality(table: Any, modality: str) -> int:
    if table is None:
        return 0
    if not isinstance(table, list):
        raise ValueError(modality)
    return sum(count(entry, "tokenCount") for entry in table if entry.get("modality") == modality)


def parse_usage(raw: Any) -> Usage | None:
    """Counts of nothing are left out here. The prompt includes what was cached; thoughts stand beside the answer."""
    if not isinstance(raw, Mapping) or raw.get("promptTokenCount") is None:
        return None
    try:
        prompt, cached = count(raw, "promptTokenCount"), count(raw, "cachedContentTokenCount")
        cached = min(cached, prompt)
        cached_audio = min(_by_modality(raw.get("cacheTokensDetails"), "AUDIO"), cached)
        audio = min(_by_modality(raw.get("promptTokensDetails"), "AUDIO") - cached_audio, prompt - cached)
        audio = max(audio, 0)
        said = count(raw, "candidatesTokenCount")
        spoken = min(_by_modality(raw.get("candidatesTokensDetails"), "AUDIO"), said)
        drawn = min(_by_modality(raw.get("candidatesTokensDetails"), "IMAGE"), said - spoken)
        units = {
            "input_tokens": prompt - cached - audio + count(raw, "toolUsePromptTokenCount"),
            "cached_input_tokens": cached - cached_audio,
            "cached_input_audio_tokens": cached_audio,
            "input_audio_tokens": audio,
            "output_tokens": said - spoken - drawn,
            "reasoning_tokens": count(raw, "thoughtsTokenCount"),
            "output_audio_tokens": spoken,
            "output_image_tokens": drawn,
        }
    except (ValueError, AttributeError):
        return None
    tier = raw.get("serviceTier")
    told = tier.lower() if isinstance(tier, str) and tier.lower() in ("flex", "priority") else None
    return Usage(units, service_tier=told)  # type: ignore[arg-type]


# `.name`, `[0]` and `['name']`: a number behind a dot is a name.
_PATH = re.compile(r"\$(?:\.[^.\[\]]+|\[\d{1,6}\]|\['[^']*'\])+")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]")


class _OpenCall:
    """A call whose arguments come in pieces."""

    def __init__(self, call_id: Any, name: str, args: Any, signature: Any) -> None:
        self.id, self.name, self.signature = call_id, name, signature
        self.args: Any = args
        self.unfinished: set[str] = set()  # the paths of values that go on

    def add(self, piece: Mapping[str, Any]) -> None:
        """One more piece; texts come in several. Raises ValueError and its like for a path that leads nowhere."""
        path = piece["jsonPath"]
        if not _PATH.fullmatch(path):
            raise ValueError(path)
        keys = [int(at) if at else name or quoted for name, at, quoted in _STEP.findall(path)]
        value = next((piece[kind] for kind in ("stringValue", "numberValue", "boolValue") if kind in piece), None)
        self.args = self.args if self.args is not None else {}
        _put(self.args, keys, value)
        (self.unfinished.add if piece.get("willContinue") else self.unfinished.discard)(path)


def _put(node: Any, keys: list[int | str], value: Any) -> None:
    """A value where the keys lead to; a text behind the one that is there. Lists grow by one: pieces come in order."""
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        if isinstance(key, int):
            if key > len(node):
                raise IndexError
            node += [None] * (key == len(node))
            there = node[key]
        else:
            there = node.get(key)
        if following is None:
            node[key] = there + value if isinstance(there, str) and isinstance(value, str) else value
        elif there is None:
            node[key] = [] if isinstance(following, int) else {}
        node = node[key]


class _Candidate:
    """One of the answers: what its parts say, as deltas of a message."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.role: dict[str, Any] = {"role": "assistant"}  # until it is said
        self.finish: str | None = None
        self._said = False
        self._calls = 0
        self._parts = 0
        self._open: _OpenCall | None = None

    def deltas(self, parts: list[Any], call_prefix: str) -> list[dict[str, Any]]:
        """Raises TypeError and its like for what are no parts."""
        found = []
        for part in parts:
            found += self._part(part, call_prefix)
            self._parts += 1
        return found

    def _part(self, part: Mapping[str, Any], call_prefix: str) -> list[dict[str, Any]]:
        signature = part.get("thoughtSignature")
        if "functionCall" in part:
            return self._call(part["functionCall"], signature, call_prefix)
        text = string(part.get("text") or "")
        if part.get("thought"):
            return self._thought(text, signature)
        delta: dict[str, Any] = {}
        if text:
            delta["content"], self._said = text, True
        if isinstance(signature, str):
            detail = {"type": "reasoning.encrypted", "data": signature, "format": FORMAT, "index": self._parts}
            delta["reasoning_details"] = [detail]
        if isinstance(part.get("inlineData"), Mapping):
            self._said = True
            url = f"data:{part['inlineData']['mimeType']};base64,{part['inlineData']['data']}"
            delta["images"] = [{"index": self._parts, "type": "image_url", "image_url": {"url": url}}]
        return [delta] if delta else []

    def _thought(self, text: str, signature: Any) -> list[dict[str, Any]]:
        detail = {"type": "reasoning.text", "text": text, "format": FORMAT, "index": self._parts}
        if isinstance(signature, str):
            detail["signature"] = signature
        elif not text:
            return []
        return [{**({"reasoning_content": text} if text else {}), "reasoning_details": [detail]}]

    def _call(self, call: Mapping[str, Any], signature: Any, call_prefix: str) -> list[dict[str, Any]]:
        """A call comes whole, or begins with its name, goes on with pieces of arguments and ends with nothing.

        Or with the next call's name, or the answer's end, where the last piece was forgotten.
        """
        made: list[dict[str, Any]] = []
        if "name" in call:
            made = self._close(call_prefix)
            self._open = _OpenCall(call.get("id"), string(call["name"]), call.get("args"), signature)
        if self._open is None:
            return made
        for piece in call.get("partialArgs") or ():
            self._open.add(piece)
        return made if call.get("willContinue") else made + self._close(call_prefix)

    def _close(self, call_prefix: str, *, cut: bool = False) -> list[dict[str, Any]]:
        """The call whose arguments came in pieces, as it is. Raises TypeError if one of them has no end, but for `cut`.

        A tool must not run on half a text; who is told that the answer was cut for its length knows that it may be.
        """
        if self._open is None:
            return []
        made, self._open = self._open, None
        if made.unfinished and not cut:
            raise TypeError
        call_id = made.id or f"{call_prefix}_{self.index}_{self._calls}"
        said = {"index": self._calls, **tool_call(str(call_id), made.name, arguments_json(made.args))}
        if isinstance(made.signature, str):
            said["extra_content"] = {"google": {"thought_signature": made.signature}}
        self._calls += 1
        return [{"tool_calls": [said]}]

    def last(self, reason: Any, call_prefix: str) -> list[dict[str, Any]]:
        """What an answer that ends has not said yet; of one that was filtered or has failed, nothing."""
        if reason in _FILTERED or reason in _FAILED:
            self._open = None
        return self._close(call_prefix, cut=reason == "MAX_TOKENS")

    def end(self, reason: Any) -> str:
        """The finish reason. Raises UpstreamError for a model that has failed and said nothing."""
        if reason in _FILTERED:
            self.finish = "content_filter"
        elif reason == "MAX_TOKENS":
            self.finish = "length"
        elif reason in _FAILED and not self._said and not self._calls:
            raise UpstreamError("malformed")
        else:
            self.finish = "tool_calls" if self._calls else "stop"
        return self.finish


def _logprobs(result: Any) -> dict[str, Any] | None:
    """Gemini's list of chosen and of top candidates as OpenAI's list of tokens."""
    if not isinstance(result, Mapping):
        return None
    chosen, tops = result.get("chosenCandidates") or [], result.get("topCandidates") or []

    def entry(token: Mapping[str, Any]) -> dict[str, Any]:
        text = str(token.get("token", ""))
        return {"token": text, "logprob": token.get("logProbability", 0.0), "bytes": list(text.encode())}

    return {
        "content": [
            {**entry(token), "top_logprobs": [entry(top) for top in (tops[at]["candidates"] if at < len(tops) else ())]}
            for at, token in enumerate(chosen)
        ],
        "refusal": None,
    }


class Parser:
    """Responses in, choices out: a whole answer is one response, a stream is many."""

    def __init__(self, created: int) -> None:
        self.created = created
        self.id: str | None = None
        self.usage: Usage | None = None
        self._candidates: dict[int, _Candidate] = {}

    def choices(self, payload: bytes) -> list[dict[str, Any]]:
        """What a response adds, as choices of a chunk. Raises UpstreamError for an error, and for what is none."""
        body = parse_object(payload)
        if "error" in body:
            raise _stream_error(body["error"])
        if isinstance(body.get("responseId"), str):
            self.id = self.id or body["responseId"]
        self.usage = parse_usage(body.get("usageMetadata")) or self.usage
        found: list[dict[str, Any]] = []
        try:
            for number, candidate in enumerate(body.get("candidates") or ()):
                found += self._candidate(candidate, candidate.get("index", number))
            if not body.get("candidates") and (body.get("promptFeedback") or {}).get("blockReason"):
                found += self._candidate({"finishReason": "PROHIBITED_CONTENT"}, 0)
        except (TypeError, KeyError, AttributeError, ValueError, IndexError):
            raise UpstreamError("malformed") from None
        return found

    def _candidate(self, candidate: Mapping[str, Any], index: Any) -> list[dict[str, Any]]:
        if type(index) is not int:
            raise TypeError
        state = self._candidates.setdefault(index, _Candidate(index))
        parts = (candidate.get("content") or {}).get("parts") or []
        call_prefix, reason = f"call_{self.id or '0'}", candidate.get("finishReason")
        deltas = state.deltas(parts, call_prefix) + (state.last(reason, call_prefix) if reason else [])
        found: list[dict[str, Any]] = [{"index": index, "delta": delta, "finish_reason": None} for delta in deltas]
        if reason:
            end = {"finish_reason": state.end(reason), "native_finish_reason": reason}
            found.append({"index": index, "delta": {}, **end})
        if found and (logprobs := _logprobs(candidate.get("logprobsResult"))):
            found[0]["logprobs"] = logprobs
        if found and state.role:
            found[0]["delta"], state.role = {**state.role, **found[0]["delta"]}, {}
        return found

    @property
    def ended(self) -> bool:
        return bool(self._candidates) and all(candidate.finish for candidate in self._candidates.values())

    def whole(self, candidates: int) -> Whole:
        """`candidates` is how many were asked for."""
        if not self.ended or len(self._candidates) < candidates:
            return "no"
        return "counted" if self.usage else "said"


def _stream_error(error: Any) -> UpstreamError:
    """In a stream the status is in the body."""
    code = error.get("code") if isinstance(error, Mapping) else None
    kinds: Mapping[Any, UpstreamKind] = {
        400: "rejected",
        404: "rejected",
        401: "auth",
        403: "auth",
        429: "rate_limited",
    }
    kind = kinds.get(code, "unavailable") if isinstance(code, int) else "unavailable"
    return UpstreamError(kind, status=code if isinstance(code, int) else None)


def parse_response(payload: bytes, created: int) -> ChatResult:
    """The body of a 200: the deltas of its one response, put together."""
    parser = Parser(created)
    messages: dict[int, dict[str, Any]] = {}
    for piece in parser.choices(payload):
        choice = messages.setdefault(
            piece["index"], {"index": piece["index"], "message": {"content": None, "refusal": None}, "logprobs": None}
        )
        choice |= {name: piece[name] for name in ("finish_reason", "native_finish_reason") if name in piece}
        choice["logprobs"] = piece.get("logprobs") or choice["logprobs"]
        message = choice["message"]
        for name, value in piece["delta"].items():
            earlier = message.get(name)
            message[name] = value if earlier is None else earlier + value
    if not parser.ended:
        raise UpstreamError("malformed")
    for choice in messages.values():
        for entry in choice["message"].get("tool_calls", []) + choice["message"].get("images", []):
            entry.pop("index", None)
    return ChatResult(completion_of(parser.id, created, [messages[index] for index in sorted(messages)]), parser.usage)


class GoogleChat:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        http = build_request(upstream, request, max_output_tokens)
        return parse_response(await wire.exchange(self._post, http, upstream, read_detail), int(time.time()))

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        http = build_request(upstream, request, max_output_tokens)
        parser = Parser(int(time.time()))
        asked = request.body.get("n") or 1
        events = wire.events(
            self._post,
            http,
            upstream,
            is_last=lambda _: False,
            is_whole=lambda: parser.whole(asked),
            read_detail=read_detail,
        )
        async with aclosing(events) as payloads:
            async for payload in payloads:
                for choice in parser.choices(payload):
                    yield ChatChunk(chunk_of(parser.id, parser.created, [choice]))
        if not parser.ended:
            raise UpstreamError("malformed")
        yield ChatChunk(None, parser.usage)  # every event counts, and only the last count is right


class GoogleEmbed:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult:
        """Raises UpstreamError; this API counts no tokens for embeddings, and takes no token ids."""

        async def send(batch: tuple[Text, ...]) -> EmbedResult:
            http = _http(upstream, "batchEmbedContents", embed_body(upstream, request, batch))
            body = parse_object(await wire.exchange(self._post, http, upstream, read_detail))
            try:
                vectors = [encoded(entry["values"], request.encoding) for entry in body["embeddings"]]
            except (TypeError, KeyError, ValueError):
                raise UpstreamError("malformed") from None
            return EmbedResult(vectors, embed_usage(body.get("usageMetadata")))

        return await embed_in_batches(upstream, request, send)


def embed_usage(raw: Any) -> Usage | None:
    """What was read is all that there is: an embedding says nothing."""
    try:
        told = isinstance(raw, Mapping) and raw.get("promptTokenCount") is not None
        return Usage({"input_tokens": count(raw, "promptTokenCount")}) if told else None
    except ValueError:
        return None


def embed_body(upstream: Upstream, request: EmbedRequest, batch: tuple[Text, ...]) -> dict[str, Any]:
    settings: dict[str, Any] = {"model": f"models/{upstream.model_id}"}
    if request.input_type:
        settings["taskType"] = _TASKS[request.input_type]
    if request.dimensions:
        settings["outputDimensionality"] = request.dimensions
    if not all(isinstance(text, str) for text in batch):
        raise unsupported("input")
    return {"requests": [{**settings, "content": {"parts": [{"text": text}]}} for text in batch]}


class Google:
    chat = GoogleChat(wire.CLIENT.post)
    embed = GoogleEmbed(wire.CLIENT.post)
    ocr = OcrByChat(chat)
    detect = DetectByChat(chat)
    video = GoogleVideo(wire.CLIENT.post, read_detail)


ADAPTER = Google()
