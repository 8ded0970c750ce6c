"""The roll-up's handler, on records as Lambda brings them."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from typing_extensions import override

from aig.aws.table import dump
from aig.aws.usage import DynamoUsage
from aig.aws.wallets import DynamoWallets
from aig.usage import Counts
from aig.wiring import Container
from tests.apps import Handler, event
from tests.builders import an_account
from tests.logs import Log
from tests.unit.aws.memory_table import MemoryTable
from tests.unit.ledger_rows import DAY_S, NOVEMBER, added_up, debit

NOTHING_FAILED: Mapping[str, Any] = {"batchItemFailures": []}


def record(row: Mapping[str, Any], number: int, name: str = "INSERT") -> dict[str, Any]:
    """The record of a row's insertion, as in events/rollup.json."""
    (made,) = json.loads(json.dumps(event("rollup")))["Records"]
    image = dump(row)
    keys = {key: image[key] for key in ("pk", "sk")}
    made["eventName"] = name
    made["dynamodb"] |= {"NewImage": image, "Keys": keys, "SequenceNumber": str(number)}
    if name == "REMOVE":
        made["dynamodb"]["OldImage"] = made["dynamodb"].pop("NewImage")
    return made  # type: ignore[no-any-return]


async def total(container: Container, tenant: str) -> Counts:
    """What a tenant's days come to."""
    found = Counts()
    async for page in container.usage.cells(tenant, "day", 0, NOVEMBER + 99 * DAY_S):
        for _, counts in page:
            found.add(counts)
    return found


async def test_the_event_file_counts_once_however_often_it_comes(rollup: Handler, container: Container) -> None:
    sent = event("rollup")
    for _ in range(3):
        assert await rollup.invoke(sent) == NOTHING_FAILED
    tenant = sent["Records"][0]["dynamodb"]["Keys"]["pk"]["S"]
    found = await total(container, tenant)
    assert (found.requests, found.cost, found.units) == (1, 8400, {"input_tokens": 2, "output_tokens": 3})


async def test_only_debits_that_were_inserted_count(rollup: Handler, container: Container) -> None:
    tenant = container.ids.new("acct")
    credit = {"pk": tenant, "sk": "txn#topup_1", "kind": "credit", "amount": 5, "created_at": NOVEMBER}
    records = [
        record(debit(1, tenant), 1),
        record(credit, 2),
        record({"pk": tenant, "sk": "wallet", "available": 7, "held": 0}, 3),
        record(debit(2, tenant), 4, "MODIFY"),
        record(debit(3, tenant), 5, "REMOVE"),
        record(debit(4, tenant), 6),
    ]
    assert await rollup.invoke({"Records": records}) == NOTHING_FAILED
    assert (await total(container, tenant)).requests == 2


async def test_one_that_cannot_be_read_is_told_and_the_rest_count(
    rollup: Handler, container: Container, logged: Log
) -> None:
    tenant = container.ids.new("acct")
    fraction = record(debit(3, tenant), 3)
    fraction["dynamodb"]["NewImage"]["amount"] = {"N": "0.5"}
    records = [
        record(debit(1, tenant), 1),
        record(debit(2, tenant, units="["), 2),
        fraction,
        record(debit(4, tenant), 4),
    ]
    assert await rollup.invoke({"Records": records}) == NOTHING_FAILED
    assert (await total(container, tenant)).requests == 2
    assert logged.text.count("DebitUnreadable") >= 2
    assert "txn#txn_2" in logged.text


async def test_the_first_that_could_not_be_counted_is_named(rollup: Handler, container: Container) -> None:
    rows = [debit(number, tag=f"tag-{number}") for number in range(50)]
    table = MemoryTable(["done", "busy"])
    rollup.module.container = replace(rollup.module.container, usage=DynamoUsage(table))  # type: ignore[attr-defined]
    wallet = record({"pk": "acct_1", "sk": "wallet"}, 999)
    records: Sequence[Mapping[str, Any]] = [wallet, *(record(row, 1000 + at) for at, row in enumerate(rows))]
    assert await rollup.invoke({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "1033"}]}
    # From there on it comes again, and what was counted before does not come.
    assert await rollup.invoke({"Records": records[34:]}) == NOTHING_FAILED
    cells = {place: item["requests"] for place, item in table.items.items() if "requests" in item}
    assert len(cells) == len(added_up(rows))
    assert set(cells.values()) == {1}


async def test_of_a_debit_that_is_twice_in_a_batch_the_first_is_named(rollup: Handler) -> None:
    rollup.module.container = replace(rollup.module.container, usage=DynamoUsage(MemoryTable(["busy"])))  # type: ignore[attr-defined]
    records = [record(debit(), 7), record(debit(), 8)]
    assert await rollup.invoke({"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "7"}]}


async def test_what_is_not_the_store_being_busy_fails_the_batch(rollup: Handler) -> None:
    class Broken(MemoryTable):
        @override
        async def transact(self, actions: Sequence[dict[str, Any]], patience_s: float = 0.0) -> list[int]:
            raise PermissionError("AccessDeniedException")

    rollup.module.container = replace(rollup.module.container, usage=DynamoUsage(Broken()))  # type: ignore[attr-defined]
    with pytest.raises(PermissionError):
        await rollup.invoke({"Records": [record(debit(), 1)]})


async def test_an_account_whose_debits_made_its_balance_low_is_told_once(rollup: Handler, container: Container) -> None:
    poor, rich = await an_account(container, "0.90"), await an_account(container, "9.00")
    for number in range(3):
        records = [record(debit(number, account.id), number) for account in (poor, rich)]
        assert await rollup.invoke({"Records": records}) == NOTHING_FAILED
    told = {account.id: await container.events.page(account.id, limit=9) for account in (poor, rich)}
    assert [event.type for event in told[poor.id][0]] == ["balance.low"]
    assert told[rich.id][0] == []


async def test_a_wallet_that_cannot_be_seen_holds_nothing_up(
    rollup: Handler, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(DynamoWallets, "look", never)
    account = await an_account(container, "0.90")
    async with asyncio.timeout(10):
        assert await rollup.invoke({"Records": [record(debit(1, account.id), 1)]}) == NOTHING_FAILED
    assert (await total(container, account.id)).requests == 1
