"""Embeddings of more inputs than a provider takes at once: several requests side by side, one answer in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aig.errors import UpstreamError
from aig.modalities.embed import EmbedRequest, EmbedResult, Text, Vector, batches
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Unit, Usage

AT_ONCE = 4

Send = Callable[[tuple[Text, ...]], Awaitable[EmbedResult]]


async def embed_in_batches(upstream: Upstream, request: EmbedRequest, send: Send) -> EmbedResult:
    """The vectors of all inputs, and the sum of their usage: None if any part tells none.

    Raises UpstreamError as soon as one part does; the others are given up then.
    """
    parts = list(batches(request.inputs, upstream.max_batch, upstream.max_batch_tokens))
    room = asyncio.Semaphore(AT_ONCE)

    async def one(part: tuple[Text, ...]) -> EmbedResult:
        async with room:
            result = await send(part)
        if len(result.vectors) != len(part):
            raise UpstreamError("malformed")
        return result

    if len(parts) == 1:
        return await one(parts[0])
    tasks = [asyncio.ensure_future(one(part)) for part in parts]
    try:
        results = await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    vectors: list[Vector] = [vector for result in results for vector in result.vectors]
    return EmbedResult(vectors, _sum([result.usage for result in results]))


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    units: dict[Unit, int] = {}
    for usage in usages:
        if usage is None:
            return None
        for unit, count in usage.units.items():
            units[unit] = units.get(unit, 0) + count
    return Usage(units)
