"""The jobs of the sandbox: their time by a clock of the test's, every failure at their beginning, and their files."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.job import MAX_HANDLE_BYTES, Failed, Finished, Handle, Made, State, Working
from aig.modalities.media import audio, mp4
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.modalities.video import VideoRequest
from aig_providers import sandbox_jobs
from aig_providers.sandbox import ADAPTER
from aig_providers.sandbox_jobs import Craft, SandboxJobs
from tests.unit.clock import NOON, FixedClock
from tests.unit.providers.operations import JOBS, MODELS
from tests.unit.providers.test_sandbox_operations import FAILURES, SHORT, TIMEOUTS

WIDE = Picture(b"no PNG", "image/png", 640, 480)
CRAFTS: Mapping[str, Craft[Any]] = {
    "music": sandbox_jobs.MUSIC,
    "three_d": sandbox_jobs.THREE_D,
    "video": sandbox_jobs.VIDEO,
}
each_job = pytest.mark.parametrize("operation", JOBS)


def upstream(model: str, timeouts: Timeouts = TIMEOUTS, **fields: Any) -> Upstream:
    return Upstream("sandbox", model, "sandbox:", timeouts=timeouts, **fields)


async def submit(operation: str, at: Upstream, request: Any = None) -> State:
    state: State = await getattr(ADAPTER, operation).submit(at, request or JOBS[operation], "job_1", None)
    return state


async def failure(operation: str, at: Upstream) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await submit(operation, at)
    return raised.value


async def _reached(_: Upstream) -> None:
    return


def jobs(operation: str, clock: FixedClock) -> SandboxJobs[Any]:
    return SandboxJobs(CRAFTS[operation], _reached, clock)


async def handle_of(operation: str, at: Upstream, request: Any, clock: FixedClock) -> Handle:
    state = await jobs(operation, clock).submit(at, request, "job_1", None)
    assert isinstance(state, Working)
    return dict(json.loads(json.dumps(state.handle)))


async def made(operation: str, request: Any = None, model: str = "sandbox") -> Finished:
    """What becomes of the request when its time is up."""
    clock = FixedClock(NOON)
    handle = await handle_of(operation, upstream(model), request or JOBS[operation], clock)
    clock.time += 3.0
    state = await jobs(operation, clock).poll(upstream(model), handle)
    assert isinstance(state, Finished)
    return state


def file_of(state: Finished) -> bytes:
    (file,) = state.files
    assert isinstance(file, Made)
    return file.make()


@each_job
async def test_a_job_takes_its_time(operation: str) -> None:
    clock, at = FixedClock(NOON), upstream("sandbox", sandbox_seconds=20.0)
    handle = await handle_of(operation, at, JOBS[operation], clock)
    for passed, progress in ((0.0, 0), (5.0, 25), (19.99, 99)):
        clock.time = NOON + passed
        assert await jobs(operation, clock).poll(at, handle) == Working(handle, progress)
    clock.time = NOON + 20.0
    assert isinstance(await jobs(operation, clock).poll(at, handle), Finished)


@each_job
async def test_a_clock_that_was_set_back_is_no_trouble(operation: str) -> None:
    clock, at = FixedClock(NOON), upstream("sandbox")
    handle = await handle_of(operation, at, JOBS[operation], clock)
    clock.time = NOON - 60.0
    assert await jobs(operation, clock).poll(at, handle) == Working(handle, 0)


async def test_a_job_of_no_time_is_done_at_once() -> None:
    clock, at = FixedClock(NOON), upstream("sandbox", sandbox_seconds=0.0)
    handle = await handle_of("three_d", at, JOBS["three_d"], clock)
    assert isinstance(await jobs("three_d", clock).poll(at, handle), Finished)


async def test_one_that_is_to_fail_fails_in_its_time() -> None:
    clock, at = FixedClock(NOON), upstream("video-fail")
    handle = await handle_of("video", at, JOBS["video"], clock)
    assert isinstance(await jobs("video", clock).poll(at, handle), Working)
    clock.time += 3.0
    assert await jobs("video", clock).poll(at, handle) == Failed("unavailable")


@each_job
async def test_a_job_can_be_given_up(operation: str) -> None:
    state = await submit(operation, upstream("sandbox"))
    assert isinstance(state, Working)
    await getattr(ADAPTER, operation).cancel(upstream("sandbox"), state.handle)


@each_job
@pytest.mark.parametrize(("model", "kind", "status", "retry_after"), FAILURES)
async def test_failures(operation: str, model: str, kind: str, status: int | None, retry_after: float | None) -> None:
    error = await failure(operation, upstream(model))
    assert (error.kind, error.status, error.retry_after) == (kind, status, retry_after)


@each_job
@pytest.mark.parametrize(
    ("model", "timeouts", "kind"),
    [("fail-timeout", SHORT, "timeout"), ("cut", TIMEOUTS, "connect"), ("stall", SHORT, "timeout")],
)
async def test_an_answer_that_does_not_come(operation: str, model: str, timeouts: Timeouts, kind: str) -> None:
    assert (await failure(operation, upstream(model, timeouts))).kind == kind


@each_job
@pytest.mark.parametrize(("model", "status"), [("fail-once-429", 429), ("fail-once-500", 500)])
async def test_once_for_each_caller(operation: str, model: str, status: int) -> None:
    seen: set[str] = set()

    async def first_time(name: str) -> bool:
        first = name not in seen
        seen.add(name)
        return first

    at = upstream(model, session="key_1/", first_time=first_time)
    assert (await failure(operation, at)).status == status
    assert isinstance(await submit(operation, at), Working)


@pytest.mark.parametrize(
    ("operation", "request_of"),
    [
        ("video", VideoRequest(MODELS, "\N{GRINNING FACE}" * 10_000, picture=WIDE)),
        ("music", MusicRequest(MODELS, "\N{GRINNING FACE}" * 10_000, lyrics="la" * 5_000)),
        ("three_d", ThreeDRequest(MODELS, "\N{GRINNING FACE}" * 10_000, picture=WIDE)),
    ],
)
async def test_a_handle_is_small_whatever_was_asked_for(operation: str, request_of: Any) -> None:
    handle = await handle_of(operation, upstream("sandbox"), request_of, FixedClock(NOON))
    assert len(json.dumps(handle)) <= MAX_HANDLE_BYTES


@each_job
async def test_what_is_counted(operation: str) -> None:
    assert (await made(operation)).usage == Usage({"assets": 1})
    assert (await made(operation, model="zero-usage")).usage == Usage({"assets": 0})
    assert (await made(operation, model="no-usage")).usage == Usage({"assets": 1}, estimated=True)


@each_job
async def test_the_same_request_makes_the_same_file(operation: str) -> None:
    assert file_of(await made(operation)) == file_of(await made(operation))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"aspect_ratio": "99:1"}, "aspect_ratio"),
        ({"aspect_ratio": "21:9", "resolution": "4k"}, "aspect_ratio"),
        ({"sound": True}, "audio"),
    ],
)
async def test_videos_that_are_not_made(fields: Mapping[str, Any], param: str) -> None:
    request = VideoRequest(MODELS, "a cat", **fields)
    with pytest.raises(UpstreamError) as raised:
        ADAPTER.video.check(upstream("video"), request)
    assert (raised.value.kind, raised.value.param, raised.value.unasked) == ("rejected", param, True)
    with pytest.raises(UpstreamError):
        await submit("video", upstream("video"), request)


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (640, 360)),
        ({"aspect_ratio": "9:16"}, (360, 640)),
        ({"aspect_ratio": "1:1", "resolution": "480p"}, (480, 480)),
        ({"resolution": "1080p"}, (1920, 1080)),
        ({"resolution": "4k"}, (3840, 2160)),
        ({"aspect_ratio": "7:5"}, (504, 360)),
    ],
)
async def test_the_size_of_a_video(fields: Mapping[str, Any], size: tuple[int, int]) -> None:
    handle = await handle_of("video", upstream("video"), VideoRequest(MODELS, "a", **fields), FixedClock(NOON))
    assert (handle["width"], handle["height"]) == size


async def test_the_files() -> None:
    video = file_of(await made("video", VideoRequest(MODELS, "a cat", seconds=2)))
    assert mp4.brand(video) == b"isom"
    model = file_of(await made("three_d"))
    assert (model[:4], int.from_bytes(model[8:12], "little")) == (b"glTF", len(model))


@pytest.mark.parametrize(("form", "kind"), [(None, "audio/wav"), ("wav", "audio/wav"), ("mp3", "audio/mpeg")])
async def test_music_is_as_long_as_it_was_asked_to_be(form: Any, kind: str) -> None:
    clip = audio.read(file_of(await made("music", MusicRequest(MODELS, "a waltz", seconds=4, form=form))))
    assert clip.media_type == kind
    assert clip.seconds == pytest.approx(4, abs=0.03)


async def test_other_words_are_other_music() -> None:
    asked = [
        MusicRequest(MODELS, "a waltz", form="mp3"),
        MusicRequest(MODELS, "a waltz", lyrics="la la", form="mp3"),
        MusicRequest(MODELS, "a polka", form="mp3"),
    ]
    assert len({file_of(await made("music", request)) for request in asked}) == 3


async def test_music_that_is_too_long() -> None:
    ADAPTER.music.check(upstream("music"), MusicRequest(MODELS, "a", seconds=300))
    with pytest.raises(UpstreamError) as raised:
        ADAPTER.music.check(upstream("music"), MusicRequest(MODELS, "a", seconds=301))
    assert (raised.value.param, raised.value.unasked) == ("duration", True)
    assert "300 seconds" in str(raised.value.message)
