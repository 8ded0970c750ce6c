"""The whole gateway as a process, `python -m local`, which is what `make run` starts."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from typing import Final, Self

from local.template import ROOT

KEY: Final = "sk-aig-e2e00001" + "k3Y" * 12
_START_SECONDS: Final = 100.0
_STOP_SECONDS: Final = 30.0


class Stack:
    """Serves from the beginning of its `with` block to the end, on a free port, with the local models of `MODELS`.

    There are none of them unless that variable is among those that are given.

    `base_url` ends in /v1; `key` has 10.00 USD behind it.
    """

    def __init__(self, **variables: str) -> None:
        self.key = KEY
        self.base_url = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: list[str] = []
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LANG") if name in os.environ}
        settings = {"PORT": "0", "AIG_DEV_KEY": KEY, "MODELS": "none", "LOG_LEVEL": "DEBUG"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local"],
            cwd=ROOT,
            env={**kept, "PYTHONPATH": ".:shared:layers/providers", **settings, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self.base_url.rpartition(":")[2].partition("/")[0])

    def __enter__(self) -> Self:
        try:
            self.base_url = self._until(r"Base URL +(\S+)")
            self._until(r"^print\(\)")
        except BaseException:
            self.stop()
            raise
        self._said.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> str:
        """Ends it as Ctrl-C does; what it has logged since it printed the key and the snippets."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        while (line := self._lines.get(timeout=_STOP_SECONDS)) is not None:
            self._said.append(line)
        self._lines.put(None)
        return "".join(self._said)

    def kill(self) -> None:
        """Ends it as `kill -9` does."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _until(self, pattern: str) -> str:
        while (line := self._lines.get(timeout=_START_SECONDS)) is not None:
            self._said.append(line)
            if match := re.search(pattern, line):
                return match[match.lastindex or 0]
        self._lines.put(None)
        raise AssertionError("python -m local did not start:\n" + "".join(self._said))
