"""The bytes that tell of an event: the same at every attempt. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from aig.events import Event

MAX_BYTES = 64 * 1024
_KEPT_BYTES = MAX_BYTES - 4096  # what is beside `data`, and the names of what is left out


def payload(event: Event) -> bytes:
    """`{"id", "object", "type", "created", "data"}`, at most MAX_BYTES.

    What is too large for that is left out of `data` field by field, the largest first, and named in `left_out`.
    """
    whole = _written(event, event.data)
    if len(whole) <= MAX_BYTES:
        return whole
    return _written(event, _smaller(event.data))


def _written(event: Event, data: Mapping[str, Any]) -> bytes:
    told = {"id": event.id, "object": "event", "type": event.type, "created": event.created_at, "data": data}
    return _json(told)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _smaller(data: Mapping[str, Any]) -> Mapping[str, Any]:
    sizes = {name: len(_json({name: value})) for name, value in data.items()}
    total, left_out = sum(sizes.values()), set[str]()
    for name in sorted(sizes, key=lambda name: sizes[name], reverse=True):
        if total <= _KEPT_BYTES:
            break
        total -= sizes[name]
        left_out.add(name)
    kept = {name: value for name, value in data.items() if name not in left_out}
    return {**kept, "left_out": sorted(name[:64] for name in left_out)[:50]}
