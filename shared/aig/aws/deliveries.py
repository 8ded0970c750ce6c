"""Deliveries and their attempts, and what is known of receivers: of the tenant that is told.

Items, under <tenant>#hooks and so not in the partition that the tenant's wallet is in:
  delivery#<delivery id>                       one event for one receiver, and how far it has come; for thirty days.
                                               `expires_at` in the index `expiry` until it has ended: when it is taken
                                               for forgotten
  attempt#<delivery id>#<round>#<number>       the lease of who makes it, and then what came of it; as long
  receiver#<receiver>                          until when it is taken for slow, or for quick
  slot#<receiver>#<number>                     one attempt that is on its way to it, until its lease ends
  trials#<ten minutes>                         how many receivers that nobody knew were asked, and were not quick yet
"""

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aig.aws.events import event_item
from aig.aws.table import Table
from aig.deliveries import Attempt, Lease, Pace
from aig.events import Event
from aig.ids import derived
from aig.webhooks.delivery import KEPT_S, OVERDUE_S, Delivery, Status, cancelled
from aig.webhooks.schedule import DELAYS_S

_READ_AT_ONCE = 200
_ID_TIME = 14  # characters of a delivery's id that say when its event was
_LONGEST_S = sum(DELAYS_S) * 2 + OVERDUE_S  # from an event to the last attempt that was not asked for again
_PACE_KEPT_S = 24 * 3600
MOST_PAGES = 10  # of those that a list is picked out of
EXPIRY_BUCKETS = 8  # an index takes 1,000 writes a second for each, and a delivery costs it two
TRIAL_S, MOST_TRIALS = 600, 10
CANCELLING_S, _CANCELLED_AT_ONCE = 10.0, 20


def hooks_key(tenant: str) -> str:
    return f"{tenant}#hooks"


