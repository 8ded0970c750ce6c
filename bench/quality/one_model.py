"""Loads one local model in this process, asks it its questions and prints what came of it as JSON."""

import json
import sys
import time
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import psutil

# The server around the engines: its memory is there before any model's.
import local.models.app  # noqa: F401
from bench.quality.tasks import TASKS
from local.models.registry import MODALITIES, Source


def measure(source: Source) -> dict[str, Any]:
    """Memory in MB before and after loading and after the questions; seconds to load; the figures."""
    before = _rss_mb()
    wall, cpu = time.perf_counter(), time.process_time()
    engine = source.load()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    loaded = _rss_mb()
    figures = TASKS[source.model](engine) if source.model in TASKS else {}
    return {
        "load_seconds": wall,
        "load_cpu_seconds": cpu,
        "rss_mb": {"before": before, "loaded": loaded, "used": _rss_mb()},
        "packages_mb": sum(map(_unpacked_mb, source.packages.values())),
        "figures": figures,
    }


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


def _unpacked_mb(package: str) -> float:
    located = [Path(file.locate()) for file in distribution(package).files or []]
    return sum(path.stat().st_size for path in located if path.exists()) / 2**20


if __name__ == "__main__":
    (wanted,) = [row for modality in MODALITIES for row in modality.sources if row.model == sys.argv[1]]
    print(json.dumps(measure(wanted)))
