"""The completion that a stream's chunks make, as an unstreamed answer would have had it."""

from collections.abc import Mapping, Sequence
from typing import Any

_TEXTS = frozenset({"content", "refusal", "reasoning_content", "reasoning"})
_NOT_OF_THE_WHOLE = frozenset({"index", "delta", "logprobs"})


class Assembly:
    """Takes OpenAI's chunks one by one. `body` is the `chat.completion` so far, without usage."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        if not self._head:
            self._head = {name: chunk[name] for name in ("id", "created", "model") if name in chunk}
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            whole = self._choices.get(index)
            if whole is None:
                whole = self._choices[index] = _Choice()
            whole.add(choice)

    @property
    def body(self) -> dict[str, Any]:
        choices = [{"index": index, **choice.body} for index, choice in sorted(self._choices.items())]
        return {**self._head, "object": "chat.completion", "choices": choices}


def whole(pieces: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The answer that pieces are of: the only one, if it was not streamed."""
    if pieces[0].get("object") != "chat.completion.chunk":
        return pieces[0]
    assembly = Assembly()
    for piece in pieces:
        assembly.add(piece)
    return assembly.body


class _Choice:
    """Texts are joined at the end: to add each piece to what is there would take the square of their number."""

    def __init__(self) -> None:
        self._rest: dict[str, Any] = {"finish_reason": None}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._texts: dict[str, list[str]] = {}
        self._calls: list[_Call] = []

    def add(self, choice: Mapping[str, Any]) -> None:
        for name, value in choice.items():
            if name not in _NOT_OF_THE_WHOLE:
                self._rest[name] = value
        for name, value in (choice.get("delta") or {}).items():
            if name in _TEXTS and isinstance(value, str):
                self._texts.setdefault(name, []).append(value)
            elif name == "tool_calls":
                for call in value or ():
                    self._add_call(call)
            elif isinstance(value, list) and isinstance(self._message.get(name), list):
                self._message[name] = [*self._message[name], *value]
            elif value is not None:
                self._message[name] = value

    def _add_call(self, delta: Mapping[str, Any]) -> None:
        index = min(delta.get("index", len(self._calls)), len(self._calls))
        if index == len(self._calls):
            self._calls.append(_Call())
        self._calls[index].add(delta)

    @property
    def body(self) -> dict[str, Any]:
        message = self._message | {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [call.body for call in self._calls]
        return {"message": message, **self._rest}


class _Call:
    def __init__(self) -> None:
        self._rest: dict[str, Any] = {}
        self._name: list[str] = []
        self._arguments: list[str] = []

    def add(self, delta: Mapping[str, Any]) -> None:
        function = delta.get("function") or {}
        self._name.append(function.get("name") or "")
        self._arguments.append(function.get("arguments") or "")
        self._rest.update({name: value for name, value in delta.items() if name not in ("index", "function") and value})

    @property
    def body(self) -> dict[str, Any]:
        function = {"name": "".join(self._name), "arguments": "".join(self._arguments)}
        return {"function": function, **self._rest}
