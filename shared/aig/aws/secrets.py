"""Provider keys and the pepper: one secret in Secrets Manager, or on a laptop the environment."""

import asyncio
import json
from collections.abc import Mapping

from aig.aws.json_api import JsonApi
from aig.clock import Clock
from aig.ports import StoreBusy

CACHED_S = 300.0


class SecretsManager:
    """One JSON secret, read again when five minutes old; an old copy serves while Secrets Manager does not answer."""

    def __init__(self, api: JsonApi, secret_id: str, clock: Clock) -> None:
        self._api = api
        self._secret_id = secret_id
        self._clock = clock
        self._values: Mapping[str, str] = {}
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def get(self, name: str) -> str | None:
        if self._stale():
            async with self._reading:
                if self._stale():  # nobody has read it while this one waited
                    await self._read()
        return self._values.get(name) or None

    def _stale(self) -> bool:
        return self._read_at is None or self._clock.monotonic() - self._read_at >= CACHED_S

    async def _read(self) -> None:
        try:
            answer = await self._api.call("GetSecretValue", {"SecretId": self._secret_id})
            self._values = json.loads(answer["SecretString"])
        except Exception as error:
            if self._read_at is None:
                raise StoreBusy(type(error).__name__) from error
        self._read_at = self._clock.monotonic()

    async def close(self) -> None:
        await self._api.close()


class Environment:
    """Secrets as environment variables: `make run` and tests."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    async def get(self, name: str) -> str | None:
        return self._variables.get(name) or None
