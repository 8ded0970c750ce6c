"""The child process that serves the local models, and its watcher."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from local.errors import StartError
from local.schedules import Wait
from local.template import ROOT

_STOP_SECONDS: Final = 5
_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0
# After this time of service an end has nothing to do with the one before.
_STEADY_SECONDS: Final = 60.0

# What serves on a port; 0 takes any free one.
Command = Callable[[int], Sequence[str]]


def command(models: str, port: int) -> tuple[str, ...]:
    """What serves these models (as `MODELS` lists them) on a port; 0 takes any free one."""
    return (sys.executable, "-m", "local.models", "--port", str(port), "--models", models)


class ModelServer:
    """Starts the server, reads its address, and starts it again on the same port whenever it ends after that.

    What it prints besides goes to the log file. `say` gets one line about each end. `pause` sleeps for some seconds
    and tells whether to stop; tests pass their own.
    """

    def __init__(self, log: Path, command: Command, say: Callable[[str], None], pause: Wait | None = None) -> None:
        self._log = log
        self._command = command
        self._say = say
        self._stopped = threading.Event()
        self._pause = pause or self._stopped.wait
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._said = threading.Event()
        # No process may be started behind the back of stop().
        self._starting = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, name="models", daemon=True)

    def start(self) -> None:
        """Starts the process without waiting for it."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._process = self._open(0, "w")
        self._watcher.start()

    def _open(self, port: int, mode: Literal["w", "a"]) -> subprocess.Popen[str]:
        with self._log.open(mode, encoding="utf-8") as log:
            # In a session of its own, Ctrl-C reaches it only through stop(), after the requests that use it.
            return subprocess.Popen(
                self._command(port),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def wait(self, seconds: float) -> str:
        """The server's base URL, as soon as it serves. Raises StartError when it ends or takes longer."""
        assert self._process is not None
        if not self._said.wait(seconds):
            raise StartError(f"the model server did not start within {seconds:.0f} s (log: {self._log})")
        if not self._url:
            code = self._process.wait()
            raise StartError(
                f"the model server ended with code {code}: {self._last_line()} (log: {self._log}). "
                "MODELS=none starts without local models."
            )
        return self._url

    def stop(self) -> None:
        """Ends the process, by force if it does not end by itself, and the watcher."""
        with self._starting:
            self._stopped.set()
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._watcher.ident is not None:
            self._watcher.join(_STOP_SECONDS)

    def _watch(self) -> None:
        """Follows one process after the other. What ends before it ever served is left to `wait` to report."""
        assert self._process is not None
        end, served = self._follow(self._process)
        self._said.set()
        pause = _FIRST_PAUSE_SECONDS
        while self._url and not self._stopped.is_set():
            if served >= _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._say(f"The model server {end}; it starts again in {pause:.0f} s (log: {self._log})")
            if self._pause(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
            end, served = self._again()

    def _again(self) -> tuple[str, float]:
        """How the next process ended, if there may be one, and the seconds it served."""
        port = urlsplit(self._url).port
        assert port is not None
        try:
            with self._starting:
                if self._stopped.is_set():
                    return "", 0.0
                self._process = self._open(port, "a")
        except OSError as error:
            return f"did not start: {error.strerror}", 0.0
        return self._follow(self._process)

    def _follow(self, process: subprocess.Popen[str]) -> tuple[str, float]:
        """How a process ended, and the seconds it served."""
        assert process.stdout is not None
        served_from: float | None = None
        with process.stdout:
            for line in process.stdout:
                if line.startswith("ready "):
                    served_from = time.monotonic()
                    self._url = line.split()[1]
                    self._said.set()
        served = 0.0 if served_from is None else time.monotonic() - served_from
        return f"ended with code {process.wait()}", served

    def _last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
