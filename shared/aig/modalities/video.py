"""Videos made from a prompt, or from a prompt and the picture that they begin with."""

from dataclasses import dataclass, field
from typing import Any

from aig.modalities.demand import UNSAID, Demand
from aig.modalities.files import Picture

LONGEST_S = 60


@dataclass(frozen=True, slots=True)
class VideoRequest:
    """`seconds`, `aspect_ratio` (such as `16:9`) and `resolution` (such as `720p`) are the model's own where None.

    `link` is where the picture can be fetched for an hour, for providers that take no bytes.
    """

    models: tuple[str, ...]
    prompt: str
    seconds: int | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    sound: bool | None = None
    picture: Picture | None = field(default=None, repr=False)
    link: str | None = field(default=None, repr=False)
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        """A resolution that has a price of its own is a service tier of that name."""
        return Demand(
            models=self.models,
            capabilities=frozenset({"video", "from_picture" if self.picture else "from_text"}),
            input_tokens=0,
            output_tokens=0,
            counts={"seconds": self.seconds or UNSAID, "assets": 1},
            preferences=self.preferences or {},
            service_tier=self.resolution,
        )
