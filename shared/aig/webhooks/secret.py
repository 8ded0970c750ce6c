"""The secret that a key's webhooks are signed with: derived from the deployment's pepper, so that none is stored. Pure.

What is stored is which generation is the current one, and since when. For a day after a rotation the former one signs
too, so that receivers may change over in their own time.
"""

import hashlib
import hmac
from dataclasses import dataclass

BOTH_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Generation:
    """How often a key's secret was made; `rotated_at` in unix seconds, None for the first.

    `by` names the request that rotated it last, so that the same request does so once.
    """

    number: int = 1
    rotated_at: int | None = None
    by: str | None = None
    alone: bool = False  # the former one was dropped at once, for somebody else had it

    def former_until(self, now: float) -> int | None:
        """When the former secret ends, while it still signs."""
        if self.alone or self.rotated_at is None or now >= self.rotated_at + BOTH_S:
            return None
        return self.rotated_at + BOTH_S

    def next(self, now: int, by: str, *, alone: bool = False) -> "Generation":
        return Generation(self.number + 1, now, by, alone)


def derived(pepper: str, key_id: str, number: int) -> str:
    """`whsec_` and 64 hexadecimal digits: the whole text is the key of the HMAC."""
    return "whsec_" + hmac.digest(pepper.encode(), f"webhooks\n{key_id}\n{number}".encode(), hashlib.sha256).hex()


def live(pepper: str, key_id: str, generation: Generation, now: float) -> tuple[str, ...]:
    """The secrets that sign at this time, the current one first."""
    current = derived(pepper, key_id, generation.number)
    if generation.former_until(now) is None:
        return (current,)
    return (current, derived(pepper, key_id, generation.number - 1))
