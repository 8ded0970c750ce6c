"""The embedded AWS: moto in this process, on a free loopback port, with DynamoDB and SQS made atomic."""

import base64
import copy
import inspect
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Final

from local.embedded_queues import make_queues_atomic, make_queues_quick
from local.intrinsics import ACCOUNT, REGION
from local.machines import make_machines_run

_LOCK: Final = threading.RLock()
_LOCKED: Final = "_aigateway_locked"
_STREAM_RECORDS_KEPT: Final = 5_000
_SMALL: Final = "_aigateway_small"


def pretend_credentials() -> None:
    """Sets AWS credentials that no real account has, so that nothing local can reach one."""
    os.environ.pop("AWS_PROFILE", None)
    os.environ.update(
        AWS_REGION=REGION,
        AWS_DEFAULT_REGION=REGION,
        AWS_ACCESS_KEY_ID="local",
        AWS_SECRET_ACCESS_KEY="local",
        AWS_SESSION_TOKEN="local",
        AWS_EC2_METADATA_DISABLED="true",
    )
    # A proxy of the user's must not be asked for loopback addresses.
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


def make_dynamodb_atomic() -> None:
    """Puts one lock around moto's DynamoDB handler.

    Without it a condition and the write behind it are two steps: 16 threads that reserved one of 500 places got up
    to 515, and one transaction in a race could be committed twice.
    """
    from moto.dynamodb.responses import DynamoHandler

    if hasattr(DynamoHandler, _LOCKED):
        return
    original: Callable[[Any], Any] = DynamoHandler.call_action

    def call_action(self: object) -> object:
        with _LOCK:
            return original(self)

    DynamoHandler.call_action = call_action  # type: ignore[method-assign]
    setattr(DynamoHandler, _LOCKED, True)


def make_transactions_small() -> None:
    """Has a transaction keep a copy of the items that it names, to roll back by.

    moto copies the whole table, its stream included, once for each of them: 200 metered calls took 4 GB and minutes.
    """
    from moto.dynamodb import models
    from moto.dynamodb.models.table import Table

    backend: Any = models.DynamoDBBackend
    if hasattr(backend, _SMALL):
        return
    original: Callable[[Any, Any], None] = backend.transact_write_items

    def deepcopy(value: object) -> object:
        return value if isinstance(value, Table) else copy.deepcopy(value)

    def transact_write_items(self: Any, transact_items: Sequence[Mapping[str, Any]]) -> None:
        before = [_Before(self, action) for entry in transact_items for action in entry.values()]
        try:
            original(self, transact_items)
        except Exception:
            for item in before:
                item.restore()
            raise
        for item in before:
            item.trim_stream()

    vars(models)["copy"] = SimpleNamespace(deepcopy=deepcopy)
    backend.transact_write_items = transact_write_items
    setattr(backend, _SMALL, True)


def make_queries_small() -> None:
    """Has a query of a table look at the items under its key only.

    moto sorts the whole table for each: after some thousand calls, a page of a ledger took a second.
    """
    from moto.dynamodb.models.table import Table

    if hasattr(Table, _SMALL):
        return
    original: Callable[..., Any] = Table.query
    arguments = inspect.signature(original)

    def query(self: Any, hash_key: Any, *args: Any, **options: Any) -> Any:
        if arguments.bind(self, hash_key, *args, **options).arguments.get("index_name"):
            return original(self, hash_key, *args, **options)
        everything = self.items
        self.items = {hash_key: everything[hash_key]} if hash_key in everything else {}
        try:
            return original(self, hash_key, *args, **options)
        finally:
            self.items = everything

    Table.query = query  # type: ignore[method-assign]
    setattr(Table, _SMALL, True)


def take_the_remote_control_away() -> None:
    """Has moto not answer at /moto-api, where a POST resets all of it: a webhook may go to any port of this machine."""
    from moto.moto_api._internal import urls

    urls.url_paths.clear()


class _Before:
    """One item of a table as it was before a transaction, and where the table's stream ended."""

    def __init__(self, backend: Any, action: Mapping[str, Any]) -> None:
        from moto.dynamodb.models.dynamo_type import DynamoType

        self._table = backend.get_table(action["TableName"])
        named = action.get("Key") or action["Item"]
        names = filter(None, (self._table.hash_key_attr, self._table.range_key_attr))
        self._keys = [DynamoType(named[name]) for name in names]
        self._item = copy.deepcopy(self._table.get_item(*self._keys))
        stream = self._table.stream_shard
        self._stream_length = len(stream.items) if stream else 0

    def restore(self) -> None:
        """Puts the item and the stream back."""
        hash_key, *range_keys = self._keys
        holder, key = (self._table.items[hash_key], range_keys[0]) if range_keys else (self._table.items, hash_key)
        if self._item is None:
            holder.pop(key, None)
        else:
            holder[key] = self._item
        if self._table.stream_shard:
            del self._table.stream_shard.items[self._stream_length :]

    def trim_stream(self) -> None:
        """Forgets the oldest stream records, which moto keeps for ever."""
        shard = self._table.stream_shard
        excess = len(shard.items) - _STREAM_RECORDS_KEPT if shard else 0
        if excess > 0:
            shard.starting_sequence_number += excess
            del shard.items[:excess]


def stream_records(table: str, after: int) -> tuple[int, list[dict[str, Any]]]:
    """What the stream of a table has behind the sequence number `after`, and the number of the last record before that.

    It is more than `after` where records were forgotten. The streams API of moto would do, but for one thing: it keeps
    every iterator that it ever made, one for each look.
    """
    from moto.dynamodb.models import dynamodb_backends

    with _LOCK:
        shard: Any = dynamodb_backends[ACCOUNT][REGION].get_table(table).stream_shard
        before = max(after, shard.starting_sequence_number - 1)
        records = shard.items[before + 1 - shard.starting_sequence_number :]
        # Copied before anything changes: the images of a record are those of living items.
        return before, [json.loads(json.dumps(record.to_json(), default=_plain)) for record in records]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.timestamp() if isinstance(value, datetime) else value.to_json()


class EmbeddedAws:
    """A moto server. `endpoint` is its URL once it has been started; what it stores is gone when it stops."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        make_dynamodb_atomic()
        make_transactions_small()
        make_queries_small()
        make_queues_atomic()
        make_queues_quick()
        make_machines_run()
        take_the_remote_control_away()
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self.endpoint = ""

    def start(self) -> str:
        """Starts serving and returns the endpoint."""
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self.endpoint

    def stop(self) -> None:
        """Ends the server's thread."""
        self._server.stop()
