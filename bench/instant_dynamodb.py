"""A DynamoDB that says yes at once: what remains of a call's time is the gateway's own.

It keeps what the authentication reads, and nothing of the calls; conditions are not looked at.
"""

import asyncio
import json
from typing import Any

from bench import raw_http

_items: dict[tuple[str, str], dict[str, Any]] = {}


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["S"]


def answer(head: bytes, body: bytes, transport: asyncio.Transport) -> None:
    """GetItem finds what transactions have put; everything else is done and has nothing to say."""
    said: dict[str, Any] = {}
    if b"transactwriteitems" in head:
        puts = [action["Put"]["Item"] for action in json.loads(body)["TransactItems"] if "Put" in action]
        _items.update({_key(item): item for item in puts if not _key(item)[1].startswith(("hold#", "txn#"))})
    elif b"getitem" in head:
        found = _items.get(_key(json.loads(body)["Key"]))
        said = {"Item": found} if found else {}
    elif b".query" in head:
        said = {"Items": []}
    transport.write(raw_http.reply(json.dumps(said).encode(), b"application/x-amz-json-1.0"))


if __name__ == "__main__":
    raw_http.serve(answer)
