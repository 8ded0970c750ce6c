"""The real adapters, counted and, where a test wants it, as dear as the hold allows."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from aig.catalog.model import Provider
from aig.modalities.chat import ChatAdapter, ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedAdapter
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.ports import Adapter
from aig_providers.registry import Registry

Piece = TypeVar("Piece", ChatResult, ChatChunk)


class Counted:
    """Adapters for a gateway. `calls` is how often a provider was asked.

    With `to_the_limit` a run uses up its bounds, so that its charge is its hold and no room ever comes back.
    """

    def __init__(self, *, to_the_limit: bool = False) -> None:
        self.calls = 0
        self.to_the_limit = to_the_limit
        self._registry = Registry()

    def get(self, provider: Provider) -> Adapter:
        real = self._registry.get(provider)
        return cast("Adapter", _CountedAdapter(_CountedChat(self, real.chat), real.embed))


@dataclass(frozen=True, slots=True)
class _CountedAdapter:
    chat: ChatAdapter
    embed: EmbedAdapter


class _CountedChat:
    def __init__(self, counted: Counted, real: ChatAdapter) -> None:
        self._counted = counted
        self._real = real

    def _dear(self, piece: Piece, request: ChatRequest, max_output_tokens: int) -> Piece:
        if piece.usage is None or not self._counted.to_the_limit:
            return piece
        demand = request.demand
        output = max_output_tokens * demand.samples
        return replace(piece, usage=Usage({"input_tokens": demand.input_tokens, "output_tokens": output}))

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        self._counted.calls += 1
        result = await self._real.complete(upstream, request, max_output_tokens)
        return self._dear(result, request, max_output_tokens)

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        self._counted.calls += 1
        async for chunk in self._real.stream(upstream, request, max_output_tokens):
            yield self._dear(chunk, request, max_output_tokens)
