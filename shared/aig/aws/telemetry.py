"""JSON log lines and embedded metrics. Never a key, a prompt or a provider's words.

Alarms go by Powertools. The line that every call writes has its form but not its cost, 0.2 ms of CPU, and Powertools is
imported with the first alarm: a tenth of a second less for a cold start.
"""

import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic_core import to_json

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


class JsonTelemetry:
    """`level` is a name of the logging module; request lines are of level INFO."""

    def __init__(self, service: str, level: str, namespace: str) -> None:
        self._service = service
        self._level = level
        self._namespace = namespace
        self._tells_requests = level in ("DEBUG", "INFO")

    @cached_property
    def _logger(self) -> "Logger":
        from aws_lambda_powertools import Logger

        return Logger(service=self._service, level=self._level)

    def request(self, **fields: str | int | None) -> None:
        if not self._tells_requests:
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"level": "INFO", "message": "request", "timestamp": stamp, "service": self._service, **fields}
        sys.stdout.write(to_json(line).decode() + "\n")

    def alarm(self, name: str, **fields: str | int | None) -> None:
        from aws_lambda_powertools.metrics import MetricUnit, single_metric

        self._logger.error(name, extra=fields)
        with single_metric(name=name, unit=MetricUnit.Count, value=1, namespace=self._namespace) as metric:
            metric.add_dimension(name="service", value=self._service)
