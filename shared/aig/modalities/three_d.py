"""Models in three dimensions, as GLB files, made from a prompt or a picture."""

from dataclasses import dataclass, field
from typing import Any

from aig.modalities.demand import Demand
from aig.modalities.files import Picture


@dataclass(frozen=True, slots=True)
class ThreeDRequest:
    """A prompt, a picture, or both. Without `texture` a shape is enough.

    `link` is where the picture can be fetched for an hour, for providers that take no bytes.
    """

    models: tuple[str, ...]
    prompt: str | None = None
    texture: bool = True
    negative_prompt: str | None = None
    seed: int | None = None
    picture: Picture | None = field(default=None, repr=False)
    link: str | None = field(default=None, repr=False)
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        return Demand(
            models=self.models,
            capabilities=frozenset({"three_d", "from_picture" if self.picture else "from_text"}),
            input_tokens=0,
            output_tokens=0,
            counts={"assets": 1},
            preferences=self.preferences or {},
        )
