"""JSON log lines and embedded metrics, by Powertools. Never a key, a prompt or a provider's words."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric


class PowertoolsTelemetry:
    def __init__(self, namespace: str = "AIgateway") -> None:
        self._logger = Logger()
        self._namespace = namespace

    def request(self, **fields: str | int | None) -> None:
        self._logger.info("request", extra=fields)

    def alarm(self, name: str, **fields: str | int | None) -> None:
        self._logger.error(name, extra=fields)
        with single_metric(name=name, unit=MetricUnit.Count, value=1, namespace=self._namespace) as metric:
            metric.add_dimension(name="environment", value="all")
