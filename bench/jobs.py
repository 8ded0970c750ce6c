"""Many jobs of the sandbox at once, against the local stack: `make bench ARGS=jobs`, or `ARGS='jobs --write'`.

A few jobs one after another come first, in the same stack: what they take is what the many are compared with, and the
sandbox's own duration is the floor of both.
"""

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from aig.aws.jobs import PLATFORM
from aig.ports import StoreBusy
from aig.wiring import Container
from bench import report
from bench.job_books import Books, audit
from bench.local_stack import Metered, on_database
from bench.measure import percentile
from bench.metered_stack import COUNTING
from bench.processes import ROOT, BenchError, cpus
from local.errors import StartError

RESULTS: Final = ROOT / "bench" / "results" / "jobs.md"
RESULTS_LOCAL: Final = RESULTS.with_name("jobs-dynamodb-local.md")
TAKES_S: Final = 3  # the sandbox, for each job
ALONE: Final = 8
_AGAIN: Final = (409, 500, 503, 504)  # what a client with an Idempotency-Key tries again
_CONNECTIONS, _PATIENCE_S, _AUDIT_S, _LOOK_S = 100, 1800.0, 180.0, 0.5
_VIDEO, _MUSIC, _MODEL = "/videos/generations", "/audio/music", "/3d/generations"
# Of ten jobs.
MIX: Final[Sequence[tuple[str, str]]] = (
    *((_VIDEO, "sandbox/video"),) * 5,
    *((_VIDEO, "sandbox/video-fail"),) * 1,
    *((_MUSIC, "sandbox/music"),) * 2,
    *((_MODEL, "sandbox/3d"),) * 2,
)


def tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


@dataclass
class Load:
    """What one load came to. Times are unix seconds, by job; `cpu_s` is the stack's process, `ours_s` our functions."""

    asked: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    submitted: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    submissions: Counter[str] = field(default_factory=Counter)
    steps: dict[str, list[float]] = field(default_factory=dict)  # CPU-ms of each invocation
    asks: Counter[tuple[str, str]] = field(default_factory=Counter)  # of AWS, by function and operation
    units: Counter[tuple[str, str]] = field(default_factory=Counter)  # of DynamoDB
    files_s: float = 0.0  # the CPU of what the sandbox makes
    again: int = 0  # orders that were sent once more
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def ours_s(self) -> float:
        return sum(map(sum, self.steps.values())) / 1000


async def order(session: aiohttp.ClientSession, running: Metered, number: int, load: Load) -> str:
    """One job, asked for again as a client would while the stack has no time. Raises BenchError if it is refused."""
    path, model = MIX[number % len(MIX)]
    headers = {"authorization": f"Bearer {running.key}", "x-sandbox-duration": str(TAKES_S)}
    headers["idempotency-key"] = secrets.token_hex(8)
    asked = time.time()
    body = {"model": model, "prompt": f"a lighthouse, number {number}"}
    while True:
        async with session.post(running.base_url + path, json=body, headers=headers) as response:
            said = await response.json()
        if response.status == 202:
            break
        if response.status not in _AGAIN or time.time() > asked + _PATIENCE_S:
            raise BenchError(f"{path}: {response.status} {said}")
        load.again += 1
        await asyncio.sleep(1)
    job_id: str = said["id"]
    load.asked[job_id], load.answered[job_id] = asked, time.time()
    return job_id


