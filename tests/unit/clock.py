"""A clock that the test moves."""

from dataclasses import dataclass
from typing import Final

NOON: Final = 1_795_521_600.0  # of a day in 2026, UTC: no provider's dear hours


@dataclass
class FixedClock:
    """Shows `time` on both faces until a test sets another."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time
