"""Wallets, holds and ledger rows: every movement of money is one transaction here.

Items under the partition of the tenant, whose key made the call:
  rate#<owner>#<minute>   hits
  spend#<owner>#<period>  used (spent, and held where the owner has a cap), spent, told_cap (which notice was written);
                          and …#<shard> where the wallet is sharded and no cap binds
  hold#<request>          phase held | posted | void, amount, shard, prices, expires_at; in `expiry` while held
under that of the account that pays, which is the tenant or the parent of the sub-account that it is:
  wallet, wallet#<shard>  available, held (aws/shards.py); the first: low_threshold, low, exhausted, era (aws/ledger.py)
  free#<day>              hits of the free tier
  txn#<id>                a ledger row
and under the platform's partition loss#<id>.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic_core import to_json

from aig import limits
from aig.aws.events import event_item
from aig.aws.jobs import DynamoJobs
from aig.aws.json_api import PATIENCE_S
from aig.aws.ledger import DynamoLedger, credit_actions, load_wallet
from aig.aws.records import DynamoRecords
from aig.aws.shards import Refused, Shards, counter_key, shard_key
from aig.aws.table import Table
from aig.clock import Clock, SystemClock
from aig.events import Event
from aig.jobs.job import Ending, Placed
from aig.keys import Caller
from aig.limits import Limits
from aig.money.hold import Hold, Settlement
from aig.money.ledger import Credit, Debit, Loss, Spend, Wallet
from aig.money.pricing import Prices
from aig.money.shards import Taking
from aig.money.units import Nano
from aig.ports import HoldRefused, Limit, StoreBusy
from aig.records import Record
from aig.thresholds import Marker

PLATFORM = "platform"
EXPIRY_BUCKETS = 4  # a partition of the index takes 1,000 writes a second; the sweeper reads them all
_TELL_PATIENCE_S = 0.5  # of a client who is being refused
_RESOLVED_HOLD_KEPT_S = 7 * 24 * 3600
_COUNTER_KEPT_S = 600  # behind the window that it counts


def _bucket(request_id: str) -> str:
    return f"open#{hashlib.sha256(request_id.encode()).digest()[0] % EXPIRY_BUCKETS}"


class DynamoWallets:
    """`free_requests` is how many a day of the free tier an account has."""

    def __init__(
        self,
        table: Table,
        records: DynamoRecords,
        settle_patience_s: float = 20.0,
        free_requests: int = 0,
        clock: Clock | None = None,
    ) -> None:
        self._table = table
        self._records = records
        self._jobs = DynamoJobs(table)
        self._settle_patience_s = settle_patience_s
        self._free_requests = free_requests
        self.shards = Shards(table, clock or SystemClock())
        self._ledger = DynamoLedger(table, self.shards)

    async def take(self, hold: Hold, caller: Caller, placed: Placed | None = None) -> Hold:
        ordered = self._jobs.put_actions(placed) if placed else []

        async def attempt(taking: Taking) -> Refused | None:
            placed = hold.on(taking.at)
            first = [self._table.put_action(_hold_item(placed)), *ordered]
            return await self._attempt(placed, first, [*self._takings(placed, caller, taking)])

        payer, name = hold.payer_id, hold.request_id
        taking = await self.shards.covering(payer, hold.amount, name, caller.wallet_shards, attempt)
        return hold.on(taking.at)

    async def _transact(
        self, hold: Hold, actions: list[dict[str, Any]], hot: Sequence[int], patience_s: float
    ) -> dict[int, dict[str, Any]]:
        """What it meets of others at the positions `hot` counts as the wallet's heat."""
        watch = self.shards.watch(hold.payer_id, hot)
        try:
            return await self._table.transact_telling(actions, patience_s, watch.trouble)
        finally:
            watch.over()

    async def charge(
        self, hold: Hold, caller: Caller, settlement: Settlement, debit: Debit, record: Record | None = None
    ) -> None:
        async def attempt(taking: Taking) -> Refused | None:
            return await self._charge(hold.on(taking.at), caller, taking, settlement.charged, debit, record)

        payer = hold.payer_id
        await self.shards.covering(payer, hold.amount, hold.request_id, caller.wallet_shards, attempt)
        if self.shards.hot(payer):
            await self.shards.grow(payer)

    async def _charge(
        self, hold: Hold, caller: Caller, taking: Taking, charged: Nano, debit: Debit, record: Record | None
    ) -> Refused | None:
        counted = [
            self._table.update_action(
                hold.account_id,
                counter_key(name, hold.shard, hold.capped),
                "ADD used :charged, spent :charged",
                {":charged": charged},
            )
            for name in hold.spends
            if charged and name not in hold.capped
        ]
        first = [
            self._table.put_action(_resolved_item(hold, charged)),
            self._table.put_action(_debit_item(hold, debit)),
            *self._kept(record),
        ]
        try:
            takings = list(self._takings(hold, caller, taking, at_once=True))
            return await self._attempt(hold, first, takings, counted)
        except StoreBusy:
            # The reply may be what was lost, and who has been charged must have the answer.
            if await self._table.get(hold.account_id, f"hold#{hold.request_id}") is None:
                raise
            return None

    async def _attempt(
        self,
        hold: Hold,
        first: list[dict[str, Any]],
        takings: Sequence[tuple[dict[str, Any], Limit]],
        counted: Sequence[dict[str, Any]] = (),
    ) -> Refused | None:
        """`first`, what may refuse, and counters that are sharded with the wallet, all or none; None if it is done."""
        actions = [*first, *(action for action, _ in takings), *counted]
        wallet = [at for at, (_, limit) in enumerate(takings, len(first)) if limit == "balance"]
        hot = [*wallet, *range(len(first) + len(takings), len(actions))]
        failed = await self._transact(hold, actions, hot, PATIENCE_S)
        if not failed:
            return None
        shards = max((item.get("shards", 1) for at, item in failed.items() if at in wallet), default=1)
        return Refused(frozenset(takings[at - len(first)][1] for at in failed if at >= len(first)), shards)

    def _takings(
        self, hold: Hold, caller: Caller, taking: Taking, *, at_once: bool = False
    ) -> Iterator[tuple[dict[str, Any], Limit]]:
        """What a hold takes from rates, free tier, wallet and caps, each with the limit that may refuse it.

        With `at_once` it is spent as it is taken. Raises HoldRefused where nobody has to ask.
        """
        table, tenant, payer, amount = self._table, hold.account_id, hold.payer_id, hold.amount
        minute = limits.window(hold.created_at)
        for one in caller.limits:
            if one.rpm is not None:
                ends = limits.window_ends(minute)
                yield table.count_action(tenant, f"rate#{one.owner}#{minute}", one.rpm, ends + _COUNTER_KEPT_S), "rate"
        if hold.free:
            day = limits.period(hold.created_at, "daily")
            assert day.ends_at is not None
            expires = day.ends_at + _COUNTER_KEPT_S
            yield table.count_action(payer, f"free#{day.name}", self._free_requests, expires), "free"
        if amount:
            for action in self.shards.paying(payer, taking, amount, held=0 if at_once else amount):
                yield action, "balance"
        for one in caller.limits:
            name = f"{one.owner}#{limits.period(hold.created_at, one.reset).name}"
            if one.cap is None or name not in hold.capped:
                continue
            limit: Limit = "sub_account_cap" if one.owner == tenant else "cap"
            if amount > one.cap:  # a counter that is not there yet would let it through
                raise HoldRefused([limit])
            yield (
                table.update_action(
                    tenant,
                    f"spend#{name}",
                    f"ADD used :amount{', spent :amount' if at_once else ''}",
                    {":amount": amount, ":most": one.cap - amount},
                    "attribute_not_exists(used) OR used <= :most",
                ),
                limit,
            )

    async def post(
        self,
        hold: Hold,
        settlement: Settlement,
        debit: Debit,
        *losses: Loss,
        record: Record | None = None,
        ending: Ending | None = None,
    ) -> bool:
        entries = [self._table.put_action(_debit_item(hold, debit)), *self._kept(record), *self._ended(ending)]
        return await self._resolve(hold, "posted", settlement.released, settlement.charged, entries, losses)

    async def void(self, hold: Hold, *losses: Loss, record: Record | None = None, ending: Ending | None = None) -> bool:
        entries = [*self._kept(record), *self._ended(ending)]
        return await self._resolve(hold, "void", hold.amount, Nano(0), entries, losses)

    async def held(self, account_id: str, request_id: str) -> Hold | None:
        item = await self._table.get(account_id, f"hold#{request_id}")
        return _load_hold(item) if item and item["phase"] == "held" else None

    def _ended(self, ending: Ending | None) -> list[dict[str, Any]]:
        return [] if ending is None else self._jobs.end_actions(ending)

    def _kept(self, record: Record | None) -> list[dict[str, Any]]:
        return [] if record is None else self._records.put_actions(record)

    async def _resolve(
        self,
        hold: Hold,
        phase: str,
        released: Nano,
        charged: Nano,
        entries: list[dict[str, Any]],
        losses: Sequence[Loss],
    ) -> bool:
        table = self._table
        resolve = table.update_action(
            hold.account_id,
            f"hold#{hold.request_id}",
            "SET phase = :phase, charged = :charged, #ttl = :ttl REMOVE expiry_bucket",
            {":phase": phase, ":charged": charged, ":ttl": hold.expires_at + _RESOLVED_HOLD_KEPT_S, ":held": "held"},
            "phase = :held",
            ttl="ttl",
        )
        actions, hot = [resolve, *entries], list[int]()
        if hold.amount:
            hot.append(len(actions))
            actions.append(
                table.update_action(
                    hold.payer_id,
                    shard_key(hold.shard),
                    "SET available = available + :released, held = held - :amount",
                    {":released": released, ":amount": hold.amount},
                )
            )
        for name in hold.spends:
            used = charged - hold.amount if name in hold.capped else charged
            if used or charged:
                if name not in hold.capped:
                    hot.append(len(actions))
                counter = counter_key(name, hold.shard, hold.capped)
                values = {":used": used, ":charged": charged}
                actions.append(table.update_action(hold.account_id, counter, "ADD used :used, spent :charged", values))
        actions += [table.put_action(_loss_item(loss)) for loss in losses]
        # A run that was delivered is worth more patience than a hold, which the sweeper gives back.
        patience = self._settle_patience_s if phase == "posted" else PATIENCE_S
        resolved = self._transact(hold, actions, hot, patience)
        if phase == "posted" and self.shards.hot(hold.payer_id):
            failed, _ = await asyncio.gather(resolved, self.shards.grow(hold.payer_id))
            return not failed
        return not await resolved

    async def tell_spend_exceeded(self, account_id: str, counter: str, cap: int, event: Event) -> bool:
        mark = self._table.update_action(
            account_id,
            f"spend#{counter}",
            "SET told_cap = :cap",
            {":cap": cap},
            "attribute_not_exists(told_cap) OR told_cap <> :cap",
        )
        return not await self._table.transact([mark, self._table.put_action(event_item(event))])

    async def credit(self, account_id: str, credit: Credit) -> bool:
        return not await self._table.transact(credit_actions(self._table, account_id, credit))

    async def wallet(self, account_id: str) -> Wallet:
        return _sum(await self.shards.read(account_id))

    async def look(self, account_id: str) -> Wallet:
        return _sum(await self.shards.look(account_id))

    async def tell(self, marker: Marker, wallet: Wallet, event: Event) -> bool:
        return await self._ledger.mark(marker, wallet, event, _TELL_PATIENCE_S)

    async def spend(self, account_id: str, limits_: Limits, now: float) -> Spend:
        name = limits.period(now, limits_.reset).name
        counter = f"{limits_.owner}#{name}"
        spent, used = await self.shards.spent(account_id, counter, gather=limits_.cap is not None)
        return Spend(Nano(spent), Nano(used - spent), limits_.cap)

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


