"""A provider on loopback, and the client that asks it."""

from collections.abc import AsyncIterator

import pytest

from aig.clock import SystemClock
from aig_providers.wire import Client
from tests.conformance.loopback import Loopback, loopback


@pytest.fixture
async def provider() -> AsyncIterator[Loopback]:
    async with loopback() as made:
        yield made


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    made = Client(SystemClock())
    yield made
    await made.close()
