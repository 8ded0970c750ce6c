"""What the functions log, measure and print, for tests to read."""

import json
from typing import Any

import pytest


class Log:
    """All that was logged, measured or printed. Loggers write to it as to a stream."""

    def __init__(self, printed: pytest.CaptureFixture[str]) -> None:
        self._printed = printed
        self._pieces: list[str] = []

    def write(self, text: str) -> None:
        """Takes what a log handler gives."""
        self._pieces.append(text)

    def flush(self) -> None:
        """Nothing waits."""

    @property
    def text(self) -> str:
        """Everything so far."""
        self._pieces.extend(self._printed.readouterr())
        return "".join(self._pieces)

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The JSON log lines with this message: an alarm's name, or "request"."""
        return [line for line in self._json() if line.get("message") == message and "service" in line]

    def metrics(self) -> list[str]:
        """The names of the metrics that were written in CloudWatch's embedded format."""
        embedded = [line["_aws"]["CloudWatchMetrics"][0] for line in self._json() if "_aws" in line]
        return [metric["Name"] for metrics in embedded for metric in metrics["Metrics"]]

    def _json(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines() if line.startswith("{")]
