"""A call that takes several requests to a provider: side by side, one answer in order, losses told."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from aig.errors import UpstreamError
from aig.modalities.embed import EmbedRequest, EmbedResult, Text, Vector, batches
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Unit, Usage

AT_ONCE = 4
ATTEMPTS = 3
BACK_OFF_S = 0.2
LONGEST_WAIT_S = 5.0

Send = Callable[[tuple[Text, ...]], Awaitable[EmbedResult]]
PartT = TypeVar("PartT")
ResultT = TypeVar("ResultT")


async def embed_in_batches(upstream: Upstream, request: EmbedRequest, send: Send) -> EmbedResult:
    """The vectors of all inputs, and the sum of their usage: None if any part tells none.

    Raises UpstreamError as `side_by_side` does, and when vectors are of different lengths.
    """
    lengths = set[int]()

    async def checked(part: tuple[Text, ...]) -> EmbedResult:
        result = await send(part)
        lengths.update(map(len, result.vectors))  # of base64 texts they tell as much
        if len(result.vectors) != len(part) or len(lengths) > 1:
            raise UpstreamError("malformed")
        return result

    def consumed(part: tuple[Text, ...], result: EmbedResult) -> Usage:
        return result.usage or replace(request, inputs=part).estimate(result)

    parts = list(batches(request.inputs, upstream.max_batch, upstream.max_batch_tokens))
    results = await side_by_side(upstream, parts, checked, consumed)
    vectors: list[Vector] = [vector for result in results for vector in result.vectors]
    return EmbedResult(vectors, summed([result.usage for result in results]))


async def side_by_side(
    upstream: Upstream,
    parts: Sequence[PartT],
    send: Callable[[PartT], Awaitable[ResultT]],
    consumed: Callable[[PartT, ResultT], Usage],
) -> list[ResultT]:
    """The answer to each part, in order.

    A part that fails is sent again while there is room for that, here and in the budget of all calls: those that are
    done have been paid for. Raises UpstreamError with what they consumed when it fails all the same; the others are
    given up then.
    """
    room = asyncio.Semaphore(AT_ONCE)
    again = len(parts) // 5

    async def once(part: PartT) -> ResultT:
        async with room:
            return await send(part)

    async def patiently(part: PartT) -> ResultT:
        nonlocal again
        for retries_left in reversed(range(ATTEMPTS)):
            try:
                return await once(part)
            except UpstreamError as error:
                wait = error.retry_after or BACK_OFF_S
                if (
                    not (again and retries_left)
                    or error.kind not in ("rate_limited", "unavailable", "connect")
                    or wait > LONGEST_WAIT_S
                    or not upstream.may_ask_again()
                ):
                    raise
            again -= 1
            await asyncio.sleep(wait * (1 + secrets.randbelow(1000) / 1000))
        raise AssertionError

    if len(parts) == 1:
        return [await once(parts[0])]
    tasks = [asyncio.ensure_future(patiently(part)) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    except UpstreamError as error:
        done = [(part, task) for part, task in zip(parts, tasks, strict=True) if _is_answered(task)]
        error.usage = summed([consumed(part, task.result()) for part, task in done]) if done else None
        raise
    finally:
        for task in tasks:
            task.cancel()


def _is_answered(task: asyncio.Task[ResultT]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def summed(usages: Sequence[Usage | None]) -> Usage | None:
    """None if any of them is; one alone as it is."""
    if len(usages) == 1:
        return usages[0]
    units: dict[Unit, int] = {}
    for usage in usages:
        if usage is None:
            return None
        for unit, count in usage.units.items():
            units[unit] = units.get(unit, 0) + count
    return Usage(units)
