"""What `make run` starts, with a meter on it.

`python -m bench.metered_stack FILE` writes a line of JSON to FILE for each submission to the sandbox and for each
invocation of a function.

The CPU of an invocation is that of the thread that the handler runs in: our code, without the embedded AWS and without
what a provider would do on machines of its own. It is nothing where requests share a thread, as those that stream do.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TextIO

from aig.aws.json_api import JsonApi
from aig.modalities.job import Handle, State
from aig.modalities.upstream import Upstream
from aig_providers.sandbox_jobs import SandboxJobs
from local import functions, server
from local.template import Function

Handler = Callable[[Any, Any], Any]
COUNTING: Final = "BENCH_COUNT"  # the variable that has requests to AWS noted too
_FUNCTION: ContextVar[str] = ContextVar("function", default="")


class Meter:
    """Times are unix seconds, `cpu_ms` milliseconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def note(self, **said: Any) -> None:
        """One line, at once."""
        with self._lock:
            self._out.write(json.dumps({"at": time.time(), **said}) + "\n")
            self._out.flush()

    def metered(self, name: str, handler: Handler) -> Handler:
        """The handler, each of whose invocations is noted, with the job and the step where it is one of a machine."""

        def invoked(event: Any, context: Any) -> Any:
            began, cpu = time.time(), time.thread_time()
            answer: Any = None
            _FUNCTION.set(name)
            try:
                answer = handler(event, context)
            finally:
                cpu_ms = (time.thread_time() - cpu) * 1000
                told = answer.get("do") if isinstance(answer, dict) else None
                self.note(
                    what="invoked",
                    function=name,
                    step=event.get("action") or event.get("path"),
                    job=event.get("job_id"),
                    records=len(event.get("Records", ())),
                    told=told,
                    began=began,
                    cpu_ms=cpu_ms,
                )
            return answer

        return invoked


def count_submissions(meter: Meter) -> None:
    """Has the sandbox note whom it is asked to work for, and the CPU that its files take."""
    submit, make = SandboxJobs.submit, SandboxJobs._made

    async def submitted(
        self: SandboxJobs[Any], upstream: Upstream, request: Any, reference: str, stage: Handle | None
    ) -> State:
        meter.note(what="submitted", job=reference)
        return await submit(self, upstream, request, reference, stage)

    def made(self: SandboxJobs[Any], handle: Handle) -> bytes:
        cpu = time.thread_time()
        file = make(self, handle)
        meter.note(what="made", cpu_ms=(time.thread_time() - cpu) * 1000)
        return file

    SandboxJobs.submit = submitted  # type: ignore[method-assign]
    SandboxJobs._made = made  # type: ignore[method-assign]


def count_requests(meter: Meter) -> None:
    """Has each request to a service of AWS noted, with the units that DynamoDB says it took."""
    call = JsonApi.call

    async def counted(self: JsonApi, operation: str, request: dict[str, Any], *rest: Any) -> dict[str, Any]:
        told = {"ReturnConsumedCapacity": "TOTAL"} if self._service == "dynamodb" else {}
        answer = await call(self, operation, {**request, **told}, *rest)
        consumed = answer.get("ConsumedCapacity") or []
        units = sum(one["CapacityUnits"] for one in (consumed if isinstance(consumed, list) else [consumed]))
        meter.note(what="asked", function=_FUNCTION.get(), service=self._service, operation=operation, units=units)
        return answer

    setattr(JsonApi, "call", counted)  # noqa: B010 (its signature is wider than mypy lets it be)


def main(path: Path) -> int:
    """Serves until it is told to stop; returns the exit code."""
    with path.open("w", encoding="utf-8") as out:
        meter, load = Meter(out), functions.load_handler

        def load_metered(function: Function) -> Handler:
            return meter.metered(function.handler.split(".")[1], load(function))

        vars(server)["load_handler"] = load_metered
        count_submissions(meter)
        if os.environ.get(COUNTING):
            count_requests(meter)
        return server.main()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
