"""The metered call for a stream: settled from the last usage seen, whatever happens on the way.

Failover ends with the first event that says something. A stream that breaks costs the customer nothing and is a loss
row of ours; one whose reader went away is read to its end and paid for, which is why nothing here looks at the reader;
one that would outlast the function is ended by us, and what it said is paid for.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from aig.attempts import Attempted, as_upstream, attempt_each, broken_off, record_failure, record_success
from aig.caching import Hit, Turn, take_turn
from aig.call import STREAM_S, CacheTold, Gateway, OpenCall, Options, Receipt
from aig.errors import AIGError, UpstreamError
from aig.keys import Caller
from aig.modalities.chat import ChatChunk, ChatRequest, estimate, output_text, usage_json
from aig.modalities.chat_assembly import Assembly
from aig.modalities.upstream import Upstream
from aig.modalities.usage import OUTPUT_UNITS, Usage
from aig.money.units import usd
from aig.patience import Patience
from aig.pipeline import begin, settle, void
from aig.ports import Adapter


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """`chunks` are JSON objects; whoever takes them must take them all, for the charge is in the last step."""

    receipt: Receipt
    chunks: AsyncGenerator[dict[str, Any], None]


@dataclass(frozen=True, slots=True)
class _Started:
    opening: Sequence[ChatChunk]  # up to the first that says something
    rest: AsyncGenerator[ChatChunk, None]


async def run(gateway: Gateway, caller: Caller, request: ChatRequest, options: Options) -> StreamAnswer:
    """A stream that has begun to say something. Raises AIGError before that; afterwards errors are chunks."""
    began_at = gateway.clock.monotonic()
    turn = await take_turn(gateway, caller, request, options)
    if turn.hit is not None:
        return StreamAnswer(turn.hit.receipt, _again(turn.hit, request))
    try:
        return await _start(turn, await begin(gateway, caller, request.demand, options, began_at), request)
    except BaseException:
        await turn.leave()
        raise


async def _again(hit: Hit, request: ChatRequest) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks of an answer that was there, with the usage told as this request wants it."""
    pieces = hit.answer.pieces
    for piece in pieces:
        yield {**piece, "usage": None} if request.include_usage else piece
    if request.include_usage:
        yield _usage_chunk(pieces[0], hit.answer.usage, hit.receipt)


def _usage_chunk(template: dict[str, Any], usage: Usage, receipt: Receipt) -> dict[str, Any]:
    return {**template, "choices": [], "usage": {**usage_json(usage), "cost": usd(receipt.cost or 0)}}


async def _start(turn: Turn, call: OpenCall, request: ChatRequest) -> StreamAnswer:
    async def start(adapter: Adapter, upstream: Upstream, max_output_tokens: int) -> _Started:
        chunks, opening = adapter.chat.stream(upstream, request, max_output_tokens), list[ChatChunk]()
        async for chunk in chunks:
            opening.append(chunk)
            if _says_something(chunk):
                return _Started(opening, chunks)
        raise UpstreamError("malformed")

    try:
        attempted = await attempt_each(call, start)
    except BaseException as error:
        await void(call, error)
        raise
    candidate = attempted.candidate
    receipt = Receipt(
        candidate.model.slug, candidate.offer.provider.name, attempted.attempts, None, turn.told, call.rate
    )
    relay = _Relay(call, request, attempted, turn.told)
    return StreamAnswer(receipt, relay.chunks() if turn.told == "skip" else _kept(turn, call, relay, request))


async def _kept(
    turn: Turn, call: OpenCall, relay: "_Relay", request: ChatRequest
) -> AsyncGenerator[dict[str, Any], None]:
    """What the relay gives, remembered for the cache; kept there once it has been paid for."""
    told: list[dict[str, Any]] = []
    try:
        async with contextlib.aclosing(relay.chunks()) as chunks:
            async for chunk in chunks:
                told.append(chunk)
                await turn.renew()
                yield chunk
        if relay.delivered is not None:
            said = told[:-1] if request.include_usage else told
            pieces = [{name: value for name, value in chunk.items() if name != "usage"} for chunk in said]
            await turn.keep(call, relay.candidate, relay.delivered, pieces)
    finally:
        await turn.leave()


