"""The record of a request: what was asked, what came of it, what it cost. Kept for thirty days. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from aig.modalities.usage import Unit
from aig.money.units import Nano

KEPT_S = 30 * 24 * 3600
Operation = Literal[
    "chat.completions",
    "embeddings",
    "images.generations",
    "images.edits",
    "audio.transcriptions",
    "audio.translations",
    "audio.speech",
    "moderations",
    "translations",
    "classifications",
    "detections",
    "ocr",
    "rerank",
    "videos.generations",
    "audio.music",
    "3d.generations",
]
# Whose answers are not worth their room: who has the request can have them again.
_LARGE: frozenset[Operation] = frozenset({"embeddings", "images.generations", "images.edits", "audio.speech"})


@dataclass(frozen=True, slots=True)
class Recording:
    """What of a request is kept for its record. `request` is its body, None where bodies are to be kept out."""

    operation: Operation
    streamed: bool
    request: Mapping[str, Any] | None

    @property
    def keeps_answer(self) -> bool:
        return self.request is not None and self.operation not in _LARGE


@dataclass(frozen=True, slots=True)
class Record:
    """One request of a tenant's, by the id of its hold. `request` and `answer` are JSON, None where they are not kept.

    `error` is the code of what a failed one was answered. `provider` is None if no provider answered.
    """

    id: str
    account_id: str
    key_id: str
    trace_id: str
    operation: Operation
    streamed: bool
    created_at: int
    duration_ms: int
    model: str
    provider: str | None
    attempts: int | None
    cost: Nano
    units: Mapping[Unit, int]
    estimated: bool
    cache: Literal["hit", "miss", "skip"]
    tag: str | None = None
    error: str | None = None
    request: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
