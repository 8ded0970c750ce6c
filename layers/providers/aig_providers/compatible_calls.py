"""Tool calls in OpenAI's one form, from vendors who leave out of it what they can tell calls apart without. Pure.

OpenAI's clients put a streamed call together by its index, which must count from 0 without a gap. Mistral sends whole
calls without one, gateways in front of Anthropic count its blocks of text too, Gemini's path gives all calls the same.
"""

from collections.abc import Mapping
from typing import Any

from aig_providers.shapes import arguments_json


def one_form(calls: Any) -> None:
    """The calls of a whole message: each with a type and an id."""
    for at, call in enumerate(_objects(calls)):
        _typed(call)
        function = call.get("function")
        if isinstance(function, dict) and function.get("name") and not call.get("id"):
            call["id"] = f"call_{_index(call) or at}"


def as_text(calls: Any) -> None:
    """Arguments as the text that clients expect, where a vendor sends the object itself."""
    for call in _objects(calls):
        function = call.get("function")
        if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
            function["arguments"] = arguments_json(function["arguments"])


class StreamedCalls:
    """The calls of a stream, choice by choice, numbered in the order in which they begin."""

    def __init__(self) -> None:
        self._choices: dict[int, list[_Call]] = {}

    def see(self, body: Mapping[str, Any]) -> None:
        """Gives each piece of a call in the chunk its number; id and name are said once, with the first piece."""
        for choice in body["choices"]:
            for piece in _objects(choice["delta"].get("tool_calls")):
                calls = self._choices.setdefault(choice.get("index") or 0, [])
                call = _known(calls, piece)
                if call is None:
                    calls.append(_begun(piece, len(calls)))
                else:
                    _continued(piece, call)


class _Call:
    """A call that has begun: its number, and what it is known by."""

    def __init__(self, number: int, index: int | None, call_id: Any, name: str) -> None:
        self.number, self.index, self.id, self.name = number, index, call_id, name


def _known(calls: list[_Call], piece: Mapping[str, Any]) -> _Call | None:
    """The call that a piece belongs to: by its index, else by its id; without either, the last, until a new name.

    Under an index that is there, a name with another id is another call.
    """
    index, call_id, named = _index(piece), piece.get("id"), bool(_name(piece))
    if index is not None:
        call = next((call for call in reversed(calls) if call.index == index), None)
        return None if call and named and call_id and call.id and call_id != call.id else call
    same = next((call for call in calls if call_id and call.id == call_id), None)
    return same or (calls[-1] if calls and not named else None)


def _begun(piece: dict[str, Any], number: int) -> _Call:
    call = _Call(number, _index(piece), piece.get("id"), _name(piece))
    _typed(piece)
    piece["index"] = number
    if not piece.get("id"):
        piece["id"] = f"call_{number}"
    return call


def _continued(piece: dict[str, Any], call: _Call) -> None:
    """Clients join the texts of all pieces, the id's and the name's too."""
    piece["index"] = call.number
    if piece.get("id"):
        del piece["id"]
    if "custom" not in piece and piece.get("function") is None:
        piece["function"] = {}
    function, name = piece.get("function"), _name(piece)
    if not isinstance(function, dict) or not name:
        return
    if name == call.name:
        del function["name"]
    call.name = call.name or name


def _objects(calls: Any) -> list[dict[str, Any]]:
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _index(call: Mapping[str, Any]) -> int | None:
    index = call.get("index")
    return index if type(index) is int else None


def _name(call: Mapping[str, Any]) -> str:
    said = call.get("function") or call.get("custom")
    name = said.get("name") if isinstance(said, dict) else None
    return name if isinstance(name, str) else ""


def _typed(call: dict[str, Any]) -> None:
    if not call.get("type"):
        call["type"] = "custom" if "custom" in call else "function"
    if call["type"] == "function" and call.get("function") is None:
        call["function"] = {}
