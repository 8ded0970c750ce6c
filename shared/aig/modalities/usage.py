"""What a run consumed, in units that a price can be put on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

# Disjoint: a cached input token is not an input token, a reasoning token is not an output token.
TokenUnit = Literal[
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",  # kept for five minutes, or for as long as the provider keeps by default
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cached_input_audio_tokens",
    "input_image_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
    "output_image_tokens",
]
# One of each: a character, a second of audio or video, a page, a query over up to a hundred documents.
CountUnit = Literal[
    "characters", "seconds", "images", "tiles", "steps", "pages", "search_units", "credits", "tracks", "assets"
]
Unit = TokenUnit | CountUnit
TOKEN_UNITS: frozenset[str] = frozenset(get_args(TokenUnit))
COUNT_UNITS: frozenset[str] = frozenset(get_args(CountUnit))
UNITS: frozenset[str] = TOKEN_UNITS | COUNT_UNITS
# What is known from the request and the answer alone: a count of ours is as good as the provider's.
COUNTED_EXACTLY: frozenset[str] = frozenset({"characters", "images"})

INPUT_UNITS: tuple[Unit, ...] = (
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "cached_input_audio_tokens",
    "input_image_tokens",
)
OUTPUT_UNITS: tuple[Unit, ...] = ("output_tokens", "reasoning_tokens", "output_audio_tokens", "output_image_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts per unit. `estimated` is true where the provider reported none and we counted ourselves.

    `service_tier` is the tier that the provider says it served at, if it says so: some have prices of their own.
    """

    units: Mapping[Unit, int]
    estimated: bool = False
    service_tier: str | None = None

    def after(self, earlier: "Usage | None") -> "Usage":
        """What stands of a stream that told its usage before: this, which is the last, unless it is of nothing at all.

        One of the two as it is: the classes are disjoint, and a token that is told apart later was in another before.
        An adapter whose provider tells it in pieces puts these together.
        """
        if earlier is None:
            return self
        stands = self if any(self.units.values()) else earlier
        return Usage(stands.units, stands.estimated, self.service_tier or earlier.service_tier)

    def total(self, units: tuple[Unit, ...]) -> int:
        return sum([self.units.get(unit, 0) for unit in units])


def units_json(usage: Usage) -> dict[str, Any]:
    """The counts that are not zero, by their unit; `estimated` where nobody but us has counted."""
    counted: dict[str, Any] = {unit: count for unit, count in usage.units.items() if count}
    return counted | {"estimated": True} if usage.estimated else counted
