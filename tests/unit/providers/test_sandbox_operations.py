"""The sandbox beyond chat: every failure at every operation, and what each operation counts."""

import asyncio
from typing import Any

import pytest

from aig.catalog.model import COUNTED, OPERATIONS
from aig.errors import UpstreamError
from aig.modalities.speak import SpeakRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import COUNT_UNITS
from aig_providers.sandbox import ADAPTER
from tests.unit.providers.operations import JOBS, MODELS, WHOLE, ask, spoken

TIMEOUTS = Timeouts(first_byte=30.0, idle=30.0, total=30.0)
SHORT = Timeouts(first_byte=0.01, idle=0.01, total=0.01)
SPEECH = SpeakRequest(MODELS, "hello there", form="wav")
FAILURES = [
    ("fail-429", "rate_limited", 429, 1.0),
    ("fail-500", "unavailable", 500, None),
    ("fail-503", "unavailable", 503, None),
    ("fail-529", "unavailable", 529, None),
    ("fail-401", "auth", 401, None),
    ("fail-reset", "connect", None, None),
    ("fail-malformed", "malformed", None, None),
    ("fail-empty", "malformed", None, None),
]
COUNTS = {
    "classify": {"input_tokens": 3},
    "detect": {"images": 1},
    "embed": {"input_tokens": 2},
    "image": {"images": 2},
    "moderate": {"input_tokens": 2},
    "ocr": {"pages": 2},
    "rerank": {"search_units": 1},
    "transcribe": {"seconds": 4},
    "translate": {"characters": 5},
}
each_operation = pytest.mark.parametrize("operation", [*WHOLE, "speak"])


def upstream(model: str, timeouts: Timeouts = TIMEOUTS, **fields: Any) -> Upstream:
    return Upstream("sandbox", model, "sandbox:", timeouts=timeouts, **fields)


async def answer(operation: str, at: Upstream) -> Any:
    return await (spoken(ADAPTER, at, SPEECH) if operation == "speak" else ask(ADAPTER, operation, at))


def usage_of(operation: str, result: Any) -> Any:
    told = [chunk.usage for chunk in result if chunk.usage] if operation == "speak" else [result.usage]
    return dict(told[0].units) if told and told[0] else None


async def failure(operation: str, at: Upstream) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await answer(operation, at)
    return raised.value


def test_every_operation_is_here() -> None:
    assert OPERATIONS.keys() == WHOLE.keys() | JOBS.keys() | {"chat", "speak"}


@each_operation
@pytest.mark.parametrize(("model", "kind", "status", "retry_after"), FAILURES)
async def test_failures(operation: str, model: str, kind: str, status: int | None, retry_after: float | None) -> None:
    error = await failure(operation, upstream(model))
    assert (error.kind, error.status, error.retry_after) == (kind, status, retry_after)


@each_operation
async def test_a_timeout(operation: str) -> None:
    assert (await failure(operation, upstream("fail-timeout", SHORT))).kind == "timeout"


@each_operation
@pytest.mark.parametrize(("model", "timeouts", "kind"), [("cut", TIMEOUTS, "connect"), ("stall", SHORT, "timeout")])
async def test_an_answer_that_does_not_come_to_its_end(
    operation: str, model: str, timeouts: Timeouts, kind: str
) -> None:
    assert (await failure(operation, upstream(model, timeouts))).kind == kind


@each_operation
@pytest.mark.parametrize(("model", "status"), [("fail-once-429", 429), ("fail-once-500", 500)])
async def test_once_for_each_caller(operation: str, model: str, status: int) -> None:
    seen: set[str] = set()

    async def first_time(name: str) -> bool:
        first = name not in seen
        seen.add(name)
        return first

    at = upstream(model, session="key_1/", first_time=first_time)
    assert (await failure(operation, at)).status == status
    assert await answer(operation, at) == await answer(operation, upstream(operation))


@pytest.mark.parametrize("operation", WHOLE)
async def test_what_is_counted(operation: str) -> None:
    assert usage_of(operation, await answer(operation, upstream(operation))) == COUNTS[operation]
    assert usage_of(operation, await answer(operation, upstream("no-usage"))) is None
    zeros = dict.fromkeys(COUNTS[operation], 0)
    assert usage_of(operation, await answer(operation, upstream("zero-usage"))) == zeros


async def test_seconds_of_speech_are_counted() -> None:
    assert usage_of("speak", await answer("speak", upstream("speech"))) == {"seconds": 1}
    assert usage_of("speak", await answer("speak", upstream("no-usage"))) is None
    assert usage_of("speak", await answer("speak", upstream("zero-usage"))) == {"seconds": 0}


@pytest.mark.parametrize("operation", WHOLE)
async def test_nothing_is_counted_beyond_what_is_held(operation: str) -> None:
    demand = WHOLE[operation].demand
    assert demand.counts.keys() == COUNTED.get(operation, frozenset())
    counts = COUNTS[operation].items()
    assert all(count <= demand.counts[unit] for unit, count in counts if unit in COUNT_UNITS)
    assert sum(count for unit, count in counts if unit == "input_tokens") <= demand.input_tokens


async def test_no_more_seconds_of_speech_than_are_held() -> None:
    assert SPEECH.demand.counts.keys() == COUNTED["speak"]
    for speed in (0.25, 1.0, 4.0):
        slow = SpeakRequest(MODELS, "a" * 1000, speed=speed)
        usage = (await spoken(ADAPTER, upstream("speech"), slow))[0].usage
        assert usage is not None
        assert usage.units["seconds"] <= slow.demand.counts["seconds"]


@pytest.mark.parametrize(("model", "timeouts", "kind"), [("cut", TIMEOUTS, "connect"), ("stall", SHORT, "timeout")])
async def test_speech_breaks_off_after_three_pieces(model: str, timeouts: Timeouts, kind: str) -> None:
    chunks = ADAPTER.speak.speak(upstream(model, timeouts), SPEECH)
    got = [await anext(chunks) for _ in range(3)]
    with pytest.raises(UpstreamError) as raised:
        await anext(chunks)
    assert raised.value.kind == kind
    assert got == (await spoken(ADAPTER, upstream("speech"), SPEECH))[:3]


async def test_slow_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pieces = await spoken(ADAPTER, upstream("slow"), SPEECH)
    assert len(pieces) >= 3
    assert slept == [2.0] + [0.2] * (len(pieces) - 1)
    assert all(chunk.usage == pieces[0].usage for chunk in pieces)


async def test_speech_that_nobody_hears_to_the_end_can_be_left() -> None:
    chunks = ADAPTER.speak.speak(upstream("speech"), SPEECH)
    await anext(chunks)
    async with asyncio.timeout(30):
        await chunks.aclose()
