"""What this environment's attempts met, kept in memory and written to the shared health log now and then.

A write goes out beside a settle, at most every ten seconds: it costs no time, and a hundredth of a write per request.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aig.clock import Clock
from aig.health import Minute
from aig.ports import HealthLog

T = TypeVar("T")

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

    async def beside(self, work: Awaitable[T]) -> T:
        """The result of `work`, with a write at the same time if one is due."""
        if not self._due():
            return await work
        result, _ = await asyncio.gather(work, self.flush_if_due())
        return result

    def _due(self) -> bool:
        return bool(self._pending) and self._clock.monotonic() - self._flushed_at >= FLUSH_EVERY_S

    async def flush_if_due(self) -> None:
        """Write what has gathered. Health is a hint: what cannot be written is dropped, no request suffers."""
        if not self._due():
            return
        self._flushed_at = self._clock.monotonic()
        pending, self._pending = self._pending, {}
        try:
            await self._log.add(pending.values())
        except Exception:
            return
