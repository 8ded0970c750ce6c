"""The health of providers as counters per minute, shared by all environments: one write for many requests."""

from collections.abc import Iterable, Sequence

from aig.aws.table import Table, Value
from aig.health import RETENTION_S, Minute


class DynamoHealth:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, minutes: Iterable[Minute]) -> None:
        for minute in minutes:
            values: dict[str, Value] = {
                ":ttl": minute.minute * 60 + RETENTION_S,
                ":succeeded": minute.succeeded,
                ":failed": minute.failed,
            }
            sets, adds = "SET #ttl = :ttl", "ADD succeeded :succeeded, failed :failed"
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
            )
            for item in items
        ]
