"""Music and models in three dimensions over a connection: providers' own answers, and every trouble they can make."""

import base64
import json
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.job import Failed, Finished, Handle, Inline, Linked, Stage, Working
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers import sandbox_audio
from aig_providers.elevenlabs import ElevenLabsMusic
from aig_providers.meshy import MeshyThreeD
from aig_providers.minimax_music import MiniMaxMusic
from aig_providers.stability import StabilityMusic, StabilityThreeD
from aig_providers.tripo import TripoThreeD
from aig_providers.wire import Client, Post
from tests.conformance.loopback import Answer, Loopback, Received
from tests.conformance.test_native_operations import mutated

KEY = "sk-provider-42"
PATIENT, HASTY = Timeouts(5, 20, 20, 20), Timeouts(5, 0.2, 0.2, 0.2)
MP3 = b"".join(sandbox_audio.mp3(sandbox_audio.Tune((0, 4), 4_000, "c")))
GLB = b"glTF\x02\x00\x00\x00" + bytes(500)
TASK = "018a210d-8ba4-705c-b111-1f1776f7f578"
URL = f"https://assets.example.com/{TASK}/model.glb?Expires=1795521600&Signature=x~y"
CHAIR, PICTURE = ThreeDRequest((), "a chair"), ThreeDRequest((), picture=Picture(b"\x89PNG", "image/png", 64, 64))
WALTZ = MusicRequest((), "a slow waltz", lyrics="la la la la la")


@dataclass(frozen=True)
class Maker:
    """A provider that takes jobs on: `answer` is what it says to one, and `error` its body for a status."""

    make: Callable[[Post], Any]
    model: str
    request: Any
    answer: bytes
    error: Callable[[str], Any]
    status: int = 200


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _meshy_error(prose: str) -> Any:
    return {"message": prose}


def _tripo_error(prose: str) -> Any:
    return {"code": 77, "message": prose, "suggestion": prose}


def _stability_error(prose: str) -> Any:
    return {"id": "a", "name": "bad_request", "errors": [prose]}


MAKERS = {
    "elevenlabs": Maker(
        ElevenLabsMusic, "music_v1", MusicRequest((), "a slow waltz"), MP3,
        lambda prose: {"detail": {"status": "odd", "message": prose}},
    ),
    "minimax": Maker(
        MiniMaxMusic, "music-2.0", WALTZ,
        _json({
            "data": {"audio": MP3.hex(), "status": 2}, "trace_id": "04ede0ab069fb1ba8be5156a24b1e081",
            "extra_info": {"music_duration": 1000, "music_sample_rate": 44100, "music_channel": 2, "bitrate": 256000},
            "analysis_info": None, "base_resp": {"status_code": 0, "status_msg": "success"},
        }),
        lambda prose: {"base_resp": {"status_code": 77, "status_msg": prose}},
    ),
    "stability music": Maker(
        StabilityMusic, "stable-audio-2", MusicRequest((), "a slow waltz"),
        _json({"audio": base64.b64encode(MP3).decode(), "finish_reason": "SUCCESS", "seed": 343940597}),
        _stability_error,
    ),
    "stability": Maker(StabilityThreeD, "stable-fast-3d", PICTURE, GLB, _stability_error),
    "meshy": Maker(MeshyThreeD, "meshy-6", CHAIR, _json({"result": TASK}), _meshy_error, 202),
    "meshy picture": Maker(MeshyThreeD, "meshy-6", PICTURE, _json({"result": TASK}), _meshy_error, 202),
    "tripo": Maker(
        TripoThreeD, "v3.0-20250812", CHAIR, _json({"code": 0, "data": {"task_id": TASK}}), _tripo_error
    ),
}  # fmt: skip
AT_ONCE = {"elevenlabs": MP3, "minimax": MP3, "stability music": MP3, "stability": GLB}
POLLED = ("meshy", "tripo")
MESHY_HANDLE = {"id": TASK, "path": "v2/text-to-3d", "step": "texture", "credits": 10}
HANDLES: Mapping[str, Handle] = {"meshy": MESHY_HANDLE, "tripo": {"id": TASK}}


def upstream(name: str, provider: Loopback, timeouts: Timeouts = PATIENT) -> Upstream:
    return Upstream("p", MAKERS[name].model, provider.base_url, KEY, timeouts, credits={"assets": 30})


