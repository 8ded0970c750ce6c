"""Accounts and keys, and the one item that is not a tenant's: credential#<public id> -> tenant and key.

Items:
  credential#<public id> / credential   digest, account_id, key_id, parent_id, expires_at (of a secret that was rotated)
  <tenant> / key#<id>                   what the key may do, the public ids of its secrets, when the former one ends
  <account> / account                   title, active, retain (whether records of its requests hold their bodies),
                                        shards (of its wallet), sharded_at
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aig.aws.events import event_item
from aig.aws.limits import limit_attributes, load_limits
from aig.aws.sub_accounts import load_sub_account
from aig.aws.table import Table, Value
from aig.events import Event
from aig.keys import Caller, Credential, Key, Secret, hint_of
from aig.limits import DAY_S, Limits


class DynamoKeys:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def find(self, public_id: str) -> Credential | None:
        item = await self._table.get(f"credential#{public_id}", "credential")
        if item is None:
            return None
        return Credential(
            digest=item["digest"],
            account_id=item["account_id"],
            key_id=item["key_id"],
            parent_id=item.get("parent_id"),
            expires_at=item.get("expires_at"),
        )

    async def caller(self, credential: Credential) -> Caller | None:
        tenant, parent = credential.account_id, credential.parent_id
        key_item, account, sub_item = await asyncio.gather(
            self._table.get(tenant, f"key#{credential.key_id}"),
            self._table.get(parent or tenant, "account"),
            self._sub_account(parent, tenant),
        )
        if not (key_item and key_item["active"] and account and account["active"]):
            return None
        key, sub = load_key(key_item), load_sub_account(sub_item) if sub_item else None
        if parent is not None and (sub is None or not sub.active):
            return None
        ends = [at for at in (key.expires_at, credential.expires_at) if at is not None]
        return Caller(
            account_id=tenant,
            key_id=key.id,
            key_name=key.name,
            hint=key.hint,
            scopes=key.scopes,
            limits=(key.limits, sub.limits) if sub else (key.limits,),
            default_tag=key.default_tag or (sub.default_tag if sub else None),
            expires_at=min(ends, default=None),
            parent_id=parent,
            retain=account.get("retain", True),
            wallet_shards=account.get("shards", 1),
        )

    async def _sub_account(self, parent_id: str | None, tenant: str) -> dict[str, Any] | None:
        return None if parent_id is None else await self._table.get(parent_id, f"sub#{tenant}")

    async def limits(self, caller: Caller) -> tuple[Limits, ...]:
        key_item, sub_item = await asyncio.gather(
            self._table.get(caller.account_id, f"key#{caller.key_id}"),
            self._sub_account(caller.parent_id, caller.account_id),
        )
        found = [load_key(key_item).limits] if key_item else []
        return (*found, load_sub_account(sub_item).limits) if sub_item else tuple(found)

    async def create_account(self, account_id: str, title: str, created_at: int) -> bool:
        """An account with an empty wallet. False if the id is taken."""
        account: dict[str, Any] = {
            "pk": account_id,
            "sk": "account",
            "title": title,
            "active": True,
            "created_at": created_at,
        }
        wallet: dict[str, Any] = {"pk": account_id, "sk": "wallet", "available": 0, "held": 0}
        return not await self._table.transact([self._table.put_action(account), self._table.put_action(wallet)])

    async def account(self, account_id: str) -> dict[str, Any] | None:
        return await self._table.get(account_id, "account")

    async def change_account(self, account_id: str, changes: Mapping[str, Value | None]) -> bool:
        """Attributes of the account's item; None takes one away. False if there is no such account."""
        return not await self._table.transact([self._table.change_action(account_id, "account", changes)])

    async def create_key(self, key: Key, secret: Secret, digest: bytes) -> bool:
        """Store a key, of its secret the digest only. False if its public id or key id is taken."""
        return not await self._table.transact(self.creation(key, secret, digest))

    def creation(self, key: Key, secret: Secret, digest: bytes) -> list[dict[str, Any]]:
        """The actions of a transaction that makes a key."""
        item = {
            "pk": key.account_id,
            "sk": f"key#{key.id}",
            "title": key.name,
            "hint": key.hint,
            "public_id": secret.public_id,
            "scopes": tuple(sorted(key.scopes)),
            **limit_attributes(key.limits),
            "default_tag": key.default_tag,
            "expires_at": key.expires_at,
            "parent_id": key.parent_id,
            "active": key.active,
            "created_at": key.created_at,
        }
        return [self._table.put_action(item), self._table.put_action(_credential_item(key, secret, digest))]

    async def key(self, account_id: str, key_id: str) -> Key | None:
        item = await self._table.get(account_id, f"key#{key_id}")
        return load_key(item) if item else None

    async def page(self, account_id: str, *, limit: int, after: str | None = None) -> tuple[list[Key], bool]:
        """The newest first, those older than the key `after`; and whether there are more."""
        items, more = await self._table.page(account_id, "key#", limit=limit, after=after)
        return [load_key(item) for item in items], more

    async def change(self, account_id: str, key_id: str, changes: Mapping[str, Value | None]) -> bool:
        """Attributes of the item; None takes one away. False if there is no such key."""
        return not await self._table.transact([self._table.change_action(account_id, f"key#{key_id}", changes)])

    async def revoke_key(self, account_id: str, key_id: str) -> bool:
        """The key stops working within the time that answers about keys are cached for. False if there is none."""
        return await self.change(account_id, key_id, {"active": False})

    async def rotate(self, key: Key, secret: Secret, digest: bytes, now: int, former_until: int, event: Event) -> bool:
        """Another secret opens the key; the former one does so too until `former_until`.

        False if the key is gone, switched off, or has this secret already, or the secret before the former one has not
        ended: unless `former_until` is now, which ends both.
        """
        item = await self._table.get(key.account_id, f"key#{key.id}")
        if item is None or item["public_id"] == secret.public_id:
            return False
        table, urgent, before = self._table, former_until <= now, item.get("former_public_id")
        rotated = table.change_action(
            key.account_id,
            f"key#{key.id}",
            {
                "public_id": secret.public_id,
                "hint": hint_of(secret),
                "former_public_id": item["public_id"],
                "former_until": former_until,
            },
            "active = :yes AND public_id = :was"
            + ("" if urgent else " AND (attribute_not_exists(former_until) OR former_until <= :now)"),
            {":yes": True, ":was": item["public_id"], **({} if urgent else {":now": now})},
        )
        ended = table.change_action(
            f"credential#{item['public_id']}", "credential", {"expires_at": former_until, "ttl": former_until + DAY_S}
        )
        made = table.put_action(_credential_item(key, secret, digest))
        actions = [rotated, ended, made, table.put_action(event_item(event))]
        if urgent and before is not None and item.get("former_until", 0) > now:
            actions.append(table.change_action(f"credential#{before}", "credential", {"expires_at": now}))
        return not await table.transact(actions)


def _credential_item(key: Key, secret: Secret, digest: bytes) -> dict[str, Any]:
    return {
        "pk": f"credential#{secret.public_id}",
        "sk": "credential",
        "account_id": key.account_id,
        "key_id": key.id,
        "parent_id": key.parent_id,
        "digest": digest,
    }


def load_key(item: Mapping[str, Any]) -> Key:
    return Key(
        account_id=item["pk"],
        name=item["title"],
        hint=item["hint"],
        scopes=frozenset(item["scopes"]),
        limits=load_limits(item),
        created_at=item["created_at"],
        active=item["active"],
        default_tag=item.get("default_tag"),
        expires_at=item.get("expires_at"),
        former_until=item.get("former_until"),
        parent_id=item.get("parent_id"),
    )
