"""Messages into an SQS queue, as JSON: at least once, in no order, and all of them harmless when they come twice."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aig.aws.json_api import AwsError, JsonApi
from aig.ports import StoreBusy

MOST_AT_ONCE = 10  # entries of a batch, together at most 256 kB


class SqsQueue:
    """`url` is the queue's; a message may be sent twice where the answer to the first try is lost.

    Messages that name a tenant are of its group: while one tenant keeps many workers busy, SQS has them take those of
    other tenants first.
    """

    def __init__(self, api: JsonApi, url: str) -> None:
        self._api = api
        self._url = url

    async def close(self) -> None:
        await self._api.close()

    async def send(self, body: Mapping[str, Any], delay_s: int = 0) -> None:
        """One message, which nobody sees for `delay_s` seconds, at most 900. Raises StoreBusy."""
        await self._call("SendMessage", {**_entry(body), "DelaySeconds": delay_s})

    async def send_all(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """All of them, ten at a time. Raises StoreBusy where one was not taken: any of them may have been."""
        for start in range(0, len(bodies), MOST_AT_ONCE):
            entries = [{"Id": str(at), **_entry(body)} for at, body in enumerate(bodies[start : start + MOST_AT_ONCE])]
            answer = await self._call("SendMessageBatch", {"Entries": entries})
            if answer.get("Failed"):
                raise StoreBusy(str(answer["Failed"][0].get("Code")))

    async def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._api.call(operation, {"QueueUrl": self._url, **request})
        except AwsError as error:
            if error.retryable:
                raise StoreBusy(error.code) from error
            raise


def _entry(body: Mapping[str, Any]) -> dict[str, str]:
    group = {"MessageGroupId": str(body["tenant"])} if "tenant" in body else {}
    return {"MessageBody": json.dumps(body, separators=(",", ":")), **group}
