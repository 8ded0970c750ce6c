"""A wallet on DynamoDB as its documentation has it, in virtual time: what calls meet on the items that they share.

- An item takes 1,000 write units a second, and no burst; a transaction takes two of each item, one where it is
  cancelled. Reads take none of them.
- A transaction has its items for itself for 5 to 10 ms. One that finds an item taken is cancelled: TransactionConflict.
- A client that is cancelled waits as aig.aws.json_api does, for as long.

Nothing else is shared: rows of their own cost no time. With `tail`, holds and ledger rows of one tenant come with
ever-growing keys, so that the last partition of each range takes them all, with a budget of its own.
"""

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from aig.aws.json_api import _BACKOFF_S, _LONGEST_BACKOFF_S, _LONGEST_CONFLICT_S, PATIENCE_S
from aig.aws.shards import _ATTEMPTS, PACE_S
from aig.money.shards import MOST_SHARDS, Heat, Taking, plan

Steps = Generator[float, None, str]

WRITE_UNITS: Final = 1000.0
BURST: Final = 50.0  # write units
TRANSACTION_S: Final = (0.005, 0.010)
CANCELLED_S: Final = 0.003
NETWORK_S: Final = 0.001
READ_S: Final = 0.004
SETTLE_PATIENCE_S: Final = 20.0
CACHED_S: Final = 30.0  # how long an environment believes what it read of an account
HOLD, CHARGE = 10, 7
AMPLE: Final = 10**12
_HELD: Final = "held in "


@dataclass(slots=True)
class Range:
    """An item, or a range of keys, that has a partition to itself."""

    tokens: float = BURST
    filled_at: float = 0.0
    taken_until: float = 0.0

    def spend(self, units: float, now: float) -> bool:
        self.tokens = min(BURST, self.tokens + WRITE_UNITS * (now - self.filled_at))
        self.filled_at = now
        if self.tokens < units:
            return False
        self.tokens -= units
        return True


@dataclass(slots=True)
class Environment:
    """A container of the function: one call at a time."""

    shards: int
    believes_until: float
    heat: Heat = field(default_factory=Heat)


@dataclass(frozen=True, slots=True)
class Setting:
    """`capped`: all calls are by one key with a cap. `own_shard_only`: a shard that has too little is a 402."""

    shards: int
    calls_per_s: float
    seconds: float
    run_s: float = 1.0
    balance: int = AMPLE
    capped: bool = False
    tail: bool = False
    own_shard_only: bool = False
    grows: bool = False


Ending = Literal["settled", "503", "402", "false 402", "not settled"]


@dataclass(slots=True)
class Outcome:
    endings: Counter[str] = field(default_factory=Counter)
    by_second: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    waits_ms: list[float] = field(default_factory=list)  # what hold and settle of a call took together
    doubled_at: list[float] = field(default_factory=list)

    def share(self, *endings: Ending) -> float:
        return sum(self.endings[ending] for ending in endings) / max(1, self.endings.total())


