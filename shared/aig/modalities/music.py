"""Music made from a description, with lyrics or without."""

from dataclasses import dataclass
from typing import Any, Literal

from aig.modalities.demand import UNSAID, Demand

LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class MusicRequest:
    """`seconds` and `form` are the model's own where None; `instrumental` asks for no voice."""

    models: tuple[str, ...]
    prompt: str
    seconds: int | None = None
    lyrics: str | None = None
    instrumental: bool = False
    form: Literal["mp3", "wav"] | None = None
    seed: int | None = None
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        return Demand(
            models=self.models,
            capabilities=frozenset({"music", "lyrics"} if self.lyrics else {"music"}),
            input_tokens=0,
            output_tokens=0,
            counts={"seconds": self.seconds or UNSAID, "tracks": 1, "assets": 1},
            preferences=self.preferences or {},
        )