def submit(
    name: str, provider: Loopback, client: Client, timeouts: Timeouts = PATIENT, stage: Handle | None = None
) -> Coroutine[Any, Any, Any]:
    maker = MAKERS[name]
    at = upstream(name, provider, timeouts)
    made: Coroutine[Any, Any, Any] = maker.make(client.post).submit(at, maker.request, "job_1", stage)
    return made


def poll(name: str, provider: Loopback, client: Client) -> Coroutine[Any, Any, Any]:
    made: Coroutine[Any, Any, Any] = MAKERS[name].make(client.post).poll(upstream(name, provider), HANDLES[name])
    return made


async def failure(asked: Coroutine[Any, Any, Any]) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await asked
    return raised.value


@pytest.mark.parametrize("name", MAKERS)
async def test_a_job_is_taken_on(name: str, provider: Loopback, client: Client) -> None:
    maker = MAKERS[name]
    provider.answer = Answer([maker.answer[:7], maker.answer[7:]], maker.status)
    state = await submit(name, provider, client)
    if name in AT_ONCE:
        assert state == Finished([Inline(AT_ONCE[name])], state.usage)
    else:
        assert isinstance(state, Working)
        assert state.handle["id"] == TASK
    (sent,) = provider.received
    assert KEY in str(sent.headers)
    assert KEY not in f"{sent.path} {sent.body!r}"


STATUSES = {
    400: "rejected", 401: "auth", 402: "auth", 404: "rejected", 408: "unavailable", 413: "rejected", 422: "rejected",
    429: "rate_limited", 500: "unavailable", 502: "unavailable", 503: "unavailable", 504: "unavailable",
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("name", MAKERS)
async def test_a_status(name: str, status: int, provider: Loopback, client: Client) -> None:
    """Its prose says where we are and who we are; none of that may go on."""
    prose = f"see https://internal.example/org-1?key={KEY}"
    provider.answer = Answer([_json(MAKERS[name].error(prose))], status, {"retry-after": "7"})
    error = await failure(submit(name, provider, client))
    wait = 7.0 if STATUSES[status] in ("rate_limited", "unavailable") else None
    assert (error.kind, error.status, error.retry_after) == (STATUSES[status], status, wait)
    for secret in (KEY, "org-1", "internal.example"):
        assert secret not in f"{error} {error.code} {error.param} {error.message}"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"{}", b'"text"', b'{"detail": [], "code": []}'])
