"""The ledger: txn#<id> under the account that pays, and the movements that are not a call's.

refunds#<credit id> counts what of a credit has gone back; the rows themselves are never changed. One item is no
tenant's: payment#<source>#<the payment's id>, sk payment, says whose money it was, and that it has been credited.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aig.aws.events import event_item
from aig.aws.shards import Shards
from aig.aws.table import Table
from aig.events import Event
from aig.money.ledger import DEFAULT_LOW_THRESHOLD, PREFIXES, Adjustment, Credit, Entry, Kind, Refund, Wallet, signed
from aig.money.units import Nano
from aig.ports import NotCovered
from aig.thresholds import Marker

_KEYS = frozenset({"pk", "sk", "kind", "amount", "created_at"})


def credit_actions(table: Table, account_id: str, credit: Credit, top_up_id: str | None = None) -> list[dict[str, Any]]:
    """A credit's row, the wallet that it fills and in which nothing has been told of, and whose payment it was."""
    row: dict[str, Any] = {
        "pk": account_id,
        "sk": f"txn#{credit.id}",
        "kind": "credit",
        "amount": credit.amount,
        "origin": credit.source,
        "note": credit.note,
        "payment": credit.payment,
        "created_at": credit.created_at,
    }
    actions = [table.put_action(row), _comes_in(table, account_id, credit.amount)]
    if credit.payment is not None:
        pk, sk = payment_key(credit.source, credit.payment)
        actions.append(table.put_action({"pk": pk, "sk": sk, "account_id": account_id, "top_up_id": top_up_id}))
    return actions


def payment_key(source: str, payment: str) -> tuple[str, str]:
    """Of the item that stands for a payment."""
    return f"payment#{source}#{payment}", "payment"


def refund_actions(table: Table, account_id: str, refund: Refund) -> list[dict[str, Any]]:
    """A refund's row, and last the wallet that it leaves smaller, if it has a part in it."""
    row: dict[str, Any] = {
        "pk": account_id,
        "sk": f"txn#{refund.id}",
        "kind": "refund",
        "amount": refund.amount,
        "credit_id": refund.credit_id,
        "uncovered": refund.uncovered,
        "origin": refund.source,
        "note": refund.note,
        "created_at": refund.created_at,
    }
    return [table.put_action(row), *([_goes_out(table, account_id, refund.amount)] if refund.amount else [])]


def _comes_in(table: Table, account_id: str, amount: int) -> dict[str, Any]:
    return table.update_action(
        account_id,
        "wallet",
        "ADD available :amount, held :zero, era :one REMOVE low, exhausted",
        {":amount": amount, ":zero": 0, ":one": 1},
    )


def _goes_out(table: Table, account_id: str, amount: int) -> dict[str, Any]:
    return table.update_action(
        account_id, "wallet", "SET available = available - :amount", {":amount": amount}, "available >= :amount"
    )


def load_wallet(item: Mapping[str, Any]) -> Wallet:
    """The wallet row, as it is read or as it stands in a record of the table's stream."""
    return Wallet(
        Nano(item.get("available", 0)),
        Nano(item.get("held", 0)),
        Nano(item.get("low_threshold", DEFAULT_LOW_THRESHOLD)),
        "low" in item,
        "exhausted" in item,
        item.get("era", 0),
    )


class DynamoLedger:
    def __init__(self, table: Table, shards: Shards) -> None:
        self._table = table
        self._shards = shards

    async def adjust(self, account_id: str, adjustment: Adjustment) -> bool:
        """False if it was made before. Raises NotCovered where the wallet has less than is to be taken away."""
        row: dict[str, Any] = {
            "pk": account_id,
            "sk": f"txn#{adjustment.id}",
            "kind": "adjustment",
            "amount": adjustment.amount,
            "note": adjustment.note,
            "created_at": adjustment.created_at,
        }
        booked, amount = self._table.put_action(row), adjustment.amount
        if amount > 0:
            return self._done(await self._table.transact([booked, _comes_in(self._table, account_id, amount)]))
        actions = [booked, _goes_out(self._table, account_id, -amount)]
        return self._done(await self._shards.take_out(account_id, -amount, actions, at=1))

    async def refund(self, account_id: str, refund: Refund) -> bool:
        """Part of a credit, or all that is left of it, goes back. False if this refund was made before.

        Raises NotCovered where that is more than the wallet or the credit still has, LookupError for no such credit.
        """
        credit = await self._table.get(account_id, f"txn#{refund.credit_id}")
        if credit is None or credit["kind"] != "credit":
            raise LookupError(refund.credit_id)
        most = credit["amount"] - refund.amount
        if most < 0:
            raise NotCovered
        count = self._table.update_action(
            account_id,
            f"refunds#{refund.credit_id}",
            "ADD refunded :amount",
            {":amount": refund.amount, ":most": most},
            "attribute_not_exists(refunded) OR refunded <= :most",
        )
        actions = [*refund_actions(self._table, account_id, refund), count]
        return self._done(await self._shards.take_out(account_id, refund.amount, actions, at=1))

    @staticmethod
    def _done(failed: Sequence[int]) -> bool:
        if failed and 0 not in failed:
            raise NotCovered
        return not failed

    async def set_low_threshold(self, account_id: str, threshold: Nano) -> bool:
        """False if there is no such wallet. The account will be told anew."""
        return await self._table.update_if(
            account_id,
            "wallet",
            "SET low_threshold = :threshold ADD era :one REMOVE low",
            {":threshold": threshold, ":one": 1},
            "attribute_exists(pk)",
        )

    async def mark(self, marker: Marker, wallet: Wallet, event: Event, patience_s: float) -> bool:
        """Tell an account of its wallet as it was seen. False if it has been told since money came in last."""
        era = "era = :era" if wallet.era else "attribute_not_exists(era)"
        values: dict[str, Any] = {":event": event.id, **({":era": wallet.era} if wallet.era else {})}
        told = self._table.update_action(
            event.account_id,
            "wallet",
            f"SET {marker} = :event",
            values,
            f"attribute_not_exists({marker}) AND {era} AND attribute_exists(pk)",
        )
        return not await self._table.transact([told, self._table.put_action(event_item(event))], patience_s)

    async def page(
        self, account_id: str, *, limit: int, after: str | None = None, kind: Kind | None = None
    ) -> tuple[list[Entry], bool]:
        """The newest first, those older than the row `after`; and whether there are more."""
        behind = after.rpartition("_")[2] if after else None
        prefixes = [PREFIXES[kind]] if kind else list(PREFIXES.values())
        pages = await asyncio.gather(
            *(self._table.page(account_id, f"txn#{one}_", limit=limit, after=behind) for one in prefixes)
        )
        rows = sorted((_entry(item) for items, _ in pages for item in items), key=_by_time, reverse=True)
        return rows[:limit], len(rows) > limit or any(more for _, more in pages)

    async def entry(self, account_id: str, entry_id: str) -> Entry | None:
        item = await self._table.get(account_id, f"txn#{entry_id}")
        return _entry(item) if item else None


def _by_time(entry: Entry) -> str:
    return entry.id.rpartition("_")[2]


def _entry(item: Mapping[str, Any]) -> Entry:
    more = {name: value for name, value in item.items() if name not in _KEYS}
    if "units" in more:
        more["units"] = json.loads(more["units"])
    kind: Kind = item["kind"]
    return Entry(item["sk"].partition("#")[2], kind, signed(kind, item["amount"]), item["created_at"], more)
