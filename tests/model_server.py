"""A local model server as its own process, and which models this environment cannot run."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local.models.registry import MODALITIES

ROOT = Path(__file__).parents[1]
PATHS = os.pathsep.join(str(ROOT / folder) for folder in (".", "shared", "layers/providers"))  # as the Makefile has it


@contextmanager
def serving(log: Path, models: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A model server process and the base URL that its ready line gave."""
    command = [sys.executable, "-m", "local.models", "--port", "0", "--models", models]
    with (
        log.open("w") as stderr,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": PATHS},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            word, url = process.stdout.readline().split()
            assert word == "ready"
            yield process, url
        finally:
            process.kill()


def needs(*models: str) -> pytest.MarkDecorator:
    """Skips a test where the packages of these models are not installed."""
    sources = [source for modality in MODALITIES for source in modality.sources if source.model in models]
    assert len(sources) == len(models), models
    missing = sorted({package for source in sources for package in source.missing()})
    return pytest.mark.skipif(bool(missing), reason=f"local models: not installed: {', '.join(missing)}")
