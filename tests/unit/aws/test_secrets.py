"""The one secret: read once for all who ask at once, again when it is old, and kept when it cannot be read."""

import asyncio
import json
from typing import Any

import pytest
from typing_extensions import override

from aig.aws.json_api import JsonApi
from aig.aws.secrets import CACHED_S, Environment, SecretsManager
from aig.aws.sigv4 import Credentials
from aig.ports import StoreBusy
from tests.unit.clock import FixedClock


class Api(JsonApi):
    """Secrets Manager with one secret; `values` None is one that does not answer."""

    def __init__(self) -> None:
        super().__init__("secretsmanager", "secretsmanager", "1.1", "https://x", "r", Credentials("", "", None))
        self.values: dict[str, str] | None = {"A_KEY": "a", "EMPTY": ""}
        self.asked = 0

    @override
    async def call(
        self, operation: str, request: dict[str, Any], patience_s: float = 0, on_trouble: Any = None
    ) -> dict[str, Any]:
        self.asked += 1
        assert (operation, request) == ("GetSecretValue", {"SecretId": "arn"})
        await asyncio.sleep(0)
        if self.values is None:
            raise OSError
        return {"SecretString": json.dumps(self.values)}


async def test_many_who_ask_at_once_are_one_call() -> None:
    api = Api()
    secrets = SecretsManager(api, "arn", FixedClock(1000.0))
    found = await asyncio.gather(*(secrets.get(name) for name in ("A_KEY", "EMPTY", "NONE", "A_KEY")))
    assert found == ["a", None, None, "a"]
    assert api.asked == 1
    await secrets.close()


async def test_it_is_read_again_when_it_is_old_and_an_old_one_serves_while_it_cannot() -> None:
    api, clock = Api(), FixedClock(1000.0)
    secrets = SecretsManager(api, "arn", clock)
    assert await secrets.get("A_KEY") == "a"
    clock.time += CACHED_S - 1
    api.values = {"A_KEY": "b"}
    assert await secrets.get("A_KEY") == "a"
    clock.time += 1
    assert await secrets.get("A_KEY") == "b"
    api.values = None
    clock.time += CACHED_S
    assert await secrets.get("A_KEY") == "b"
    assert api.asked == 3


async def test_without_any_the_store_is_busy() -> None:
    api = Api()
    api.values = None
    with pytest.raises(StoreBusy):
        await SecretsManager(api, "arn", FixedClock(1000.0)).get("A_KEY")


async def test_the_environment_has_no_empty_ones() -> None:
    secrets = Environment({"A_KEY": "a", "EMPTY": ""})
    assert [await secrets.get(name) for name in ("A_KEY", "EMPTY", "NONE")] == ["a", None, None]
