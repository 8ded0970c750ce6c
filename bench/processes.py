"""Child processes on a CPU of their choice."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent
_START_SECONDS: Final = 60.0


class BenchError(Exception):
    """The message is one line, or one line and the end of a log."""


def cpus() -> tuple[int, int] | None:
    """The CPU of everything else, and that of what is measured; None where processes cannot be pinned."""
    process = psutil.Process()
    if not hasattr(process, "cpu_affinity"):
        return None
    allowed = sorted(process.cpu_affinity() or range(os.cpu_count() or 1))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else None


@contextlib.contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """Processes that start in here stay on this CPU."""
    if cpu is None:
        yield
        return
    process = psutil.Process()
    before = process.cpu_affinity()
    process.cpu_affinity([cpu])
    try:
        yield
    finally:
        process.cpu_affinity(before)


class Child:
    """A running program. What it says on stderr, and on stdout unless that is read, can be asked for when it fails."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], *, read: bool = False) -> None:
        self._name = " ".join(command[-2:])
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the process writes to it)
        out = subprocess.PIPE if read else self._log
        self.process = subprocess.Popen(command, cwd=ROOT, env=dict(environ), stdout=out, stderr=self._log)

    def ready(self) -> str:
        """The URL behind the word `ready` on its stdout. Raises BenchError."""
        assert self.process.stdout is not None
        word, _, url = self.process.stdout.readline().decode().strip().partition(" ")
        if word != "ready":
            raise self._failed("did not start")
        return url

    def wait_for(self, url: str) -> None:
        """Returns when something answers at `url`, whatever it says. Raises BenchError."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
            except urllib.error.HTTPError:
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise self._failed(f"did not start ({error})") from error
                time.sleep(0.05)
            else:
                return

    def said(self) -> str:
        """The end of its log."""
        self._log.seek(0)
        return self._log.read()[-2000:].decode(errors="replace")

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Resident memory in MB of 10**6 bytes."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    def stop(self) -> None:
        """Ends it, by force if it does not end by itself."""
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()

    def _failed(self, how: str) -> BenchError:
        return BenchError(f"{self._name} {how}:\n{self.said()}")


def module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", name, *arguments]
