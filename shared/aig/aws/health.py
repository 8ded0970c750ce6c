"""The health of providers, shared by all environments: counters per minute, and the breakers that are open.

Items:
  health#<provider> / <minute>#<model>   succeeded, failed, bucket_<n>, last_error, output_tokens, generating_ms
  breakers / <provider>/<model>          times, open_until, probe_at (unix seconds)
All go by themselves, after two hours.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from aig.aws.table import Table, Value
from aig.breaker import PROBE_S, Opening
from aig.health import RETENTION_S, Minute

_BREAKERS = "breakers"


class DynamoHealth:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, minutes: Iterable[Minute]) -> None:
        await asyncio.gather(*(self._add(minute) for minute in minutes))

    async def _add(self, minute: Minute) -> None:
        values: dict[str, Value] = {
            ":ttl": minute.minute * 60 + RETENTION_S,
            ":succeeded": minute.succeeded,
            ":failed": minute.failed,
            ":tokens": minute.output_tokens,
            ":ms": minute.generating_ms,
        }
        sets, adds = (
            "SET #ttl = :ttl",
            "ADD succeeded :succeeded, failed :failed, output_tokens :tokens, generating_ms :ms",
        )
        if minute.last_error:
            sets += ", last_error = :error"
            values[":error"] = minute.last_error
        for bucket, count in minute.latency.items():
            adds += f", bucket_{bucket} :b{bucket}"
            values[f":b{bucket}"] = count
        await self._table.update(
            f"health#{minute.provider}", f"{minute.minute}#{minute.model}", f"{sets} {adds}", values, ttl="ttl"
        )

    async def since(self, provider: str, minute: int) -> Sequence[Minute]:
        items = await self._table.query("pk = :pk AND sk >= :sk", {":pk": f"health#{provider}", ":sk": str(minute)})
        return [
            Minute(
                provider=provider,
                model=item["sk"].partition("#")[2],
                minute=int(item["sk"].partition("#")[0]),
                succeeded=item["succeeded"],
                failed=item["failed"],
                latency={int(name[7:]): count for name, count in item.items() if name.startswith("bucket_")},
                last_error=item.get("last_error"),
                output_tokens=item.get("output_tokens", 0),
                generating_ms=item.get("generating_ms", 0),
            )
            for item in items
        ]

    async def breakers(self) -> Mapping[str, Opening]:
        items = await self._table.query("pk = :pk", {":pk": _BREAKERS})
        return {item["sk"]: Opening(item["times"], item["open_until"]) for item in items if item.get("times")}

    async def set_breaker(self, key: str, opening: Opening | None, now: int) -> None:
        until = opening.until if opening else now
        await self._table.update(
            _BREAKERS,
            key,
            "SET times = :times, open_until = :until, #ttl = :ttl REMOVE probe_at",
            {":times": opening.times if opening else 0, ":until": until, ":ttl": until + RETENTION_S},
            ttl="ttl",
        )

    async def claim_probe(self, key: str, now: int) -> bool:
        return await self._table.update_if(
            _BREAKERS,
            key,
            "SET probe_at = :now, #ttl = :ttl",
            {":now": now, ":long_ago": now - PROBE_S, ":ttl": now + RETENTION_S},
            "attribute_not_exists(probe_at) OR probe_at <= :long_ago",
            ttl="ttl",
        )
