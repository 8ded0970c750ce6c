"""What tests of every kind share: the network is loopback, and an embedded AWS or a DynamoDB Local is at hand."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from aig import wiring
from aig.aws import json_api
from local.deploy import create_buckets, create_machines, create_queues, create_tables
from local.embedded import EmbeddedAws, pretend_credentials
from local.functions import shared_environment
from local.template import Stack, load
from tests.builders import PEPPER
from tests.dynamodb_local import DynamoDBLocal

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_true_getaddrinfo = socket.getaddrinfo


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Lets sockets connect to loopback only, and forgets what the user's environment says of gateways and accounts."""
    config.option.allow_hosts = ",".join(_LOOPBACK)
    config.option.allow_unix_socket = True
    socket.getaddrinfo = _getaddrinfo
    for name in tuple(os.environ):
        if name.startswith(("AIG_", "AWS_", "POWERTOOLS_")) or name.endswith(("_API_KEY", "_API_TOKEN", "_API_SECRET")):
            del os.environ[name]
    pretend_credentials()
    # A busy machine stands still for seconds; tests of a store that does not answer choose times of their own.
    json_api._TOTAL_S = 30.0


def _getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in _LOOPBACK or name.replace(".", "").isdigit() or ":" in name:
        return _true_getaddrinfo(host, *args, **more)
    raise socket.gaierror(socket.EAI_NONAME, f"tests may not look up {name}")


@pytest.fixture(scope="session")
def dynamodb_local() -> Iterator[str]:
    """The endpoint of a DynamoDB Local: no tables, credentials in the environment, shared by the whole session."""
    emulator = DynamoDBLocal()
    yield emulator.endpoint
    emulator.stop()


@pytest.fixture(scope="session")
def deployed() -> Stack:
    """template.yaml with its parameters' defaults, but all logs."""
    return load(parameters={"LogLevel": "DEBUG"})


@pytest.fixture(scope="session")
def dynamodb(deployed: Stack) -> Iterator[str]:
    """The endpoint of a moto with all that the template has of AWS, the functions' environment set.

    Accounts keep tests apart.
    """
    aws = EmbeddedAws()
    endpoint = aws.start()
    create_tables(deployed.tables, endpoint)
    create_buckets(deployed.buckets, endpoint)
    create_queues(deployed.queues, endpoint)
    create_machines(deployed.machines, endpoint)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in shared_environment(deployed.functions).items():
            patch.setenv(name, value)
        for service in ("DYNAMODB", "S3", "SQS", "STATES"):
            patch.setenv(f"AIG_{service}_ENDPOINT", endpoint)
        patch.setenv("AIG_KEY_PEPPER", PEPPER)
        yield endpoint
    aws.stop()


@pytest.fixture
async def container(dynamodb: str) -> AsyncIterator[wiring.Container]:
    """The ports as the functions have them, over moto's tables."""
    built = wiring.container()
    yield built
    await built.close()
