"""A run's results as JSON, as tables, and as the section of README.md that is made from them."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from bench.imports import REFERENCE
from bench.measure import PHASES, Spread
from bench.processes import ROOT
from bench.translation import CHUNKS, FLOOR

RESULTS: Final = ROOT / "bench" / "results" / "latest.json"
README: Final = ROOT / "bench" / "README.md"
_BEGIN, _END = "<!-- figures: made by `make bench ARGS=--write` -->", "<!-- end of figures -->"
_PACKAGES: Final = ("uvicorn", "uvloop", "httptools", "fastapi", "starlette", "pydantic", "aiohttp", "httpx", "boto3")


def setting(database: str, rounds: int, pinned: bool, load_before: float) -> dict[str, Any]:
    """What the figures hold for."""
    return {
        "commit": _commit(),
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}",
        "load_average_before": round(load_before, 2),
        "pinned": pinned,
        "rounds": rounds,
        "database": database,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        except OSError:
            return ""
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") or "unknown"
    return f"{commit} and changes" if git("status", "--porcelain") else commit


def _processor() -> str:
    if sys.platform == "linux":
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 (not a file of ours)
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def tables(results: Mapping[str, Any]) -> str:
    """All of it as Markdown, which reads well in a terminal too."""
    said = results["setting"]
    parts = [
        f"Commit {said['commit']}; {said['machine']}; load average before {said['load_average_before']}; "
        f"{said['rounds']} rounds; processes {'pinned' if said['pinned'] else 'NOT pinned'}; "
        f"database: {said['database']}.",
        ", ".join(f"{name} {number}" for name, number in said["versions"].items()) + ".",
    ]
    for phase in PHASES:
        parts.append(f"**{phase.name}** ({phase.requests} {'streams' if phase.stream else 'requests'} a round)")
        parts.append(_load_table(results["load"], phase.name, stream=phase.stream))
    parts += ["**Memory**", _memory_table(results["rss_mb"])]
    parts += ["**Import**", _cpu_table(results["import_ms"], REFERENCE)]
    parts += [f"**Translation** ({CHUNKS} chunks of a stream)", _cpu_table(results["translation_ms"], FLOOR)]
    return "\n\n".join(parts)


def _load_table(load: Mapping[str, Any], phase: str, *, stream: bool) -> str:
    times = ["first_byte_p50_ms", "first_byte_p99_ms"] if stream else []
    columns = ["cpu_ms", *times, "p50_ms", "p99_ms", "rps"]
    heads = {
        "cpu_ms": "CPU-ms each",
        "first_byte_p50_ms": "first byte p50 ms",
        "first_byte_p99_ms": "first byte p99 ms",
        "p50_ms": "p50 ms",
        "p99_ms": "p99 ms",
        "rps": "a second",
    }
    floor = load["floor"][phase]
    rows = []
    for target, phases in load.items():
        figures: Mapping[str, Spread] = phases[phase]
        measured = figures["cpu_ms"].median > 0
        rows.append(
            [target, *("-" if c == "cpu_ms" and not measured else _cell(figures[c], floor[c]) for c in columns)]
        )
    return table(["", *(heads[column] for column in columns)], rows)


def _cell(figure: Spread, floor: Spread) -> str:
    return (
        f"{_short(figure.median)} ({_short(figure.least)}-{_short(figure.most)}), {figure.median / floor.median:.2f}x"
    )


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _memory_table(rss_mb: Mapping[str, float]) -> str:
    return table(["", "MB after the load"], [[name, f"{value:.0f}"] for name, value in rss_mb.items()])


def _cpu_table(cpu_ms: Mapping[str, float], reference: str) -> str:
    rows = [[name, _short(value), f"{value / cpu_ms[reference]:.2f}x"] for name, value in cpu_ms.items()]
    return table(["", "CPU-ms", "to the first"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown, its columns aligned."""
    rows = list(rows)
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"

    return "\n".join([line(head), f"|{'|'.join('-' * (width + 2) for width in widths)}|", *map(line, rows)])


def write_readme(text: str, begin: str = _BEGIN, end: str = _END) -> None:
    """Puts the tables between the markers of README.md."""
    page = README.read_text(encoding="utf-8")
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    README.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
