"""Webhooks to endpoints of which some hang, against the same with none hanging: `make bench ARGS=webhooks`.

Five accounts have ten endpoints each, which want everything. Events are written to the table as whatever causes them
does, at a steady pace; from there on it is the local stack: stream, dispatcher, queue, worker, state machine.
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aig import keys
from aig.aws.events import event_item
from aig.events import Event
from aig.ports import StoreBusy
from aig.webhooks.endpoint import EVERYTHING, Endpoint
from aig.wiring import Container
from bench import report, stack
from bench.local_stack import Lines, Metered, on_database
from bench.measure import percentile
from bench.processes import ROOT, BenchError, Child, cpus, module, on_cpu
from local.errors import StartError
from ops import accounts

RESULTS: Final = ROOT / "bench" / "results" / "webhooks.md"
ACCOUNTS, ENDPOINTS = 5, 10  # endpoints of each account
HANGING: Final = 2  # of each account
_PATIENCE_S, _WRITE_S, _LOOK_S = 600.0, 60.0, 0.5
_TYPE: Final = "balance.low"


def tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Receivers:
    url: str
    lines: Lines


@contextlib.contextmanager
def receivers() -> Iterator[Receivers]:
    """A process of their own, beside the one that writes the events."""
    pinned = cpus()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "received"
        log.touch()
        with on_cpu(pinned[0] if pinned else None):
            child = Child(module("bench.receivers", str(log)), stack.base_environment(), read=True)
        try:
            yield Receivers(child.ready(), Lines(log))
        finally:
            child.stop()


@dataclass
class Load:
    """When each event's row was written, and when which healthy receiver had it; `hung` are attempts that hang."""

    written: dict[str, float] = field(default_factory=dict)
    arrived: dict[tuple[str, str], float] = field(default_factory=dict)  # by event and path
    again: int = 0  # webhooks that came to a healthy receiver that had them already
    hung: int = 0
    most_hung: int = 0  # webhooks of one endpoint that hangs
    wall_s: float = 0.0
    cpu_s: float = 0.0
    steps: Counter[str] = field(default_factory=Counter)  # CPU-ms
    calls: Counter[str] = field(default_factory=Counter)

    def latencies(self) -> list[float]:
        """Of the endpoints that are healthy in every run, in seconds."""
        return [at - self.written[event] for (event, path), at in self.arrived.items() if _number(path) >= HANGING]


def _number(path: str) -> int:
    """Which of its account's endpoints it is."""
    return int(path.rpartition("/")[2]) % ENDPOINTS


async def open_account(container: Container, url: str, number: int, *, hanging: int) -> str:
    """Its id. `hanging` of its endpoints do."""
    account_id = await accounts.create_account(container, f"bench {number}")
    secret = await accounts.create_key(container, account_id)
    credential = await container.keys.find(secret.public_id)
    assert keys.parse(secret.text) is not None
    assert credential is not None
    for at in range(ENDPOINTS):
        path = f"/{'hang' if at < hanging else 'quick'}/{number * ENDPOINTS + at}"
        made = Endpoint(
            container.ids.new("hook"), account_id, url + path, (EVERYTHING,), credential.key_id, int(time.time())
        )
        if not await container.webhooks.create(made):
            raise BenchError(f"account {number} cannot have {ENDPOINTS} endpoints")
    return account_id


async def run(running: Metered, receiving: Receivers, events: int, rate: float, *, hanging: int) -> Load:
    """So many events for each account, `rate` webhooks a second. Raises BenchError."""
    container, load = running.container(), Load()
    try:
        numbers = range(ACCOUNTS)
        opened = [await open_account(container, receiving.url, number, hanging=hanging) for number in numbers]
        before, began, noted = running.child.cpu_seconds(), time.monotonic(), len(running.notes())
        for at in range(events * ACCOUNTS):
            due = began + at * ENDPOINTS / rate if rate else began
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            event = Event(container.ids.new("evt"), _TYPE, opened[at % ACCOUNTS], {"balance": "0.97"}, int(time.time()))
            load.written[event.id] = time.time()
            await _write(container, event)
        wanted = events * ACCOUNTS * (ENDPOINTS - hanging)
        await _arrived(running, receiving, load, wanted)
        load.wall_s, load.cpu_s = time.monotonic() - began, running.child.cpu_seconds() - before
    finally:
        await container.close()
    for note in running.notes()[noted:]:
        name = f"{note['function']}, {'queue' if note['records'] else 'machine'}"
        load.calls[name] += 1
        load.steps[name] += note["cpu_ms"]
    return load


async def _write(container: Container, event: Event) -> None:
    """As soon as the stack has time for it. Raises StoreBusy after a minute."""
    deadline = time.monotonic() + _WRITE_S
    while True:
        try:
            await container.table.put_new(event_item(event))
        except StoreBusy:
            if time.monotonic() > deadline:
                raise
        else:
            return


