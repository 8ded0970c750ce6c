"""Records of requests, in a table of their own whose items go after thirty days:

  pk <tenant>          sk req#<id>   all but the bodies: a tenant's are one range, which DynamoDB does not split
  pk <tenant>#<id>     sk bodies     bodies: so the large ones are spread over all partitions

`facts` is JSON: nobody asks DynamoDB for one of them, and each as an attribute of its own costs time with every call.
`bodies` is JSON, compressed: request and answer. What is too large is left out, and `left_out` says so.
"""

import asyncio
import json
import zlib
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from aig.aws.table import Table
from aig.records import KEPT_S, Record

MAX_BODIES_BYTES = 200_000  # both, compressed: an item holds 400 kB, and is written with the settle
MAX_JSON_BYTES = 1_000_000  # of each: what is larger is not compressed in vain


class DynamoRecords:
    def __init__(self, table: Table) -> None:
        self._table = table

    def put_actions(self, record: Record) -> list[dict[str, Any]]:
        """The actions that keep a record, for the transaction that ends its request."""
        wanted = {"request": record.request, "answer": record.answer}
        texts = {name: text for name, body in wanted.items() if body is not None and (text := _json(body)) is not None}
        while len(packed := _packed(texts)) > MAX_BODIES_BYTES:
            del texts[max(texts, key=lambda name: len(texts[name]))]
        left_out = tuple(name for name, body in wanted.items() if body is not None and name not in texts)
        item = _item(record, left_out)
        if not texts:
            return [self._table.put_action(item)]
        bodies = {"pk": f"{record.account_id}#{record.id}", "sk": "bodies", "bodies": packed, "ttl": item["ttl"]}
        return [self._table.put_action(item), self._table.put_action(bodies)]

    async def get(self, account_id: str, request_id: str) -> tuple[Record, tuple[str, ...]] | None:
        """A record, and which of its bodies were too large to be kept."""
        item, bodies = await asyncio.gather(
            self._table.get(account_id, f"req#{request_id}"),
            self._table.get(f"{account_id}#{request_id}", "bodies"),
        )
        return _load(item, bodies or {}) if item else None

    async def page(self, account_id: str, *, limit: int, after: str | None = None) -> tuple[list[Record], bool]:
        """The newest first, without bodies, those older than the request `after`; and whether there are more."""
        items, more = await self._table.page(account_id, "req#", limit=limit, after=after)
        return [_load(item, {})[0] for item in items], more


def _item(record: Record, left_out: tuple[str, ...]) -> dict[str, Any]:
    facts = {
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
        "units": record.units,
        "estimated": record.estimated,
        "cache": record.cache,
        "tag": record.tag,
        "error": record.error,
        "left_out": left_out,
    }
    ttl = record.created_at + KEPT_S
    return {"pk": record.account_id, "sk": f"req#{record.id}", "facts": to_json(facts).decode(), "ttl": ttl}


def _packed(texts: Mapping[str, bytes]) -> bytes:
    """One object of these JSON texts, compressed in one go: to begin costs most bodies more than all the rest.

    In memory of 64 kB, because to get what zlib takes by itself costs more still.
    """
    squeeze = zlib.compressobj(1, zlib.DEFLATED, 13, 6)
    members = b",".join([b'"%b":%b' % (name.encode(), text) for name, text in texts.items()])
    return squeeze.compress(b"{%b}" % members) + squeeze.flush()


def _json(body: Mapping[str, Any]) -> bytes | None:
    """None for what is too large or no JSON: a record that cannot be kept whole is no reason to fail a settle."""
    try:
        text = to_json(body)
    except ValueError:
        return None
    return text if len(text) <= MAX_JSON_BYTES else None


def _load(item: Mapping[str, Any], kept: Mapping[str, Any]) -> tuple[Record, tuple[str, ...]]:
    """The record, and which of its bodies were left out."""
    facts = json.loads(item["facts"])
    left_out = tuple(facts.pop("left_out"))
    bodies = json.loads(zlib.decompress(kept["bodies"])) if kept else {}
    request_id = item["sk"].partition("#")[2]
    return Record(id=request_id, account_id=item["pk"], **facts, **bodies), left_out