async def run(running: Metered, count: int, at_once: int) -> Load:
    """So many jobs, `at_once` of them in flight, until all have ended by what the workers answered."""
    load, before, began = Load(), running.child.cpu_seconds(), time.monotonic()
    noted = len(running.notes())
    connections = aiohttp.TCPConnector(limit=_CONNECTIONS)
    limit = asyncio.Semaphore(at_once)
    patience = aiohttp.ClientTimeout(total=_PATIENCE_S)
    async with aiohttp.ClientSession(connector=connections, timeout=patience) as session:

        async def one(number: int) -> None:
            async with limit:
                job_id = await order(session, running, number, load)
                if at_once == 1:
                    await _ended(running, [job_id], noted, load)

        await asyncio.gather(*(one(number) for number in range(count)))
        await _ended(running, list(load.asked), noted, load)
    load.wall_s = time.monotonic() - began
    load.cpu_s = running.child.cpu_seconds() - before
    for note in running.notes()[noted:]:
        if note["what"] == "submitted":
            load.submissions[note["job"]] += 1
            load.submitted.setdefault(note["job"], note["at"])
        elif note["what"] == "asked":
            name = note["function"], f"{note['service']} {note['operation']}"
            load.asks[name] += 1
            load.units[name] += note["units"]
        elif note["what"] == "made":
            load.files_s += note["cpu_ms"] / 1000
        else:
            step = f"{note['function']} {note['step']}" if note["job"] else note["function"]
            load.steps.setdefault(step, []).append(note["cpu_ms"])
    return load


