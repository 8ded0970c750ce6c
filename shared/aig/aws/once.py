"""A memory of one bit per text, kept for a day: what makes `sandbox/fail-once-*` fail once in all environments."""

import hashlib

from aig.aws.table import Table
from aig.clock import Clock

_KEPT_S = 24 * 3600


class DynamoOnce:
    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def first_time(self, text: str) -> bool:
        name = hashlib.sha256(text.encode()).hexdigest()
        return await self._table.put_new({"pk": f"once#{name}", "sk": "once", "ttl": int(self._clock.now()) + _KEPT_S})
