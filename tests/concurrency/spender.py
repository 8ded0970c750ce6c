"""Many requests of one key at once: a coroutine, and a process of it (`python -m tests.concurrency.spender`)."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from aig import pipeline, stream
from aig.call import Gateway
from aig.errors import AIGError
from aig.keys import Caller
from aig.modalities.chat import ChatRequest
from tests.concurrency.core import OPTIONS, Core, chat
from tests.concurrency.counted import Counted


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is told, as JSON, in its only argument."""

    endpoint: str
    table: str
    key: str
    tasks: int
    requests: int


async def spend(
    gateways: Sequence[Gateway], caller: Caller, *, tasks: int, requests: int, max_tokens: int = 8
) -> Counter[str]:
    """So many tasks that send so many requests each, half of them streams.

    How the requests ended: `answered`, or the code of the refusal.
    """
    outcomes = Counter[str]()

    async def send(task: int) -> None:
        for _ in range(requests):
            request = chat(max_tokens=max_tokens, stream=bool(task % 2))
            outcomes[await _outcome(gateways[task % len(gateways)], caller, request)] += 1

    await asyncio.gather(*[send(task) for task in range(tasks)])
    return outcomes


async def _outcome(gateway: Gateway, caller: Caller, request: ChatRequest) -> str:
    try:
        if request.stream:
            streamed = await stream.run(gateway, caller, request, OPTIONS)
            async for _ in streamed.chunks:
                pass
        else:
            await pipeline.complete_chat(gateway, caller, request, OPTIONS)
    except AIGError as error:
        return error.code
    return "answered"


async def _main(job: Job) -> None:
    core, upstream = Core(job.endpoint, job.table), Counted(to_the_limit=True)
    try:
        caller = await core.caller(job.key)
        _say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        outcomes = await spend(core.gateways(upstream), caller, tasks=job.tasks, requests=job.requests)
        _say(json.dumps([upstream.calls, outcomes]))
    finally:
        await core.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_main(Job(**json.loads(sys.argv[1]))))
