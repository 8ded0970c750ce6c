"""From what OpenAI's Responses API answers to a chat completion, whole and streamed. Pure."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.chat import ChatChunk, ChatResult
from aig.modalities.usage import Usage
from aig_providers.openai_compatible import parse_usage
from aig_providers.responses_input import FORMAT
from aig_providers.shapes import CallNumbers, chunk, completion, tool_call
from aig_providers.wire import OUT_OF_CREDIT, parse_object

_KINDS: Mapping[str, UpstreamKind] = {"rate_limit_exceeded": "rate_limited", "server_error": "unavailable"}
_FAULTS = ("vector_store_timeout", "failed_to_download_image")
_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
BETWEEN = "\n\n"  # two messages of one answer: a commentary, and what it comes to


def usage_of(response: Mapping[str, Any]) -> Usage | None:
    """The same counts as a chat completion's, under other names."""
    raw = response.get("usage")
    if not isinstance(raw, Mapping):
        return None
    renamed = {
        "prompt_tokens": raw.get("input_tokens"),
        "prompt_tokens_details": raw.get("input_tokens_details"),
        "completion_tokens": raw.get("output_tokens"),
        "completion_tokens_details": raw.get("output_tokens_details"),
    }
    return parse_usage(renamed, response.get("service_tier"))


def failure(error: Any) -> UpstreamError:
    """A run that failed after its 200. All codes but those of load and of money are of the request."""
    code = error.get("code") if isinstance(error, Mapping) else None
    if not isinstance(code, str):
        return UpstreamError("unavailable")
    if code in OUT_OF_CREDIT:
        return UpstreamError("auth", code=code)
    kind = _KINDS.get(code) or ("unavailable" if code in _FAULTS else "rejected")
    return UpstreamError(kind, status=400 if kind == "rejected" else None)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise UpstreamError("malformed")
    return value