async def _arrived(running: Metered, receiving: Receivers, load: Load, wanted: int) -> None:
    """Waits for what healthy receivers are to have."""
    deadline, seen, hung = time.monotonic() + _PATIENCE_S, 0, Counter[str]()
    while len(load.arrived) < wanted:
        notes = receiving.lines.read()
        for note in notes[seen:]:
            key = note["event"], note["path"]
            if note["event"] not in load.written:
                continue
            if note["path"].startswith("/hang/"):
                hung[note["path"]] += 1
            elif key in load.arrived:
                load.again += 1
            else:
                load.arrived[key] = note["at"]
        seen = len(notes)
        if not running.alive() or time.monotonic() > deadline:
            raise BenchError(f"{len(load.arrived)} of {wanted} webhooks have arrived\n{running.child.said()}")
        await asyncio.sleep(_LOOK_S)
    load.hung, load.most_hung = hung.total(), max(hung.values(), default=0)


def measure(events: int, rate: float, *, dynamodb_local: bool) -> tuple[dict[str, Load], str]:
    """Both runs, each with a stack of its own: what is known of receivers is in its tables. Raises BenchError."""
    loads, database = dict[str, Load](), ""
    for name, hanging in (("none hangs", 0), (f"{HANGING * ACCOUNTS} hang", HANGING)):
        tell(f"{ACCOUNTS * ENDPOINTS} endpoints, {name}")
        with receivers() as receiving, on_database(dynamodb_local) as (running, said):
            database = said
            asyncio.run(run(running, receiving, 2, 0, hanging=0))  # everything is loaded then
            loads[name] = asyncio.run(run(running, receiving, events, rate, hanging=hanging))
    return loads, database


def _latency_table(loads: dict[str, Load]) -> str:
    floor = next(iter(loads.values())).latencies()
    rows = []
    for name, load in loads.items():
        found = load.latencies()
        rows.append([name, str(len(found)), *(_cell(found, floor, share) for share in (0.5, 0.95, 0.99, 1.0))])
    return report.table(["", "webhooks", "p50", "p95", "p99", "most"], rows)


def _cell(found: Sequence[float], floor: Sequence[float], share: float) -> str:
    value = percentile(found, share)
    return f"{value * 1000:.0f} ms, {value / percentile(floor, share):.2f}x"


def _cost_table(loads: dict[str, Load]) -> str:
    rows = []
    for name, load in loads.items():
        ours, webhooks = sum(load.steps.values()), len(load.written) * ENDPOINTS
        rows.append(
            [
                name,
                f"{load.wall_s:.0f} s",
                f"{load.cpu_s * 1000 / webhooks:.0f} ms",
                f"{ours / webhooks:.1f} ms",
                str(load.hung),
                str(load.most_hung),
                str(load.again),
            ]
        )
    heads = ["", "until all healthy had all", "CPU of the stack each", "of our functions each"]
    return report.table([*heads, "attempts that hung", "most of one endpoint", "came twice"], rows)


def _calls_table(loads: dict[str, Load]) -> str:
    names = sorted({name for load in loads.values() for name in load.calls})
    rows = [
        [
            name,
            *(f"{load.calls[name]}, {load.steps[name] / max(1, load.calls[name]):.1f} ms" for load in loads.values()),
        ]
        for name in names
    ]
    return report.table(["invocations, CPU each", *loads], rows)


def text(loads: dict[str, Load], database: str, events: int, rate: float, load_before: float) -> str:
    """The page."""
    said: dict[str, Any] = report.setting(database, 1, cpus() is not None, load_before)
    count = events * ACCOUNTS * ENDPOINTS
    pace = f"{rate:.0f} a second" if rate else "all at once"
    parts = [
        "# Webhooks beside endpoints that hang",
        "Made by `make bench ARGS='webhooks --write'`; bench/README.md says how.",
        f"Commit {said['commit']}; {said['machine']}; load average before {said['load_average_before']}; "
        f"database: {said['database']}; Python {said['versions']['python']}.",
        f"{count} webhooks, {pace}, to {ACCOUNTS * ENDPOINTS} endpoints of {ACCOUNTS} accounts.",
        f"**From the event's row to the receiver**, of the {(ENDPOINTS - HANGING) * ACCOUNTS} endpoints that are "
        "healthy in both runs, and as multiples of the run in which none hangs",
        _latency_table(loads),
        "**What it took**",
        _cost_table(loads),
        _calls_table(loads),
    ]
    return "\n\n".join(parts)


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench webhooks", description=__doc__)
    parser.add_argument("--events", type=int, default=40, help="for each account; each makes ten webhooks")
    parser.add_argument("--rate", type=float, default=20.0, help="webhooks a second; 0 is all at once")
    parser.add_argument("--dynamodb-local", action="store_true", help="in place of moto's DynamoDB")
    parser.add_argument("--write", action="store_true", help="put the page into bench/results too")
    chosen = parser.parse_args(arguments)
    load_before = os.getloadavg()[0]
    try:
        loads, database = measure(chosen.events, chosen.rate, dynamodb_local=chosen.dynamodb_local)
    except (BenchError, StartError, StoreBusy) as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    page = text(loads, database, chosen.events, chosen.rate, load_before)
    print(page)
    if chosen.write:
        RESULTS.write_text(page + "\n", encoding="utf-8")
    return 0
