"""Measures every installed local model, prints the table and, with --write, stores it in bench/results/quality.md."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from bench import report
from bench.processes import ROOT
from local.models.registry import MODALITIES, Source

RESULTS: Final = ROOT / "bench" / "results" / "quality.md"
_HEAD: Final = """# How good the local models are

Made by `make bench ARGS="quality --write"`. Each model is loaded in a process of its own beside the server's code and
asked the questions of its set in `bench/quality`. The sets are small and by hand: they tell usable from useless, not
one good model from another. Memory is the process's resident set: before loading, loaded, and after the questions.
Packages are those that the model names, unpacked, without what they depend on; models of one engine share them, and
its memory.
"""


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 when a model failed."""
    parser = argparse.ArgumentParser(prog="python -m bench quality", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"store the table in {RESULTS.relative_to(ROOT)}")
    chosen = parser.parse_args(arguments)
    setting = report.setting("none", 1, False, os.getloadavg()[0])
    rows, failed = [], []
    for source in (row for modality in MODALITIES for row in modality.sources if not row.missing()):
        print(f"bench: {source.model}", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "bench.quality.one_model", source.model],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            rows.append(row(source, json.loads(done.stdout)))
        else:
            failed.append(source.model)
            print(done.stderr, file=sys.stderr)
    text = table(setting, rows)
    print(text)
    if chosen.write and not failed:
        RESULTS.write_text(text, encoding="utf-8")
    return 1 if failed else 0


def table(setting: Mapping[str, Any], rows: list[str]) -> str:
    """The whole file."""
    where = f"Commit {setting['commit']}; {setting['machine']}; load average before {setting['load_average_before']}."
    head = [
        "| model | figures | load s (CPU) | memory MB | packages MB |",
        "|-------|---------|--------------|-----------|-------------|",
    ]
    return "\n".join([_HEAD, where, "", *head, *rows]) + "\n"


def row(source: Source, measured: Mapping[str, Any]) -> str:
    """One model's line."""
    figures = "; ".join(f"{name}: {value}" for name, value in measured["figures"].items()) or "-"
    memory = " / ".join(f"{measured['rss_mb'][when]:.0f}" for when in ("before", "loaded", "used"))
    load = f"{measured['load_seconds']:.1f} ({measured['load_cpu_seconds']:.1f})"
    return f"| `{source.model}` | {figures} | {load} | {memory} | {measured['packages_mb']:.0f} |"
