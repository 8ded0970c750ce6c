"""Runs the template's schedules: each in a thread of its own, so that one function never runs twice at a time."""

import json
import threading
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from local.intrinsics import ACCOUNT, REGION
from local.template import Schedule

Invoke = Callable[[str, dict[str, Any]], object]
Wait = Callable[[float], bool]


class Schedules:
    """Invokes functions at their rates. The first run comes one interval after the start, as with EventBridge.

    `invoke` takes a function's logical id and the event and returns when the function has; whatever it raises goes to
    `log`, and the schedule goes on. `wait` sleeps for some seconds and tells whether to stop; tests pass their own.
    """

    def __init__(
        self, schedules: Iterable[Schedule], invoke: Invoke, log: Callable[[str], None], wait: Wait | None = None
    ) -> None:
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._invoke = invoke
        self._log = log
        self._threads: list[threading.Thread] = []
        for schedule in schedules:
            if schedule.every is None:
                log(f"{schedule.name} does not run locally: {schedule.expression} is not a rate")
                continue
            thread = threading.Thread(
                target=self._run, args=(schedule, schedule.every), name=schedule.name, daemon=True
            )
            self._threads.append(thread)

    def start(self) -> None:
        """Starts all schedules."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends all schedules; a function that is running is not waited for."""
        self._stopped.set()

    def join(self) -> None:
        """Waits until every schedule has ended."""
        for thread in self._threads:
            thread.join()

    def _run(self, schedule: Schedule, every: float) -> None:
        while not self._wait(every):
            try:
                self._invoke(schedule.function, scheduled_event(schedule, datetime.now(UTC)))
            except Exception as error:
                self._log(f"{schedule.function} failed: {type(error).__name__}: {error}")


def scheduled_event(schedule: Schedule, now: datetime) -> dict[str, Any]:
    """The event of a scheduled invocation: the target's own input, or EventBridge's."""
    if schedule.input is not None:
        given: dict[str, Any] = json.loads(schedule.input)
        return given
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{schedule.name}"],
        "detail": {},
    }
