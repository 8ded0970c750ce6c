"""The health of providers, from what real traffic met: counts per minute, merged over windows. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

WINDOWS_MIN = (1, 5, 60)
RETENTION_S = 2 * 3600
# Upper edges of the latency histogram in milliseconds; each about half as much again as the one before.
EDGES_MS = (50, 75, 110, 170, 250, 380, 570, 850, 1300, 1900, 2900, 4300, 6500, 10_000, 15_000, 22_000, 33_000, 60_000)

State = Literal["healthy", "degraded", "down", "unknown"]


@dataclass(slots=True)
class Minute:
    """What one minute saw of one provider's model. `latency` counts successes by bucket of EDGES_MS."""

    provider: str
    model: str
    minute: int
    succeeded: int = 0
    failed: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    last_error: str | None = None
    output_tokens: int = 0  # of the runs that ended, and the time that they took after their first byte
    generating_ms: int = 0

    def record(self, latency_ms: float | None, error: str | None) -> None:
        """One attempt: its time to the first byte if it succeeded, else the class of its error."""
        if error is not None or latency_ms is None:
            self.failed += 1
            self.last_error = error
            return
        self.succeeded += 1
        bucket = next((index for index, edge in enumerate(EDGES_MS) if latency_ms <= edge), len(EDGES_MS))
        self.latency[bucket] = self.latency.get(bucket, 0) + 1

    def record_speed(self, output_tokens: int, generating_ms: int) -> None:
        self.output_tokens += output_tokens
        self.generating_ms += generating_ms


@dataclass(frozen=True, slots=True)
class Window:
    requests: int
    success_rate: float | None
    p50_ms: int | None
    p95_ms: int | None
    state: State
    last_error: str | None
    tokens_per_s: float | None = None


def _percentile(latency: Mapping[int, int], share: float) -> int | None:
    """The upper edge of the bucket in which the percentile lies: right to within half of its size."""
    total = sum(latency.values())
    seen = 0
    for bucket in sorted(latency):
        seen += latency[bucket]
        if seen >= share * total:
            return EDGES_MS[min(bucket, len(EDGES_MS) - 1)]
    return None


def _state(succeeded: int, requests: int) -> State:
    if not requests:
        return "unknown"
    rate = succeeded / requests
    return "healthy" if rate >= 0.95 else "degraded" if rate >= 0.5 else "down"


def _speed(minutes: Iterable[Minute]) -> float | None:
    tokens, milliseconds = 0, 0
    for minute in minutes:
        tokens += minute.output_tokens
        milliseconds += minute.generating_ms
    return round(tokens * 1000 / milliseconds, 1) if tokens and milliseconds else None


def summarise(minutes: Iterable[Minute], now: float, length_min: int) -> Window:
    """The last `length_min` minutes, the current one included."""
    first = int(now) // 60 - length_min + 1
    inside = sorted((m for m in minutes if m.minute >= first), key=lambda m: m.minute)
    succeeded = sum(m.succeeded for m in inside)
    requests = succeeded + sum(m.failed for m in inside)
    latency: dict[int, int] = {}
    for m in inside:
        for bucket, count in m.latency.items():
            latency[bucket] = latency.get(bucket, 0) + count
    return Window(
        requests=requests,
        success_rate=round(succeeded / requests, 4) if requests else None,
        p50_ms=_percentile(latency, 0.50),
        p95_ms=_percentile(latency, 0.95),
        state=_state(succeeded, requests),
        last_error=next((m.last_error for m in reversed(inside) if m.last_error), None),
        tokens_per_s=_speed(inside),
    )