def _bucket(delivery_id: str) -> str:
    return f"delivery#{hashlib.sha256(delivery_id.encode()).digest()[0] % EXPIRY_BUCKETS}"


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a list; `after` is where the next one begins, None if there is none."""

    deliveries: Sequence[Delivery]
    after: str | None


class DynamoDeliveries:
    """All raise StoreBusy."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def add(self, delivery: Delivery) -> None:
        """One that is there already stays as it is."""
        await self._table.put_new(_item(delivery))

    async def add_told(self, delivery: Delivery, event: Event) -> bool:
        """A delivery of an event that is meant for its receiver alone. False if both are there already."""
        told = {**event_item(event), "kind": "private"}
        return not await self._table.transact([self._table.put_action(told), self._table.put_action(_item(delivery))])

    async def get(self, tenant: str, delivery_id: str) -> Delivery | None:
        item = await self._table.get(hooks_key(tenant), f"delivery#{delivery_id}")
        return _load(item) if item else None

    async def page(
        self,
        tenant: str,
        *,
        limit: int,
        after: str | None = None,
        endpoint_id: str | None = None,
        status: Status | None = None,
        event_type: str | None = None,
        event: Event | None = None,
    ) -> Found:
        """The newest first, those older than the delivery `after`, of this endpoint, status, type or event.

        They are picked out of all that there are of thirty days, those of one event out of those of its second: out of
        MOST_PAGES pages at a time, so that there may be fewer than `limit`, or none, and more behind them.
        """
        wanted = {"endpoint_id": endpoint_id, "phase": status, "event_type": event_type}
        wanted["event_id"] = event.id if event else None
        filters = {name: value for name, value in wanted.items() if value is not None}
        prefix = f"delivery#{derived('whd', event.created_at, '')[:_ID_TIME]}" if event else "delivery#"
        found: list[Delivery] = []
        for _ in range(MOST_PAGES):
            rest = after[len(prefix) - len("delivery#") :] if after else None
            size = _READ_AT_ONCE if filters else limit
            items, more = await self._table.page(hooks_key(tenant), prefix, limit=size, after=rest)
            found += [_load(item) for item in items if all(item.get(name) == value for name, value in filters.items())]
            if len(found) > limit or (len(found) == limit and more):
                return Found(found[:limit], found[limit - 1].id)
            if not more:
                return Found(found, None)
            after = items[-1]["sk"].partition("#")[2]
        return Found(found, after)

    async def attempts(self, tenant: str, delivery_id: str) -> Sequence[Attempt]:
        """The oldest first; one that is under way has no outcome yet."""
        values = {":pk": hooks_key(tenant), ":attempt": f"attempt#{delivery_id}#"}
        items = await self._table.query("pk = :pk AND begins_with(sk, :attempt)", values, consistent=True)
        return [_load_attempt(item) for item in items]

    async def claim(self, delivery: Delivery, number: int, lease: Lease, now: float) -> bool | float:
        """Whether the attempt is the holder's to make; if it is another's, until when, and if it is made, now."""
        sk = f"attempt#{delivery.id}#{delivery.round:03}#{number}"
        item: dict[str, Any] = {
            "pk": hooks_key(delivery.tenant),
            "sk": sk,
            "holder": lease.holder,
            "until_ms": int(lease.until * 1000),
            "started_ms": int(now * 1000),
            "url": delivery.url,
            "ttl": int(now) + KEPT_S,
        }
        free = "attribute_not_exists(pk) OR (attribute_not_exists(ended) AND until_ms < :now)"
        if await self._table.put_if(item, free, {":now": int(now * 1000)}):
            return True
        there = await self._table.get(hooks_key(delivery.tenant), sk)
        if there is None or there.get("ended"):
            return now
        if there["holder"] == lease.holder:  # written by the first of two sends, whose reply was lost
            return True
        until: int = there["until_ms"]
        return until / 1000

    async def record(self, before: Delivery, after: Delivery, attempt: Attempt) -> bool:
        """What came of an attempt, and what it makes of the delivery.

        False if the delivery is not as it was any more: what came of the attempt is noted all the same.
        """
        sk = f"attempt#{before.id}#{before.round:03}#{attempt.number}"
        made = {
            "ended": True,
            "http_status": attempt.status,
            "failure": attempt.failure,
            "latency_ms": attempt.latency_ms,
            "excerpt": attempt.excerpt,
            "url": attempt.url,
        }
        pk = hooks_key(before.tenant)
        if not await self._table.transact([self._move(before, after), self._table.change_action(pk, sk, made)]):
            return True
        open_ = "attribute_exists(pk) AND attribute_not_exists(#ended)"
        await self._table.change(self._table.change_action(pk, sk, made, open_))
        return False

    async def move(self, before: Delivery, after: Delivery) -> bool:
        """False if the delivery is not any more as it was."""
        return await self._table.change(self._move(before, after))

    def _move(self, before: Delivery, after: Delivery) -> dict[str, Any]:
        waits = after.status == "pending"
        changes: dict[str, Any] = {
            "phase": after.status,
            "turn": after.round,
            "made": after.attempts,
            "due_ms": after.due_ms,
            "ended_at": after.ended_at,
            "expiry_bucket": _bucket(after.id) if waits else None,
            "expires_at": after.look_at if waits else None,
        }
        if after.revived != before.revived:  # whoever brings it back does not see that an attempt is under way
            changes["revived"] = after.revived
        seen = {":phase": before.status, ":turn": before.round, ":made": before.attempts}
        values: dict[str, Any] = {f":seen_{name[1:]}": value for name, value in seen.items()}
        condition = "#phase = :seen_phase AND #turn = :seen_turn AND #made = :seen_made"
        return self._table.change_action(hooks_key(before.tenant), f"delivery#{before.id}", changes, condition, values)

    async def cancel_pending(self, tenant: str, endpoint_id: str, now: float, within_s: float = CANCELLING_S) -> int:
        """End what still waits for an endpoint; how many. What a resend has begun ends when it is due.

        So does what is left when the time is up: each delivery asks for its endpoint before it is attempted.
        """
        ended = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async for waiting in self._waiting(tenant, endpoint_id, now):
                    done = await asyncio.gather(*(self.move(one, cancelled(one, now)) for one in waiting))
                    ended += sum(done)
        return ended

    async def _waiting(self, tenant: str, endpoint_id: str, now: float) -> AsyncIterator[Sequence[Delivery]]:
        """What waits for an endpoint, some at a time, the newest first."""
        after, oldest = None, f"delivery#{derived('whd', int(now) - _LONGEST_S, '')}"
        while True:
            items, more = await self._table.page(hooks_key(tenant), "delivery#", limit=_READ_AT_ONCE, after=after)
            found = [one for one in map(_load, items) if one.endpoint_id == endpoint_id and one.status == "pending"]
            for start in range(0, len(found), _CANCELLED_AT_ONCE):
                yield found[start : start + _CANCELLED_AT_ONCE]
            if not more or items[-1]["sk"] < oldest:
                return
            after = items[-1]["sk"].partition("#")[2]

    async def forgotten(self, now: float, most: int) -> Sequence[Delivery]:
        """Those that nobody seems to see to any more: about `most` of them, those that have waited longest."""
        found: list[Delivery] = []
        for bucket in range(EXPIRY_BUCKETS):
            values: dict[str, Any] = {":bucket": f"delivery#{bucket}", ":now": int(now)}
            items = await self._table.first(
                "expiry_bucket = :bucket AND expires_at < :now",
                values,
                math.ceil(most / EXPIRY_BUCKETS),
                index="expiry",
            )
            found += map(_load, items)
        return found

    async def pace(self, tenant: str, receiver: str) -> Pace:
        item = await self._table.get(hooks_key(tenant), f"receiver#{receiver}")
        return Pace(item["slow_until"], item["quick_until"]) if item else Pace()

    async def set_pace(self, tenant: str, receiver: str, pace: Pace, now: float) -> None:
        item: dict[str, Any] = {
            "pk": hooks_key(tenant),
            "sk": f"receiver#{receiver}",
            "slow_until": pace.slow_until,
            "quick_until": pace.quick_until,
            "ttl": int(now) + _PACE_KEPT_S,
        }
        await self._table.put(item)

    async def begin_trial(self, tenant: str, now: float) -> bool:
        """Whether one more receiver that nobody knows may be tried where others wait for it.

        MOST_TRIALS of an account's may be under way or have hung, within ten minutes.
        """
        window = int(now) // TRIAL_S
        expires = (window + 1) * TRIAL_S + _PACE_KEPT_S
        counted = self._table.count_action(hooks_key(tenant), f"trials#{window}", MOST_TRIALS, expires)
        return await self._table.change(counted)

    async def end_trial(self, tenant: str, began: float) -> None:
        """It was quick, and counts no more."""
        row = f"trials#{int(began) // TRIAL_S}"
        await self._table.update_if(hooks_key(tenant), row, "ADD hits :less", {":less": -1, ":none": 0}, "hits > :none")

    async def take_slot(self, tenant: str, receiver: str, most: int, lease: Lease, now: float) -> int | None:
        """One of `most` places on the way to a receiver, None if all are taken."""
        prefix, moment = f"slot#{receiver}#", int(now * 1000)
        items = await self._table.query(
            "pk = :pk AND begins_with(sk, :slot)", {":pk": hooks_key(tenant), ":slot": prefix}, consistent=True
        )
        taken = {item["sk"].removeprefix(prefix) for item in items if item["until_ms"] >= moment}
        for number in range(most):
            if str(number) in taken:
                continue
            item: dict[str, Any] = {
                "pk": hooks_key(tenant),
                "sk": f"{prefix}{number}",
                "holder": lease.holder,
                "until_ms": int(lease.until * 1000),
                "ttl": int(lease.until) + _PACE_KEPT_S,
            }
            free = "attribute_not_exists(pk) OR until_ms < :now OR holder = :holder"
            if await self._table.put_if(item, free, {":now": moment, ":holder": lease.holder}):
                return number
        return None

    async def give_slot(self, tenant: str, receiver: str, number: int, lease: Lease) -> None:
        await self._table.update_if(
            hooks_key(tenant),
            f"slot#{receiver}#{number}",
            "SET until_ms = :never",
            {":never": 0, ":holder": lease.holder},
            "holder = :holder",
        )


