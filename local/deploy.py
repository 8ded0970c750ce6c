"""Creates the template's resources at an endpoint, as a deployment would: tables, buckets, queues, state machines."""

import json
from collections.abc import Iterable
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local.errors import StartError
from local.intrinsics import ACCOUNT, REGION
from local.machine_resources import Machine
from local.queue_resources import Queue
from local.template import Bucket, Table

_NO_ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/local"
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


def create_queues(queues: Iterable[Queue], endpoint: str) -> None:
    """Creates the queues, those for dead letters first; those that are there stay.

    Raises StartError when the endpoint does not answer as SQS does.
    """
    client = boto3.client("sqs", endpoint_url=endpoint, config=_CONFIG)
    try:
        there = {url.rpartition("/")[2] for url in client.list_queues().get("QueueUrls", ())}
        for queue in sorted(queues, key=lambda queue: queue.dead_letters is not None):
            if queue.name in there:
                continue
            attributes: dict[Any, str] = {
                "VisibilityTimeout": str(queue.visibility),
                "MessageRetentionPeriod": str(queue.retention),
            }
            if queue.dead_letters is not None:
                arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue.dead_letters}"
                redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": queue.most_receives}
                attributes["RedrivePolicy"] = json.dumps(redrive)
            client.create_queue(QueueName=queue.name, Attributes=attributes)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StartError(f"SQS at {endpoint} does not work: {error}") from error
    finally:
        client.close()


def create_machines(machines: Iterable[Machine], endpoint: str) -> None:
    """Creates the state machines; those that are there stay.

    Raises StartError when a definition is not valid or the endpoint does not answer as Step Functions does.
    """
    client = boto3.client("stepfunctions", endpoint_url=endpoint, config=_CONFIG)
    try:
        pages = client.get_paginator("list_state_machines").paginate()
        there = {machine["name"] for page in pages for machine in page["stateMachines"]}
        for machine in machines:
            if machine.name not in there:
                client.create_state_machine(name=machine.name, definition=machine.definition, roleArn=_NO_ROLE)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StartError(f"Step Functions at {endpoint} does not work: {error}") from error
    finally:
        client.close()


def _names(client: Any) -> set[str]:
    pages = client.get_paginator("list_tables").paginate()
    return {name for page in pages for name in page["TableNames"]}
