"""The embedded AWS: atomic where moto is not, and deployed from the template's tables."""

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from local.deploy import create_buckets, create_tables
from local.embedded import EmbeddedAws, pretend_credentials
from local.errors import StartError
from local.template import Stack, load

THREADS = 16


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads take turns all the time, so that a check and a write behind it are rarely one step by luck."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def stack() -> Stack:
    return load()


@pytest.fixture(scope="module")
def aws() -> Iterator[EmbeddedAws]:
    server = EmbeddedAws()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(aws: EmbeddedAws) -> Iterator[Any]:
    config = Config(max_pool_connections=THREADS)
    client = boto3.client("dynamodb", endpoint_url=aws.endpoint, config=config)
    yield client
    client.close()


def test_tables_are_created_once_with_index_stream_and_ttl(aws: EmbeddedAws, stack: Stack, client: Any) -> None:
    (deployed,) = (table for table in stack.tables if table.logical_id == "CoreTable")
    # moto's tables are those of the process, and another test may have deployed this one.
    table = replace(deployed, name="once", definition={**deployed.definition, "TableName": "once"})
    assert create_tables([table], aws.endpoint) == ["once"]
    assert create_tables([table], aws.endpoint) == []
    made = client.describe_table(TableName=table.name)["Table"]
    assert [index["IndexName"] for index in made["GlobalSecondaryIndexes"]] == ["expiry"]
    assert made["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    assert made["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    ttl = client.describe_time_to_live(TableName=table.name)["TimeToLiveDescription"]
    assert ttl == {"AttributeName": "ttl", "TimeToLiveStatus": "ENABLED"}


def test_an_endpoint_that_is_not_there_is_named(stack: Stack) -> None:
    with pytest.raises(StartError, match=r"http://127\.0\.0\.1:9"):
        create_tables(stack.tables, "http://127.0.0.1:9")
    with pytest.raises(StartError, match=r"http://127\.0\.0\.1:9"):
        create_buckets(stack.buckets, "http://127.0.0.1:9")


def test_buckets_are_created_once_with_their_lifecycle(aws: EmbeddedAws, stack: Stack) -> None:
    (cached,) = (bucket for bucket in stack.buckets if bucket.logical_id == "CacheBucket")
    bucket = replace(cached, name="made-once")
    for _ in range(2):
        create_buckets([bucket], aws.endpoint)
    client = boto3.client("s3", endpoint_url=aws.endpoint)
    (rule,) = client.get_bucket_lifecycle_configuration(Bucket=bucket.name)["Rules"]
    client.close()
    assert (rule["Status"], rule["Filter"], rule["Expiration"]) == ("Enabled", {"Prefix": "cache/"}, {"Days": 2})


@pytest.mark.usefixtures("eager_switching")
def test_sixteen_threads_get_exactly_what_there_is(client: Any) -> None:
    client.create_table(
        TableName="places",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    client.put_item(TableName="places", Item={"pk": {"S": "hall"}, "seats": {"N": "40"}})
    together = threading.Barrier(THREADS)
    refused: list[int] = []

    def reserve(_: int) -> int:
        granted = 0
        together.wait(60)
        for _ in range(5):
            try:
                client.update_item(
                    TableName="places",
                    Key={"pk": {"S": "hall"}},
                    UpdateExpression="SET seats = seats - :one",
                    ConditionExpression="seats >= :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                )
                granted += 1
            except client.exceptions.ConditionalCheckFailedException:
                refused.append(1)
        return granted

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(reserve, range(THREADS))) == 40
    assert len(refused) == THREADS * 5 - 40
    item = client.get_item(TableName="places", Key={"pk": {"S": "hall"}}, ConsistentRead=True)["Item"]
    assert item["seats"] == {"N": "0"}


@pytest.mark.usefixtures("eager_switching")
def test_a_transaction_in_a_race_is_committed_once(client: Any) -> None:
    client.create_table(
        TableName="ledger",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    client.put_item(TableName="ledger", Item={"pk": {"S": "wallet"}, "balance": {"N": "100"}})
    together = threading.Barrier(THREADS)

    def charge(_: int) -> int:
        row = {"TableName": "ledger", "Item": {"pk": {"S": "row"}}, "ConditionExpression": "attribute_not_exists(pk)"}
        wallet = {
            "TableName": "ledger",
            "Key": {"pk": {"S": "wallet"}},
            "UpdateExpression": "SET balance = balance - :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
        together.wait(60)
        try:
            client.transact_write_items(TransactItems=[{"Put": row}, {"Update": wallet}])
        except client.exceptions.TransactionCanceledException:
            return 0
        return 1

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(charge, range(THREADS))) == 1
    item = client.get_item(TableName="ledger", Key={"pk": {"S": "wallet"}}, ConsistentRead=True)["Item"]
    assert item["balance"] == {"N": "99"}


def test_credentials_are_nobody_s(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "real")
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("NO_PROXY", "internal.example.com")
    monkeypatch.setenv("no_proxy", "")
    pretend_credentials()
    assert "AWS_PROFILE" not in os.environ
    assert "real" not in [value for name, value in os.environ.items() if name.startswith("AWS_")]
    assert os.environ["NO_PROXY"] == "internal.example.com,127.0.0.1,localhost"


def test_a_query_looks_at_the_items_of_its_key_only(
    aws: EmbeddedAws, stack: Stack, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.dynamodb.models.table import Table

    (deployed,) = (table for table in stack.tables if table.logical_id == "CoreTable")
    create_tables(
        [replace(deployed, name="asked", definition={**deployed.definition, "TableName": "asked"})], aws.endpoint
    )
    for key in "abc":
        for row in "12":
            expiry = {"expiry_bucket": {"S": "one"}, "expires_at": {"N": row}}
            client.put_item(TableName="asked", Item={"pk": {"S": key}, "sk": {"S": row}, **expiry})
    looked_at = list[int]()
    whole = Table.all_items

    def all_items(table: Any) -> Any:
        items = whole(table)
        looked_at.append(len(items))
        return items

    monkeypatch.setattr(Table, "all_items", all_items)

    def found(condition: str, value: str, **more: Any) -> list[tuple[str, str]]:
        values = {":v": {"S": value}}
        answer = client.query(
            TableName="asked", KeyConditionExpression=condition, ExpressionAttributeValues=values, **more
        )
        return [(item["pk"]["S"], item["sk"]["S"]) for item in answer["Items"]]

    assert found("pk = :v", "b") == [("b", "1"), ("b", "2")]
    assert found("pk = :v", "nobody") == []
    assert looked_at == [2, 0]
    assert len(found("expiry_bucket = :v", "one", IndexName="expiry")) == 6
    assert len(found("pk = :v", "c", ScanIndexForward=False, Limit=1)) == 1


def test_nobody_resets_it_by_a_request(aws: EmbeddedAws) -> None:
    """A webhook of a tenant's may go to any port of this machine."""
    for path in ("reset", "seed", "config"):
        assert httpx.post(f"{aws.endpoint}/moto-api/{path}", json={}).status_code == 404
