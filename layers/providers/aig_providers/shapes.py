"""The shapes that every adapter makes: OpenAI's completion and its chunks; and what all read from a request."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from aig.errors import UpstreamError
from aig.modalities.chat import SAMPLING
from aig.modalities.embed import EmbedResult, Encoding, encoded
from aig.modalities.usage import Usage
from aig_providers.wire import count, parse_object

_FOREIGN_ID = re.compile(r"[^a-zA-Z0-9_-]")
_DATA_URL = re.compile(r"data:([a-z0-9.+-]+/[a-z0-9.+-]+)(?:;[^,;]+)*;base64,", re.IGNORECASE)


def unsupported(param: str) -> UpstreamError:
    """For what this wire cannot do: refused as the provider would, before it is asked."""
    return UpstreamError("rejected", code="unsupported_parameter", param=param)


def refuse(body: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raises for each of the fields that asks for something; null, false, zero and empty ask for nothing."""
    for name in names:
        if body.get(name):
            raise unsupported(name)


def sampling(body: Mapping[str, Any], *, usual: bool) -> dict[str, Any]:
    """Temperature and its like. Not `usual`: without those set to what they are anyway, which some models refuse."""
    ignored = {} if usual else SAMPLING
    return {name: body[name] for name in SAMPLING if body.get(name) not in (None, ignored.get(name))}


# What neither of the wires of blocks can do.
NOT_IN_BLOCKS = ("logprobs", "top_logprobs", "logit_bias", "audio", "prediction")
JSON_ONLY = "Answer with a single JSON object and nothing else."  # where there is no switch for it


def plain_id(call_id: str) -> str:
    """Another provider's id of a call may have signs in it, or a length, that are refused by some."""
    return _FOREIGN_ID.sub("_", call_id)[-64:] or "_"


def data_url(url: str) -> tuple[str, str] | None:
    """The media type and the base64 text of a data URL; None for any other URL."""
    match = _DATA_URL.match(url)
    return (match[1].lower().replace("image/jpg", "image/jpeg"), url[match.end() :]) if match else None


