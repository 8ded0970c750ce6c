"""What tenants use, counted: every debit goes into the cells of its hour and of its day. Pure.

A cell belongs to a tenant. The payer has cells for all that it pays for, its sub-accounts told apart; a sub-account has
cells of its own for what it used, whoever paid. All sums of cells over a dimension are therefore sums of debits.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Granularity = Literal["hour", "day"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)
PERIOD_S: Mapping[Granularity, int] = {"hour": 3600, "day": 86_400}
HOURS_KEPT_S = 100 * 86_400
MAX_ACTIONS = 100  # of one transaction: DynamoDB's limit

_UNIT = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)


class Unreadable(ValueError):
    """A ledger row that is no debit as this version knows them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What of a debit counts. Amounts in nano-USD; `sub_account` where the payer's money went for another tenant."""

    id: str
    payer: str
    sub_account: str | None
    tag: str | None
    model: str
    key_id: str
    amount: int
    upstream_cost: int
    cache_hit: bool
    estimated: bool
    units: Mapping[str, int]
    created_at: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Which count: a tenant's, of one period that begins at `start` (unix seconds, UTC), for one set of dimensions."""

    tenant: str
    granularity: Granularity
    start: int
    tag: str | None
    model: str
    sub_account: str | None
    key_id: str

    @property
    def name(self) -> str:
        """The cell's name among the tenant's: cells of one granularity sort by time."""
        dimensions = json.dumps([self.tag, self.model, self.sub_account, self.key_id]).encode()
        return f"{prefix(self.granularity, self.start)}{hashlib.sha256(dimensions).hexdigest()[:32]}"


@dataclass(slots=True)
class Counts:
    """What a cell holds, or a sum of cells. Costs in nano-USD."""

    requests: int = 0
    cost: int = 0
    upstream_cost: int = 0
    cache_hits: int = 0
    estimated: int = 0
    units: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        self.requests += other.requests
        self.cost += other.cost
        self.upstream_cost += other.upstream_cost
        self.cache_hits += other.cache_hits
        self.estimated += other.estimated
        for unit, count in other.units.items():
            self.units[unit] = self.units.get(unit, 0) + count


def prefix(granularity: Granularity, start: int) -> str:
    """What the names of the cells of a period begin with. Eleven digits: their order is that of time until 5138."""
    return f"{granularity}#{start:011d}#"


def period(granularity: Granularity, at: int) -> int:
    """The start of the period that a unix time lies in."""
    return at - at % PERIOD_S[granularity]


def entry(row: Mapping[str, Any]) -> Entry:
    """A debit's row of the Core table. One without `sub_account` or `cache_hit` has neither. Raises Unreadable."""
    try:
        units = json.loads(row["units"])
        found = Entry(
            id=row["sk"].removeprefix("txn#"),
            payer=row["pk"],
            sub_account=row.get("sub_account"),
            tag=row.get("tag"),
            model=row["model"],
            key_id=row["key_id"],
            amount=row["amount"],
            upstream_cost=row["upstream_cost"],
            cache_hit=row.get("cache_hit", False),
            estimated=row["estimated"],
            units={unit: count for unit, count in units.items() if count},  # a unit that is not there is 0
            created_at=row["created_at"],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    texts = (found.id, found.payer, found.model, found.key_id, found.tag or "", found.sub_account or "")
    numbers = (found.amount, found.upstream_cost, found.created_at)
    if not (row["sk"].startswith("txn#") and all(isinstance(text, str) for text in texts)):
        raise Unreadable("a name is not text, or the row is not the ledger's")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise Unreadable("an amount or the time is not a whole number")
    if not all(map(_is_count, units.items())):
        raise Unreadable("the units are not counts by name")
    return found


def _is_count(item: tuple[str, object]) -> bool:
    name, count = item
    return bool(_UNIT.fullmatch(name)) and type(count) is int and count >= 0


def cells_of(found: Entry) -> Iterator[Cell]:
    """The cells that a debit counts in."""
    tenants = [(found.payer, found.sub_account)]
    if found.sub_account is not None:
        tenants.append((found.sub_account, None))
    for tenant, sub_account in tenants:
        for granularity in GRANULARITIES:
            start = period(granularity, found.created_at)
            yield Cell(tenant, granularity, start, found.tag, found.model, sub_account, found.key_id)


def counted(entries: Iterable[Entry]) -> dict[Cell, Counts]:
    """What debits add to which cells."""
    cells: dict[Cell, Counts] = {}
    for found in entries:
        one = Counts(
            requests=1,
            cost=found.amount,
            upstream_cost=found.upstream_cost,
            cache_hits=int(found.cache_hit),
            estimated=int(found.estimated),
            units=dict(found.units),
        )
        for cell in cells_of(found):
            cells.setdefault(cell, Counts()).add(one)
    return cells


def distinct(entries: Iterable[Entry]) -> list[Entry]:
    """Each debit once, where it comes first."""
    first: dict[tuple[str, str], Entry] = {}
    for found in entries:
        first.setdefault((found.payer, found.id), found)
    return list(first.values())


def parts(entries: Iterable[Entry], most: int = MAX_ACTIONS) -> Iterator[list[Entry]]:
    """Debits in their order, in as few parts as fit into a transaction each: one action a debit and one a cell.

    `most` is at least what one debit takes: five.
    """
    part: list[Entry] = []
    cells: set[Cell] = set()
    for found in entries:
        wider = cells.union(cells_of(found))
        if part and len(part) + 1 + len(wider) > most:
            yield part
            part, wider = [], set(cells_of(found))
        part.append(found)
        cells = wider
    if part:
        yield part
