"""An answer that can be given again: what was said, by whom, and what that consumed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from aig.modalities.usage import UNITS, Usage


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """`pieces` are JSON objects: the one body of a whole answer, or the chunks of a stream, without cost and usage.

    `usage` is as it was when it was served first; a hit is priced by it. `model_id` is the provider's id of the model.
    """

    model: str
    provider: str
    model_id: str
    usage: Usage
    pieces: tuple[dict[str, Any], ...]

    def dump(self) -> bytes:
        usage = {
            "units": dict(self.usage.units),
            "estimated": self.usage.estimated,
            "service_tier": self.usage.service_tier,
        }
        table = {"model": self.model, "provider": self.provider, "model_id": self.model_id, "usage": usage}
        return to_json({**table, "pieces": self.pieces}, inf_nan_mode="null")

    @classmethod
    def load(cls, data: bytes) -> "CachedAnswer":
        """Raises ValueError for what `dump` has not made."""
        try:
            table = json.loads(data)
            units, pieces = dict(table["usage"]["units"]), tuple(table["pieces"])
            usage = Usage(units, table["usage"]["estimated"], table["usage"]["service_tier"])
            answer = cls(table["model"], table["provider"], table["model_id"], usage, pieces)
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"not a cached answer: {type(error).__name__}") from error
        good = units.keys() <= UNITS and all(type(count) is int and count >= 0 for count in units.values())
        if not good or not pieces or not all(isinstance(piece, dict) for piece in pieces):
            raise ValueError("not a cached answer")
        return answer


def is_complete(pieces: Iterable[Mapping[str, Any]]) -> bool:
    """Whether every choice of an answer, or of the chunks of one, has come to an end that is no error."""
    ends: dict[int, str | None] = {}
    for piece in pieces:
        for choice in piece.get("choices") or ():
            index = choice.get("index") or 0
            ends[index] = choice.get("finish_reason") or ends.get(index)
    return all(end not in (None, "error") for end in ends.values())
