"""Creates the template's resources at an endpoint, as a deployment would: DynamoDB tables and S3 buckets."""

from collections.abc import Iterable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.errors import StartError
from local.template import Bucket, Table

_CONFIG: Final = Config(connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2})


def create_tables(tables: Iterable[Table], endpoint: str) -> list[str]:
    """Creates the tables that are not there yet, with index, stream and TTL; returns the names of those it made.

    Raises StartError when the endpoint does not answer as DynamoDB does.
    """
    client = boto3.client("dynamodb", endpoint_url=endpoint, config=_CONFIG)
    try:
        there = _names(client)
        made = [table for table in tables if table.name not in there]
        for table in made:
            client.create_table(**table.definition)
            client.get_waiter("table_exists").wait(TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
            if table.ttl_attribute is not None:
                client.update_time_to_live(
                    TableName=table.name,
                    TimeToLiveSpecification={"Enabled": True, "AttributeName": table.ttl_attribute},
                )
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StartError(f"DynamoDB at {endpoint} does not work: {error}") from error
    finally:
        client.close()
    return [table.name for table in made]


def create_buckets(buckets: Iterable[Bucket], endpoint: str) -> None:
    """Creates the buckets, private and with their lifecycle; those that are there stay.

    Raises StartError when the endpoint does not answer as S3 does.
    """
    client = boto3.client("s3", endpoint_url=endpoint, config=_CONFIG.merge(Config(s3={"addressing_style": "path"})))
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in buckets:
            if bucket.name not in there:
                client.create_bucket(Bucket=bucket.name)
                if bucket.lifecycle:
                    client.put_bucket_lifecycle_configuration(
                        Bucket=bucket.name, LifecycleConfiguration={"Rules": list(bucket.lifecycle)}
                    )
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StartError(f"S3 at {endpoint} does not work: {error}") from error
    finally:
        client.close()


def _names(client: Any) -> set[str]:
    pages = client.get_paginator("list_tables").paginate()
    return {name for page in pages for name in page["TableNames"]}
