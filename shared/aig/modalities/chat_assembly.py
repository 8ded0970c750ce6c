"""The completion that a stream's chunks make, as an unstreamed answer would have had it."""

from collections.abc import Mapping, Sequence
from typing import Any

_TEXTS = ("content", "refusal", "reasoning_content", "reasoning")


class Assembly:
    """Takes OpenAI's chunks one by one. `body` is the `chat.completion` so far, without usage."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        self._head.update({name: chunk[name] for name in ("id", "created", "model") if name in chunk})
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            whole = self._choices.setdefault(
                index, {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}
            )
            whole.update({name: value for name, value in choice.items() if name not in ("index", "delta", "logprobs")})
            _extend(whole["message"], choice.get("delta") or {})

    @property
    def body(self) -> dict[str, Any]:
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {**self._head, "object": "chat.completion", "choices": choices}


def whole(pieces: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The answer that pieces are of: the only one, if it was not streamed."""
    if pieces[0].get("object") != "chat.completion.chunk":
        return pieces[0]
    assembly = Assembly()
    for piece in pieces:
        assembly.add(piece)
    return assembly.body


def _extend(message: dict[str, Any], delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for call in value or ():
                _extend_call(calls, call)
        elif name in _TEXTS and isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        elif isinstance(value, list) and isinstance(message.get(name), list):
            message[name] = [*message[name], *value]
        elif value is not None:
            message[name] = value


def _extend_call(calls: list[dict[str, Any]], delta: Mapping[str, Any]) -> None:
    index = min(delta.get("index", len(calls)), len(calls))
    if index == len(calls):
        calls.append({"function": {"name": "", "arguments": ""}})
    call = calls[index]
    function = delta.get("function") or {}
    for name in ("name", "arguments"):
        call["function"][name] += function.get(name) or ""
    call.update({name: value for name, value in delta.items() if name not in ("index", "function") and value})
