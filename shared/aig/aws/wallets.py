"""Wallets, holds and ledger rows: every movement of money is one transaction here.

Items, all under the account's own partition:
  wallet             available, held
  key#<id>           spent, and room where the key has a cap (written when the key is made: aws/keys.py)
  rate#<id>#<minute> hits
  hold#<request>     phase held | posted | void, amount, prices, expires_at; in the index `expiry` while held
  txn#<id>           a ledger row
and under the platform's partition loss#<id>.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from aig import limits
from aig.aws.json_api import PATIENCE_S
from aig.aws.table import Table
from aig.keys import Caller
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Credit, Debit, KeySpend, Loss, Wallet
from aig.money.pricing import Prices
from aig.money.units import Nano
from aig.ports import HoldRefused, Limit, StoreBusy

PLATFORM = "platform"
EXPIRY_BUCKETS = 4  # a partition of the index takes 1,000 writes a second; the sweeper reads them all
_RESOLVED_HOLD_KEPT_S = 7 * 24 * 3600


def _bucket(request_id: str) -> str:
    return f"open#{hashlib.sha256(request_id.encode()).digest()[0] % EXPIRY_BUCKETS}"


class DynamoWallets:
    def __init__(self, table: Table, settle_patience_s: float = 20.0) -> None:
        self._table = table
        self._settle_patience_s = settle_patience_s

    async def take(self, hold: Hold, caller: Caller) -> None:
        account, amount = hold.account_id, {":amount": hold.amount}
        actions: list[dict[str, Any]] = [self._table.put_action(_hold_item(hold))]
        meaning: list[Limit | None] = [None]
        if caller.rpm is not None:
            actions.append(self._rate_action(hold, caller.rpm))
            meaning.append("rate")
        actions.append(
            self._table.update_action(
                account,
                "wallet",
                "SET available = available - :amount, held = held + :amount",
                amount,
                "available >= :amount",
            )
        )
        meaning.append("balance")
        if hold.capped:
            actions.append(
                self._table.update_action(
                    account, f"key#{hold.key_id}", "SET room = room - :amount", amount, "room >= :amount"
                )
            )
            meaning.append("cap")
        failed = await self._table.transact(actions)
        if failed:
            raise HoldRefused([limit for at in failed if (limit := meaning[at])])

    def _rate_action(self, hold: Hold, rpm: int) -> dict[str, Any]:
        minute = limits.window(hold.created_at)
        return self._table.update_action(
            hold.account_id,
            f"rate#{hold.key_id}#{minute}",
            "SET #ttl = :ttl ADD hits :one",
            {":ttl": limits.window_ends(minute) + 600, ":one": 1, ":limit": rpm},
            "attribute_not_exists(hits) OR hits < :limit",
            ttl="ttl",
        )

    async def charge(self, hold: Hold, caller: Caller, settlement: Settlement, debit: Debit) -> None:
        account, amount, table = hold.account_id, {":amount": settlement.charged}, self._table
        actions = [
            table.put_action(_resolved_item(hold, settlement.charged)),
            table.put_action(_debit_item(account, hold.key_id, debit)),
            table.update_action(
                account, "wallet", "SET available = available - :amount", amount, "available >= :amount"
            ),
        ]
        meaning: list[Limit | None] = [None, None, "balance"]
        key = f"key#{hold.key_id}"
        if hold.capped:
            spend = "SET room = room - :amount ADD spent :amount"
            actions.append(table.update_action(account, key, spend, amount, "room >= :amount"))
            meaning.append("cap")
        elif settlement.charged:
            actions.append(table.update_action(account, key, "ADD spent :amount", amount))
            meaning.append(None)
        if caller.rpm is not None:
            actions.append(self._rate_action(hold, caller.rpm))
            meaning.append("rate")
        try:
            failed = await table.transact(actions)
        except StoreBusy:
            # The reply may be what was lost, and who has been charged must have the answer.
            if await table.get(account, f"hold#{hold.request_id}") is None:
                raise
            return
        if failed:
            raise HoldRefused([limit for at in failed if (limit := meaning[at])])

    async def post(self, hold: Hold, settlement: Settlement, debit: Debit, *losses: Loss) -> bool:
        entry = self._table.put_action(_debit_item(hold.account_id, hold.key_id, debit))
        return await self._resolve(hold, "posted", settlement.released, settlement.charged, [entry], losses)

    async def void(self, hold: Hold, *losses: Loss) -> bool:
        return await self._resolve(hold, "void", hold.amount, Nano(0), [], losses)

    async def _resolve(
        self,
        hold: Hold,
        phase: str,
        released: Nano,
        charged: Nano,
        entries: list[dict[str, Any]],
        losses: Sequence[Loss],
    ) -> bool:
        account, table = hold.account_id, self._table
        resolve = table.update_action(
            account,
            f"hold#{hold.request_id}",
            "SET phase = :phase, charged = :charged, #ttl = :ttl REMOVE expiry_bucket",
            {":phase": phase, ":charged": charged, ":ttl": hold.expires_at + _RESOLVED_HOLD_KEPT_S, ":held": "held"},
            "phase = :held",
            ttl="ttl",
        )
        wallet = table.update_action(
            account,
            "wallet",
            "SET available = available + :released, held = held - :amount",
            {":released": released, ":amount": hold.amount},
        )
        actions = [resolve, wallet, *entries]
        key = f"key#{hold.key_id}"
        if hold.capped:
            actions.append(
                table.update_action(
                    account,
                    key,
                    "SET room = room + :released ADD spent :charged",
                    {":released": released, ":charged": charged},
                )
            )
        elif charged:
            actions.append(table.update_action(account, key, "ADD spent :charged", {":charged": charged}))
        actions += [table.put_action(_loss_item(loss)) for loss in losses]
        # A run that was delivered is worth more patience than a hold, which the sweeper gives back.
        patience = self._settle_patience_s if phase == "posted" else PATIENCE_S
        return not await table.transact(actions, patience)

    async def credit(self, account_id: str, credit: Credit) -> bool:
        row: dict[str, Any] = {
            "pk": account_id,
            "sk": f"txn#{credit.id}",
            "kind": "credit",
            "amount": credit.amount,
            "origin": credit.source,
            "note": credit.note,
            "created_at": credit.created_at,
        }
        add = self._table.update_action(account_id, "wallet", "ADD available :amount, held :zero", {
            ":amount": credit.amount, ":zero": 0,
        })  # fmt: skip
        return not await self._table.transact([self._table.put_action(row), add])

    async def wallet(self, account_id: str) -> Wallet:
        item = await self._table.get(account_id, "wallet") or {}
        return Wallet(Nano(item.get("available", 0)), Nano(item.get("held", 0)))

    async def key_spend(self, account_id: str, key_id: str) -> KeySpend:
        item = await self._table.get(account_id, f"key#{key_id}") or {}
        spent, cap = item.get("spent", 0), item.get("cap")
        if cap is None:
            return KeySpend(Nano(spent))
        room = item["room"]
        return KeySpend(Nano(spent), Nano(room), Nano(cap - room - spent))

    async def expired(self, now: int) -> Sequence[Hold]:
        found: list[Hold] = []
        for bucket in range(EXPIRY_BUCKETS):
            items = await self._table.query(
                "expiry_bucket = :bucket AND expires_at < :now",
                {":bucket": f"open#{bucket}", ":now": now},
                index="expiry",
            )
            found += [_load_hold(item) for item in items]
        return found


def _hold_item(hold: Hold) -> dict[str, Any]:
    return {
        "pk": hold.account_id,
        "sk": f"hold#{hold.request_id}",
        "phase": "held",
        "key_id": hold.key_id,
        "amount": hold.amount,
        "model": hold.model,
        "prices": json.dumps({key: prices.to_json() for key, prices in hold.prices.items()}, separators=(",", ":")),
        "capped": hold.capped,
        "created_at": hold.created_at,
        "expires_at": hold.expires_at,
        "expiry_bucket": _bucket(hold.request_id),
    }


def _resolved_item(hold: Hold, charged: Nano) -> dict[str, Any]:
    """A hold that was never open, as `post` would have left it."""
    item = {name: value for name, value in _hold_item(hold).items() if name != "expiry_bucket"}
    return {**item, "phase": "posted", "charged": charged, "ttl": hold.expires_at + _RESOLVED_HOLD_KEPT_S}


def _load_hold(item: dict[str, Any]) -> Hold:
    return Hold(
        request_id=item["sk"].partition("#")[2],
        account_id=item["pk"],
        key_id=item["key_id"],
        amount=Nano(item["amount"]),
        model=item["model"],
        prices={key: Prices.from_json(table) for key, table in json.loads(item["prices"]).items()},
        created_at=item["created_at"],
        expires_at=item["expires_at"],
        capped=item["capped"],
    )


def _debit_item(account_id: str, key_id: str, debit: Debit) -> dict[str, Any]:
    return {
        "pk": account_id,
        "sk": f"txn#{debit.id}",
        "kind": "debit",
        "amount": debit.amount,
        "upstream_cost": debit.upstream_cost,
        "request_id": debit.request_id,
        "key_id": key_id,
        "model": debit.model,
        "provider": debit.provider,
        "units": json.dumps(dict(debit.usage.units), separators=(",", ":")),
        "estimated": debit.usage.estimated,
        "service_tier": debit.usage.service_tier,
        "tag": debit.tag,
        "cache_hit": debit.cache_hit,
        "created_at": debit.created_at,
    }


def _loss_item(loss: Loss) -> dict[str, Any]:
    return {
        "pk": PLATFORM,
        "sk": f"loss#{loss.id}",
        "request_id": loss.request_id,
        "account_id": loss.account_id,
        "model": loss.model,
        "provider": loss.provider,
        "amount": loss.amount,
        "reason": loss.reason,
        "created_at": loss.created_at,
    }
