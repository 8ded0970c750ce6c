"""Calls to the AWS services that speak JSON over POST: DynamoDB, Secrets Manager, SQS, Step Functions.

In place of boto3, which costs 2.8 CPU-ms a call and a second of import; docs/decisions/0001 says how that was weighed.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json, to_json
from yarl import URL

from aig.aws import http1
from aig.aws.sigv4 import Credentials, sign

_CONNECT_S, _TOTAL_S = 2.0, 3.0
PATIENCE_S = 3.0
_BACKOFF_S, _LONGEST_BACKOFF_S, _LONGEST_CONFLICT_S = 0.02, 0.5, 0.1
_RETRYABLE = frozenset(
    {
        "InternalServerError",
        "InternalServiceError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)


class AwsError(Exception):
    """An answer other than 200. `code` is AWS's exception name; `body` may hold CancellationReasons."""

    def __init__(self, code: str, body: dict[str, Any], status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.body = body
        self.status = status

    @property
    def cancellation_codes(self) -> list[str]:
        """Per item of a cancelled transaction `None`, `ConditionalCheckFailed`, `TransactionConflict`, …"""
        return [str(reason.get("Code")) for reason in self.body.get("CancellationReasons", ())]

    @property
    def cancelled_items(self) -> list[dict[str, Any]]:
        """Per item of a cancelled transaction what it is, where the action asks for that and its condition failed."""
        return [reason.get("Item") or {} for reason in self.body.get("CancellationReasons", ())]

    @property
    def retryable(self) -> bool:
        if self.code == "TransactionCanceledException":
            # A condition that failed is an answer; all else that cancels passes.
            codes = set(self.cancellation_codes) - {"None"}
            return bool(codes) and codes <= {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}
        return self.code in _RETRYABLE or self.status >= 500

    @property
    def conflict(self) -> bool:
        return "TransactionConflict" in self.cancellation_codes


def _unreachable(error: Exception) -> AwsError:
    return AwsError("Unreachable", {"message": type(error).__name__}, 503)


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
        self._http = http1.Client(self._url, _CONNECT_S, _TOTAL_S)

    async def close(self) -> None:
        await self._http.close()

    async def _once(self, operation: str, payload: bytes) -> dict[str, Any]:
        target = f"{self._target}.{operation}"
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = sign(self._credentials, self._region, self._service, self._host, target, payload, timestamp)
        headers["content-type"] = self._content_type
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"POST / HTTP/1.1\r\n{lines}content-length: {len(payload)}\r\n\r\n"
        try:
            status, raw = await self._http.exchange(head.encode() + payload)
        except http1.UnreachableError as error:
            raise _unreachable(error) from error
        try:
            body = from_json(raw)
        except ValueError as error:
            raise _unreachable(error) from error
        if not isinstance(body, dict):
            raise _unreachable(ValueError())
        if status != 200:
            # A front end that fails names no exception.
            name = str(body.get("__type") or ("InternalServerError" if status >= 500 else status))
            raise AwsError(name.rpartition("#")[2], body, status)
        return body

    async def call(
        self,
        operation: str,
        request: dict[str, Any],
        patience_s: float = PATIENCE_S,
        on_trouble: Callable[[AwsError], None] | None = None,
    ) -> dict[str, Any]:
        """The answer's body. Raises AwsError, after retries with full jitter for `patience_s` where they may help.

        `on_trouble` is told of each error that a repeat may help against.
        """
        payload = to_json(request)
        attempt, deadline = 0, time.monotonic() + patience_s
        while True:
            try:
                return await self._once(operation, payload)
            except AwsError as error:
                if on_trouble is not None and error.retryable:
                    on_trouble(error)
                longest = min(_BACKOFF_S * 2**attempt, _LONGEST_CONFLICT_S if error.conflict else _LONGEST_BACKOFF_S)
                wait = random.uniform(0, longest)  # noqa: S311 jitter, not a secret
                if not error.retryable or time.monotonic() + wait > deadline:
                    raise
            attempt += 1
            await asyncio.sleep(wait)
