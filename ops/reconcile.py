"""Proving an account's books: every law of the ledger over all its rows, and the usage reports against the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from aig.aws.wallets import PLATFORM
from aig.sweep import CLOCK_SKEW_S
from aig.wiring import Container
from ops.books import Row, violations

HOLDS_KEPT_S = 6 * 24 * 3600  # a day less than they are
SWEPT_S = CLOCK_SKEW_S + 120  # behind its end a hold is void: the sweeper's allowance for clocks, and two of its runs
COUNTED_S = 120  # behind its debit a call is in the reports, if nothing is amiss
_Costs = Counter[tuple[str, str | None]]  # nano-USD by model and tag


async def differences(container: Container, account_id: str) -> list[str]:
    """What does not add up, in words; nothing if all does. Raises ValueError for no such account, and StoreBusy."""
    if await container.keys.account(account_id) is None:
        raise ValueError(f"there is no account {account_id}")
    now = int(container.clock.now())
    pk = {":pk": account_id}
    subs = await container.table.query("pk = :pk AND begins_with(sk, :sub)", {**pk, ":sub": "sub#"}, consistent=True)
    tenants = [account_id, *(row["sk"].partition("#")[2] for row in subs)]
    # Reports before the ledger: what is posted between the two is in the ledger alone, as what is on its way is.
    told = {tenant: await _told(container, tenant, now) for tenant in tenants}
    rows: list[dict[str, Any]] = []
    for tenant in tenants:
        rows += await container.table.query("pk = :pk", {":pk": tenant}, consistent=True)
    losses = await container.table.query(
        "pk = :pk AND begins_with(sk, :loss)", {":pk": PLATFORM, ":loss": "loss#"}, consistent=True
    )
    rows += [row for row in losses if row["account_id"] in tenants]
    return [
        *violations(rows, since=now - HOLDS_KEPT_S),
        *_overdue(rows, now),
        *_unlike(told, rows, now),
    ]


async def _told(container: Container, tenant: str, now: int) -> _Costs:
    """What a tenant's cells of days come to."""
    told = _Costs()
    async for page in container.usage.cells(tenant, "day", 0, now + 1):
        for cell, counts in page:
            told[cell.model, cell.tag] += counts.cost
    return told


def _overdue(rows: Iterable[Row], now: int) -> list[str]:
    return [
        f"{row['pk']}: {row['sk']} is past its time and still open"
        for row in rows
        if row["sk"].startswith("hold#") and row["phase"] == "held" and row["expires_at"] < now - SWEPT_S
    ]


def _unlike(told: Mapping[str, _Costs], rows: Iterable[Row], now: int) -> list[str]:
    """Where a tenant's reports are not its ledger. The debits of the last minutes may be in them or on their way."""
    debits = [row for row in rows if row.get("kind") == "debit" and row["sk"].startswith("txn#")]
    found = []
    for tenant, reports in told.items():
        ledger, recent = _Costs(), _Costs()
        for row in debits:
            if tenant in (row["pk"], row.get("sub_account")):
                name = row["model"], row.get("tag")
                ledger[name] += row["amount"]
                recent[name] += row["amount"] if row["created_at"] > now - COUNTED_S else 0
        for model, tag in ledger.keys() | reports.keys():
            most = ledger[model, tag]
            if not most - recent[model, tag] <= reports[model, tag] <= most:
                figures = f"{reports[model, tag]} in the reports, {most} by the ledger"
                found.append(f"{tenant}: {model} with the tag {tag} is {figures}")
    return found
