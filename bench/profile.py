"""Where the gateway's CPU goes: `python -m bench.profile`, with `--help` for its options.

Samples of the stack once per millisecond of CPU, which cost little and lie little; `--calls` runs cProfile instead,
which counts calls and makes small functions look dear. DynamoDB is the instant one unless `--real`.
"""

import argparse
import contextlib
import cProfile
import os
import pstats
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

from bench import measure, stack
from bench.processes import ROOT, Child, module
from bench.stack import Target

START, STOP = "/bench/start", "/bench/stop"
_INTERVAL_S: Final = 0.001
_SHOWN: Final = 100


class Sampler:
    """Own and cumulative samples by place in the code."""

    def __init__(self) -> None:
        self.total = 0
        self.own: Counter[str] = Counter()
        self.within: Counter[str] = Counter()

    def enable(self) -> None:
        """Starts the clock that counts this process's CPU."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)

    def disable(self) -> None:
        """Stops it."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        self.total += 1
        if frame is not None:
            self.own[f"{_short(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_qualname}"] += 1
        seen = set()
        while frame is not None:
            code = frame.f_code
            seen.add(f"{_short(code.co_filename)}:{code.co_firstlineno} {code.co_qualname}")
            frame = frame.f_back
        self.within.update(seen)

    def write(self, path: Path) -> None:
        """The tables, in shares of all samples."""
        with path.open("w", encoding="utf-8") as file:
            for title, counts in (("own, by line", self.own), ("within, by function", self.within)):
                file.write(f"\n{title}\n")
                telling = [entry for entry in counts.most_common() if entry[1] < 0.95 * self.total]
                for place, count in telling[:_SHOWN]:
                    file.write(f"{count / self.total:7.1%}  {place}\n")


def _short(path: str) -> str:
    return path.rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")


def serve(port: int, out: Path, *, calls: bool) -> None:
    """The gateway in this process, profiled between two requests to paths of our own."""
    import uvicorn
    from starlette.types import Receive, Scope, Send

    from functions.chat.app import app

    sampler, profiler = Sampler(), cProfile.Profile()

    async def profiled(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path")
        if path == START:
            (profiler if calls else sampler).enable()
        elif path == STOP:
            (profiler if calls else sampler).disable()
            if calls:
                profiler.dump_stats(out)
            else:
                sampler.write(out)
        await app(scope, receive, send)

    uvicorn.run(
        profiled, host="127.0.0.1", port=port, loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )


def main(arguments: list[str]) -> None:
    """Runs the load and prints the profile."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1500)
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--real", action="store_true", help="DynamoDB Local, in place of the instant one")
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "OUT"), help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.serve:
        serve(int(chosen.serve[0]), Path(chosen.serve[1]), calls=chosen.calls)
        return
    template = stack.template()
    with contextlib.ExitStack() as running, tempfile.TemporaryDirectory() as folder:
        upstream = running.enter_context(stack.upstream())
        database = running.enter_context((stack.real_database if chosen.real else stack.instant_database)(template))
        out, port = Path(folder) / "profile", stack.free_port()
        environ = stack.gateway_environment(template, database.endpoint, upstream)
        calls = ["--calls"] if chosen.calls else []
        child = Child(module("bench.profile", "--serve", str(port), str(out), *calls), environ)
        running.callback(child.stop)
        target = Target("gateway", f"http://127.0.0.1:{port}", database.key, child)
        child.wait_for(target.url)
        for phase in measure.WARM_UP:
            measure.apply(target, phase)
        child.wait_for(target.url + START)
        phase = measure.Phase("profiled", chosen.connections, chosen.requests, chosen.stream)
        figures = measure.apply(target, phase)
        child.wait_for(target.url + STOP)
        print(f"{figures['cpu_ms']:.2f} CPU-ms per request while profiled")
        if chosen.calls:
            statistics = pstats.Stats(str(out)).strip_dirs()
            statistics.sort_stats("tottime").print_stats(_SHOWN)
        else:
            print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    main(sys.argv[1:])
