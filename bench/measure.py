"""Rounds of load against the targets, and what they cost: CPU by the server's own clock, times by the client's."""

import json
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.processes import ROOT, BenchError, module
from bench.stack import Target, base_environment

_LOAD_SECONDS: Final = 120


@dataclass(frozen=True)
class Phase:
    """A kind of load. With these many requests a tick of the process's clock, 10 ms, is about one per cent or less."""

    name: str
    connections: int
    requests: int
    stream: bool = False
    wire: str = "openai"  # the upstream's, where the target is a gateway


PHASES: Final = (
    Phase("1 connection", 1, 200),
    Phase("16 connections", 16, 320),
    Phase("1 stream", 1, 100, stream=True),
    Phase("16 streams", 16, 160, stream=True),
    Phase("1 stream, Anthropic's wire", 1, 100, stream=True, wire="anthropic"),
    Phase("1 stream, Gemini's wire", 1, 100, stream=True, wire="google"),
)
WARM_UP: Final = (Phase("warm-up", 16, 120), Phase("warm-up", 4, 40, stream=True))

Figures = dict[str, float]  # cpu_ms, rps, p50_ms, p99_ms, first_byte_p50_ms, first_byte_p99_ms


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    least: float
    most: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def apply(target: Target, phase: Phase) -> Figures:
    """One phase of load on one target. Raises BenchError if any answer was not whole."""
    before = target.child.cpu_seconds() if target.child else 0.0
    how = "stream" if phase.stream else "whole"
    command = module("bench.load", target.url, target.key, str(phase.connections), str(phase.requests), how, phase.wire)
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=base_environment(),
            capture_output=True,
            text=True,
            timeout=_LOAD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"{target.name}: {phase.name} took more than {_LOAD_SECONDS} s") from None
    after = target.child.cpu_seconds() if target.child else 0.0
    if done.returncode != 0:
        raise BenchError(f"the load generator failed:\n{done.stderr[-2000:]}")
    load = json.loads(done.stdout)
    if load["errors"]:
        said = target.child.said() if target.child else ""
        count, first = len(load["errors"]), load["errors"][0]
        raise BenchError(f"{target.name}: {count} of {phase.requests} requests failed, the first with {first}\n{said}")
    return {
        "cpu_ms": (after - before) * 1000 / phase.requests,
        "rps": phase.requests / load["seconds"],
        "p50_ms": percentile(load["total_ms"], 0.5),
        "p99_ms": percentile(load["total_ms"], 0.99),
        "first_byte_p50_ms": percentile(load["first_byte_ms"], 0.5),
        "first_byte_p99_ms": percentile(load["first_byte_ms"], 0.99),
    }


def in_rounds(
    targets: Sequence[Target], rounds: int, tell: Callable[[str], None]
) -> dict[str, dict[str, dict[str, Spread]]]:
    """Figures by target and phase. A round puts every phase on every target in turn, so that noise meets all alike."""
    for target in targets:
        for phase in WARM_UP:
            apply(target, phase)
    found: dict[tuple[str, str], list[Figures]] = {}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for phase in PHASES:
            for target in targets:
                found.setdefault((target.name, phase.name), []).append(apply(target, phase))
    return {
        target.name: {phase.name: _spread(found[target.name, phase.name]) for phase in PHASES} for target in targets
    }


def _spread(rounds: Sequence[Figures]) -> dict[str, Spread]:
    return {
        name: Spread(statistics.median(values), min(values), max(values))
        for name in rounds[0]
        for values in [[figures[name] for figures in rounds]]
    }