def _item(delivery: Delivery) -> dict[str, Any]:
    return {
        "pk": hooks_key(delivery.tenant),
        "sk": f"delivery#{delivery.id}",
        "expiry_bucket": _bucket(delivery.id),
        "expires_at": delivery.look_at,
        "revived": delivery.revived,
        "event_id": delivery.event_id,
        "event_type": delivery.event_type,
        "url": delivery.url,
        "endpoint_id": delivery.endpoint_id,
        "key_id": delivery.key_id,
        "created_at": delivery.created_at,
        "due_ms": delivery.due_ms,
        "phase": delivery.status,
        "turn": delivery.round,
        "made": delivery.attempts,
        "ended_at": delivery.ended_at,
        "ttl": delivery.created_at + KEPT_S,
    }


def _load(item: Mapping[str, Any]) -> Delivery:
    return Delivery(
        id=item["sk"].partition("#")[2],
        tenant=item["pk"].removesuffix("#hooks"),
        event_id=item["event_id"],
        event_type=item["event_type"],
        url=item["url"],
        endpoint_id=item.get("endpoint_id"),
        key_id=item["key_id"],
        created_at=item["created_at"],
        due_ms=item["due_ms"],
        status=item["phase"],
        round=item["turn"],
        attempts=item["made"],
        ended_at=item.get("ended_at"),
        look_at=item.get("expires_at", 0),
        revived=item["revived"],
    )


def _load_attempt(item: Mapping[str, Any]) -> Attempt:
    _, _, turn, number = item["sk"].split("#")
    return Attempt(
        round=int(turn),
        number=int(number),
        started_ms=item["started_ms"],
        url=item["url"],
        ended=item.get("ended", False),
        status=item.get("http_status"),
        failure=item.get("failure"),
        latency_ms=item.get("latency_ms"),
        excerpt=item.get("excerpt", b""),
    )
