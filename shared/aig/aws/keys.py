"""Accounts, keys, and the one item that is not a tenant's: credential#<public id> -> account and key."""

import asyncio
from typing import Any

from aig.aws.table import Table
from aig.keys import Caller, Secret, StoredKey
from aig.money.units import Nano


class DynamoKeys:
    def __init__(self, table: Table) -> None:
        self._table = table

    async def find(self, public_id: str) -> StoredKey | None:
        """The key with this public id, with all that its account says about it."""
        credential = await self._table.get(f"credential#{public_id}", "credential")
        if credential is None:
            return None
        account_id, key_id = credential["account_id"], credential["key_id"]
        key, account = await asyncio.gather(
            self._table.get(account_id, f"key#{key_id}"), self._table.get(account_id, "account")
        )
        if key is None or account is None:
            return None
        caller = Caller(
            account_id=account_id,
            key_id=key_id,
            key_name=key["title"],
            hint=key["hint"],
            scopes=frozenset(key["scopes"]),
            rpm=key.get("rpm"),
            capped="room" in key,
            default_tag=key.get("default_tag"),
            allowed_models=key.get("allowed_models", ()),
            expires_at=key.get("expires_at"),
        )
        active = key["active"] and account["active"]
        return StoredKey(caller, bytes.fromhex(credential["digest"]), active)

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

    async def create_key(
        self, caller: Caller, secret: Secret, digest: bytes, cap: Nano | None, created_at: int
    ) -> bool:
        """Store a key for `caller`, its digest only. False if its public id or key id is taken."""
        key: dict[str, Any] = {
            "pk": caller.account_id,
            "sk": f"key#{caller.key_id}",
            "title": caller.key_name,
            "hint": caller.hint,
            "scopes": tuple(sorted(caller.scopes)),
            "rpm": caller.rpm,
            "cap": cap,
            "room": cap,
            "spent": 0,
            "default_tag": caller.default_tag,
            "allowed_models": caller.allowed_models,
            "expires_at": caller.expires_at,
            "active": True,
            "created_at": created_at,
        }
        credential: dict[str, Any] = {
            "pk": f"credential#{secret.public_id}",
            "sk": "credential",
            "account_id": caller.account_id,
            "key_id": caller.key_id,
            "digest": digest,
        }
        return not await self._table.transact([self._table.put_action(key), self._table.put_action(credential)])

    async def revoke_key(self, account_id: str, key_id: str) -> bool:
        """The key stops working within the time that answers about keys are cached for. False if there is none."""
        revoke = self._table.update_action(
            account_id, f"key#{key_id}", "SET active = :no", {":no": False}, "attribute_exists(pk)"
        )
        return not await self._table.transact([revoke])
