"""What this environment's attempts met, kept in memory and written to the shared health log now and then.

A write goes out beside a settle, at most every ten seconds: it costs no time, and a hundredth of a write per request.
"""

from aig.clock import Clock
from aig.health import Minute
from aig.ports import HealthLog, StoreBusy

FLUSH_EVERY_S = 10.0


class Traffic:
    def __init__(self, log: HealthLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._pending: dict[tuple[str, str, int], Minute] = {}
        self._flushed_at = float("-inf")

    def record(self, provider: str, model: str, latency_ms: float | None, error: str | None) -> None:
        """One attempt, by the time to its first byte (None if it failed) and the class of its error."""
        minute = int(self._clock.now()) // 60
        key = (provider, model, minute)
        if key not in self._pending:
            self._pending[key] = Minute(provider, model, minute)
        self._pending[key].record(latency_ms, error)

    async def flush_if_due(self) -> None:
        """Write what has gathered. Health is a hint: what cannot be written is dropped, no request suffers."""
        now = self._clock.monotonic()
        if not self._pending or now - self._flushed_at < FLUSH_EVERY_S:
            return
        self._flushed_at = now
        pending, self._pending = self._pending, {}
        try:
            await self._log.add(pending.values())
        except StoreBusy:
            return
