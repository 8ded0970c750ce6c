"""When to leave a provider's model alone: a circuit breaker, and a budget for second attempts. Pure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

CONSECUTIVE = 5
WINDOW_S = 30.0
LEAST_REQUESTS = 20  # of a window whose share of failures means anything
FAILING_SHARE = 0.5
OPEN_S = 30
LONGEST_OPEN_S = 300
PROBE_S = 30  # a probe that has not come back by then is given up for lost

Gate = Literal["closed", "open", "probe"]


@dataclass(frozen=True, slots=True)
class Opening:
    """That a breaker is open: for how many times in a row, and until which unix second it lets nobody through."""

    times: int
    until: int


@dataclass(slots=True)
class Breaker:
    """One provider's model, as one environment sees it. `opening` is shared with the others."""

    opening: Opening | None = None
    closed_at: float = float("-inf")  # what failed before that is forgiven
    _consecutive: int = 0
    _recent: deque[tuple[float, bool]] = field(default_factory=deque)
    _probed_at: float = float("-inf")

    def gate(self, now: float) -> Gate:
        """`probe`: one request may find out whether it is well again."""
        if self.opening is None:
            return "closed"
        if now < self.opening.until or now - self._probed_at < PROBE_S:
            return "open"
        return "probe"

    def probing(self, now: float) -> None:
        """A probe is on its way, of this environment or of another."""
        self._probed_at = now

    def succeeded(self, now: float) -> bool:
        """Whether that has closed it."""
        self._consecutive = 0
        self._saw(now, failed=False)
        closed = self.opening is not None
        if closed:
            self._close(now)
        return closed

    def failed(self, now: float, *, at_once: bool = False) -> bool:
        """Whether that has opened it, or opened it anew. `at_once`: it need not fail again for that."""
        self._consecutive += 1
        self._saw(now, failed=True)
        if self.opening is not None and now < self.opening.until:
            return False
        failures = sum(failed for _, failed in self._recent)
        often = len(self._recent) >= LEAST_REQUESTS and failures >= FAILING_SHARE * len(self._recent)
        if not (at_once or self.opening is not None or often or self._consecutive >= CONSECUTIVE):
            return False
        times = self.opening.times + 1 if self.opening else 1
        self.opening = Opening(times, int(now) + min(OPEN_S * times, LONGEST_OPEN_S))
        self._probed_at = float("-inf")
        return True

    def answered(self, now: float) -> bool:
        """A request was refused, which shows that somebody is there: whether that has closed it."""
        return self.succeeded(now) if self.opening is not None else False

    def learn(self, opening: Opening | None, now: float) -> None:
        """What the environments together know of it."""
        if opening is None and self.opening is not None:
            self._close(now)
        self.opening = opening

    def _close(self, now: float) -> None:
        self.opening, self.closed_at, self._consecutive = None, now, 0
        self._recent.clear()

    @property
    def well(self) -> bool:
        """Whether the last that was heard of it is no failure."""
        return self.opening is None and not self._consecutive

    def _saw(self, now: float, *, failed: bool) -> None:
        self._recent.append((now, failed))
        while self._recent[0][0] <= now - WINDOW_S:
            self._recent.popleft()


EXTRA_SHARE = 0.2
EXTRA_FLOOR = 3
BUDGET_WINDOW_S = 10.0


class RetryBudget:
    """Second attempts: at most a fifth of the first ones of the last ten seconds, three at least."""

    def __init__(self) -> None:
        self._first: deque[float] = deque()
        self._extra: deque[float] = deque()

    def request(self, now: float) -> None:
        self._first.append(now)
        self._forget(now)

    def take(self, now: float) -> bool:
        """Whether one more attempt may be made; it is counted then."""
        self._forget(now)
        if len(self._extra) >= max(EXTRA_FLOOR, EXTRA_SHARE * len(self._first)):
            return False
        self._extra.append(now)
        return True

    def _forget(self, now: float) -> None:
        for times in (self._first, self._extra):
            while times and times[0] <= now - BUDGET_WINDOW_S:
                times.popleft()
