"""What a cold start pays for importing: CPU time of `import` in a fresh interpreter, compiled files at hand."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Final

from bench.processes import ROOT, BenchError, cpus, on_cpu

REFERENCE: Final = "fastapi, mangum, boto3"
STATEMENTS: Final[Mapping[str, str]] = {
    REFERENCE: "import fastapi, mangum, boto3; boto3.client('dynamodb', region_name='us-east-1')",
    "chat": "import functions.chat.app",
    "chat and its server": "import uvicorn, uvloop, httptools, functions.chat.app",
    "models": "import functions.models.app",
    "accounts": "import functions.accounts.app",
    "sweeper": "import functions.sweeper.app",
}
_PROGRAM: Final = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def measure(repeats: int, environ: Mapping[str, str]) -> dict[str, float]:
    """Milliseconds of CPU by name: the least of `repeats`, after one that compiles."""
    environ = {name: value for name, value in environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    pinned = cpus()
    least: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as compiled, on_cpu(pinned[1] if pinned else None):
        environ["PYTHONPYCACHEPREFIX"] = compiled
        for repeat in range(repeats + 1):
            for name, statement in STATEMENTS.items():
                took = _once(statement, environ)
                if repeat:
                    least[name] = min(took, least.get(name, took))
    return least


def _once(statement: str, environ: Mapping[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(statement)],
        cwd=ROOT,
        env=dict(environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BenchError(f"{statement} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout) * 1000
