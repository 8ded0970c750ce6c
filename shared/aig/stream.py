"""The metered call for a stream: settled from the last usage seen, whatever happens on the way.

Failover ends with the first event. A stream that breaks costs the customer nothing and is a loss row of ours; one whose
reader went away is read to its end and paid for, which is why nothing here looks at the reader.
"""

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from aig.attempts import Attempted, attempt_each, record_failure
from aig.call import STREAM_S, Gateway, OpenCall, Options, Receipt
from aig.errors import ProviderUnavailable, UpstreamError, UpstreamTimeout
from aig.keys import Caller
from aig.modalities.chat import ChatChunk, ChatRequest, estimate, output_text, usage_json
from aig.modalities.upstream import Upstream
from aig.modalities.usage import OUTPUT_UNITS, Usage
from aig.money.units import usd
from aig.pipeline import begin, settle, void
from aig.ports import Adapter


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """`chunks` are JSON objects; whoever takes them must take them all, for the charge is in the last step."""

    receipt: Receipt
    chunks: AsyncGenerator[dict[str, Any], None]


@dataclass(frozen=True, slots=True)
class _Started:
    first: ChatChunk
    rest: AsyncGenerator[ChatChunk, None]


async def run(gateway: Gateway, caller: Caller, request: ChatRequest, options: Options) -> StreamAnswer:
    """A stream whose first event is there. Raises AIGError before it; afterwards errors are chunks."""
    call = await begin(gateway, caller, request.demand, options)

    async def start(adapter: Adapter, upstream: Upstream, max_output_tokens: int) -> _Started:
        chunks = adapter.chat.stream(upstream, request, max_output_tokens)
        try:
            return _Started(await anext(chunks), chunks)
        except StopAsyncIteration:
            raise UpstreamError("malformed") from None

    try:
        attempted = await attempt_each(call, start)
    except BaseException:
        await void(call)
        raise
    candidate = attempted.candidate
    receipt = Receipt(candidate.model.slug, candidate.offer.provider.name, attempted.attempts)
    return StreamAnswer(receipt, _relay(call, request, attempted))


async def _relay(
    call: OpenCall, request: ChatRequest, attempted: Attempted[_Started]
) -> AsyncGenerator[dict[str, Any], None]:
    candidate, started, clock, output_bytes = attempted.candidate, attempted.answer, call.gateway.clock, 0
    began_at = clock.monotonic()
    usage: Usage | None = None
    template: dict[str, Any] = {}
    chunk: ChatChunk | None = started.first
    try:
        async with contextlib.aclosing(started.rest):
            while chunk is not None:
                said = len(output_text(chunk.body).encode()) if chunk.body is not None else 0
                output_bytes += said
                if chunk.usage is not None:
                    usage = chunk.usage.at_least(usage)
                elif said:
                    usage = None  # it was told before this was said, so it does not count it
                if chunk.body is not None:
                    body = {**chunk.body, "model": candidate.model.slug}
                    if request.include_usage:
                        body["usage"] = None
                    template = template or body
                    yield body
                async with call.until(STREAM_S):
                    chunk = await anext(started.rest, None)
    except UpstreamError as error:
        record_failure(call, candidate, error)
        await void(call, candidate, usage or estimate(request, output_bytes))
        yield _error_chunk(template, error, call.options.trace_id)
        return
    except BaseException:
        await void(call, candidate, usage or estimate(request, output_bytes))
        raise
    usage = usage or estimate(request, output_bytes)
    generating_ms = (clock.monotonic() - began_at) * 1000
    call.gateway.traffic.record_speed(
        candidate.offer.provider.name, candidate.model.slug, usage.total(OUTPUT_UNITS), generating_ms
    )
    receipt = await settle(call, candidate, attempted.attempts, usage)
    if request.include_usage:
        yield _usage_chunk(template, usage, receipt)


def _usage_chunk(template: dict[str, Any], usage: Usage, receipt: Receipt) -> dict[str, Any]:
    return {**template, "choices": [], "usage": {**usage_json(usage), "cost": usd(receipt.cost or 0)}}


def _error_chunk(template: dict[str, Any], error: UpstreamError, trace_id: str) -> dict[str, Any]:
    """The shape that OpenAI's SDKs raise on, and that others read as the end of the choice."""
    kind = UpstreamTimeout if error.kind == "timeout" else ProviderUnavailable
    return {
        **template,
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "error": {
            "message": "The provider broke off its answer. Nothing was charged; send the request again.",
            "type": kind.type,
            "code": kind.default_code,
            "param": None,
            "request_id": trace_id,
        },
    }
