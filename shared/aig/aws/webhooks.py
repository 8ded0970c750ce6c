"""Endpoints of accounts, and the secrets that sign: under the tenant whose they are.

Items:
  hook#<endpoint id>         url, events, key_id, active and why not, since when it fails
  hooks                      used: how many of these there are
  whsecret#<key id>          which generation of the key's secret is the current one; none is the first
under <tenant>#hooks
  acts#<minute>              how often it had something made or sent
and subscribers#catalog / <tenant>, which tenants may have an endpoint that wants to know of models, and
catalog / seen, what was in the catalog when they were told last.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aig.aws.deliveries import hooks_key
from aig.aws.events import event_item
from aig.aws.table import Table, Value
from aig.events import Event
from aig.limits import window, window_ends
from aig.webhooks.endpoint import EVERYTHING, MOST_ENDPOINTS, Endpoint
from aig.webhooks.secret import Generation

_CATALOG_EVENTS = ("model.added", "model.deprecated", EVERYTHING)
_SUBSCRIBERS = "subscribers#catalog"
MOST_ACTS = 30  # a minute


class DynamoWebhooks:
    """All raise StoreBusy."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def endpoints(self, tenant: str) -> Sequence[Endpoint]:
        """The newest first."""
        values = {":pk": tenant, ":hook": "hook#"}
        items = await self._table.query("pk = :pk AND begins_with(sk, :hook)", values, consistent=True)
        return [_load(item) for item in reversed(items)]

    async def endpoint(self, tenant: str, endpoint_id: str) -> Endpoint | None:
        item = await self._table.get(tenant, f"hook#{endpoint_id}")
        return _load(item) if item else None

    async def create(self, endpoint: Endpoint) -> bool:
        """False if the tenant has as many as it may have. One that was made before stays as it is."""
        await self._subscribe(endpoint)  # first, so that whoever dies in between leaves no endpoint that is never told
        counted = self._table.update_action(
            endpoint.tenant,
            "hooks",
            "ADD used :one",
            {":one": 1, ":most": MOST_ENDPOINTS},
            "attribute_not_exists(used) OR used < :most",
        )
        failed = await self._table.transact([self._table.put_action({**_item(endpoint), "version": 1}), counted])
        return not failed or 0 in failed

    async def change(self, before: Endpoint, after: Endpoint, event: Event | None = None) -> bool:
        """Put `after` in the place of `before`, and tell of it. False if somebody else has changed it meanwhile."""
        changed = {name: value for name, value in _item(after).items() if name not in ("pk", "sk")}
        action = self._table.change_action(
            before.tenant,
            f"hook#{before.id}",
            {**changed, "version": before.version + 1},
            "version = :seen",
            {":seen": before.version},
        )
        told = [self._table.put_action(event_item(event))] if event else []
        if await self._table.transact([action, *told]):
            return False
        await self._subscribe(after)
        return True

    async def delete(self, endpoint: Endpoint) -> None:
        """One that is gone already stays gone."""
        less = self._table.update_action(endpoint.tenant, "hooks", "ADD used :less", {":less": -1})
        gone = self._table.delete_action(endpoint.tenant, f"hook#{endpoint.id}", "attribute_exists(pk)")
        await self._table.transact([gone, less])

    async def may_act(self, tenant: str, now: float) -> bool:
        """Counts one more thing that the tenant has made or sent. False if those are too many for a minute."""
        minute = window(now)
        counted = self._table.count_action(hooks_key(tenant), f"acts#{minute}", MOST_ACTS, window_ends(minute))
        return await self._table.change(counted)

    async def subscribers(self) -> Sequence[str]:
        """The tenants whose endpoints may want to know of models: some of them may have changed their mind."""
        items = await self._table.query("pk = :pk", {":pk": _SUBSCRIBERS})
        return [item["sk"] for item in items]

    async def seen_catalog(self) -> dict[str, str] | None:
        """The day each model is switched off, by its slug. None if nobody has looked yet."""
        item = await self._table.get("catalog", "seen")
        found: dict[str, str] | None = json.loads(item["models"]) if item else None
        return found

    async def see_catalog(self, seen: Mapping[str, str]) -> None:
        await self._table.put({"pk": "catalog", "sk": "seen", "models": json.dumps(seen, separators=(",", ":"))})

    async def _subscribe(self, endpoint: Endpoint) -> None:
        if any(wanted in _CATALOG_EVENTS for wanted in endpoint.events):
            await self._table.put({"pk": _SUBSCRIBERS, "sk": endpoint.tenant})

    async def generation(self, tenant: str, key_id: str) -> Generation:
        item = await self._table.get(tenant, f"whsecret#{key_id}")
        return _generation(item) if item else Generation()

    async def rotate(self, tenant: str, key_id: str, before: Generation, after: Generation) -> bool:
        """False if somebody else has rotated it meanwhile."""
        item: dict[str, Value | None] = {
            "pk": tenant,
            "sk": f"whsecret#{key_id}",
            "generation": after.number,
            "rotated_at": after.rotated_at,
            "rotated_by": after.by,
            "alone": after.alone or None,
        }
        condition = "attribute_not_exists(pk) OR generation = :seen"
        return await self._table.put_if(item, condition, {":seen": before.number})


def _generation(item: dict[str, Any]) -> Generation:
    return Generation(item["generation"], item["rotated_at"], item["rotated_by"], item.get("alone", False))


def _item(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "pk": endpoint.tenant,
        "sk": f"hook#{endpoint.id}",
        "url": endpoint.url,
        "events": tuple(endpoint.events),
        "key_id": endpoint.key_id,
        "description": endpoint.description,
        "active": endpoint.active,
        "reason": endpoint.reason,
        "disabled_at": endpoint.disabled_at,
        "failing_since": endpoint.failing_since,
        "failures": endpoint.failures,
        "last_counted_at": endpoint.last_counted_at,
        "created_at": endpoint.created_at,
    }


def _load(item: Mapping[str, Any]) -> Endpoint:
    found = Endpoint(
        id=item["sk"].partition("#")[2],
        tenant=item["pk"],
        url=item["url"],
        events=item["events"],
        key_id=item["key_id"],
        created_at=item["created_at"],
        description=item.get("description"),
        active=item["active"],
        reason=item.get("reason"),
        disabled_at=item.get("disabled_at"),
    )
    return replace(
        found,
        failing_since=item.get("failing_since"),
        failures=item["failures"],
        last_counted_at=item["last_counted_at"],
        version=item["version"],
    )
