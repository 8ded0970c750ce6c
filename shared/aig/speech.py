"""The metered call for speech: handed on as it comes, and settled when all of it has come.

What it costs is known before that where the text alone decides it, or the provider tells it first. Speech that breaks
off costs the customer nothing and is a loss row of ours; so nothing here looks at the reader, who may have gone away.
Audio cannot be ended in the middle as a text can: what would outlast the function is broken off, too.
"""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

from aig.attempts import Attempted, as_upstream, attempt_each, broken_off, record_failure, record_success
from aig.caching import Turn, take_turn
from aig.call import STREAM_S, Gateway, OpenCall, Options, Receipt
from aig.catalog.routing import Candidate
from aig.errors import AIGError, UpstreamError, UpstreamTimeout
from aig.keys import Caller
from aig.modalities.media import audio as clips
from aig.modalities.speak import MEDIA_TYPES, PCM_BYTES_PER_S, SpeakChunk, SpeakRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.money.hold import settle as settlement
from aig.money.pricing import charge
from aig.patience import Patience
from aig.pipeline import begin, settle, void
from aig.ports import Adapter


@dataclass(frozen=True, slots=True)
class SpeechAnswer:
    """Whoever takes the pieces must take them all, for the charge is in the last step."""

    receipt: Receipt
    media_type: str
    pieces: AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class _Started:
    opening: Sequence[SpeakChunk]  # up to the first that is audio
    rest: AsyncGenerator[SpeakChunk, None]


async def speak(gateway: Gateway, caller: Caller, request: SpeakRequest, options: Options) -> SpeechAnswer:
    """Speech that has begun. Raises AIGError before that; what breaks afterwards ends the pieces with an error."""
    began_at, media_type = gateway.clock.monotonic(), MEDIA_TYPES[request.form]
    turn = await take_turn(gateway, caller, request, options)
    if turn.hit is not None:
        return SpeechAnswer(turn.hit.receipt, media_type, _again(turn.hit.answer.pieces[0]["audio"]))
    try:
        call = await begin(gateway, caller, request.demand, options, began_at)
        attempted = await _start(call, request)
    except BaseException:
        await turn.leave()
        raise
    candidate = attempted.candidate
    receipt = Receipt(
        candidate.model.slug, candidate.offer.provider.name, attempted.attempts, None, turn.told, call.rate
    )
    told = next((chunk.usage for chunk in attempted.answer.opening if chunk.usage), None)
    known = call.priced(candidate, told or request.estimate(1))
    if not known.estimated:
        receipt = replace(receipt, cost=settlement(call.hold, charge(known, call.hold.prices[candidate.key])).charged)
    return SpeechAnswer(receipt, media_type, _spoken(turn, call, request, attempted))


async def _again(audio: str) -> AsyncGenerator[bytes, None]:
    yield base64.b64decode(audio)


async def _start(call: OpenCall, request: SpeakRequest) -> Attempted[_Started]:
    async def start(adapter: Adapter, upstream: Upstream, _: int) -> _Started:
        chunks, opening = adapter.speak.speak(upstream, request), list[SpeakChunk]()
        async for chunk in chunks:
            opening.append(chunk)
            if chunk.audio:
                return _Started(opening, chunks)
        raise UpstreamError("malformed")

    try:
        return await attempt_each(call, start)
    except BaseException as error:
        await void(call, error)
        raise


async def _spoken(
    turn: Turn, call: OpenCall, request: SpeakRequest, attempted: Attempted[_Started]
) -> AsyncGenerator[bytes, None]:
    candidate, audio, told = attempted.candidate, bytearray(), list[Usage]()
    try:
        try:
            async for chunk in _chunks(call, attempted.answer):
                told += [chunk.usage] if chunk.usage else []
                audio += chunk.audio
                await turn.renew()
                if chunk.audio:
                    yield chunk.audio
        except BaseException as raised:
            error = _ended_by(call, candidate, raised)
            await void(call, error, candidate, _consumed(request, bytes(audio), told))
            raise error from None
        record_success(call, attempted)
        usage = call.priced(candidate, _consumed(request, bytes(audio), told))
        await settle(call, candidate, attempted.attempts, usage, {}, turn.told)
        await turn.keep(call, candidate, usage, [{"audio": base64.b64encode(audio).decode()}])
    finally:
        await turn.leave()


def _ended_by(call: OpenCall, candidate: Candidate, raised: BaseException) -> BaseException:
    """What breaks the speech off, in our words. That the time is up says nothing of the provider's health."""
    if isinstance(raised, AIGError) or not isinstance(raised, Exception):
        return raised
    error = as_upstream(raised)
    record_failure(call, candidate, error)
    return broken_off(error)


async def _chunks(call: OpenCall, started: _Started) -> AsyncGenerator[SpeakChunk, None]:
    """Raises UpstreamTimeout when the time is up that speech may take."""
    ends_at = asyncio.get_running_loop().time() + call.left(STREAM_S)
    with contextlib.closing(Patience()) as patience:
        async with contextlib.aclosing(started.rest) as rest:
            for chunk in started.opening:
                yield chunk
            while (following := await _next(rest, patience, ends_at)) is not None:
                yield following


async def _next(rest: AsyncGenerator[SpeakChunk, None], patience: Patience, ends_at: float) -> SpeakChunk | None:
    try:
        with patience.until(ends_at):
            return await anext(rest, None)
    except TimeoutError:
        if not patience.expired:
            raise
        raise UpstreamTimeout("The speech took too long. Nothing was charged; send a shorter text.") from None


def _consumed(request: SpeakRequest, audio: bytes, told: Sequence[Usage]) -> Usage:
    """What the provider told last, or what is to be counted."""
    return told[-1] if told else request.estimate(_seconds(request, audio))


def _seconds(request: SpeakRequest, audio: bytes) -> float:
    """How long it plays, at most; as long as such a text may take where it does not tell."""
    if request.form == "pcm":
        return len(audio) / PCM_BYTES_PER_S
    try:
        return clips.read(audio).seconds or request.longest_seconds
    except ValueError:
        return request.longest_seconds
