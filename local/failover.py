"""Failover, case by case, against two scripted providers: `make demo-failover`.

What is on the stage is real, over the DynamoDB of `make run`: see local.failover_stage.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from aig import wiring
from aig.clock import SystemClock
from local.deploy import create_tables
from local.embedded import EmbeddedAws, pretend_credentials
from local.failover_stage import ALPHA_COST, BETA_COST, BOTH, Case, MemoryLog, Mode, Outcome, Stage, stage
from local.scripted_provider import OK, Behaviour, error
from local.template import load

RESET = Behaviour(chunks=0, ending="reset")
SILENT = Behaviour(chunks=0, ending="silence")
SLOW = Behaviour(delay=0.8)
BEHIND = Behaviour(body=b'{"error": {"message": "overloaded", "code": 503}}')
LIMITED, UNAVAILABLE = "429 upstream_rate_limited", "502 provider_unavailable"


def _alpha(name: str, behaviour: Behaviour, sees: str = "answer", *modes: Mode) -> Case:
    """Alpha answers, and beta is not asked."""
    return Case(
        name, [behaviour], sees=sees, by="alpha", asked=(1, 0), cost=ALPHA_COST, modes=modes or ("whole", "stream")
    )


def _again(name: str, behaviour: Behaviour) -> Case:
    """There is only alpha, and it answers the second time."""
    alone = {"model": "demo/alone"}
    return Case(name, [behaviour, OK], by="alpha", asked=(2, 0), cost=ALPHA_COST, body=alone)


def _refused(name: str, sees: str, *alpha: Behaviour, beta: Sequence[Behaviour] = (OK,), **more: Any) -> Case:
    """The client gets an error, and pays nothing."""
    return Case(name, alpha, beta, sees, None, **{"asked": (1, 0), "cost": None, **more})


def _broken(name: str, behaviour: Behaviour) -> Case:
    """A stream that has begun and does not end: nobody else can go on with it, and nobody pays."""
    return Case(name, [behaviour], (OK,), "broken off", "alpha", (1, 0), None, ("stream",), loss=True)


ALONE, ONLY_ALPHA = {"model": "demo/alone"}, {**BOTH, "provider": {"only": ["alpha"]}}
CASES = [
    _alpha("all is well", OK),
    Case("429, another provider", [error(429)]),
    Case("429 with Retry-After, another provider", [error(429, retry_after="1")]),
    _again("429, alone", error(429)),
    _again("429 with Retry-After 0.3 s, alone", error(429, retry_after_ms="300")),
    _refused("429 with Retry-After 3600: not waited for", LIMITED, error(429, retry_after="3600"), body=ALONE),
    _refused(
        "all are rate limited", LIMITED, error(429, retry_after="60"), beta=[error(429, retry_after="60")], asked=(1, 1)
    ),
    _again("500 once, alone", error(500)),
    Case("503", [error(503)]),
    Case("529", [error(529)]),
    Case("the connection is reset", [RESET]),
    Case("no answer", [SILENT], loss=True),
    _refused("no answer, alone", "504 upstream_timeout", SILENT, body=ALONE, loss=True),
    Case("a slow first byte", [SLOW], loss=True),
    Case("the answer is cut", [Behaviour(ending="reset")], modes=("whole",), loss=True),
    _broken("the stream is cut", Behaviour(chunks=2, ending="reset")),
    _broken("the stream stalls", Behaviour(chunks=2, ending="silence")),
    Case("an error behind a 200", [BEHIND], modes=("whole",)),
    Case("an error behind a 200, and no stream", [BEHIND], modes=("stream",), loss=True),
    Case("a page of HTML behind a 200", [Behaviour(body=b"<html><h1>Welcome</h1></html>")], loss=True),
    Case("nothing behind a 200", [Behaviour(body=b"")], loss=True),
    Case("a malformed answer", [Behaviour(ending="garbage")], modes=("whole",), loss=True),
    Case("a malformed first chunk", [Behaviour(chunks=0, ending="garbage")], modes=("stream",), loss=True),
    _broken("a malformed chunk later", Behaviour(chunks=2, ending="garbage")),
    _alpha("no [DONE], but a finish reason", Behaviour(ending="no-done")),
    _broken("no [DONE] and no finish reason", Behaviour(ending="bare")),
    _refused("the context is too long", "400 context_length_exceeded", error(400, "context_length_exceeded")),
    _refused("a prefill is refused", "400 invalid_value", error(400)),
    _refused("a prompt is flagged, as 403", "400 content_policy_violation", error(403, "content_policy_violation")),
    _refused("the request is refused as 422", "400 invalid_value", error(422)),
    _alpha("a content filter ends the answer", Behaviour(finish="content_filter"), "content_filter"),
    Case("our key is refused", [error(401)], alarm=True),
    Case("our account is empty", [error(402)], alarm=True),
    Case("our account is empty, told as a 429", [error(429, "insufficient_quota", retry_after="1")], alarm=True),
    _refused("our key is refused everywhere", UNAVAILABLE, error(401), beta=[error(401)], asked=(1, 1), alarm=True),
    _refused("all are down", UNAVAILABLE, error(500), beta=[error(503, retry_after="1")], asked=(2, 1)),
    Case("models: the first is down, the second serves", [error(500)], body={"models": ["demo/alone", "demo/other"]}),
    Case(
        "provider.order asks the dearer first", [OK], asked=(0, 1), body={**ONLY_ALPHA, "provider": {"order": ["beta"]}}
    ),
    _refused("provider.only keeps to one", UNAVAILABLE, error(500), asked=(3, 0), body=ONLY_ALPHA),
]


EVERY = [(case, mode) for case in CASES for mode in case.modes]


class _AheadClock(SystemClock):
    """The system's clock, set ahead by as many seconds as a story lets pass."""

    def __init__(self) -> None:
        self.ahead = 0.0

    @override
    def now(self) -> float:
        return super().now() + self.ahead

    @override
    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@dataclass(frozen=True)