@pytest.mark.parametrize("name", MAKERS)
async def test_a_status_with_another_body(name: str, body: bytes, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([body], 500)
    assert (await failure(submit(name, provider, client))).kind == "unavailable"


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"result": "a', b"[]", b"7", b"null", b"{}", b'{"a": "\xff"}'])
@pytest.mark.parametrize("name", MAKERS)
async def test_a_200_that_is_none(name: str, body: bytes, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([body])
    assert (await failure(submit(name, provider, client))).kind == "malformed"


@pytest.mark.parametrize("name", MAKERS)
async def test_silence(name: str, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([MAKERS[name].answer[:20]], MAKERS[name].status, ending="silence")
    assert (await failure(submit(name, provider, client, HASTY))).kind == "timeout"
    await provider.all_closed()


@pytest.mark.parametrize("name", MAKERS)
async def test_a_connection_that_breaks_when_the_job_may_have_been_taken_on(
    name: str, provider: Loopback, client: Client
) -> None:
    provider.answer = None
    error = await failure(submit(name, provider, client))
    assert (error.kind, error.sent) == ("connect", True)


@pytest.mark.parametrize("name", POLLED)
class TestAsking:
    async def test_a_job_that_nobody_knows(self, name: str, provider: Loopback, client: Client) -> None:
        body = {"message": "no"} if name == "meshy" else {"code": 2001, "message": "no"}
        provider.answer = Answer([_json(body)], 404)
        error = await failure(poll(name, provider, client))
        assert (error.kind, error.status) == ("rejected", 404)
        (asked,) = provider.received
        assert (asked.method, asked.body) == ("GET", b"")
        assert asked.path.endswith(f"/{TASK}")

    @pytest.mark.parametrize(("status", "kind"), [(401, "auth"), (429, "rate_limited"), (500, "unavailable")])
    async def test_a_status(self, name: str, status: int, kind: str, provider: Loopback, client: Client) -> None:
        provider.answer = Answer([_json(MAKERS[name].error("no"))], status, {"retry-after": "7"})
        assert (await failure(poll(name, provider, client))).kind == kind

    async def test_an_answer_that_cannot_be_read(self, name: str, provider: Loopback, client: Client) -> None:
        for body in (b"<html>", b"{}", b"[]", b'{"status": "SUCCEEDED"}', b'{"code": 0, "data": {"status": "x"}}'):
            provider.answer = Answer([body])
            assert (await failure(poll(name, provider, client))).kind == "malformed"


async def test_a_model_by_meshy_from_its_prompt_to_its_file(provider: Loopback, client: Client) -> None:
    """As the vendor's page shows the task: https://docs.meshy.ai/en/api/text-to-3d."""
    task: dict[str, Any] = {
        "id": TASK, "model_urls": {"glb": URL, "fbx": "https://assets.example.com/f", "obj": ""}, "prompt": "a chair",
        "thumbnail_url": "https://assets.example.com/p.png", "created_at": 1692771650657, "started_at": 1692771667037,
        "texture_urls": [], "preceding_tasks": 0, "task_error": None,
    }  # fmt: skip
    states = iter([
        {"status": "PENDING", "progress": 0}, {"status": "IN_PROGRESS", "progress": 60},
        {"status": "SUCCEEDED", "progress": 100, "consumed_credits": 20},
        {"status": "IN_PROGRESS", "progress": 10}, {"status": "SUCCEEDED", "progress": 100, "consumed_credits": 10},
    ])  # fmt: skip

    def choose(received: Received) -> Answer:
        if received.method == "POST":
            return Answer([_json({"result": TASK})], 202)
        return Answer([_json({**task, **next(states)})])

    provider.choose = choose
    made, at = MeshyThreeD(client.post), upstream("meshy", provider)
    first = await made.submit(at, CHAIR, "job_1", None)
    assert isinstance(first, Working)
    seen = [await made.poll(at, first.handle) for _ in range(3)]
    assert [state.progress for state in seen[:2] if isinstance(state, Working)] == [0, 30]
    assert isinstance(seen[2], Stage)
    second = await made.submit(at, CHAIR, "job_1/2", seen[2].handle)
    assert isinstance(second, Working)
    assert await made.poll(at, second.handle) == Working(second.handle, 55)
    done = await made.poll(at, second.handle)
    assert isinstance(done, Finished)
    assert (done.files, seen[2].usage.units, done.usage.units) == ([Linked(URL)], {"credits": 20}, {"credits": 10})
    posted = [received.body["mode"] for received in provider.received if received.method == "POST"]
    assert posted == ["preview", "refine"]


TOLD: dict[str, list[Any]] = {
    "meshy": [
        {"status": "IN_PROGRESS", "progress": 60},
        {"status": "SUCCEEDED", "consumed_credits": 10, "model_urls": {"glb": URL}},
        {"status": "FAILED", "task_error": {"type": "invalid_input", "code": "image_too_complex"}},
    ],
    "tripo": [
        {"code": 0, "data": {"status": "running", "progress": 60}},
        {"code": 0, "data": {"status": "success", "credits_consumed": 10, "output": {"model_url": URL}}},
        {"code": 0, "data": {"status": "failed", "error_code": 2008}},
        {"code": 2000, "message": "m"},
    ],
}


@pytest.mark.parametrize("name", POLLED)
async def test_a_state_with_something_wrong_is_read_or_is_an_error(
    name: str, provider: Loopback, client: Client
) -> None:
    """Never another exception, whatever it is that is wrong."""
    chance = random.Random(name)
    for body in TOLD[name]:
        for _ in range(100):
            provider.answer = Answer([_json(mutated(body, chance))])
            try:
                state = await poll(name, provider, client)
            except UpstreamError as error:
                assert error.kind in ("malformed", "unavailable", "rate_limited")  # noqa: PT017
            else:
                assert isinstance(state, Working | Finished | Failed)


@pytest.mark.parametrize("name", [name for name in MAKERS if MAKERS[name].answer[:1] == b"{"])
async def test_an_answer_with_something_wrong_is_read_or_is_an_error(
    name: str, provider: Loopback, client: Client
) -> None:
    chance, body = random.Random(name), json.loads(MAKERS[name].answer)
    for _ in range(100):
        provider.answer = Answer([_json(mutated(body, chance))], MAKERS[name].status)
        try:
            await submit(name, provider, client)
        except UpstreamError as error:
            assert error.kind in ("malformed", "unavailable")  # noqa: PT017


async def test_meshy_says_403_of_callers_only(provider: Loopback, client: Client) -> None:
    provider.answer = Answer([_json({"message": "no"})], 403)
    assert (await failure(submit("meshy", provider, client))).kind == "auth"


@pytest.mark.parametrize("status", [200, 204, 404, 400])
async def test_meshy_gives_a_job_up(status: int, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([], status, ending="eof" if status == 204 else "end")
    await MeshyThreeD(client.post).cancel(upstream("meshy", provider), MESHY_HANDLE)
    (asked,) = provider.received
    assert (asked.method, asked.path) == ("DELETE", f"/v1/v2/text-to-3d/{TASK}")
    assert KEY in str(asked.headers)


@pytest.mark.parametrize(("status", "kind"), [(500, "unavailable"), (401, "auth")])
async def test_meshy_cannot_give_a_job_up(status: int, kind: str, provider: Loopback, client: Client) -> None:
    provider.answer = Answer([], status)
    error = await failure(MeshyThreeD(client.post).cancel(upstream("meshy", provider), MESHY_HANDLE))
    assert error.kind == kind


async def test_a_model_by_tripo_from_its_picture_to_its_file(provider: Loopback, client: Client) -> None:
    def choose(received: Received) -> Answer:
        if received.path == "/v1/files":
            assert b"\x89PNG" in received.body
            return Answer([_json({"code": 0, "data": {"file_token": "file_1"}})])
        if received.method == "POST":
            assert (received.path, received.body["input"]) == ("/v1/generation/image-to-model", "file_1")
            return Answer([_json({"code": 0, "data": {"task_id": TASK}})])
        data = {
            "task_id": TASK, "type": "image_to_model", "status": "success", "progress": 100, "credits_consumed": 30.0,
            "input": {}, "output": {"model_url": URL, "rendered_image_url": "https://assets.example.com/r"},
        }  # fmt: skip
        return Answer([_json({"code": 0, "data": data})])

    provider.choose = choose
    made, at = TripoThreeD(client.post), upstream("tripo", provider)
    state = await made.submit(at, PICTURE, "job_1", None)
    assert isinstance(state, Working)
    done = await made.poll(at, state.handle)
    assert isinstance(done, Finished)
    assert (done.files, done.usage.units, done.usage.estimated) == ([Linked(URL)], {"credits": 30}, False)


@pytest.mark.parametrize("answer", [None, Answer([b"<html>"]), Answer([b"{}"], ending="silence")])
async def test_a_picture_that_may_have_arrived_has_begun_nothing(
    answer: Answer | None, provider: Loopback, client: Client
) -> None:
    provider.answer = answer
    made, at = TripoThreeD(client.post), upstream("tripo", provider, HASTY)
    assert (await failure(made.submit(at, PICTURE, "job_1", None))).kind == "unavailable"


async def test_tripo_cannot_be_stopped(provider: Loopback, client: Client) -> None:
    await TripoThreeD(client.post).cancel(upstream("tripo", provider), {"id": TASK})
    assert provider.received == []


async def test_what_is_moderated(provider: Loopback, client: Client) -> None:
    refused = Failed("rejected", "content_policy_violation")
    provider.answer = Answer([_json({
        "id": TASK, "status": "FAILED", "progress": 0,
        "task_error": {"type": "invalid_input", "code": "moderation_blocked", "message": "no"},
    })])  # fmt: skip
    assert await poll("meshy", provider, client) == refused
    provider.answer = Answer([_json({"code": 0, "data": {"task_id": TASK, "status": "banned", "progress": 0}})])
    assert await poll("tripo", provider, client) == refused
    at_once = {
        "stability": Answer([_json({"id": "a", "name": "content_moderation", "errors": ["no"]})], 403),
        "stability music": Answer([_json({"id": "a", "name": "content_moderation", "errors": ["no"]})], 403),
        "elevenlabs": Answer([_json({"detail": {"status": "bad_prompt", "message": "no"}})], 400),
        "minimax": Answer([_json({"base_resp": {"status_code": 1026, "status_msg": "no"}})]),
        "tripo": Answer([_json({"code": 2008, "message": "no"})], 400),
    }
    for name, answer in at_once.items():
        provider.answer = answer
        error = await failure(submit(name, provider, client))
        assert (error.kind, error.code) == ("rejected", "content_policy_violation"), name
