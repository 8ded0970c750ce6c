"""The outbox: event#<id> under the account that is told, for thirty days; told#<name> where it is told only once.

The table's stream brings each new row of the kind `event` to the dispatcher, which sends it to whoever wants it.
"""

import json
from typing import Any

from aig.aws.table import Table
from aig.events import KEPT_S, Event, EventType

_READ_AT_ONCE = 100


TOLD_KEPT_S = 62 * 24 * 3600  # longer than the longest period that is told of


def event_item(event: Event) -> dict[str, Any]:
    """The row, for `Table.put_action`."""
    return {
        "pk": event.account_id,
        "sk": f"event#{event.id}",
        "kind": "event",
        "type": event.type,
        "data": json.dumps(event.data, separators=(",", ":")),
        "created_at": event.created_at,
        "webhook_url": event.webhook_url,
        "key_id": event.key_id,
        "ttl": event.created_at + KEPT_S,
    }


class DynamoEvents:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def once(self, name: str, event: Event) -> bool:
        """Write an event unless one of this name was written to the account before. False then."""
        told = _told_item(event.account_id, name, event.created_at)
        return not await self._table.transact([self._table.put_action(told), self._table.put_action(event_item(event))])

    async def remember(self, account_id: str, name: str, now: int) -> None:
        """Note that all that goes by this name was told, though it is no event of its own."""
        await self._table.put(_told_item(account_id, name, now))

    async def told(self, account_id: str, name: str) -> bool:
        """Whether an event of this name was written to the account already: cheaper to ask than to make it anew."""
        return await self._table.get(account_id, f"told#{name}") is not None

    async def get(self, account_id: str, event_id: str) -> Event | None:
        item = await self._table.get(account_id, f"event#{event_id}")
        return load_event(item) if item else None

    async def page(
        self, account_id: str, *, limit: int, after: str | None = None, type_: EventType | None = None
    ) -> tuple[list[Event], bool]:
        """The newest first, those older than the event `after`; and whether there are more.

        Of one type they are picked out of all that the account has been told in thirty days, which is not much.
        """
        found: list[Event] = []
        more = True
        while more and len(found) <= limit:
            size = limit if type_ is None else _READ_AT_ONCE
            items, more = await self._table.page(account_id, "event#", limit=size, after=after)
            found += [event for event in map(load_event, items) if type_ in (None, event.type)]
            if type_ is None or not items:
                break
            after = items[-1]["sk"].partition("#")[2]
        return found[:limit], len(found) > limit or (type_ is None and more)


def _told_item(account_id: str, name: str, now: int) -> dict[str, Any]:
    return {"pk": account_id, "sk": f"told#{name}", "ttl": now + TOLD_KEPT_S}


def load_event(item: dict[str, Any]) -> Event:
    return Event(
        id=item["sk"].partition("#")[2],
        type=item["type"],
        account_id=item["pk"],
        data=json.loads(item["data"]),
        created_at=item["created_at"],
        webhook_url=item.get("webhook_url"),
        key_id=item.get("key_id"),
    )