class Story:
    """What only many calls show. `play` tells what came of it, which is to be `end`."""

    name: str
    play: Callable[[Stage], Awaitable[str]]
    end: str


async def _breaker(played: Stage) -> str:
    """The number of times that alpha is asked, call by call: by one environment, by a new one, and as time passes."""
    log, clock, asked, before = MemoryLog(), _AheadClock(), list[int](), 0
    played.beta.reset(OK)
    played.alpha.reset(*[error(500)] * 6, OK)
    for environment, waits in (("first", [0.0] * 7), ("second", [0.0, 31.0, 31.0, 31.0, 2.0])):
        played.new_gateway(log, clock)
        for wait in waits:
            clock.ahead += wait + 2
            outcome = await played.call(BOTH, "whole")
            assert outcome.sees == "answer", environment
            asked.append(played.alpha.asked - before)
            before = played.alpha.asked
    return f"alpha asked {' '.join(map(str, asked))}; {'still open' if log.open else 'closed'}"


async def _flapping(played: Stage) -> str:
    clock, outcomes = _AheadClock(), list[Outcome]()
    played.new_gateway(MemoryLog(), clock)
    played.alpha.reset(*([error(503), OK] * 30))
    played.beta.reset(OK)
    for _ in range(40):
        clock.ahead += 0.5
        outcomes.append(await played.call(BOTH, "whole"))
    answered = sum(outcome.sees == "answer" for outcome in outcomes)
    priced = all(outcome.cost == {"alpha": ALPHA_COST, "beta": BETA_COST}[str(outcome.by)] for outcome in outcomes)
    failed = sum((outcome.attempts or 0) - 1 for outcome in outcomes)
    price = "each at its provider's price" if priced else "at wrong prices"
    return f"{answered} of 40 answered, {price}; {failed} second attempts"


async def _outage(played: Stage) -> str:
    clock = _AheadClock()
    played.new_gateway(MemoryLog(), clock)
    played.alpha.reset(error(500))
    played.beta.reset(error(500))
    for _ in range(60):
        clock.ahead += 0.1
        outcome = await played.call(BOTH, "whole")
        assert (outcome.sees, outcome.cost, outcome.held) == (UNAVAILABLE, None, 0)
    extra = played.alpha.asked + played.beta.asked - 60
    return f"60 times 502 and nothing charged; {extra} extra attempts"


STORIES = [
    Story(
        "a breaker opens after five failures, is shared, probes, closes",
        _breaker,
        "alpha asked 1 1 1 1 1 0 0 0 1 0 1 1; closed",
    ),
    Story("flapping 50/50", _flapping, "40 of 40 answered, each at its provider's price; 3 second attempts"),
    Story("a total outage", _outage, "60 times 502 and nothing charged; 3 extra attempts"),
]


async def _play_all() -> int:
    container, failed = wiring.container(), 0
    print(
        f"{'case':47} {'mode':7}{'the client sees':29}{'by':7}{'asked':7}{'cost USD':10}{'loss':6}{'alarm':7}{'s':>4}"
    )
    async with stage(container) as played:
        for case, mode in EVERY:
            outcome = await played.play(case, mode)
            good = outcome.fits(case)
            failed += not good
            asked = f"{outcome.asked[0]} + {outcome.asked[1]}"
            loss, alarm = ("yes" if told else "-" for told in (outcome.loss, outcome.alarm))
            print(
                f"{case.name:47} {mode:7}{outcome.sees:29}{outcome.by or '-':7}{asked:7}{outcome.cost or '-':10}"
                f"{loss:6}{alarm:7}{outcome.seconds:4.1f}{'' if good else '  NOT AS IT SHOULD BE'}"
            )
        print()
        for story in STORIES:
            end = await story.play(played)
            failed += end != story.end
            print(f"{story.name}\n    {end}{'' if end == story.end else f'  NOT AS IT SHOULD BE: {story.end}'}")
    await container.close()
    print(f"\n{failed} not as they should be" if failed else "\nAll as it should be.")
    return 1 if failed else 0


def main() -> int:
    """Returns the exit code: 1 if a case is not as it should be."""
    pretend_credentials()
    aws, tables = EmbeddedAws(), load().tables
    endpoint = aws.start()
    create_tables(tables, endpoint)
    (core,) = (table.name for table in tables if table.logical_id == "CoreTable")
    os.environ |= {"AIG_DYNAMODB_ENDPOINT": endpoint, "AIG_CORE_TABLE": core, "AIG_KEY_PEPPER": "demo"}
    try:
        return asyncio.run(_play_all())
    finally:
        aws.stop()


if __name__ == "__main__":
    sys.exit(main())
