"""A Core table, made as a deployment makes it, for each file of tests; its books are audited after each test."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.deploy import create_tables
from local.template import load
from tests.concurrency.core import Core, cache_table, requests_table
from tests.concurrency.fault_proxy import Proxy


@pytest.fixture(scope="module")
def core_table(dynamodb_local: str, request: pytest.FixtureRequest) -> str:
    """The name of an empty table with template.yaml's schema; beside it are those of cache and records."""
    tables = {table.logical_id: table for table in load().tables}
    table = tables["CoreTable"]
    name = f"{table.name}-{Path(request.node.name).stem}"
    cache = {**tables["CacheTable"].definition, "TableName": cache_table(name)}
    # DynamoDB Local looks through all records of all streams at each write: ten times slower from the second table on.
    definition = {key: value for key, value in table.definition.items() if key != "StreamSpecification"}
    records = {**tables["RequestsTable"].definition, "TableName": requests_table(name)}
    created = [
        replace(table, name=name, definition={**definition, "TableName": name}),
        replace(tables["CacheTable"], name=cache_table(name), definition=cache),
        replace(tables["RequestsTable"], name=requests_table(name), definition=records),
    ]
    create_tables(created, dynamodb_local)
    return name


@pytest.fixture
async def core(dynamodb_local: str, core_table: str) -> AsyncIterator[Core]:
    opened = Core(dynamodb_local, core_table)
    try:
        yield opened
        await opened.audit()
    finally:
        await opened.close()


@pytest.fixture
async def proxy(dynamodb_local: str) -> AsyncIterator[Proxy]:
    """A way to the same DynamoDB Local on which things go wrong as the test plans."""
    opened = Proxy(dynamodb_local)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()
