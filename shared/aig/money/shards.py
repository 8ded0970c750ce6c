"""A busy wallet in shards. Money is moved between them, never copied: what all have is what there is. Pure."""

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MOST_SHARDS = 16
SAMPLES = 30  # sends that an environment must have seen before it calls a wallet hot


def pick(request_id: str, shards: int) -> int:
    """The shard that a request tries first."""
    return hashlib.sha256(request_id.encode()).digest()[0] % shards


@dataclass(frozen=True, slots=True)
class Taking:
    """Taken from the shard `at`; `gives` is what others give to it in the same transaction."""

    at: int
    gives: Mapping[int, int] = field(default_factory=dict)


def plan(available: Sequence[int], at: int, amount: int) -> Taking | None:
    """How shards with these balances cover an amount that is wanted from the shard `at`; None if they do not.

    A shard that ran dry while the others have plenty is filled up to its fair share, by as few as will do. Where no
    shard's fair share would cover the amount, the richest pays, and gets from the others what it lacks.
    """
    total = sum(available)
    if total < amount:
        return None
    if available[at] >= amount:
        return Taking(at)
    richest_first = sorted(range(len(available)), key=lambda shard: -available[shard])
    fair = total // len(available)
    if fair >= amount:
        keeps, wanted = fair, fair - available[at]
    else:
        keeps, at = 0, richest_first[0]
        wanted = max(0, amount - available[at])
    gives: dict[int, int] = {}
    for shard in richest_first:
        if available[at] + sum(gives.values()) >= amount:
            break
        if shard != at:
            gives[shard] = min(available[shard] - keeps, wanted - sum(gives.values()))
    return Taking(at, gives)


def twins_gifts(available: Sequence[int]) -> dict[int, int]:
    """What each shard of the first half gives to its twin in the second, so that both have as much."""
    half = len(available) // 2
    gifts = {shard: (available[shard] - available[shard + half]) // 2 for shard in range(half)}
    return {shard: gift for shard, gift in gifts.items() if gift > 0}


class Heat:
    """How often what one environment sends meets others on a wallet.

    A share, not a rate: an environment that makes one call a minute sees as much of it as one that makes a hundred.
    """

    def __init__(self) -> None:
        self._met: deque[bool] = deque(maxlen=SAMPLES)

    def saw(self, conflicts: int) -> None:
        """One transaction, and how often it had to be sent again because of others."""
        self._met.extend([True] * min(conflicts, SAMPLES))
        self._met.append(False)

    @property
    def hot(self) -> bool:
        """Whether half of the last sends met others."""
        return 2 * sum(self._met) >= SAMPLES

    def forget(self) -> None:
        self._met.clear()
