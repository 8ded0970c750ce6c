"""Proving an account's books: every law of the ledger over all its rows, and the usage reports against the ledger."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from aig.aws.wallets import PLATFORM
from aig.sweep import CLOCK_SKEW_S
from aig.wiring import Container
from ops.books import Row, violations

HOLDS_KEPT_S = 6 * 24 * 3600  # a day less than they are
SWEPT_S = CLOCK_SKEW_S + 120  # behind its end a hold is void: the sweeper's allowance for clocks, and two of its runs
COUNTED_S = 120  # behind its debit a call is in the reports, if nothing is amiss


async def differences(container: Container, account_id: str) -> list[str]:
    """What does not add up, in words; nothing if all does. Raises ValueError for no such account, and StoreBusy."""
    if await container.keys.account(account_id) is None:
        raise ValueError(f"there is no account {account_id}")
    now = int(container.clock.now())
    own = await _partition(container, account_id)
    subs = [row["sk"].partition("#")[2] for row in own if row["sk"].startswith("sub#")]
    rows = [*own]
    for sub in subs:
        rows += await _partition(container, sub)
    losses = await container.table.query("pk = :pk", {":pk": PLATFORM})
    rows += [row for row in losses if row["account_id"] in (account_id, *subs)]
    return [
        *violations(rows, since=now - HOLDS_KEPT_S),
        *_overdue(rows, now),
        *await _usage(container, account_id, subs, rows, now),
    ]


async def _partition(container: Container, pk: str) -> list[dict[str, Any]]:
    return await container.table.query("pk = :pk", {":pk": pk})


def _overdue(rows: Iterable[Row], now: int) -> list[str]:
    return [
        f"{row['pk']}: {row['sk']} is past its time and still open"
        for row in rows
        if row["sk"].startswith("hold#") and row["phase"] == "held" and row["expires_at"] < now - SWEPT_S
    ]


async def _usage(
    container: Container, account_id: str, subs: Iterable[str], rows: Sequence[Row], now: int
) -> list[str]:
    """Of the payer and of each sub-account: what the cells of days come to, and its debits, by model and tag."""
    debits = [row for row in rows if row.get("kind") == "debit" and row["sk"].startswith("txn#")]
    if any(row["created_at"] > now - COUNTED_S for row in debits):
        return []  # they may be on their way
    found = []
    for tenant in (account_id, *subs):
        ledger, cells = Counter[tuple[str, str | None]](), Counter[tuple[str, str | None]]()
        for row in debits:
            if tenant in (account_id, row.get("sub_account")):
                ledger[row["model"], row.get("tag")] += row["amount"]
        async for page in container.usage.cells(tenant, "day", 0, now + 1):
            for cell, counts in page:
                cells[cell.model, cell.tag] += counts.cost
        for model, tag in ledger.keys() | cells.keys():
            told, true = cells[model, tag], ledger[model, tag]
            if told != true:
                found.append(f"{tenant}: {model} with the tag {tag} is {told} in the reports, {true} by the ledger")
    return found
