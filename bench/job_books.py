"""Whether all that was asked for was made once and paid for once, by the rows that it left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aig import keys
from aig.money.units import Nano, usd
from aig.wiring import Container
from ops import reconcile


@dataclass(frozen=True)
class Books:
    """Amounts in nano-USD. `differences` is what the operator's own command finds amiss."""

    statuses: Counter[str]
    credited: int
    available: int
    held: int
    debits: int
    costs: int
    charged_twice: int  # completed jobs that have not exactly one debit, others that have any
    slots: Mapping[str, int]
    told: Counter[str]  # events by type
    differences: Sequence[str]

    @property
    def completed(self) -> int:
        return self.statuses["completed"]

    @property
    def failed(self) -> int:
        return self.statuses["failed"]

    def wrong(self, submissions: Counter[str]) -> list[str]:
        """What does not add up, in words."""
        found = [f"{count} jobs are {status}" for status, count in self.statuses.items() if status in _LIVE]
        found += [f"{job} was submitted {count} times" for job, count in submissions.items() if count != 1]
        if not self.credited - self.available == self.debits == self.costs:
            found.append(f"{self.credited - self.available} left, {self.debits} debited, {self.costs} by the jobs")
        if self.held or self.charged_twice:
            found.append(f"{self.held} still held, {self.charged_twice} jobs not charged as they ended")
        found += [f"{name} says {used}" for name, used in self.slots.items() if used]
        if self.told["job.completed"] != self.completed or self.told["job.failed"] != self.failed:
            found.append(f"the events are {dict(self.told)}")
        return [*found, *self.differences]

    def text(self, submissions: Counter[str]) -> str:
        """The same as sentences of a page."""
        lines = [
            f"submissions: {submissions.total()} for {len(submissions)} jobs, {max(submissions.values())} at most",
            f"money that left the wallet {usd(Nano(self.credited - self.available))}, sum of the debits "
            f"{usd(Nano(self.debits))}, sum of the jobs' costs {usd(Nano(self.costs))} USD",
            f"still held {usd(Nano(self.held))} USD; jobs not charged as they ended: {self.charged_twice}",
            f"places taken at providers: {', '.join(f'{used} in {name}' for name, used in self.slots.items())}",
            f"events: {', '.join(f'{count} {name}' for name, count in sorted(self.told.items()))}",
            f"what `make ops ARGS='reconcile'` finds amiss: {len(self.differences)}",
        ]
        wrong = self.wrong(submissions)
        return "\n".join(f"- {line}" for line in [*lines, *(f"WRONG: {what}" for what in wrong)])


_LIVE = ("queued", "processing")


async def audit(container: Container, key: str, platform: str) -> Books:
    """The account of a key. Raises StoreBusy."""
    secret = keys.parse(key)
    assert secret is not None
    found = await container.keys.find(secret.public_id)
    assert found is not None
    account_id = found.account_id
    rows = await container.table.query("pk = :pk", {":pk": account_id}, consistent=True)
    ours = await container.table.query(
        "pk = :pk AND begins_with(sk, :slots)", {":pk": platform, ":slots": "slots#"}, consistent=True
    )

    def of(prefix: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["sk"].startswith(prefix)]

    jobs = of("job#")
    debits = [row for row in of("txn#") if row["kind"] == "debit"]
    charges = Counter(row["request_id"] for row in debits)
    wallets = of("wallet")
    return Books(
        statuses=Counter(row["status"] for row in jobs),
        credited=sum(row["amount"] for row in rows if row.get("kind") == "credit"),
        available=sum(int(row["available"]) for row in wallets),
        held=sum(int(row["held"]) for row in wallets),
        debits=sum(row["amount"] for row in debits),
        costs=sum(row.get("cost", 0) for row in jobs),
        charged_twice=sum(charges[row["request_id"]] != (row["status"] == "completed") for row in jobs),
        slots={f"{row['pk'][:8]} {row['sk']}": row["used"] for row in [*ours, *of("slots#")]},
        told=Counter(row["type"] for row in of("event#")),
        differences=await reconcile.differences(container, account_id),
    )
