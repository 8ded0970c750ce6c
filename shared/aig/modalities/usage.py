"""What a run consumed, in units that a price can be put on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

# Disjoint: a cached input token is not an input token, a reasoning token is not an output token.
Unit = Literal[
    "input_tokens",
    "cached_input_tokens",
    "input_audio_tokens",
    "output_tokens",
    "reasoning_tokens",
    "output_audio_tokens",
]
UNITS: frozenset[str] = frozenset(get_args(Unit))

INPUT_UNITS: tuple[Unit, ...] = ("input_tokens", "cached_input_tokens", "input_audio_tokens")
OUTPUT_UNITS: tuple[Unit, ...] = ("output_tokens", "reasoning_tokens", "output_audio_tokens")


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts per unit. `estimated` is true where the provider reported none and we counted ourselves."""

    units: Mapping[Unit, int]
    estimated: bool = False

    def at_least(self, earlier: "Usage | None") -> "Usage":
        """The greater count of each unit: counts of a stream only grow, whatever order they are told in."""
        if earlier is None:
            return self
        units = {
            unit: max(self.units.get(unit, 0), earlier.units.get(unit, 0)) for unit in {**earlier.units, **self.units}
        }
        return Usage(units, self.estimated)

    def total(self, units: tuple[Unit, ...]) -> int:
        return sum(self.units.get(unit, 0) for unit in units)
