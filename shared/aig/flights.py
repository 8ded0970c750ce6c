"""Equal requests of one process, of which one finds out what the others then say too."""

import asyncio
from typing import Final

from aig.cached import CachedAnswer


class Unshared:
    """An answer that may not be given again: who waited for it asks for one of its own."""


UNSHARED: Final = Unshared()
Outcome = CachedAnswer | Unshared | None  # None: it failed, and somebody else may try


class Flight:
    """Open until it has landed, or until `until` by the monotonic clock: its leader may have gone without a word."""

    def __init__(self, until: float) -> None:
        self.until = until
        self._outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def landed(self) -> bool:
        return self._outcome.done()

    def land(self, outcome: Outcome) -> None:
        if not self.landed:
            self._outcome.set_result(outcome)

    async def wait(self, seconds: float) -> Outcome:
        """Its outcome; None also if it has not landed by then."""
        await asyncio.wait([self._outcome], timeout=max(0.0, seconds))
        return self._outcome.result() if self.landed else None


class Flights:
    """Those that are open, by cache key. Times are by the monotonic clock."""

    def __init__(self) -> None:
        self._open: dict[str, Flight] = {}

    def open(self, key: str, now: float) -> Flight | None:
        flight = self._open.get(key)
        return None if flight is None or flight.landed or flight.until <= now else flight

    def begin(self, key: str, until: float) -> Flight:
        """A flight in the place of one that is open no more."""
        flight = self._open[key] = Flight(until)
        return flight

    def end(self, key: str, flight: Flight, outcome: Outcome = None) -> None:
        """Lands a flight, if it has not landed, and forgets it."""
        flight.land(outcome)
        if self._open.get(key) is flight:
            del self._open[key]
