"""What one wallet bears, by its shards: a simulation of DynamoDB's limits, and DynamoDB Local as it is.

`make bench ARGS=wallets`, or with `--write` to put the figures and bench/wallets.svg into bench/.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aig import wiring
from aig.keys import Caller, parse
from aig.modalities.usage import Usage
from aig.money.hold import Hold, settle
from aig.money.ledger import Debit
from aig.money.pricing import Prices
from aig.money.units import Nano
from bench import report, stack
from bench.chart import Panel, svg
from bench.hot_wallet import HOLD, Ending, Outcome, Setting, Simulation
from bench.measure import percentile
from bench.processes import ROOT
from local.embedded import pretend_credentials

SHARDS: Final = (1, 2, 4, 8, 16)
LOADS: Final = (50, 100, 200, 400)
BORNE: Final = 0.999  # of the calls are held and settled
CHART: Final = ROOT / "bench" / "wallets.svg"
_GROWING_LOAD, _GROWING_S = 200, 200
_BEGIN, _END = "<!-- wallets: made by `make bench ARGS='wallets --write'` -->", "<!-- end of wallets -->"
_ENDINGS: Final[Sequence[Ending]] = ("settled", "402", "503")
Points = list[tuple[float, float]]


def tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def borne(setting: Setting, most: float = 1600.0) -> float:
    """The most calls a second of which all but a thousandth are held and settled, to within 5 %."""
    low, high = 5.0, most
    while high / low > 1.05:
        middle = (low * high) ** 0.5
        outcome = Simulation(replace(setting, calls_per_s=middle)).run()
        slow = percentile(outcome.waits_ms, 0.99) > 1000  # a queue that only grows has not failed yet
        if outcome.share("settled") >= BORNE and not slow:
            low = middle
        else:
            high = middle
    return low


def bearing(tell_each: bool = True) -> dict[str, Points]:
    """Calls a second that are borne, by shards."""
    kinds = {
        "many keys": {},
        "one key with a cap": {"capped": True},
        "one tenant's rows": {"tail": True},
    }
    found: dict[str, Points] = {}
    for name, more in kinds.items():
        if tell_each:
            tell(f"what is borne: {name}")
        found[name] = [(shards, borne(Setting(shards, 0, 5.0, **more))) for shards in SHARDS]
    return found


def under_load() -> dict[tuple[int, int], Outcome]:
    """By load and shards."""
    return {(load, n): Simulation(Setting(n, load, 8.0)).run() for load in LOADS for n in SHARDS}


def false_refusals(*, own_shard_only: bool) -> Points:
    """Per cent of the calls that a wallet was said not to cover while it did; its money ends in the middle of it."""
    found: Points = []
    for shards in SHARDS:
        shares = [
            Simulation(Setting(shards, 40, 10.0, balance=200 * HOLD, own_shard_only=own_shard_only), seed).run()
            for seed in range(4)
        ]
        found.append((shards, 100 * sum(one.share("false 402") for one in shares) / len(shares)))
    return found


def running_out() -> str:
    """What a read of one moment costs where it is hardest to have, in a sentence."""
    outcome = Simulation(Setting(16, 400, 10.0, balance=2_000 * HOLD)).run()
    settled, refused, busy = (100 * outcome.share(ending) for ending in _ENDINGS)
    return (
        f"A wallet of 16 shards whose money ends under 400 calls a second: {settled:.0f} % of the calls were settled, "
        f"{refused:.0f} % were 402, and {busy:.1f} % were 503, since no read of one moment was to be had."
    )


def growing() -> Outcome:
    """A load that comes all at once upon a wallet of one shard."""
    return Simulation(Setting(1, _GROWING_LOAD, _GROWING_S, grows=True)).run()


def _table(borne_: dict[str, Points], loads: dict[tuple[int, int], Outcome], own: Points, all_: Points) -> str:
    heads = ["shards", *(f"calls/s, {name}" for name in borne_)]
    heads += [f"at {load}/s: 503, p99 ms" for load in LOADS] + ["false 402, own shard only", "false 402, ours"]
    rows = []
    for at, shards in enumerate(SHARDS):
        cells = [f"{points[at][1]:.0f}" for points in borne_.values()]
        for load in LOADS:
            outcome = loads[load, shards]
            cells.append(f"{100 * outcome.share('503'):.1f} %, {percentile(outcome.waits_ms, 0.99):.0f}")
        rows.append([str(shards), *cells, f"{own[at][1]:.1f} %", f"{all_[at][1]:.1f} %"])
    return report.table(heads, rows)


def _growth(outcome: Outcome) -> tuple[str, dict[str, Points]]:
    steps = [0.0, *outcome.doubled_at]
    shards = {at: 2**number for number, at in enumerate(steps)}
    seconds = range(0, _GROWING_S, 4)
    refused: Points = []
    for second in seconds:
        window = [outcome.by_second[at] for at in range(second, second + 4)]
        total = sum(one.total() for one in window)
        refused.append((second, 100 * sum(one["503"] + one["not settled"] for one in window) / max(1, total)))
    counted = [(float(second), float(max(n for at, n in shards.items() if at <= second))) for second in seconds]
    told = ", ".join(f"{2 ** (number + 1)} after {at:.0f} s" for number, at in enumerate(outcome.doubled_at))
    text = (
        f"{_GROWING_LOAD} calls a second that come at once upon a wallet of one shard: {told}; "
        f"{100 * outcome.share('503'):.1f} % of the calls of {_GROWING_S} s were 503, "
        f"{100 * outcome.share('not settled'):.1f} % could not be settled."
    )
    return text, {"shards": counted, "refused or not settled": refused}


async def _emulated(endpoint: str, key: str, tasks: int, seconds: float) -> float:
    """Holds and settles a second on one wallet, by so many tasks, nothing else being done."""
    environ = stack.gateway_environment(stack.template(), endpoint, "")
    container = wiring.container(environ)
    try:
        secret = parse(key)
        assert secret is not None
        credential = await container.keys.find(secret.public_id)
        assert credential is not None
        caller = await container.keys.caller(credential)
        assert caller is not None
        until, done = time.monotonic() + seconds, 0

        async def call_after_call(caller: Caller) -> None:
            nonlocal done
            while time.monotonic() < until:
                hold = Hold(
                    container.ids.new("req"),
                    caller.account_id,
                    caller.key_id,
                    Nano(HOLD),
                    "bench",
                    {"bench/bench/bench": Prices({})},
                    int(time.time()),
                    int(time.time()) + 960,
                    spends=(f"{caller.key_id}#all",),
                )
                hold = await container.wallets.take(hold, caller)
                ids = (container.ids.new("txn"), hold.request_id)
                debit = Debit(*ids, "bench", "bench", Nano(1), Nano(1), Usage({}), hold.created_at)
                await container.wallets.post(hold, settle(hold, Nano(1)), debit)
                done += 1

        began_at = time.monotonic()
        await asyncio.gather(*(call_after_call(caller) for _ in range(tasks)))
        return done / (time.monotonic() - began_at)
    finally:
        await container.close()


def emulator() -> str:
    """What DynamoDB Local does, in a sentence."""
    pretend_credentials()
    try:
        with stack.real_database(stack.template()) as database:
            rates = [asyncio.run(_emulated(database.endpoint, database.key, tasks, 3.0)) for tasks in (1, 16)]
    except stack.NoDatabase as why:
        return f"DynamoDB Local was left out, because {why}."
    return (
        f"DynamoDB Local makes {rates[0]:.0f} metered calls a second one after another and {rates[1]:.0f} for 16 "
        f"tasks, on a machine with {os.cpu_count()} CPUs and a load average of {os.getloadavg()[0]:.1f}. It does one "
        "write at a time, whatever the item: it says nothing of hot items, and shards cannot help it."
    )


def run() -> tuple[str, Sequence[Panel]]:
    """The text and the pictures."""
    tell("DynamoDB Local")
    local = emulator()
    borne_ = bearing()
    tell("refusals under load")
    loads = under_load()
    tell("false refusals")
    own, all_ = false_refusals(own_shard_only=True), false_refusals(own_shard_only=False)
    tell("growing")
    text, growth = _growth(growing())
    refused = {
        f"{load}/s": [(float(n), 100 * loads[load, n].share("503", "not settled")) for n in SHARDS] for load in LOADS
    }
    panels = [
        Panel("What a wallet bears", "shards", "calls a second", borne_, SHARDS, doubling=True),
        Panel("Refused or not settled for want of time", "shards", "% of the calls", refused, SHARDS, doubling=True),
        Panel(
            "402 though the wallet covered it",
            "shards",
            "% of the calls",
            {"own shard only": own, "ours: all shards": all_},
            SHARDS,
            doubling=True,
        ),
        Panel(
            f"{_GROWING_LOAD} calls a second at once",
            "seconds",
            "shards; % of the calls",
            growth,
            range(0, _GROWING_S + 1, 40),
        ),
    ]
    return "\n\n".join([_table(borne_, loads, own, all_), running_out(), text, local]), panels


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.wallets", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into bench/README.md, the chart beside it")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    text, panels = run()
    if chosen.write:
        report.write_readme(text, _BEGIN, _END)
        CHART.write_text(svg(panels), encoding="utf-8")
    print(text)
    tell(f"done in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
