"""Measures the gateway beside the floor, prints tables and stores them: `make bench`, `make bench ARGS=--write`."""

import argparse
import contextlib
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

import psutil

from bench import imports, jobs, measure, report, stack, translation, wallets, webhooks
from bench.processes import ROOT, BenchError, cpus
from bench.quality import report as quality
from bench.stack import NoDatabase, Target
from local.errors import StartError

INSTANT = "gateway, instant DynamoDB"
_IMPORT_REPEATS = 5


def tell(line: str) -> None:
    """Says what is going on."""
    print(f"bench: {line}", file=sys.stderr, flush=True)


def run(rounds: int) -> dict[str, Any]:
    """Everything, in under three minutes on two quiet CPUs. Raises BenchError."""
    load_before, pinned = os.getloadavg()[0], cpus()
    tell("import times")
    import_ms = imports.measure(_IMPORT_REPEATS, stack.base_environment())
    tell("translation")
    translation_ms = translation.measure()
    if pinned:
        psutil.Process().cpu_affinity([pinned[0]])
    tell("starting upstream, databases, floor and gateways")
    template = stack.template()
    with contextlib.ExitStack() as running:
        upstream = running.enter_context(stack.upstream())
        databases = {INSTANT: running.enter_context(stack.instant_database(template))}
        try:
            databases = {"gateway": running.enter_context(stack.real_database(template)), **databases}
            said = "DynamoDB Local"
        except NoDatabase as why:
            said = f"only the instant one, because {why}"
            tell(said)
        floor = running.enter_context(stack.floor(upstream))
        gateways = [
            running.enter_context(stack.gateway(name, template, database, upstream))
            for name, database in databases.items()
        ]
        targets = [floor, *gateways, Target("upstream alone", upstream, "none", None)]
        load = measure.in_rounds(targets, rounds, tell)
        rss_mb = {target.name: target.child.rss_mb() for target in targets if target.child}
    return {
        "setting": report.setting(said, rounds, pinned is not None, load_before),
        "load": load,
        "rss_mb": rss_mb,
        "import_ms": import_ms,
        "translation_ms": translation_ms,
    }


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if arguments[:1] == ["wallets"]:
        return wallets.main(arguments[1:])
    if arguments[:1] == ["jobs"]:
        return jobs.main(arguments[1:])
    if arguments[:1] == ["webhooks"]:
        return webhooks.main(arguments[1:])
    if arguments[:1] == ["quality"]:
        return quality.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md too")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        results = run(chosen.rounds)
    except (BenchError, StartError) as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:
        tell("interrupted")
        return 130
    text = report.tables(results)
    report.RESULTS.parent.mkdir(exist_ok=True)
    stored = json.dumps(results, default=asdict, indent=1)
    report.RESULTS.write_text(stored + "\n", encoding="utf-8")
    if chosen.write:
        report.write_readme(text)
    print(text)
    tell(f"done in {time.monotonic() - began:.0f} s; stored in {report.RESULTS.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
