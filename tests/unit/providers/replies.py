"""Replies of an upstream that the test has written down, in place of the network under an adapter."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aig.modalities import chat_body
from aig.modalities.chat import ChatRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers.wire import HttpRequest, Reply


@dataclass
class Canned:
    """A reply in pieces. With `broken` the connection breaks behind them, or is silent for ever."""

    pieces: Sequence[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    broken: Literal["reset", "silence"] | None = None

    async def read_some(self) -> bytes:
        if not self.pieces:
            if self.broken == "silence":
                await asyncio.Event().wait()
            if self.broken == "reset":
                raise ConnectionResetError
            return b""
        piece, *self.pieces = self.pieces
        return piece


def posting(
    *pieces: bytes, status: int = 200, broken: Literal["reset", "silence"] | None = None
) -> Callable[[HttpRequest, Timeouts], AbstractAsyncContextManager[Reply]]:
    """A transport that gives this reply to whatever is posted."""

    @asynccontextmanager
    async def post(_: HttpRequest, __: Timeouts) -> AsyncIterator[Reply]:
        yield Canned(pieces, status, broken=broken)

    return post


def event(body: Any) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def upstream(model_id: str = "one-v1", **fields: Any) -> Upstream:
    return Upstream("acme", model_id, fields.pop("base_url", "https://acme.example/v1"), **fields)


def request(**fields: Any) -> ChatRequest:
    """A checked request that says hi."""
    return chat_body.parse({"model": "acme/one", "messages": [{"role": "user", "content": "hi"}], **fields})
