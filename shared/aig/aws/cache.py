"""Cached answers in a table of their own, large ones in a bucket.

One item per key, which a lease holds until the answer takes its place:
  pk `tenant#key`, lease_by, lease_until, ttl       somebody is making the answer
  pk `tenant#key`, answer | object, ttl             zlib of the answer, or where in the bucket that is
`ttl` is looked at on reading too: DynamoDB deletes up to days late.
"""

import zlib

from aig.aws.blobs import Bucket
from aig.aws.table import Table, Value
from aig.cached import CachedAnswer
from aig.clock import Clock
from aig.ports import Lease

INLINE_BYTES = 300_000  # compressed; an item holds 400 kB
MAX_BYTES = 16 * 1024 * 1024  # of JSON: compressing more would hold up everybody else
_LEVEL = 1  # three times as fast as the default, and hardly larger
_LEASE_KEPT_S = 3600
_CLAIMABLE = (
    "attribute_not_exists(pk) OR lease_by = :owner OR lease_until <= :now "
    "OR (attribute_not_exists(lease_until) AND #ttl <= :now)"
)


class DynamoCache:
    """`kept_s` is how long an answer lives. Without a bucket, large answers are not kept."""

    def __init__(self, table: Table, bucket: Bucket | None, clock: Clock, kept_s: int) -> None:
        self._table = table
        self._bucket = bucket
        self._clock = clock
        self._kept_s = kept_s

    async def close(self) -> None:
        await self._table.close()
        if self._bucket is not None:
            await self._bucket.close()

    async def find(self, key: str) -> CachedAnswer | Lease | None:
        item = await self._table.get(key)
        if item is None:
            return None
        if "lease_until" in item:
            return Lease(item["lease_by"], item["lease_until"])
        if item["ttl"] <= self._clock.now():
            return None
        data = item["answer"] if "answer" in item else await self._object(item["object"])
        try:
            return CachedAnswer.load(zlib.decompress(data))
        except zlib.error as error:
            raise ValueError("not a cached answer") from error

    async def _object(self, name: str) -> bytes:
        data = await self._bucket.get(name) if self._bucket is not None else None
        if data is None:
            raise LookupError("the answer's object is gone")
        return data

    async def claim(self, key: str, owner: str, until: float) -> bool:
        ends = int(until)
        item: dict[str, Value | None] = {
            "pk": key,
            "lease_by": owner,
            "lease_until": ends,
            "ttl": ends + _LEASE_KEPT_S,
        }
        return await self._table.put_if(item, _CLAIMABLE, {":owner": owner, ":now": int(self._clock.now())}, ttl="ttl")

    async def release(self, key: str, owner: str) -> None:
        await self._table.update_if(
            key, None, "SET lease_until = :zero", {":zero": 0, ":owner": owner}, "lease_by = :owner"
        )

    async def store(self, key: str, answer: CachedAnswer) -> None:
        plain = answer.dump()
        data = zlib.compress(plain, _LEVEL) if len(plain) <= MAX_BYTES else None
        ttl = int(self._clock.now()) + self._kept_s
        if data is not None and len(data) <= INLINE_BYTES:
            await self._table.put({"pk": key, "answer": data, "ttl": ttl})
        elif data is not None and self._bucket is not None:
            name = f"cache/{key.replace('#', '/')}"
            await self._bucket.put(name, data)
            await self._table.put({"pk": key, "object": name, "ttl": ttl})
