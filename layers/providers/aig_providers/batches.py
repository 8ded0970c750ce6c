"""Embeddings of more inputs than a provider takes at once: several requests side by side, one answer in order."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aig.errors import UpstreamError
from aig.modalities.embed import EmbedRequest, EmbedResult, Text, Vector, batches
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Unit, Usage

AT_ONCE = 4
ATTEMPTS = 3
BACK_OFF_S = 0.2
LONGEST_WAIT_S = 5.0

Send = Callable[[tuple[Text, ...]], Awaitable[EmbedResult]]


async def embed_in_batches(upstream: Upstream, request: EmbedRequest, send: Send) -> EmbedResult:
    """The vectors of all inputs, and the sum of their usage: None if any part tells none.

    A part that fails is sent again while there is room for that, here and in the budget of all calls: those that are
    done have been paid for. Raises UpstreamError with what they consumed when it fails all the same, or when vectors
    are of different lengths; the others are given up then.
    """
    parts = list(batches(request.inputs, upstream.max_batch, upstream.max_batch_tokens))
    room = asyncio.Semaphore(AT_ONCE)
    again = len(parts) // 5
    lengths = set[int]()

    async def once(part: tuple[Text, ...]) -> EmbedResult:
        async with room:
            result = await send(part)
        lengths.update(map(len, result.vectors))  # of base64 texts they tell as much
        if len(result.vectors) != len(part) or len(lengths) > 1:
            raise UpstreamError("malformed")
        return result

    async def patiently(part: tuple[Text, ...]) -> EmbedResult:
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
        return await once(parts[0])
    tasks = [asyncio.ensure_future(patiently(part)) for part in parts]
    try:
        results = await asyncio.gather(*tasks)
    except UpstreamError as error:
        error.usage = _consumed(request, parts, tasks)
        raise
    finally:
        for task in tasks:
            task.cancel()
    vectors: list[Vector] = [vector for result in results for vector in result.vectors]
    return EmbedResult(vectors, _sum([result.usage for result in results]))


def _consumed(
    request: EmbedRequest, parts: Sequence[tuple[Text, ...]], tasks: Sequence[asyncio.Task[EmbedResult]]
) -> Usage | None:
    """What the parts that were done come to."""
    done = [
        task.result().usage or replace(request, inputs=part).estimate(task.result())
        for part, task in zip(parts, tasks, strict=True)
        if task.done() and not task.cancelled() and task.exception() is None
    ]
    return _sum(done) if done else None


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    units: dict[Unit, int] = {}
    for usage in usages:
        if usage is None:
            return None
        for unit, count in usage.units.items():
            units[unit] = units.get(unit, 0) + count
    return Usage(units)
