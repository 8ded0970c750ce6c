"""Counting what the roll-up missed, from the ledger."""

from aig.ports import StoreBusy
from aig.usage import entry
from aig.wiring import Container

# A day less than the marks of what has been counted are kept: without its mark a debit would count twice.
REPAIRABLE_S = 7 * 86_400


async def repair(container: Container, account_id: str) -> int:
    """Bring the debits of an account's last seven days to be counted; those that are counted stay as they are.

    How many there were. Raises Unreadable for a row that is no debit, and StoreBusy.
    """
    now = int(container.clock.now())
    found = 0
    ledger = {":pk": account_id, ":prefix": "txn#"}
    async for page in container.table.pages("pk = :pk AND begins_with(sk, :prefix)", ledger):
        recent = [row for row in page if row["kind"] == "debit" and row["created_at"] >= now - REPAIRABLE_S]
        if await container.usage.count([entry(row) for row in recent], now):
            raise StoreBusy("the usage table is busy: do it again, it begins where it was")
        found += len(recent)
    return found