def completion(
    answer_id: Any, created: int, message: Mapping[str, Any], finish_reason: str, **more: Any
) -> dict[str, Any]:
    """A whole answer of one choice. The pipeline gives it its model's name and its usage."""
    return completion_of(
        answer_id, created, [{"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None, **more}]
    )


def completion_of(answer_id: Any, created: int, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**_head(answer_id, created, "chat.completion"), "choices": list(choices)}


def chunk(
    answer_id: Any, created: int, delta: Mapping[str, Any], finish_reason: str | None = None, **more: Any
) -> dict[str, Any]:
    """A piece of a stream of one choice."""
    return chunk_of(answer_id, created, [{"index": 0, "delta": delta, "finish_reason": finish_reason, **more}])


def chunk_of(answer_id: Any, created: int, choices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**_head(answer_id, created, "chat.completion.chunk"), "choices": list(choices)}


def _head(answer_id: Any, created: int, kind: str) -> dict[str, Any]:
    return {"id": answer_id if isinstance(answer_id, str) else "chatcmpl-0", "object": kind, "created": created}


def string(value: Any) -> str:
    """A text that an answer must have. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError
    return value


def number(value: Any) -> float:
    """A number that an answer must have. Raises TypeError for anything else."""
    if type(value) not in (int, float):
        raise TypeError
    return float(value)


def score(value: Any) -> float:
    """A number between 0 and 1. Raises TypeError or ValueError for anything else."""
    if not 0 <= number(value) <= 1:
        raise ValueError
    return float(value)


def tool_call(call_id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class CallNumbers:
    """The numbers of a stream's tool calls, by the block that each is in.

    A block's own number is none: it comes twice where a message is begun anew, and some send none at all.
    """

    def __init__(self) -> None:
        self._by_block: dict[Any, int] = {}
        self.begun = 0

    def begin(self, block: Any) -> int:
        """The next number, for the call that this block is from here on. Raises TypeError for a block that is none."""
        number = self._by_block[block] = self.begun
        self.begun += 1
        return number

    def __contains__(self, block: Any) -> bool:
        return block in self._by_block

    def __getitem__(self, block: Any) -> int:
        return self._by_block[block]


def arguments_json(value: Any) -> str:
    """A tool call's input as the text that OpenAI's clients expect."""
    return to_json(value if value is not None else {}).decode()


def arguments_object(text: str) -> dict[str, Any]:
    """A tool call's arguments as an object: what is none, as a model may have written it, under a name."""
    try:
        value = from_json(text) if text.strip() else {}
    except ValueError:
        return {"arguments": text}
    return value if isinstance(value, dict) else {"arguments": value}


def text_of(content: Any) -> str:
    """The text of a message's content, whichever of its forms it has."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(part.get("text") or part.get("refusal") or "" for part in parts)


def tool_pictures_apart(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Tool results as text alone; their pictures follow, from the user, after the last result of their turn."""
    made: list[Mapping[str, Any]] = []
    pictures: list[Any] = []
    for message in messages:
        if message["role"] != "tool":
            made += _shown(pictures)
            pictures = []
        elif isinstance(message["content"], list):
            others = [part for part in message["content"] if part["type"] != "text"]
            if others:
                note = {"type": "text", "text": f"From the result of tool call {message['tool_call_id']}:"}
                pictures += [note, *others]
                made.append({**message, "content": text_of(message["content"])})
                continue
        made.append(message)
    return [*made, *_shown(pictures)]


def _shown(pictures: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [{"role": "user", "content": list(pictures)}] if pictures else []


def function_tools(body: Mapping[str, Any]) -> tuple[list[Mapping[str, Any]], Any]:
    """The request's tools, narrowed to those that `allowed_tools` names, and its choice without that form.

    Raises UpstreamError for custom tools, which only OpenAI's wire has, and for the old `functions`.
    """
    refuse(body, ("functions", "function_call"))
    tools: list[Mapping[str, Any]] = list(body.get("tools") or ())
    if any(tool["type"] != "function" for tool in tools):
        raise unsupported("tools")
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping) and choice["type"] == "allowed_tools":
        allowed = choice["allowed_tools"]
        listed = allowed.get("tools")
        names = {_tool_name(tool) for tool in listed} if isinstance(listed, list) else set[Any]()
        tools = [tool for tool in tools if tool["function"]["name"] in names]
        choice = "required" if allowed.get("mode") == "required" else "auto"
    return tools, choice if tools else None


def _tool_name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, Mapping) else None
    return function.get("name") if isinstance(function, Mapping) else None


def own_details(message: Mapping[str, Any], form: str) -> list[Mapping[str, Any]]:
    """An assistant message's reasoning that was signed in this form, in order. Another provider's is left out."""
    return [detail for detail in message.get("reasoning_details") or () if detail.get("format") == form]


def _index(entry: Mapping[str, Any]) -> int:
    index = entry["index"]
    if type(index) is not int:
        raise TypeError
    return index


EFFORT_BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 32_768}


def parse_embeddings(payload: bytes, encoding: Encoding) -> EmbedResult:
    """The vectors by their index, which vendors may send in any order. Raises UpstreamError."""
    body = parse_object(payload)
    try:
        entries = sorted(body["data"], key=_index)
        if [_index(entry) for entry in entries] != list(range(len(entries))):
            raise ValueError("index")
        vectors = [encoded(entry["embedding"], encoding) for entry in entries]
    except (TypeError, KeyError, ValueError):
        raise UpstreamError("malformed") from None
    raw = body.get("usage")
    try:
        told = isinstance(raw, Mapping) and any(raw.get(name) is not None for name in ("prompt_tokens", "total_tokens"))
        usage = Usage({"input_tokens": count(raw, "prompt_tokens") or count(raw, "total_tokens")}) if told else None
    except ValueError:
        usage = None
    return EmbedResult(vectors, usage)