def _says_something(chunk: ChatChunk) -> bool:
    """Some providers begin with a role alone, which another could still say."""
    choices = chunk.body["choices"] if chunk.body is not None else ()
    return any(
        choice.get("finish_reason") or any(value for name, value in choice["delta"].items() if name != "role")
        for choice in choices
    )


async def _next(rest: AsyncGenerator[ChatChunk, None], patience: Patience, ends_at: float) -> ChatChunk | None:
    """None at the end, and when the time is up that a stream may take."""
    try:
        with patience.until(ends_at):
            return await anext(rest, None)
    except TimeoutError:
        if not patience.expired:
            raise
        return None


class _Relay:
    """What has been said so far, and what it consumed."""

    def __init__(self, call: OpenCall, request: ChatRequest, attempted: Attempted[_Started], cache: CacheTold) -> None:
        self.candidate = attempted.candidate
        self.delivered: Usage | None = None  # of an answer that came to its own end and has been settled
        self._call = call
        self._request = request
        self._attempted = attempted
        self._template: dict[str, Any] = {}
        self._open = set[int]()  # the choices that have not ended
        self._output_bytes = 0
        self._usage: Usage | None = None
        self._cache = cache
        self._assembly = Assembly()
        recording = call.options.recording
        self._keeps = recording is not None and recording.keeps_answer

    async def chunks(self) -> AsyncGenerator[dict[str, Any], None]:
        call, candidate, started = self._call, self.candidate, self._attempted.answer
        clock = call.gateway.clock
        began_at = clock.monotonic()
        try:
            with contextlib.closing(Patience()) as patience:
                ends_at = asyncio.get_running_loop().time() + call.left(STREAM_S)
                async with contextlib.aclosing(started.rest):
                    for chunk in started.opening:
                        if body := self._saw(chunk):
                            yield body
                    while (following := await _next(started.rest, patience, ends_at)) is not None:
                        if body := self._saw(following):
                            yield body
        except Exception as raised:
            error = as_upstream(raised)
            record_failure(call, candidate, error)
            broken = broken_off(error)
            await void(call, broken, candidate, self._consumed())
            yield self._error_chunk(broken)
            return
        except BaseException as error:
            await void(call, error, candidate, self._consumed())
            raise
        record_success(call, self._attempted)
        usage = call.priced(candidate, self._consumed())
        generating_ms = (clock.monotonic() - began_at) * 1000
        call.gateway.traffic.record_speed(
            candidate.offer.provider.name, candidate.model.slug, usage.total(OUTPUT_UNITS), generating_ms
        )
        if cut := self._cut_chunk():
            yield cut
        receipt = await settle(call, candidate, self._attempted.attempts, usage, self._assembly.body, self._cache)
        if not cut:
            self.delivered = usage
        if self._request.include_usage:
            yield _usage_chunk(self._template, usage, receipt)

    def _saw(self, chunk: ChatChunk) -> dict[str, Any] | None:
        """Counts a chunk; what of it goes to the client."""
        said = len(output_text(chunk.body).encode()) if chunk.body is not None else 0
        self._output_bytes += said
        if chunk.usage is not None:
            self._usage = chunk.usage.after(self._usage)
        elif said:
            self._usage = None  # it was told before this was said, so it does not count it
        if chunk.body is None:
            return None
        for choice in chunk.body["choices"]:
            index = choice.get("index") or 0
            (self._open.discard if choice.get("finish_reason") else self._open.add)(index)
        body = {**chunk.body, "model": self.candidate.model.slug}
        if self._request.include_usage:
            body["usage"] = None
        self._template = self._template or body
        if self._keeps:
            self._assembly.add(body)
        return body

    def _consumed(self) -> Usage:
        return self._usage or estimate(self._request, self._output_bytes)

    def _cut_chunk(self) -> dict[str, Any] | None:
        """The end that we put to a stream whose time was up."""
        if self._call.left(STREAM_S) or not self._open:
            return None
        ends = [{"index": index, "delta": {}, "finish_reason": "length"} for index in sorted(self._open)]
        return {**self._template, "choices": ends}

    def _error_chunk(self, error: AIGError) -> dict[str, Any]:
        """The shape that OpenAI's SDKs raise on, and that others read as the end of the choice."""
        return {
            **self._template,
            "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            "error": {
                "message": error.message,
                "type": error.type,
                "code": error.code,
                "param": None,
                "request_id": self._call.options.trace_id,
            },
        }
