"""Calls to the AWS services that speak JSON over POST: DynamoDB and Secrets Manager.

In place of boto3, which costs 2.8 CPU-ms a call and a second of import; bench/README.md has the figures.
"""

import asyncio
import json
import random
import time
from typing import Any

import aiohttp
from yarl import URL

from aig.aws.sigv4 import Credentials, sign

_CONNECT_S, _TOTAL_S = 2.0, 5.0
_TRIES = 8
_BACKOFF_S, _LONGEST_BACKOFF_S = 0.02, 0.5
_RETRYABLE = frozenset(
    {
        "InternalServerError",
        "InternalServiceError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class AwsError(Exception):
    """An answer other than 200. `code` is AWS's exception name; `body` may hold CancellationReasons."""

    def __init__(self, code: str, body: dict[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.body = body

    @property
    def cancellation_codes(self) -> list[str]:
        """Per item of a cancelled transaction `None`, `ConditionalCheckFailed`, `TransactionConflict`, …"""
        return [str(reason.get("Code")) for reason in self.body.get("CancellationReasons", ())]

    @property
    def retryable(self) -> bool:
        if self.code == "TransactionCanceledException":
            # A condition that failed is an answer; all else that cancels passes.
            codes = set(self.cancellation_codes) - {"None"}
            return bool(codes) and codes <= {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
        return self.code in _RETRYABLE or self.code == "Unreachable"


def _unreachable(error: Exception) -> AwsError:
    return AwsError("Unreachable", {"message": type(error).__name__})


class JsonApi:
    """One service at one endpoint. Retries what passes by itself, so every call must be safe to repeat."""

    def __init__(
        self, service: str, target: str, version: str, endpoint: str, region: str, credentials: Credentials
    ) -> None:
        self._service = service
        self._target = target
        self._region = region
        self._credentials = credentials
        self._url = URL(endpoint.rstrip("/") + "/")
        port = "" if self._url.is_default_port() else f":{self._url.port}"
        self._host = f"{self._url.host}{port}"
        self._content_type = f"application/x-amz-json-{version}"
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _client(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._loop is not loop:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
                timeout=aiohttp.ClientTimeout(total=_TOTAL_S, sock_connect=_CONNECT_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent", "Accept"),
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, operation: str, payload: bytes) -> dict[str, Any]:
        target = f"{self._target}.{operation}"
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = sign(self._credentials, self._region, self._service, self._host, target, payload, timestamp)
        headers["content-type"] = self._content_type
        try:
            async with self._client().post(self._url, data=payload, headers=headers) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(error) from error
        try:
            body: dict[str, Any] = json.loads(raw)
        except ValueError as error:
            raise _unreachable(error) from error
        if response.status != 200:
            raise AwsError(str(body.get("__type", response.status)).rpartition("#")[2], body)
        return body

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The answer's body. Raises AwsError, after retries with full jitter where a retry may help."""
        payload = json.dumps(request, separators=(",", ":")).encode()
        for attempt in range(_TRIES - 1):
            try:
                return await self._once(operation, payload)
            except AwsError as error:
                if not error.retryable:
                    raise
            longest = min(_BACKOFF_S * 2**attempt, _LONGEST_BACKOFF_S)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 jitter, not a secret
        return await self._once(operation, payload)
