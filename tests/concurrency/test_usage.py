"""The roll-up on DynamoDB Local: debits that come again, at once, over a bad line, or to a process that dies."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import pytest
from typing_extensions import override

from aig.aws.json_api import PATIENCE_S, JsonApi
from aig.aws.sigv4 import Credentials
from aig.aws.table import Table
from aig.aws.usage import DynamoUsage
from aig.usage import GRANULARITIES, Counts, Entry, entry
from functions.usage import query, report
from local.deploy import create_tables
from local.template import load
from tests.concurrency.fault_proxy import (
    CONFLICT,
    IN_PROGRESS,
    INTERNAL,
    LOST_REPLY,
    LOST_REQUEST,
    NO_JSON,
    THROTTLED,
    THROUGHPUT,
    UNAVAILABLE,
    Fault,
    Proxy,
    first_sends,
    for_good,
    on_call,
)
from tests.unit.ledger_rows import DAY_S, NOVEMBER, Row, Sums, added_up, debit

ROWS: Final = 150
DELIVERIES: Final = 8


@pytest.fixture(scope="module")
def usage_table(dynamodb_local: str, request: pytest.FixtureRequest) -> str:
    """The name of an empty table with the usage table's schema."""
    (table,) = (table for table in load().tables if table.logical_id == "UsageTable")
    name = f"{table.name}-{Path(request.node.name).stem}"
    definition = {**table.definition, "TableName": name}
    create_tables([type(table)(table.logical_id, name, definition, table.ttl_attribute)], dynamodb_local)
    return name


class Dying(Table):
    """A table whose process dies behind its n-th transaction."""

    dies_behind = 0

    @override
    async def transact(self, actions: Sequence[dict[str, Any]], patience_s: float = PATIENCE_S) -> list[int]:
        if self.dies_behind == 0:
            raise KilledError
        self.dies_behind -= 1
        return await super().transact(actions, patience_s)


class KilledError(Exception):
    """Nothing that the code expects."""


class Clients:
    """Any number of clients of the table; one account for each test, so that all may share the table."""

    def __init__(self, table: str) -> None:
        self._name = table
        self._tables: list[Table] = []
        self.payer = f"acct_{random.getrandbits(60)}"

    def table(self, endpoint: str, kind: type[Table] = Table) -> Any:
        api = JsonApi("dynamodb", "DynamoDB_20120810", "1.0", endpoint, "us-east-1", Credentials("local", "local"))
        self._tables.append(kind(api, self._name))
        return self._tables[-1]

    def usage(self, endpoint: str, patience_s: float = 20.0) -> DynamoUsage:
        return DynamoUsage(self.table(endpoint), patience_s)

    async def close(self) -> None:
        for table in self._tables:
            await table.close()

    def rows(self, count: int = ROWS) -> list[Row]:
        """Debits of the account and of its two sub-accounts, over three days."""
        draw = random.Random(count)
        return [
            debit(
                number,
                self.payer,
                tag=draw.choice([None, "a", "b", "c", "*"]),
                model=draw.choice(["v/m", "v/n"]),
                sub_account=draw.choice([None, f"sub_1_of_{self.payer}", f"sub_2_of_{self.payer}"]),
                key_id=draw.choice(["key_1", "key_2"]),
                amount=draw.randrange(10**12),
                upstream_cost=draw.randrange(10**12),
                cache_hit=draw.choice([None, True, False]),
                estimated=draw.random() < 0.1,
                created_at=NOVEMBER + draw.randrange(3 * DAY_S),
            )
            for number in range(count)
        ]


@pytest.fixture
async def clients(usage_table: str) -> AsyncIterator[Clients]:
    opened = Clients(usage_table)
    yield opened
    await opened.close()


async def held(usage: DynamoUsage, rows: Sequence[Row]) -> Sums:
    """The cells of all tenants that the rows are of."""
    sums: Sums = {}
    for tenant in {row["pk"] for row in rows} | {row["sub_account"] for row in rows if "sub_account" in row}:
        for granularity in GRANULARITIES:
            async for page in usage.cells(tenant, granularity, NOVEMBER - DAY_S, NOVEMBER + 9 * DAY_S):
                sums |= {astuple(cell): counts for cell, counts in page}
    return sums


async def delivered(usage: DynamoUsage, batch: list[Entry]) -> None:
    """A batch, brought until it is done."""
    for _ in range(50):
        batch = await usage.count(batch, NOVEMBER)
        if not batch:
            return
    raise AssertionError("a batch is never done")


async def test_the_same_debits_many_times_at_once_count_once(dynamodb_local: str, clients: Clients) -> None:
    rows = clients.rows()
    entries = [entry(row) for row in rows]

    async def delivery(number: int) -> None:
        draw, usage = random.Random(number), clients.usage(dynamodb_local)
        mine = list(entries)
        draw.shuffle(mine)
        while mine:
            size = draw.randint(1, 40)
            await delivered(usage, mine[:size])
            mine = mine[size:]

    await asyncio.gather(*map(delivery, range(DELIVERIES)))
    assert await held(clients.usage(dynamodb_local), rows) == added_up(rows)


