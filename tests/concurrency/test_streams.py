"""The streams of a DynamoDB at an endpoint, as `make run` reads them with AIG_DYNAMODB_ENDPOINT."""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import boto3
import pytest
from botocore.exceptions import ClientError

from local.errors import StartError
from local.stream_readers import EndpointReader
from local.streams import Streams
from local.template import StreamMapping

TABLE: Final = "streamed"


@pytest.fixture
def client(dynamodb_local: str) -> Iterator[Any]:
    """With a table that has a stream, for as short as can be: it slows down every write to the emulator."""
    client = boto3.client("dynamodb", endpoint_url=dynamodb_local)
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    yield client
    client.delete_table(TableName=TABLE)
    client.close()


def put(client: Any, *names: str) -> None:
    for name in names:
        client.put_item(TableName=TABLE, Item={"pk": {"S": name}, "raw": {"B": b"\x00\xff"}})


def read(reader: EndpointReader, count: int) -> list[dict[str, Any]]:
    """So many records, however many looks they take."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline
        found += reader.read()
    return found


def names(records: list[dict[str, Any]]) -> list[str]:
    return [record["dynamodb"]["Keys"]["pk"]["S"] for record in records]


def test_a_stream_is_read_from_the_start_or_from_its_end(dynamodb_local: str, client: Any) -> None:
    put(client, "1", "2")
    whole = EndpointReader(dynamodb_local, TABLE, from_the_start=True)
    late = EndpointReader(dynamodb_local, TABLE, from_the_start=False)
    put(client, "3")
    found = read(whole, 3)
    assert names(found) == ["1", "2", "3"]
    assert names(read(late, 1)) == ["3"]
    assert found[0]["eventName"] == "INSERT"
    assert found[0]["eventSourceARN"].partition("/stream/")[0].endswith(f"table/{TABLE}")
    assert found[0]["dynamodb"]["NewImage"]["raw"] == {"B": "AP8="}
    assert isinstance(found[0]["dynamodb"]["ApproximateCreationDateTime"], float)
    whole.close()
    late.close()


@pytest.mark.parametrize("before", [True, False])
def test_an_iterator_that_is_lost_goes_on_where_it_was(
    dynamodb_local: str, client: Any, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    reader = EndpointReader(dynamodb_local, TABLE, from_the_start=True)
    if before:
        put(client, "1")
        assert names(read(reader, 1)) == ["1"]
    put(client, "2")
    true_get, lost = reader._client.get_records, [True]

    def get_records(**sent: Any) -> Any:
        if lost.pop() if lost else False:
            raise ClientError({"Error": {"Code": "ExpiredIteratorException", "Message": ""}}, "GetRecords")
        return true_get(**sent)

    monkeypatch.setattr(reader._client, "get_records", get_records)
    assert names(read(reader, 1)) == ["2"]
    reader.close()


def test_another_error_is_not_hidden(dynamodb_local: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = EndpointReader(dynamodb_local, TABLE, from_the_start=True)

    def get_records(**sent: Any) -> Any:
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "GetRecords")

    monkeypatch.setattr(reader._client, "get_records", get_records)
    with pytest.raises(ClientError, match="InternalServerError"):
        reader.read()
    reader.close()


def test_a_table_without_a_stream_and_one_that_is_not_there_are_named(dynamodb_local: str, client: Any) -> None:
    keys = [{"AttributeName": "pk", "KeyType": "HASH"}]
    types = [{"AttributeName": "pk", "AttributeType": "S"}]
    client.create_table(TableName="still", BillingMode="PAY_PER_REQUEST", AttributeDefinitions=types, KeySchema=keys)
    with pytest.raises(StartError, match=r"still .* has no stream"):
        EndpointReader(dynamodb_local, "still", from_the_start=True)
    client.delete_table(TableName="still")
    with pytest.raises(StartError, match="do not work"):
        EndpointReader(dynamodb_local, "still", from_the_start=True)


def test_a_function_is_invoked_with_what_was_written(dynamodb_local: str, client: Any) -> None:
    done, seen = threading.Event(), list[str]()
    mapping = StreamMapping(
        "Mapping", "F", TABLE, from_the_start=False, batch=10, window=0.0,
        filters=({"dynamodb": {"NewImage": {"pk": {"S": [{"prefix": "txn#"}]}}}},),
        reports_failures=True, bisects=True, retries=3,
    )  # fmt: skip

    def invoke(function: str, event: dict[str, Any]) -> object:
        seen.extend(names(event["Records"]))
        if len(seen) == 3:
            done.set()
        # The first time, the second record is not done.
        return {"batchItemFailures": [] if len(seen) > 2 else [{"itemIdentifier": _number(event["Records"][-1])}]}

    reader = EndpointReader(dynamodb_local, TABLE, from_the_start=False)
    put(client, "hold#1", "txn#1", "txn#2")
    streams = Streams([mapping], lambda _: reader, invoke, print)
    streams.start()
    assert done.wait(20)
    streams.stop()
    streams.join()
    reader.close()
    assert seen == ["txn#1", "txn#2", "txn#2"]


def _number(record: dict[str, Any]) -> str:
    number: str = record["dynamodb"]["SequenceNumber"]
    return number
