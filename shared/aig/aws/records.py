"""Records of requests: <tenant> / req#<id> in a table of their own, whose items go after thirty days.

Bodies are JSON, compressed. One that is too large is left out, and `left_out` says so.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from aig.aws.table import Table
from aig.money.units import Nano
from aig.records import KEPT_S, Record

MAX_BODY_BYTES = 100_000  # each, compressed: an item holds 400 kB, and is written with the settle
MAX_JSON_BYTES = 1_000_000  # what is larger is not compressed in vain
# What a list tells: all but the bodies, which may be 200 kB in an item and a megabyte each when they are read.
_LISTED = (
    "pk",
    "sk",
    "key_id",
    "trace_id",
    "operation",
    "streamed",
    "created_at",
    "duration_ms",
    "model",
    "provider",
    "attempts",
    "cost",
    "units",
    "estimated",
    "cache",
    "tag",
    "error",
)


class DynamoRecords:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put_action(self, record: Record) -> dict[str, Any]:
        """The action that keeps a record, for the transaction that ends its request."""
        return self._table.put_action(_item(record))

    async def get(self, account_id: str, request_id: str) -> tuple[Record, tuple[str, ...]] | None:
        """A record, and which of its bodies were too large to be kept."""
        item = await self._table.get(account_id, f"req#{request_id}")
        return (_load(item), item.get("left_out", ())) if item else None

    async def page(self, account_id: str, *, limit: int, after: str | None = None) -> tuple[list[Record], bool]:
        """The newest first, without bodies, those older than the request `after`; and whether there are more."""
        items, more = await self._table.page(account_id, "req#", limit=limit, after=after, only=_LISTED)
        return [_load(item) for item in items], more


def _item(record: Record) -> dict[str, Any]:
    bodies = {"request": record.request, "answer": record.answer}
    wanted = {name: _json(body) for name, body in bodies.items() if body is not None}
    packed = {name: _compressed(body) for name, body in wanted.items() if body is not None}
    kept = {name: body for name, body in packed.items() if len(body) <= MAX_BODY_BYTES}
    return {
        "pk": record.account_id,
        "sk": f"req#{record.id}",
        "key_id": record.key_id,
        "trace_id": record.trace_id,
        "operation": record.operation,
        "streamed": record.streamed,
        "created_at": record.created_at,
        "duration_ms": record.duration_ms,
        "model": record.model,
        "provider": record.provider,
        "attempts": record.attempts,
        "cost": record.cost,
        "units": json.dumps(dict(record.units), separators=(",", ":")),
        "estimated": record.estimated,
        "cache": record.cache,
        "tag": record.tag,
        "error": record.error,
        **kept,
        "left_out": tuple(sorted(wanted.keys() - kept.keys())) or None,
        "ttl": record.created_at + KEPT_S,
    }


def _compressed(text: bytes) -> bytes:
    """In memory of 64 kB: to get what zlib takes by itself costs most bodies more than to compress them."""
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 13, 6)
    return squeeze.compress(text) + squeeze.flush()


def _json(body: Mapping[str, Any]) -> bytes | None:
    """None for what is too large or no JSON: a record that cannot be kept whole is no reason to fail a settle."""
    try:
        text = to_json(body)
    except ValueError:
        return None
    return text if len(text) <= MAX_JSON_BYTES else None


def _load(item: dict[str, Any]) -> Record:
    def body(name: str) -> dict[str, Any] | None:
        return json.loads(zlib.decompress(item[name])) if name in item else None

    return Record(
        id=item["sk"].partition("#")[2],
        account_id=item["pk"],
        key_id=item["key_id"],
        trace_id=item["trace_id"],
        operation=item["operation"],
        streamed=item["streamed"],
        created_at=item["created_at"],
        duration_ms=item["duration_ms"],
        model=item["model"],
        provider=item.get("provider"),
        attempts=item.get("attempts"),
        cost=Nano(item["cost"]),
        units=json.loads(item["units"]),
        estimated=item["estimated"],
        cache=item["cache"],
        tag=item.get("tag"),
        error=item.get("error"),
        request=body("request"),
        answer=body("answer"),
    )
