"""Sub-accounts: sub#<id> under the account that pays. Their keys and calls stand under their own ids."""

from collections.abc import Mapping, Sequence
from typing import Any

from aig.aws.events import event_item
from aig.aws.limits import limit_attributes, load_limits
from aig.aws.table import Table, Value
from aig.events import Event
from aig.sub_accounts import SubAccount


class DynamoSubAccounts:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def create(self, sub: SubAccount, key: Sequence[dict[str, Any]], event: Event) -> bool:
        """With its first key, by the actions of `DynamoKeys.creation`. False if an id is taken."""
        item = {
            "pk": sub.parent_id,
            "sk": f"sub#{sub.id}",
            "title": sub.name,
            **limit_attributes(sub.limits),
            "default_tag": sub.default_tag,
            "key_id": sub.key_id,
            "active": sub.active,
            "created_at": sub.created_at,
        }
        table = self._table
        return not await table.transact([table.put_action(item), *key, table.put_action(event_item(event))])

    async def get(self, parent_id: str, sub_id: str) -> SubAccount | None:
        item = await self._table.get(parent_id, f"sub#{sub_id}")
        return load_sub_account(item) if item else None

    async def page(self, parent_id: str, *, limit: int, after: str | None = None) -> tuple[list[SubAccount], bool]:
        """The newest first, those older than the sub-account `after`; and whether there are more."""
        items, more = await self._table.page(parent_id, "sub#", limit=limit, after=after)
        return [load_sub_account(item) for item in items], more

    async def change(self, parent_id: str, sub_id: str, changes: Mapping[str, Value | None]) -> bool:
        """Attributes of the item; None takes one away. False if there is no such sub-account."""
        return not await self._table.transact([self._table.change_action(parent_id, f"sub#{sub_id}", changes)])


def load_sub_account(item: Mapping[str, Any]) -> SubAccount:
    return SubAccount(
        parent_id=item["pk"],
        name=item["title"],
        limits=load_limits(item),
        key_id=item["key_id"],
        created_at=item["created_at"],
        active=item["active"],
        default_tag=item.get("default_tag"),
    )