def reasoning_detail(item: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A finished reasoning item as one entry: clients put a stream's entries together by their index."""
    told = BETWEEN.join(_text(part.get("text")) for part in item.get("summary") or ())
    detail = {"type": "reasoning.summary", "id": _text(item.get("id")), "format": FORMAT, "index": index}
    if told:
        detail["summary"] = told
    if item.get("encrypted_content"):
        detail |= {"type": "reasoning.encrypted", "data": _text(item["encrypted_content"])}
    return detail


def call_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """A finished call of a function or of a custom tool."""
    call_id, name = _text(item.get("call_id")), _text(item.get("name"))
    if item["type"] == "function_call":
        return tool_call(call_id, name, _text(item.get("arguments")))
    return {"id": call_id, "type": "custom", "custom": {"name": name, "input": _text(item.get("input"))}}


def finish_reason(response: Mapping[str, Any], *, called: bool) -> str:
    """Raises UpstreamError for a response that has no end."""
    match response.get("status"):
        case "completed":
            return "tool_calls" if called else "stop"
        case "incomplete":
            details = response.get("incomplete_details")
            why = details.get("reason") if isinstance(details, Mapping) else None
            return "content_filter" if why == "content_filter" else "length"
        case "failed":
            raise failure(response.get("error"))
    raise UpstreamError("malformed")


class _Message:
    """What the items of an answer come to."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.thoughts: list[str] = []
        self.details: list[dict[str, Any]] = []
        self.calls: list[dict[str, Any]] = []
        self.logprobs: list[Any] = []
        self.phase: Any = None

    def take(self, item: Mapping[str, Any], index: int) -> None:
        match item.get("type"):
            case "message":
                self._said(item)
            case "reasoning":
                self.details.append(reasoning_detail(item, index))
                shown = item.get("summary") or item.get("content") or ()
                self.thoughts += [_text(part.get("text")) for part in shown]
            case "function_call" | "custom_tool_call":
                self.calls.append(call_of(item))

    def _said(self, item: Mapping[str, Any]) -> None:
        said = ""
        for part in item.get("content") or ():
            if part.get("type") == "output_text":
                said += _text(part.get("text"))
                self.logprobs += part.get("logprobs") or ()
            elif part.get("type") == "refusal":
                self.refusals.append(_text(part.get("refusal")))
        if said:
            self.texts.append(said)
        self.phase = item.get("phase") or self.phase

    def body(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": BETWEEN.join(self.texts) if self.texts else None,
            "refusal": "".join(self.refusals) or None,
        }
        if self.thoughts:
            message["reasoning_content"] = BETWEEN.join(self.thoughts)
        if self.details:
            message["reasoning_details"] = self.details
        if self.calls:
            message["tool_calls"] = self.calls
        if self.phase:
            message["phase"] = self.phase
        return message


def parse_response(payload: bytes, created: int) -> ChatResult:
    """The body of a 200. Raises UpstreamError if it is not a response that has ended."""
    response = parse_object(payload)
    if not isinstance(response.get("output"), list):
        raise UpstreamError("malformed")
    made = _Message()
    try:
        for index, item in enumerate(response["output"]):
            made.take(item, index)
    except (AttributeError, TypeError, KeyError):
        raise UpstreamError("malformed") from None
    finish = finish_reason(response, called=bool(made.calls))
    logprobs = {"content": made.logprobs, "refusal": None} if made.logprobs else None
    answer = completion(response.get("id"), created, made.body(), finish, logprobs=logprobs)
    return ChatResult(answer, usage_of(response))


class StreamParser:
    """Events in, chunks out."""

    def __init__(self, created: int) -> None:
        self._created = created
        self._id: Any = None
        self._role: dict[str, Any] = {"role": "assistant"}  # until it is said
        self._calls = CallNumbers()  # by output index
        self._types: dict[Any, str] = {}  # of the items that are calls
        self._silent: set[Any] = set()  # the output indexes of calls that have no input so far
        self._speaking: Any = None  # the output index of the message that speaks
        self._thinking: Any = None  # the part of the reasoning that is told
        self._phase: dict[str, Any] = {}
        self.ended = False

    def feed(self, payload: bytes) -> list[ChatChunk]:
        """Raises UpstreamError for an error in the stream and for what is no event."""
        event = parse_object(payload)
        try:
            return self._event(event)
        except (KeyError, TypeError, AttributeError):
            raise UpstreamError("malformed") from None

    def _event(self, event: Mapping[str, Any]) -> list[ChatChunk]:
        index = event.get("output_index")
        match event.get("type"):
            case "response.created":
                self._id = event["response"].get("id")
            case "response.output_item.added":
                return self._begin(event["item"], index)
            case "response.output_text.delta":
                return self._speak(event, index)
            case "response.refusal.delta":
                return [self._say({"refusal": _text(event["delta"])})]
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                return self._think(event, index)
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                return self._argue(index, _text(event["delta"]))
            case "response.output_item.done":
                return self._finish_item(event["item"], index)
            case "response.completed" | "response.incomplete" | "response.failed":
                return self._end(event["response"])
            case "error":
                raise failure(event.get("error") or event)
        return []

    def _say(self, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> ChatChunk:
        if self._role:
            delta, self._role = {**self._role, **delta}, {}
        body = chunk(self._id, self._created, delta, finish)
        if logprobs:
            body["choices"][0]["logprobs"] = {"content": logprobs, "refusal": None}
        return ChatChunk(body)

    def _begin(self, item: Mapping[str, Any], index: Any) -> list[ChatChunk]:
        if item.get("type") not in _CALLS:
            return []
        kind, inside = _CALLS[item["type"]]
        number = self._calls.begin(index)
        self._types[index] = item["type"]
        self._silent.add(index)
        call = {"index": number, "id": _text(item["call_id"]), "type": kind}
        return [self._say({"tool_calls": [{**call, kind: {"name": _text(item["name"]), inside: ""}}]})]

    def _argue(self, index: Any, text: str) -> list[ChatChunk]:
        if index not in self._calls or not text:
            return []
        self._silent.discard(index)
        kind, inside = _CALLS[self._types[index]]
        return [self._say({"tool_calls": [{"index": self._calls[index], kind: {inside: text}}]})]

    def _speak(self, event: Mapping[str, Any], index: Any) -> list[ChatChunk]:
        text = _text(event["delta"])
        if self._speaking not in (None, index):
            text = BETWEEN + text
        self._speaking = index
        return [self._say({"content": text}, logprobs=event.get("logprobs"))]

    def _think(self, event: Mapping[str, Any], index: Any) -> list[ChatChunk]:
        text, part = _text(event["delta"]), (index, event.get("summary_index"), event.get("content_index"))
        if self._thinking not in (None, part):
            text = BETWEEN + text
        self._thinking = part
        return [self._say({"reasoning_content": text})]

    def _finish_item(self, item: Mapping[str, Any], index: Any) -> list[ChatChunk]:
        kind = item.get("type")
        if kind == "reasoning":
            place = index if isinstance(index, int) else 0
            return [self._say({"reasoning_details": [reasoning_detail(item, place)]})]
        if kind == "message" and item.get("phase"):
            self._phase = {"phase": item["phase"]}
        if kind not in _CALLS:
            return []
        begun = [] if index in self._calls else self._begin(item, index)
        whole = _text(item[_CALLS[kind][1]]) if index in self._silent else ""
        return begun + self._argue(index, whole)

    def _end(self, response: Mapping[str, Any]) -> list[ChatChunk]:
        finish = finish_reason(response, called=self._calls.begun > 0)
        self.ended = True
        return [ChatChunk(self._say(self._phase, finish).body, usage_of(response))]