async def test_the_same_batch_twice_at_the_same_time_counts_once(dynamodb_local: str, clients: Clients) -> None:
    rows = clients.rows(60)
    entries = [entry(row) for row in rows]
    usages = [clients.usage(dynamodb_local) for _ in range(4)]
    await asyncio.gather(*(delivered(usage, entries) for usage in usages))
    assert await held(usages[0], rows) == added_up(rows)


@pytest.mark.parametrize(
    "fault",
    [CONFLICT, THROUGHPUT, THROTTLED, IN_PROGRESS, INTERNAL, UNAVAILABLE, NO_JSON, LOST_REQUEST, LOST_REPLY],
    ids=lambda fault: fault.name,
)
async def test_trouble_with_every_transaction_loses_and_doubles_nothing(
    proxy: Proxy, dynamodb_local: str, clients: Clients, fault: Fault
) -> None:
    rows = clients.rows(60)
    proxy.expect(first_sends(fault, 1, 2))
    await delivered(clients.usage(proxy.endpoint), [entry(row) for row in rows])
    assert len(proxy.calls) > len({call.body["ClientRequestToken"] for call in proxy.calls}) > 1
    assert await held(clients.usage(dynamodb_local), rows) == added_up(rows)


@pytest.mark.parametrize("fault", [THROTTLED, LOST_REPLY, CONFLICT], ids=lambda fault: fault.name)
@pytest.mark.parametrize("number", range(1, 6))
async def test_what_is_given_up_at_any_transaction_is_brought_again(
    proxy: Proxy, dynamodb_local: str, clients: Clients, fault: Fault, number: int
) -> None:
    rows = clients.rows(60)
    entries = [entry(row) for row in rows]
    proxy.expect(on_call(number, fault))
    usage = clients.usage(proxy.endpoint, patience_s=0.0)
    waiting = await usage.count(entries, NOVEMBER)
    if number <= 3:  # as many transactions as the batch takes at the least
        assert waiting
    assert waiting == entries[len(entries) - len(waiting) :]
    await delivered(clients.usage(dynamodb_local), waiting)
    assert await held(clients.usage(dynamodb_local), rows) == added_up(rows)


async def test_a_table_that_is_throttled_for_good_takes_nothing_and_all_waits(
    proxy: Proxy, dynamodb_local: str, clients: Clients
) -> None:
    rows = clients.rows(60)
    entries = [entry(row) for row in rows]
    proxy.expect(for_good(THROUGHPUT, "TransactWriteItems"))
    assert await clients.usage(proxy.endpoint, patience_s=0.1).count(entries, NOVEMBER) == entries
    assert await held(clients.usage(dynamodb_local), rows) == {}


async def test_a_process_that_dies_behind_any_transaction_leaves_nothing_to_be_counted_twice(
    dynamodb_local: str, clients: Clients
) -> None:
    rows = clients.rows()
    entries = [entry(row) for row in rows]
    table: Dying = clients.table(dynamodb_local, Dying)
    usage = DynamoUsage(table, 20.0)
    deaths = 0
    while True:
        # Each delivery of the whole batch gets one transaction further than the one before.
        table.dies_behind = deaths
        try:
            assert await usage.count(entries, NOVEMBER) == []
        except KilledError:
            deaths += 1
            continue
        break
    assert deaths > 3
    assert await held(clients.usage(dynamodb_local), rows) == added_up(rows)


async def test_reports_by_tag_model_and_sub_account_equal_the_ledger(dynamodb_local: str, clients: Clients) -> None:
    rows = clients.rows()
    usage = clients.usage(dynamodb_local)
    await delivered(usage, [entry(row) for row in rows])
    for by in ("tag", "model", "sub_account"):
        expected: defaultdict[str | None, int] = defaultdict(int)
        for row in rows:
            expected[row.get(by)] += row["amount"]
        span = [("from", str(NOVEMBER)), ("to", str(NOVEMBER + 3 * DAY_S))]
        asked = query.parse(clients.payer, by, span, NOVEMBER)
        made = await report.make(asked, usage.cells(asked.tenant, asked.cells, asked.start, asked.end))
        assert {row.group: row.counts.cost for row in made.rows} == expected
        assert made.total_cost == sum(row["amount"] for row in rows)
    for child in {row["sub_account"] for row in rows if "sub_account" in row}:
        total = Counts()
        async for page in usage.cells(child, "day", NOVEMBER, NOVEMBER + 3 * DAY_S):
            for _, counts in page:
                total.add(counts)
        assert total.cost == sum(row["amount"] for row in rows if row.get("sub_account") == child)