class Simulation:
    def __init__(self, setting: Setting, seed: int = 1) -> None:
        self._setting = setting
        self._random = random.Random(seed)
        self._queue: list[tuple[float, int, Steps]] = []
        self._order = itertools.count()
        self._ranges: defaultdict[str, Range] = defaultdict(Range)
        self._idle: list[Environment] = []
        self.now = 0.0
        self.shards = setting.shards
        self.sharded_at = float("-inf")
        share, rest = divmod(setting.balance, setting.shards)
        self.available = [share + (shard < rest) for shard in range(setting.shards)]
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Calls come at random for so many seconds; all are seen to their end."""
        at = 0.0
        while (at := at + self._random.expovariate(self._setting.calls_per_s)) < self._setting.seconds:
            self._start(self._call(), at)
        while self._queue:
            self.now, _, steps = heapq.heappop(self._queue)
            wait = next(steps, None)
            if wait is not None:
                self._start(steps, self.now + wait)
        return self.outcome

    def _start(self, steps: Steps, at: float) -> None:
        heapq.heappush(self._queue, (at, next(self._order), steps))

    def _call(self) -> Steps:
        environment = self._idle.pop() if self._idle else Environment(self.shards, self.now + CACHED_S)
        if self.now > environment.believes_until:
            self._learn(environment)
        began_at = self.now
        ending, shard = "503", 0
        held = yield from self._hold(environment)
        if held.startswith(_HELD):
            shard, took = int(held.removeprefix(_HELD)), self.now - began_at
            yield self._setting.run_s
            settle_at = self.now
            growth = self._grown(environment) if environment.heat.hot and self._setting.grows else None
            if growth is not None:
                self._start(growth, self.now)  # beside the settle
            done = yield from self._settle(environment, shard)
            ending = "settled" if done == "done" else "not settled"
            self.outcome.waits_ms.append((took + self.now - settle_at) * 1000)
        else:
            ending = held
        self.outcome.endings[ending] += 1
        self.outcome.by_second[int(began_at)][ending] += 1
        self._idle.append(environment)
        return ending

    def _learn(self, environment: Environment) -> None:
        environment.believes_until = self.now + CACHED_S
        if environment.shards != self.shards:
            environment.shards = self.shards
            environment.heat.forget()

    def _hold(self, environment: Environment) -> Steps:
        taking = Taking(self._random.randrange(environment.shards))
        for _ in range(_ATTEMPTS):

            def take(taking: Taking = taking) -> bool:
                net = HOLD - sum(taking.gives.values())
                if self.available[taking.at] < net or any(self.available[at] < n for at, n in taking.gives.items()):
                    return False
                self.available[taking.at] -= net
                for at, gift in taking.gives.items():
                    self.available[at] -= gift
                return True

            items = [f"wallet {taking.at}", *(f"wallet {at}" for at in taking.gives)]
            if self._setting.capped:
                items.append("counter 0")
            done = yield from self._transact(items, ["holds"], PATIENCE_S, take, environment)
            if done != "refused":
                return f"{_HELD}{taking.at}" if done == "done" else "503"
            if self._setting.own_shard_only:
                return self._refusal()
            yield READ_S
            self._learn(environment)
            found = plan(self.available, taking.at, HOLD)
            if found is None:
                if (yield from self._read()) == "busy":
                    return "503"
                found = plan(self.available, taking.at, HOLD)
            if found is None:
                return self._refusal()
            taking = found
        return "503"

    def _refusal(self) -> str:
        return "false 402" if sum(self.available) >= HOLD else "402"

    def _settle(self, environment: Environment, shard: int) -> Steps:
        def release() -> bool:
            self.available[shard] += HOLD - CHARGE
            return True

        items = [f"wallet {shard}", "counter 0" if self._setting.capped else f"counter {shard}"]
        return (yield from self._transact(items, ["holds", "ledger"], SETTLE_PATIENCE_S, release, environment))

    def _grown(self, environment: Environment) -> Steps | None:
        believed = environment.shards
        environment.heat.forget()
        if believed >= MOST_SHARDS:
            return None

        def double() -> bool:
            if self.shards != believed or self.now - self.sharded_at < PACE_S:
                return False
            self.shards, self.sharded_at = 2 * believed, self.now
            self.available += [0] * believed
            for shard in range(believed):
                gift = self.available[shard] // 2
                self.available[shard] -= gift
                self.available[shard + believed] += gift
            self.outcome.doubled_at.append(self.now)
            return True

        def steps() -> Steps:
            done = yield from self._transact(["wallet 0", "account"], [], 0.5, double, None)
            self._learn(environment)
            return done

        return steps()

    def _read(self) -> Steps:
        """All shards at one moment: writes under way cancel it."""
        attempt, deadline = 0, self.now + PATIENCE_S
        while True:
            yield NETWORK_S
            if not any(self._ranges[f"wallet {at}"].taken_until > self.now for at in range(self.shards)):
                yield READ_S
                return "done"
            yield CANCELLED_S + NETWORK_S
            wait = self._random.uniform(0, min(_BACKOFF_S * 2**attempt, _LONGEST_CONFLICT_S))
            if self.now + wait > deadline:
                return "busy"
            attempt += 1
            yield wait

    def _transact(
        self,
        items: Sequence[str],
        rows: Sequence[str],
        patience_s: float,
        apply: Callable[[], bool],
        environment: Environment | None,
    ) -> Steps:
        """`done`, `refused` by a condition (which takes no item), or `busy`."""
        attempt, deadline, met = 0, self.now + patience_s, 0
        try:
            while True:
                yield NETWORK_S
                trouble = self._trouble(items, rows)
                if trouble is None:
                    if not apply():
                        yield CANCELLED_S + NETWORK_S
                        return "refused"
                    took = self._random.uniform(*TRANSACTION_S)
                    for item in items:
                        self._ranges[item].taken_until = self.now + took
                    yield took + NETWORK_S
                    return "done"
                met += trouble != "rows"
                yield CANCELLED_S + NETWORK_S
                longest = _LONGEST_CONFLICT_S if trouble == "conflict" else _LONGEST_BACKOFF_S
                wait = self._random.uniform(0, min(_BACKOFF_S * 2**attempt, longest))
                if self.now + wait > deadline:
                    return "busy"
                attempt += 1
                yield wait
        finally:
            if environment is not None:
                environment.heat.saw(met)

    def _trouble(self, items: Sequence[str], rows: Sequence[str]) -> str | None:
        ranges = [self._ranges[item] for item in items]
        if any(found.taken_until > self.now for found in ranges):
            for found in ranges:
                found.spend(1, self.now)
            return "conflict"
        if sum(not found.spend(2, self.now) for found in ranges):
            return "throttled"
        if self._setting.tail and sum(not self._ranges[row].spend(2, self.now) for row in rows):
            return "rows"
        return None
