"""Deliveries and their attempts, and what is known of receivers: under the tenant that is told.

Items:
  delivery#<delivery id>                       one event for one receiver, and how far it has come; for thirty days
  attempt#<delivery id>#<round>#<number>       the lease of who makes it, and then what came of it; as long
  receiver#<receiver>                          until when it is taken for slow, or for quick
  slot#<receiver>#<number>                     one attempt that is on its way to it, until its lease ends
"""

from collections.abc import Mapping, Sequence
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
        item = await self._table.get(tenant, f"delivery#{delivery_id}")
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
    ) -> tuple[list[Delivery], bool]:
        """The newest first, those older than the delivery `after`, of this endpoint, status, type or event.

        They are picked out of all that there are of thirty days; those of one event out of those of its second.
        """
        wanted = {"endpoint_id": endpoint_id, "phase": status, "event_type": event_type}
        wanted["event_id"] = event.id if event else None
        filters = {name: value for name, value in wanted.items() if value is not None}
        prefix = f"delivery#{derived('whd', event.created_at, '')[:_ID_TIME]}" if event else "delivery#"
        rest = after[len(prefix) - len("delivery#") :] if after else None
        found: list[Delivery] = []
        more = True
        while more and len(found) <= limit:
            items, more = await self._table.page(tenant, prefix, limit=_READ_AT_ONCE if filters else limit, after=rest)
            found += [_load(item) for item in items if all(item.get(name) == value for name, value in filters.items())]
            if not filters or not items:
                break
            rest = items[-1]["sk"][len(prefix) :]
        return found[:limit], len(found) > limit or (not filters and more)

    async def attempts(self, tenant: str, delivery_id: str) -> Sequence[Attempt]:
        """The oldest first; one that is under way has no outcome yet."""
        items = await self._table.query(
            "pk = :pk AND begins_with(sk, :attempt)", {":pk": tenant, ":attempt": f"attempt#{delivery_id}#"}
        )
        return [_load_attempt(item) for item in items]

    async def claim(self, delivery: Delivery, number: int, lease: Lease, now: float) -> bool | float:
        """Whether the attempt is the holder's to make; if it is another's, until when, and if it is made, now."""
        sk = f"attempt#{delivery.id}#{delivery.round:03}#{number}"
        item: dict[str, Any] = {
            "pk": delivery.tenant,
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
        there = await self._table.get(delivery.tenant, sk)
        if there is None or there.get("ended"):
            return now
        if there["holder"] == lease.holder:  # written by the first of two sends, whose reply was lost
            return True
        until: int = there["until_ms"]
        return until / 1000

    async def record(self, before: Delivery, after: Delivery, attempt: Attempt) -> bool:
        """What came of an attempt, and what it makes of the delivery. False if another was first."""
        sk = f"attempt#{before.id}#{before.round:03}#{attempt.number}"
        made = {
            "ended": True,
            "http_status": attempt.status,
            "failure": attempt.failure,
            "latency_ms": attempt.latency_ms,
            "excerpt": attempt.excerpt,
            "url": attempt.url,
        }
        actions = [self._move(before, after), self._table.change_action(before.tenant, sk, made)]
        return not await self._table.transact(actions)

    async def move(self, before: Delivery, after: Delivery) -> bool:
        """False if the delivery is not any more as it was."""
        return not await self._table.transact([self._move(before, after)])

    def _move(self, before: Delivery, after: Delivery) -> dict[str, Any]:
        changes = {
            "phase": after.status,
            "turn": after.round,
            "made": after.attempts,
            "due_ms": after.due_ms,
            "ended_at": after.ended_at,
        }
        seen = {":phase": before.status, ":turn": before.round, ":made": before.attempts}
        values: dict[str, Any] = {f":seen_{name[1:]}": value for name, value in seen.items()}
        condition = "#phase = :seen_phase AND #turn = :seen_turn AND #made = :seen_made"
        return self._table.change_action(before.tenant, f"delivery#{before.id}", changes, condition, values)

    async def cancel_pending(self, tenant: str, endpoint_id: str, now: float) -> int:
        """End what still waits for an endpoint; how many. What a resend has begun ends when it is due."""
        ended, after = 0, None
        oldest = f"delivery#{derived('whd', int(now) - _LONGEST_S, '')}"
        while True:
            items, more = await self._table.page(tenant, "delivery#", limit=_READ_AT_ONCE, after=after)
            for delivery in map(_load, items):
                if delivery.endpoint_id == endpoint_id and delivery.status == "pending":
                    ended += await self.move(delivery, cancelled(delivery, now))
            if not more or not items or items[-1]["sk"] < oldest:
                return ended
            after = items[-1]["sk"].partition("#")[2]

    async def pace(self, tenant: str, receiver: str) -> Pace:
        item = await self._table.get(tenant, f"receiver#{receiver}")
        return Pace(item["slow_until"], item["quick_until"]) if item else Pace()

    async def set_pace(self, tenant: str, receiver: str, pace: Pace, now: float) -> None:
        item: dict[str, Any] = {
            "pk": tenant,
            "sk": f"receiver#{receiver}",
            "slow_until": pace.slow_until,
            "quick_until": pace.quick_until,
            "ttl": int(now) + _PACE_KEPT_S,
        }
        await self._table.put(item)

    async def take_slot(self, tenant: str, receiver: str, most: int, lease: Lease, now: float) -> int | None:
        """One of `most` places on the way to a receiver, None if all are taken."""
        prefix, moment = f"slot#{receiver}#", int(now * 1000)
        items = await self._table.query(
            "pk = :pk AND begins_with(sk, :slot)", {":pk": tenant, ":slot": prefix}, consistent=True
        )
        taken = {item["sk"].removeprefix(prefix) for item in items if item["until_ms"] >= moment}
        for number in range(most):
            if str(number) in taken:
                continue
            item: dict[str, Any] = {
                "pk": tenant,
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
            tenant,
            f"slot#{receiver}#{number}",
            "SET until_ms = :never",
            {":never": 0, ":holder": lease.holder},
            "holder = :holder",
        )


def _item(delivery: Delivery) -> dict[str, Any]:
    return {
        "pk": delivery.tenant,
        "sk": f"delivery#{delivery.id}",
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
        tenant=item["pk"],
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
