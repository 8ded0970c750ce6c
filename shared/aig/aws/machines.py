"""Executions of a Step Functions state machine: one for each name, whoever starts it and however often."""

import json
from collections.abc import Mapping
from typing import Any

from aig.aws.json_api import AwsError, JsonApi
from aig.ports import StoreBusy


class StateMachine:
    """`arn` is the machine's, of the standard kind, whose executions of one name are one for ninety days."""

    def __init__(self, api: JsonApi, arn: str) -> None:
        self._api = api
        self._arn = arn

    async def close(self) -> None:
        await self._api.close()

    async def start(self, name: str, given: Mapping[str, Any]) -> bool:
        """False if an execution of this name was there before with another input, or has ended. Raises StoreBusy.

        `name` has at most 80 characters: letters, digits, hyphens and underscores.
        """
        request = {"stateMachineArn": self._arn, "name": name, "input": json.dumps(given, separators=(",", ":"))}
        try:
            await self._api.call("StartExecution", request)
        except AwsError as error:
            if error.code == "ExecutionAlreadyExists":
                return False
            if error.retryable:
                raise StoreBusy(error.code) from error
            raise
        return True
