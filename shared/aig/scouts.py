"""Who has been sent ahead to a candidate of which nobody knows whether it is well, and who waits for their word.

When a provider fails under a burst of calls, all of them turn to the next at once, before any has found out whether
that one does better. A few go; the others follow when they hear that it does.
"""

import asyncio
from collections import Counter

AT_ONCE = 2  # to each candidate: one may be slow, or have bad luck


class Scouts:
    """Of one environment, by the candidate's key."""

    def __init__(self) -> None:
        self._away = Counter[str]()
        self._word: dict[str, asyncio.Event] = {}

    def room(self, key: str) -> bool:
        return self._away[key] < AT_ONCE

    def send(self, key: str) -> None:
        self._away[key] += 1

    def back(self, key: str) -> None:
        """One has come to an end, whichever; what it has met must be known before."""
        self._away[key] -= 1
        if not self._away[key]:
            del self._away[key]
        if word := self._word.pop(key, None):
            word.set()

    async def word(self, key: str, seconds: float) -> bool:
        """Whether one comes back within this time. False at once if nobody is away."""
        if not self._away[key] or seconds <= 0:
            return False
        event = self._word.setdefault(key, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                return await event.wait()
        except TimeoutError:
            return False
