"""The child process that serves the local models."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

from local.errors import StartError
from local.template import ROOT

_STOP_SECONDS: Final = 5


def command(models: str) -> tuple[str, ...]:
    """What serves these models (as `MODELS` lists them) on a free port."""
    return (sys.executable, "-m", "local.models", "--port", "0", "--models", models)


class ModelServer:
    """Starts the server and reads its address. What it prints besides goes to the log file."""

    def __init__(self, log: Path, command: Sequence[str]) -> None:
        self._log = log
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._url = ""
        self._said = threading.Event()

    def start(self) -> None:
        """Starts the process without waiting for it."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as log:
            # In a session of its own, Ctrl-C reaches it only through stop(), after the requests that use it.
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), name="models-stdout", daemon=True).start()

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
        """Ends the process, by force if it does not end by itself."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                if line.startswith("ready "):
                    self._url = line.split()[1]
                    self._said.set()
        self._said.set()

    def _last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