def _sum(shards: Sequence[Mapping[str, Any]]) -> Wallet:
    available, held = (sum(shard[what] for shard in shards) for what in ("available", "held"))
    return replace(load_wallet(shards[0]), available=Nano(available), held=Nano(held))


def _hold_item(hold: Hold) -> dict[str, Any]:
    return {
        "pk": hold.account_id,
        "sk": f"hold#{hold.request_id}",
        "phase": "held",
        "key_id": hold.key_id,
        "amount": hold.amount,
        "model": hold.model,
        "prices": to_json({key: prices.to_json() for key, prices in hold.prices.items()}).decode(),
        "parent_id": hold.parent_id,
        "spends": hold.spends,
        "capped": hold.capped,
        "free": hold.free,
        "shard": hold.shard or None,
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
        parent_id=item.get("parent_id"),
        spends=item["spends"],
        capped=item["capped"],
        free=item["free"],
        shard=item.get("shard") or 0,
    )


def _debit_item(hold: Hold, debit: Debit) -> dict[str, Any]:
    return {
        "pk": hold.payer_id,
        "sk": f"txn#{debit.id}",
        "kind": "debit",
        "amount": debit.amount,
        "upstream_cost": debit.upstream_cost,
        "request_id": debit.request_id,
        "key_id": hold.key_id,
        "sub_account": hold.account_id if hold.parent_id else None,
        "model": debit.model,
        "provider": debit.provider,
        "units": to_json(debit.usage.units).decode(),
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
