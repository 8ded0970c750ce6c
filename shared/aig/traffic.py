"""What attempts met: gathered in memory, shared with the other environments now and then, and read back for routing.

Reads and writes go out beside a settle, at most every ten seconds: they cost no time, and a hundredth of a write per
request. A cold environment looks once before its first call. What the store cannot do in time is done without.
"""

import asyncio
from collections.abc import Awaitable, Collection, Iterable
from typing import TypeVar

from aig.breaker import Breaker, Gate
from aig.catalog.routing import Candidate, Standing
from aig.clock import Clock
from aig.health import Minute, summarise
from aig.ports import HealthLog

T = TypeVar("T")

FLUSH_EVERY_S = 10.0
CHANGE_EVERY_S = 1.0
STANDING_MIN = 5
LATELY_MIN = 2  # the minute that has just begun knows nothing yet
TELLING_REQUESTS = 5  # fewer say nothing: one mishap must not send all traffic elsewhere
ANSWERS_S = 10.0  # for so long after an answer another is to be expected
STALE_S = 60.0
LOOK_S = 0.3
SHARE_S = 0.5


class Traffic:
    def __init__(self, log: HealthLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._pending: dict[tuple[str, str, int], Minute] = {}
        self._breakers: dict[str, Breaker] = {}
        self._changed: set[str] = set()  # breakers whose change the others do not know yet
        self._shared: dict[str, list[Minute]] = {}  # by provider
        self._looked_at: dict[str, float] = {}  # by provider, by the monotonic clock
        self._wanted_at: dict[str, float] = {}
        self._answered_at: dict[str, float] = {}  # by candidate and by provider, by the monotonic clock
        self._flushed_at = float("-inf")
        self._tried_at = float("-inf")

    def _minute(self, provider: str, model: str) -> Minute:
        minute = int(self._clock.now()) // 60
        return self._pending.setdefault((provider, model, minute), Minute(provider, model, minute))

    def record(self, provider: str, model: str, latency_ms: float | None, error: str | None) -> None:
        """One attempt, by the time to its first byte (None if it failed) and the class of its error."""
        self._minute(provider, model).record(latency_ms, error)
        key, now = f"{provider}/{model}", self._clock.now()
        breaker = self._breakers.setdefault(key, Breaker())
        if error is not None:
            self._answered_at.pop(key, None)
        changed = breaker.succeeded(now) if error is None else breaker.failed(now, at_once=error == "auth")
        if changed:
            self._changed.add(key)

    def answered(self, provider: str, model: str) -> None:
        """An attempt has its answer, or the beginning of one: how it ends is not known yet."""
        now = self._clock.monotonic()
        self._answered_at[provider] = self._answered_at[f"{provider}/{model}"] = now

    def record_refusal(self, provider: str, model: str) -> None:
        """One attempt that was refused for what it asked: that says nothing of a provider but that it answers."""
        self.answered(provider, model)
        key = f"{provider}/{model}"
        if key in self._breakers and self._breakers[key].answered(self._clock.now()):
            self._changed.add(key)

    def record_speed(self, provider: str, model: str, output_tokens: int, generating_ms: float) -> None:
        """What a run that ended made of output, and how long it took after its first byte."""
        self._minute(provider, model).record_speed(output_tokens, round(generating_ms))

    def well(self, key: str) -> bool:
        """Whether the last that was heard of a candidate is no failure."""
        breaker = self._breakers.get(key)
        return breaker is None or breaker.well

    def answers(self, name: str) -> bool:
        """Whether a candidate, or a provider, has answered a short while ago. A candidate: and not failed since."""
        return self._clock.monotonic() - self._answered_at.get(name, float("-inf")) < ANSWERS_S

    def gate(self, key: str) -> Gate:
        """Whether a candidate may be asked: see aig.breaker."""
        breaker = self._breakers.get(key)
        return breaker.gate(self._clock.now()) if breaker else "closed"

    async def claim_probe(self, key: str) -> bool:
        """Whether this call is the one that finds out; a store that does not answer leaves it to us."""
        now = self._clock.now()
        self._breakers[key].probing(now)
        try:
            async with asyncio.timeout(LOOK_S):
                return await self._log.claim_probe(key, int(now))
        except Exception:
            return True

    def standing(self, candidate: Candidate) -> Standing:
        """How fast it was in the last five minutes and how well in the last two, for all that we know."""
        provider, model = candidate.offer.provider.name, candidate.model.slug
        seen = [minute for minute in self._shared.get(provider, ()) if minute.model == model]
        seen += [minute for (p, m, _), minute in self._pending.items() if (p, m) == (provider, model)]
        now, breaker = self._clock.now(), self._breakers.get(candidate.key, Breaker())
        window = summarise(seen, now, STANDING_MIN)
        counted = [minute for minute in seen if minute.minute * 60 > breaker.closed_at]
        lately, gate = summarise(counted, now, LATELY_MIN), breaker.gate(now)
        state = lately.state if gate == "closed" and lately.requests >= TELLING_REQUESTS else "unknown"
        return Standing("down" if gate == "open" else state, window.p50_ms, window.tokens_per_s)

    async def look(self, providers: Iterable[str]) -> None:
        """Read what the others know, if nobody here has looked for a minute."""
        now = self._clock.monotonic()
        wanted = set(providers)
        self._wanted_at.update(dict.fromkeys(wanted, now))
        stale = [name for name in sorted(wanted) if now - self._looked_at.get(name, float("-inf")) > STALE_S]
        if stale:
            await self._read(stale)

    async def _read(self, providers: Iterable[str], told: Collection[str] = ()) -> None:
        """`told` are breakers that we have just written: a read may be too early to see them."""
        names = list(providers)
        self._looked_at.update(dict.fromkeys(names, self._clock.monotonic()))
        first = int(self._clock.now()) // 60 - STANDING_MIN + 1
        try:
            async with asyncio.timeout(LOOK_S):
                openings, minutes = await asyncio.gather(
                    self._log.breakers(), asyncio.gather(*(self._log.since(name, first) for name in names))
                )
        except Exception:
            return
        self._shared.update(zip(names, [list(seen) for seen in minutes], strict=True))
        for key in {*openings, *self._breakers} - self._changed - {*told}:
            self._breakers.setdefault(key, Breaker()).learn(openings.get(key), self._clock.now())

    def _keep(self, minutes: Iterable[Minute]) -> None:
        """Ours, until the next read brings them back; what is too old for a standing goes."""
        first = int(self._clock.now()) // 60 - STANDING_MIN + 1
        for minute in minutes:
            seen = self._shared.get(minute.provider, [])
            self._shared[minute.provider] = [*(old for old in seen if old.minute >= first), minute]

    async def beside(self, work: Awaitable[T]) -> T:
        """The result of `work`, with what is due for sharing at the same time."""
        if not self._due():
            return await work
        result, _ = await asyncio.gather(work, self.share_if_due())
        return result

    def _due(self) -> bool:
        now = self._clock.monotonic()
        if self._changed and now - self._tried_at >= CHANGE_EVERY_S:
            return True
        return bool(self._pending) and now - self._flushed_at >= FLUSH_EVERY_S

    async def share_if_due(self) -> None:
        """Write what has gathered, and read what others wrote. Health is a hint: no request suffers for it."""
        if not self._due():
            return
        now = self._tried_at = self._clock.monotonic()
        changed, self._changed = self._changed, set()
        flush = now - self._flushed_at >= FLUSH_EVERY_S
        pending: dict[tuple[str, str, int], Minute] = {}
        if flush:
            self._flushed_at = now
            pending, self._pending = self._pending, {}
            self._keep(pending.values())
        now_s = int(self._clock.now())
        try:
            async with asyncio.timeout(SHARE_S):
                tell = [self._log.set_breaker(key, self._breakers[key].opening, now_s) for key in changed]
                await asyncio.gather(self._log.add(pending.values()), *tell)
        except Exception:
            self._changed |= changed
            return
        if flush:
            await self._read((name for name, at in self._wanted_at.items() if now - at <= STALE_S), changed)
