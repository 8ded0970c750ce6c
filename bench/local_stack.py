"""The local stack as a process of its own, as `make run` starts it, with the meter of bench.metered_stack on it."""

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aig import wiring
from aig.wiring import Container
from bench import stack
from bench.processes import BenchError, Child, cpus, module, on_cpu
from local.embedded import pretend_credentials
from local.template import Stack
from tests.dynamodb_local import DynamoDBLocal

KEY: Final = "sk-aig-bench001" + "k3Y" * 12
_START_SECONDS: Final = 120.0
_STOP_SECONDS: Final = 20.0


class Lines:
    """A file of JSON that another process writes line by line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._read: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        """All of them so far; the same list each time."""
        with self._path.open(encoding="utf-8") as lines:
            lines.seek(self._seen)
            for line in iter(lines.readline, ""):
                if not line.endswith("\n"):
                    break
                self._read.append(json.loads(line))
                self._seen += len(line.encode())
        return self._read


@dataclass
class Metered:
    """A stack that serves. `base_url` ends in /v1, `database` is where its DynamoDB is; `key` has 10 USD behind it."""

    child: Child
    base_url: str
    database: str
    environ: Mapping[str, str]
    meter: Lines
    key: str = KEY

    def container(self) -> Container:
        """Ports to what it stores. The caller closes it."""
        return wiring.container({**self.environ, "AIG_DYNAMODB_ENDPOINT": self.database})

    def notes(self) -> list[dict[str, Any]]:
        """All lines of the meter so far."""
        return self.meter.read()

    def alive(self) -> bool:
        return self.child.process.poll() is None


@contextlib.contextmanager
def metered(template: Stack, cpu: int | None, **variables: str) -> Iterator[Metered]:
    """Serves for the time of the block, on `cpu` alone if there is one. Raises BenchError."""
    with tempfile.TemporaryDirectory() as folder:
        meter = Path(folder) / "meter"
        meter.touch()
        settings = {"PORT": "0", "AIG_DEV_KEY": KEY, "MODELS": "none", "AIG_KEY_PEPPER": "bench", "LOG_LEVEL": "ERROR"}
        environ = {**stack.base_environment(), **settings, **variables}
        with on_cpu(cpu):
            child = Child(module("bench.metered_stack", str(meter)), environ, read=True)
        try:
            said = _said(child)
            database = _until(said, child, r"Tables at (\S+):")
            base_url = _until(said, child, r"Base URL +(\S+)")
            _until(said, child, r"^(print\(\))")
            environ = {**environ, **template.functions["JobWorkerFunction"].environment}
            yield Metered(child, base_url, database, environ, Lines(meter))
        finally:
            _stop(child)


def _stop(child: Child) -> None:
    """As Ctrl-C does it: the functions are let finish."""
    child.process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.process.wait(_STOP_SECONDS)
    child.stop()


def _said(child: Child) -> "queue.Queue[str]":
    """What it says, line by line, from a thread that never lets it wait; what it logs is shown if BENCH_LOG is set."""
    lines: queue.Queue[str] = queue.Queue()
    assert child.process.stdout is not None
    shown = bool(os.environ.get("BENCH_LOG"))

    def read(stdout: Any = child.process.stdout) -> None:
        with contextlib.suppress(ValueError):
            for line in stdout:
                lines.put(line.decode())
                if shown:
                    print(line.decode(), end="")

    threading.Thread(target=read, daemon=True).start()
    return lines


def _until(lines: "queue.Queue[str]", child: Child, pattern: str) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            if child.process.poll() is not None:
                break
            continue
        if match := re.search(pattern, line):
            return match[1]
    raise BenchError(f"the local stack did not start:\n{child.said()}")


@contextlib.contextmanager
def on_database(dynamodb_local: bool, **variables: str) -> Iterator[tuple[Metered, str]]:
    """A stack on a CPU of its own and the name of its database; `variables` are given with DynamoDB Local alone."""
    pinned = cpus()
    with contextlib.ExitStack() as running:
        given, database = {}, "moto, in the stack's process"
        if dynamodb_local:
            pretend_credentials()
            emulator = DynamoDBLocal()
            running.callback(emulator.stop)
            given, database = {"AIG_DYNAMODB_ENDPOINT": emulator.endpoint, **variables}, "DynamoDB Local"
        yield running.enter_context(metered(stack.template(), pinned[1] if pinned else None, **given)), database
