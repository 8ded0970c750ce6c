"""A clock that the test moves."""

from dataclasses import dataclass


@dataclass
class FixedClock:
    """Shows `time` on both faces until a test sets another."""

    time: float = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time