async def _ended(running: Metered, job_ids: Sequence[str], noted: int, load: Load) -> None:
    """Raises BenchError if they have not after half an hour, or the stack has ended."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        for note in running.notes()[noted:]:
            if note["what"] == "invoked" and note["told"] == "ended":
                load.ended.setdefault(note["job"], note["at"])
        left = [job_id for job_id in job_ids if job_id not in load.ended]
        if not left:
            return
        if not running.alive():
            raise BenchError(f"the stack ended:\n{running.child.said()}")
        if time.monotonic() > deadline:
            raise BenchError(f"{len(left)} of {len(job_ids)} jobs have not ended, {left[0]} among them")
        await asyncio.sleep(_LOOK_S if len(left) > 1 else 0.05)


@dataclass(frozen=True)
class Run:
    alone: Load
    many: Load
    books: Books
    memory_mb: tuple[float, float, float]  # before, at most, after
    database: str


async def measure(running: Metered, count: int, database: str) -> Run:
    """Raises BenchError, also where anything does not add up."""
    tell(f"{ALONE} jobs, one after another")
    await run(running, 2, 1)  # everything is loaded then
    alone = await run(running, ALONE, 1)
    before, peak = running.child.rss_mb(), [0.0]

    async def watch() -> None:
        while True:
            peak[0] = max(peak[0], running.child.rss_mb())
            await asyncio.sleep(1)

    tell(f"{count} jobs at once")
    watching = asyncio.create_task(watch())
    try:
        many = await run(running, count, count)
    finally:
        watching.cancel()
    after = running.child.rss_mb()
    tell("the books")
    container = running.container()
    try:
        books = await _audited(container, running.key)
    finally:
        await container.close()
    return Run(alone, many, books, (before, max(peak[0], after), after), database)


async def _audited(container: Container, key: str) -> Books:
    """As soon as the stack has time for it. Raises StoreBusy after some minutes."""
    deadline = time.monotonic() + _AUDIT_S
    while True:
        try:
            return await audit(container, key, PLATFORM)
        except StoreBusy:
            if time.monotonic() > deadline:
                raise


def _row(name: str, values: Sequence[float]) -> list[str]:
    return [name, *(f"{value:.1f} s, {value / TAKES_S:.2f}x" for value in values)]


def _spread(seconds: Sequence[float]) -> tuple[float, float, float]:
    return percentile(seconds, 0.5), percentile(seconds, 0.95), max(seconds)


def _times(load: Load) -> dict[str, tuple[float, float, float]]:
    """Of those that the sandbox has worked for: all of them."""
    jobs = list(load.asked)
    return {
        "from POST to its answer": _spread([load.answered[job] - load.asked[job] for job in jobs]),
        "from POST to the sandbox": _spread([load.submitted[job] - load.asked[job] for job in jobs]),
        "from the sandbox to the end": _spread([load.ended[job] - load.submitted[job] for job in jobs]),
        "from POST to the end": _spread([load.ended[job] - load.asked[job] for job in jobs]),
    }


def text(done: Run, count: int, load_before: float) -> str:
    """The page."""
    said = report.setting(done.database, 1, cpus() is not None, load_before)
    many, alone, books = done.many, done.alone, done.books
    parts = [
        "# Jobs at once\n\nMade by `make bench ARGS='jobs --write'`; bench/README.md says how.",
        f"Commit {said['commit']}; {said['machine']}; load average before {said['load_average_before']}; "
        f"database: {said['database']}; Python {said['versions']['python']}.",
        f"{count} jobs, POSTed over {_CONNECTIONS} connections as fast as they are answered, each of which takes the "
        f"sandbox {TAKES_S} s. All ended after {many.wall_s:.0f} s: {books.completed} completed and {books.failed} "
        f"failed (`sandbox/video-fail`), {ALONE + 2} that came before among them. {many.again} orders were sent again, "
        "with their Idempotency-Key, since the stack had no time for them.",
    ]
    rows = []
    for name, load in (("alone", alone), (f"{count} at once", many)):
        rows += [_row(f"{name}: {what}", spread) for what, spread in _times(load).items()]
    parts.append("**Times**, and as multiples of the sandbox's own")
    parts.append(report.table(["", "p50", "p95", "most"], rows))
    parts += ["**CPU** for each job", _cpu(alone, many)]
    parts += ["**What our functions take**, by step", _steps(many)]
    if many.asks:
        parts += ["**What is asked of AWS**, and the units that DynamoDB Local counts", _asks(many)]
    before, most, after = done.memory_mb
    parts.append(f"**Memory** of the whole stack: {before:.0f} MB before, at most {most:.0f} MB, {after:.0f} MB after.")
    parts += ["**The books**", books.text(many.submissions)]
    return "\n\n".join(parts)


def _cpu(alone: Load, many: Load) -> str:
    rows = []
    for name, load in (("alone", alone), ("at once", many)):
        jobs = len(load.asked)
        whole, ours = load.cpu_s / jobs * 1000, load.ours_s / jobs * 1000
        files = load.files_s / jobs * 1000
        shares = [f"{part:.0f} ms, {part / whole:.0%}" for part in (ours, files, whole - ours - files)]
        rows.append([name, f"{whole:.0f} ms", *shares, f"{load.wall_s / jobs * 1000:.0f}"])
    heads = ["the stack's process", "our functions", "the sandbox's files", "the embedded AWS", "ms of the clock"]
    return report.table(["", *heads], rows)


def _steps(load: Load) -> str:
    jobs = len(load.asked)
    rows = [
        [step, f"{len(cpu) / jobs:.2f}", f"{statistics.median(cpu):.1f}", f"{percentile(cpu, 0.95):.1f}"]
        for step, cpu in sorted(load.steps.items(), key=lambda entry: -sum(entry[1]))
    ]
    return report.table(["", "invocations a job", "CPU-ms p50", "p95"], rows)


def _asks(load: Load) -> str:
    jobs = len(load.asked)
    rows = [
        [function, operation, f"{count / jobs:.2f}", f"{load.units[function, operation] / jobs:.2f}"]
        for (function, operation), count in sorted(load.asks.items())
    ]
    return report.table(["function", "operation", "requests a job", "units a job"], rows)


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 also where a job is lost, made twice, or charged otherwise than once."""
    parser = argparse.ArgumentParser(prog="python -m bench jobs", description=__doc__)
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--dynamodb-local", action="store_true", help="in place of moto's DynamoDB")
    parser.add_argument("--write", action="store_true", help="put the page into bench/results too")
    chosen = parser.parse_args(arguments)
    load_before = os.getloadavg()[0]
    try:
        tell("starting the local stack")
        with on_database(chosen.dynamodb_local, **{COUNTING: "1"}) as (running, database):
            done = asyncio.run(measure(running, chosen.jobs, database))
    except (BenchError, StartError, StoreBusy) as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    page = text(done, chosen.jobs, load_before)
    print(page)
    if chosen.write:
        (RESULTS_LOCAL if chosen.dynamodb_local else RESULTS).write_text(page + "\n", encoding="utf-8")
    wrong = done.books.wrong(done.many.submissions)
    for what in wrong:
        tell(what)
    return 1 if wrong else 0
