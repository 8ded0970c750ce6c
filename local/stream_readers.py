"""Readers of the streams of tables: of the embedded AWS in this process, and of a DynamoDB at an endpoint."""

import base64
import json
from datetime import datetime
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.embedded import stream_records
from local.errors import StartError
from local.intrinsics import ACCOUNT, REGION
from local.streams import Record

_AT_A_TIME: Final = 1000
_TABLES: Final = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
# An iterator that was not used for a while, as when the machine was asleep, or whose place in the stream is gone.
_LOST: Final = frozenset({"ExpiredIteratorException", "TrimmedDataAccessException"})


class EmbeddedReader:
    """A stream of the embedded AWS."""

    def __init__(self, table: str, *, from_the_start: bool) -> None:
        self._table = table
        self._last = 0
        if not from_the_start:
            before, records = stream_records(table, 0)
            self._last = before + len(records)

    def read(self) -> list[Record]:
        """Raises LookupError, once, where records were forgotten before they were read."""
        before, records = stream_records(self._table, self._last)
        if self._last and before > self._last:
            missed, self._last = before - self._last, before
            raise LookupError(f"{missed} records of {self._table} were forgotten before they were read")
        self._last = before + len(records)
        return [_record(record, f"{_TABLES}{self._table}/stream/local") for record in records]


class EndpointReader:
    """A stream of a DynamoDB with the API of streams, all its shards, those that come later as well.

    Raises StartError where the table has no stream or the endpoint no such API.
    """

    def __init__(self, endpoint: str, table: str, *, from_the_start: bool) -> None:
        self._client: Any = boto3.client("dynamodbstreams", endpoint_url=endpoint)
        self._iterators: dict[str, str | None] = {}  # by shard; None once all of a closed one was read
        self._last: dict[str, str] = {}  # the sequence number that was read last, by shard
        try:
            self._arn = _stream_arn(endpoint, table)
            self._open_shards("TRIM_HORIZON" if from_the_start else "LATEST")
        except (BotoCoreError, ClientError) as error:
            raise StartError(f"the streams of {endpoint} do not work: {error}") from error

    def close(self) -> None:
        self._client.close()

    def read(self) -> list[Record]:
        records: list[Record] = []
        for shard, iterator in tuple(self._iterators.items()):
            if iterator is None:
                continue
            try:
                page = self._client.get_records(ShardIterator=iterator, Limit=_AT_A_TIME)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _LOST:
                    raise
                self._iterators[shard] = self._iterator_behind(shard)
                continue
            records += page["Records"]
            if page["Records"]:
                self._last[shard] = page["Records"][-1]["dynamodb"]["SequenceNumber"]
            self._iterators[shard] = page.get("NextShardIterator")
            if self._iterators[shard] is None:
                self._open_shards("TRIM_HORIZON")
        return [_record(json.loads(json.dumps(record, default=_plain)), self._arn) for record in records]

    def _open_shards(self, where: str) -> None:
        """Iterators for the shards that have none. Parents come before their children, as they do in the listing."""
        page = self._client.describe_stream(StreamArn=self._arn)["StreamDescription"]
        shards = list(page["Shards"])
        while "LastEvaluatedShardId" in page:
            last = page["LastEvaluatedShardId"]
            page = self._client.describe_stream(StreamArn=self._arn, ExclusiveStartShardId=last)["StreamDescription"]
            shards += page["Shards"]
        for shard in shards:
            if (name := shard["ShardId"]) not in self._iterators:
                self._iterators[name] = self._iterator(name, where)

    def _iterator_behind(self, shard: str) -> str:
        last = self._last.get(shard)
        if last is not None:
            try:
                return self._iterator(shard, "AFTER_SEQUENCE_NUMBER", SequenceNumber=last)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _LOST:
                    raise
        return self._iterator(shard, "TRIM_HORIZON")

    def _iterator(self, shard: str, where: str, **more: str) -> str:
        answer = self._client.get_shard_iterator(StreamArn=self._arn, ShardId=shard, ShardIteratorType=where, **more)
        iterator: str = answer["ShardIterator"]
        return iterator


def _stream_arn(endpoint: str, table: str) -> str:
    client = boto3.client("dynamodb", endpoint_url=endpoint)
    arn: str | None = client.describe_table(TableName=table)["Table"].get("LatestStreamArn")
    client.close()
    if arn is None:
        raise StartError(f"the table {table} at {endpoint} has no stream: delete it, and it is made with one")
    return arn


def _record(record: Record, arn: str) -> Record:
    """A record as Lambda hands it on, which is a little more than the stream has."""
    return {**record, "eventVersion": "1.1", "awsRegion": REGION, "eventSourceARN": arn}


def _plain(value: Any) -> Any:
    """What JSON has no form for, as Lambda writes it."""
    return value.timestamp() if isinstance(value, datetime) else base64.b64encode(value).decode("ascii")
