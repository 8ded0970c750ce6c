"""Usage in a table of its own: cells that debits are added to, and a guard for each debit, so that it is added once.

Items, all under the tenant's own partition:
  hour#<start>#<digest>, day#<start>#<digest>   tag, model, sub_account, key_id; requests, cost, upstream_cost,
                                                cache_hits, estimated, unit_<name>; what is 0 is left out
  seen#<debit>                                  the guard, under the payer
and active#<day> / <payer>, which accounts were charged on a day.
The cells of an hour go after 100 days, the guards after eight: a stream brings a record again for a day at most.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from aig.aws.table import Table, Value
from aig.ports import StoreBusy
from aig.usage import HOURS_KEPT_S, PERIOD_S, Cell, Counts, Entry, Granularity, counted, distinct, parts, prefix

GUARD_KEPT_S = 8 * 86_400
ACTIVE_KEPT_S = 8 * 86_400
PATIENCE_S = 10.0
_UNIT = "unit_"


class DynamoUsage:
    def __init__(self, table: Table, patience_s: float = PATIENCE_S) -> None:
        self._table = table
        self._patience_s = patience_s

    async def count(self, entries: Sequence[Entry], now: int) -> list[Entry]:
        """Add debits to their cells, each once however often it is brought. `now` in unix seconds.

        Those that are still to be brought again, because the store is busy: all from the first that was not added.
        """
        waiting = distinct(entries)
        for part in list(parts(waiting)):
            try:
                await self._count(part, now)
            except StoreBusy:
                return waiting
            waiting = waiting[len(part) :]
        return []

    async def _count(self, part: list[Entry], now: int) -> None:
        """One transaction of guards and cells, repeated without the debits that turn out to be counted already."""
        while part:
            guards = [self._guard(found, now) for found in part]
            adds = [self._add(cell, counts) for cell, counts in counted(part).items()]
            seen = set(await self._table.transact([*guards, *adds], self._patience_s))
            if not seen:
                return
            part = [found for at, found in enumerate(part) if at not in seen]

    def _guard(self, found: Entry, now: int) -> dict[str, Any]:
        return self._table.put_action({"pk": found.payer, "sk": f"seen#{found.id}", "ttl": now + GUARD_KEPT_S})

    def _add(self, cell: Cell, counts: Counts) -> dict[str, Any]:
        names: dict[str, Value | None] = {
            "tag": cell.tag,
            "model": cell.model,
            "sub_account": cell.sub_account,
            "key_id": cell.key_id,
            "ttl": cell.start + PERIOD_S["hour"] + HOURS_KEPT_S if cell.granularity == "hour" else None,
        }
        numbers = {
            "requests": counts.requests,
            "cost": counts.cost,
            "upstream_cost": counts.upstream_cost,
            "cache_hits": counts.cache_hits,
            "estimated": counts.estimated,
            **{f"{_UNIT}{unit}": count for unit, count in counts.units.items()},
        }
        numbers = {name: count for name, count in numbers.items() if count}  # what is not there is 0
        # Every name goes by a placeholder: which words DynamoDB keeps to itself grows with its versions.
        texts = {name: value for name, value in names.items() if value is not None}
        expression = (
            f"SET {', '.join(f'#{name} = :{name}' for name in texts)} "
            f"ADD {', '.join(f'#{name} :{name}' for name in numbers)}"
        )
        values: dict[str, Value] = {f":{name}": value for name, value in {**texts, **numbers}.items()}
        placeholders = {name: name for name in (*texts, *numbers)}
        return self._table.update_action(cell.tenant, cell.name, expression, values, None, **placeholders)

    async def mark_active(self, payer: str, day: int) -> None:
        """Note that an account was charged on the day that begins at `day`, in unix seconds."""
        name = f"active#{day}"
        await self._table.update(name, payer, "SET #ttl = :ttl", {":ttl": day + ACTIVE_KEPT_S}, ttl="ttl")

    async def active(self, day: int) -> list[str]:
        """The accounts that were charged on that day."""
        return [item["sk"] for item in await self._table.query("pk = :pk", {":pk": f"active#{day}"})]

    async def cells(
        self, tenant: str, granularity: Granularity, start: int, end: int
    ) -> AsyncIterator[list[tuple[Cell, Counts]]]:
        """A tenant's cells of the periods that begin from `start` to before `end`, oldest first, page by page."""
        values: dict[str, Value] = {
            ":pk": tenant,
            ":from": prefix(granularity, start),
            ":to": prefix(granularity, end),
        }
        async for page in self._table.pages("pk = :pk AND sk BETWEEN :from AND :to", values):
            yield [_load(item) for item in page]


def _load(item: dict[str, Any]) -> tuple[Cell, Counts]:
    granularity, start, _ = item["sk"].split("#")
    cell = Cell(
        item["pk"], granularity, int(start), item.get("tag"), item["model"], item.get("sub_account"), item["key_id"]
    )
    counts = Counts(
        requests=item["requests"],
        cost=item.get("cost", 0),
        upstream_cost=item.get("upstream_cost", 0),
        cache_hits=item.get("cache_hits", 0),
        estimated=item.get("estimated", 0),
        units={name.removeprefix(_UNIT): count for name, count in item.items() if name.startswith(_UNIT)},
    )
    return cell, counts
