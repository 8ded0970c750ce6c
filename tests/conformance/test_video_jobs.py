"""Makers of videos over a connection: the life of a job, and every trouble that there can be with one."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.job import MAX_HANDLE_BYTES, Failed, Finished, Linked, Working
from aig.modalities.upstream import Timeouts, Upstream
from aig.modalities.usage import Usage
from aig.modalities.video import VideoRequest
from aig_providers.wire import Client
from tests.conformance.loopback import Answer, Loopback, Received
from tests.conformance.video_makers import BASE, FILE, MAKERS, Maker, said

KEY = "sk-provider-42"
PATIENT, HASTY = Timeouts(5, 20, 20, 20), Timeouts(5, 0.2, 0.2, 0.2)
REFERENCE = "job_01HZX0000000000000000000.1"
REQUEST = VideoRequest(("m",), "a cat")
TROUBLES = {
    401: "auth", 402: "auth", 408: "unavailable", 429: "rate_limited", 500: "unavailable", 503: "unavailable",
}  # fmt: skip


def upstream(maker: Maker, provider: Loopback, timeouts: Timeouts = PATIENT) -> Upstream:
    return Upstream("p", maker.model, provider.base_url, KEY, timeouts, credits=maker.credits)


def filled(answer: Answer, provider: Loopback) -> Answer:
    """With the provider's own address in it."""
    return replace(answer, pieces=[piece.replace(BASE.encode(), provider.base_url.encode()) for piece in answer.pieces])


def answering(provider: Loopback, answers: Mapping[str, Any]) -> None:
    """Gives each path its body, or its answer; to others that nobody knows it."""

    def choose(received: Received) -> Answer:
        path = received.path.removeprefix("/v1")
        found = answers.get(path, said({"error": {"message": "no such path"}}, 404))
        return filled(found if isinstance(found, Answer) else said(found), provider)

    provider.choose = choose


async def submitted(maker: Maker, provider: Loopback, client: Client, timeouts: Timeouts = PATIENT) -> Any:
    at = upstream(maker, provider, timeouts)
    return await maker.make(client.post).submit(at, REQUEST, REFERENCE, None)


async def handle(maker: Maker, provider: Loopback, client: Client) -> Any:
    """That of a job that was taken on. As it is kept: as JSON."""
    provider.answer = filled(maker.submitted, provider)
    state = await submitted(maker, provider, client)
    provider.received.clear()
    assert isinstance(state, Working)
    return json.loads(json.dumps(state.handle))


async def polled(maker: Maker, provider: Loopback, client: Client, kept: Any, timeouts: Timeouts = PATIENT) -> Any:
    return await maker.make(client.post).poll(upstream(maker, provider, timeouts), kept)


@pytest.fixture(params=MAKERS)
def maker(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


async def test_a_job_is_taken_on(maker: Maker, provider: Loopback, client: Client) -> None:
    maker.make(client.post).check(upstream(maker, provider), REQUEST)
    kept = await handle(maker, provider, client)
    assert len(json.dumps(kept)) < MAX_HANDLE_BYTES / 4
    assert KEY not in json.dumps(kept)


async def test_the_key_goes_in_a_header_alone(maker: Maker, provider: Loopback, client: Client) -> None:
    provider.answer = filled(maker.submitted, provider)
    await submitted(maker, provider, client)
    (sent,) = provider.received
    assert (sent.method, KEY in str(sent.headers), KEY in f"{sent.path} {sent.body}") == ("POST", True, False)


async def test_it_works_and_is_done(maker: Maker, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    for body, progress in maker.working:
        answering(provider, {maker.polled: body})
        assert await polled(maker, provider, client, kept) == Working(kept, progress)
    answering(provider, maker.done)
    state = await polled(maker, provider, client, kept)
    file = maker.file.replace(BASE, provider.base_url)
    assert state == Finished([Linked(file, maker.headers)], maker.usage)
    assert {received.method for received in provider.received} == {"GET"}
    assert all(KEY in str(received.headers) for received in provider.received)


async def test_it_ends_without_a_video(maker: Maker, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    for body, (kind, code, charged) in maker.over:
        answering(provider, {maker.polled: body})
        state = await polled(maker, provider, client, kept)
        assert isinstance(state, Failed), body
        usage = Usage({"credits": charged}) if charged else None
        assert (state.kind, state.code, state.usage) == (kind, code, usage), body


async def test_a_job_that_nobody_knows(maker: Maker, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    provider.answer = maker.lost
    with pytest.raises(UpstreamError) as raised:
        await polled(maker, provider, client, kept)
    assert (raised.value.status, raised.value.kind) == (404, "unavailable")


@pytest.mark.parametrize("status", TROUBLES)
async def test_a_submission_that_fails(maker: Maker, status: int, provider: Loopback, client: Client) -> None:
    prose = f"see https://internal.example/org-1?key={KEY}"
    provider.answer = Answer([json.dumps(maker.error(prose)).encode()], status, {"retry-after": "7"})
    with pytest.raises(UpstreamError) as raised:
        await submitted(maker, provider, client)
    error = raised.value
    wait = 7.0 if TROUBLES[status] in ("rate_limited", "unavailable") else None
    assert (error.kind, error.status, error.retry_after) == (TROUBLES[status], status, wait)
    for secret in (KEY, "org-1", "internal.example"):
        assert secret not in f"{error} {error.code} {error.param} {error.message}"


async def test_a_submission_that_is_refused(maker: Maker, provider: Loopback, client: Client) -> None:
    provider.answer = said(maker.error("no such ratio"), 400)
    with pytest.raises(UpstreamError) as raised:
        await submitted(maker, provider, client)
    assert (raised.value.kind, raised.value.status) == ("rejected", 400)


@pytest.mark.parametrize("status", [*TROUBLES, 403, 422])
async def test_a_poll_that_fails(maker: Maker, status: int, provider: Loopback, client: Client) -> None:
    """Whatever it is: the job goes on, and nothing of the client's was judged."""
    kept = await handle(maker, provider, client)
    provider.answer = Answer([json.dumps(maker.error("x")).encode()], status, {"retry-after": "7"})
    with pytest.raises(UpstreamError) as raised:
        await polled(maker, provider, client, kept)
    expected = {403: "auth", 422: "unavailable"} | TROUBLES
    assert (raised.value.kind, raised.value.status) == (expected[status], status)


ODD = [
    b"<html>hello</html>",
    b'{"id": "x',
    b"[]",
    b"7",
    b"null",
    b"{}",
    b'{"status": "asleep", "state": "asleep"}',
    b"",
]


@pytest.mark.parametrize("body", ODD)
async def test_an_answer_that_is_none(maker: Maker, body: bytes, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    provider.answer = Answer([body] if body else [])
    with pytest.raises(UpstreamError) as raised:
        await submitted(maker, provider, client)
    assert raised.value.kind == "malformed"
    with pytest.raises(UpstreamError) as raised:
        await polled(maker, provider, client, kept)
    assert raised.value.kind == "malformed"


async def test_silence_and_broken_connections(maker: Maker, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    for ending, kind in (("silence", "timeout"), ("reset", "connect"), ("eof", "connect")):
        provider.answer = Answer(maker.submitted.pieces, ending=ending)  # type: ignore[arg-type]
        for asking in (submitted(maker, provider, client, HASTY), polled(maker, provider, client, kept, HASTY)):
            with pytest.raises(UpstreamError) as raised:
                await asking
            assert (raised.value.kind, raised.value.sent) == (kind, True)


async def test_nobody_there(maker: Maker, client: Client, provider: Loopback) -> None:
    at = replace(upstream(maker, provider), base_url="http://127.0.0.1:1/v1")
    with pytest.raises(UpstreamError) as raised:
        await maker.make(client.post).submit(at, REQUEST, REFERENCE, None)
    assert (raised.value.kind, raised.value.sent) == ("connect", False)


async def test_it_is_stopped(maker: Maker, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    provider.answer = maker.stop
    await maker.make(client.post).cancel(upstream(maker, provider), kept)
    asked = [(received.method, received.path.removeprefix("/v1")) for received in provider.received]
    assert asked == ([maker.stopped] if maker.stopped else [])


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_what_is_over_need_not_be_stopped(maker: Maker, status: int, provider: Loopback, client: Client) -> None:
    kept = await handle(maker, provider, client)
    provider.answer = said(maker.error("it is over"), status)
    await maker.make(client.post).cancel(upstream(maker, provider), kept)


async def test_what_could_not_be_stopped(provider: Loopback, client: Client) -> None:
    for maker in MAKERS.values():
        kept = await handle(maker, provider, client)
        provider.answer = said(maker.error("x"), 503)
        if maker.stopped:
            with pytest.raises(UpstreamError, match="unavailable"):
                await maker.make(client.post).cancel(upstream(maker, provider), kept)


ELSEWHERE = ["http://files.example/v.mp4", "https://169.254.169.254/v.mp4", "file:///etc/passwd", "v.mp4", 5, None, ""]


@pytest.mark.parametrize("url", ELSEWHERE)
@pytest.mark.parametrize("name", [name for name in MAKERS if name != "openai"])  # whose file is where we say
async def test_a_file_that_may_not_be_fetched(name: str, url: Any, provider: Loopback, client: Client) -> None:
    maker = MAKERS[name]
    kept = await handle(maker, provider, client)
    text = json.dumps(maker.done).replace(json.dumps(maker.file), json.dumps(url))
    answering(provider, json.loads(text))
    with pytest.raises(UpstreamError) as raised:
        await polled(maker, provider, client, kept)
    assert (raised.value.kind, raised.value.usage) == ("malformed", maker.usage)


def _mutated(node: Any, chance: random.Random) -> Any:
    """The same with one value that is another, or is not there."""
    if not isinstance(node, dict | list) or not node:
        return chance.choice([None, 5, -1, 10**30, "x", "../x", [], {}, [None], {"a": 1}, True, 1.5])
    made = dict(node) if isinstance(node, dict) else list(node)
    keys: list[Any] = list(made) if isinstance(made, dict) else list(range(len(made)))
    key = chance.choice(keys)
    if isinstance(made, dict) and chance.random() < 0.1:
        del made[key]
    else:
        made[key] = _mutated(made[key], chance)
    return made


async def test_answers_with_something_wrong(maker: Maker, provider: Loopback, client: Client) -> None:
    """They are read, or are malformed: never another exception, and never a URL that leads elsewhere."""
    kept = await handle(maker, provider, client)
    chance = random.Random(maker.model)
    bodies = [*(body for body, _ in maker.working), *(body for body, _ in maker.over), *maker.done.values()]
    for at in range(200):
        answering(provider, {**maker.done, maker.polled: _mutated(bodies[at % len(bodies)], chance)})
        try:
            state = await polled(maker, provider, client, kept)
        except UpstreamError as error:
            assert error.kind in ("malformed", "unavailable", "rate_limited", "auth")  # noqa: PT017
            continue
        if isinstance(state, Finished):
            for file in state.files:
                assert isinstance(file, Linked)
                assert file.url == FILE or file.url.startswith(provider.base_url)


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "google"])
@pytest.mark.parametrize("wrong", ["../../v1/secrets", "a/b", "a?b", "", None, 7, ["x"], "x" * 300])
async def test_an_id_that_leads_elsewhere(name: str, wrong: Any, provider: Loopback, client: Client) -> None:
    field = {"minimax": "task_id", "fal": "request_id"}.get(name, "id")
    provider.answer = said({field: wrong})
    with pytest.raises(UpstreamError, match="malformed"):
        await submitted(MAKERS[name], provider, client)


class TestFal:
    """Its queue says where a job is to be asked for, and refuses results of jobs that have failed."""

    MAKER = MAKERS["fal"]
    RESULT = "/bytedance/seedance-2.0/requests/r-1"

    @pytest.mark.parametrize("told", [None, "https://evil.example/requests/r-1", "http://queue.example/x"])
    async def test_the_key_stays_at_home(self, told: str | None, provider: Loopback, client: Client) -> None:
        provider.answer = said({"request_id": "r-1", "response_url": told})
        state = await submitted(self.MAKER, provider, client)
        assert state.handle["url"] == f"{provider.base_url}{self.RESULT}"

    async def test_a_result_that_is_refused(self, provider: Loopback, client: Client) -> None:
        kept = await handle(self.MAKER, provider, client)
        detail = [{"loc": ["body", "prompt"], "msg": "x", "type": "content_policy_violation", "input": "a cat"}]
        answering(provider, {**self.MAKER.done, self.RESULT: said({"detail": detail}, 422)})
        assert await polled(self.MAKER, provider, client, kept) == Failed("rejected", "content_policy_violation")
        detail[0]["type"] = "missing"
        answering(provider, {**self.MAKER.done, self.RESULT: said({"detail": detail}, 422)})
        assert await polled(self.MAKER, provider, client, kept) == Failed("rejected", "invalid_request_error")

    async def test_a_result_that_is_not_there_yet(self, provider: Loopback, client: Client) -> None:
        kept = await handle(self.MAKER, provider, client)
        answering(provider, {**self.MAKER.done, self.RESULT: said({"detail": "x"}, 500)})
        with pytest.raises(UpstreamError, match="unavailable"):
            await polled(self.MAKER, provider, client, kept)

    async def test_an_account_that_is_locked(self, provider: Loopback, client: Client) -> None:
        provider.answer = said({"detail": "User is locked. Reason: Exhausted balance."}, 403)
        with pytest.raises(UpstreamError, match="auth"):
            await submitted(self.MAKER, provider, client)


class TestGoogle:
    MAKER = MAKERS["google"]

    async def test_a_file_elsewhere_gets_no_key(self, provider: Loopback, client: Client) -> None:
        kept = await handle(self.MAKER, provider, client)
        clip = {"generatedSamples": [{"video": {"uri": FILE}}]}
        answering(
            provider,
            {self.MAKER.polled: {"name": kept["name"], "done": True, "response": {"generateVideoResponse": clip}}},
        )
        state = await polled(self.MAKER, provider, client, kept)
        assert state.files == [Linked(FILE, {})]

    @pytest.mark.parametrize("name", ["../files/x", "operations/../x", "models/a/b", "", 5])
    async def test_an_operation_that_leads_elsewhere(self, name: Any, provider: Loopback, client: Client) -> None:
        provider.answer = said({"name": name})
        with pytest.raises(UpstreamError, match="malformed"):
            await submitted(self.MAKER, provider, client)

    async def test_a_bad_key(self, provider: Loopback, client: Client) -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
        error = {"code": 400, "message": "x", "status": "INVALID_ARGUMENT", "details": details}
        provider.answer = said({"error": error}, 400)
        with pytest.raises(UpstreamError, match="auth"):
            await submitted(self.MAKER, provider, client)


class TestMinimax:
    MAKER = MAKERS["minimax"]

    @pytest.mark.parametrize(
        ("code", "kind"),
        [(1002, "rate_limited"), (1004, "auth"), (1008, "auth"), (1026, "rejected"), (2013, "rejected"),
         (1000, "unavailable"), (77, "unavailable"), ("x", "unavailable")],
    )  # fmt: skip
    async def test_a_failure_with_status_200(self, code: Any, kind: str, provider: Loopback, client: Client) -> None:
        provider.answer = said({"task_id": "", "base_resp": {"status_code": code, "status_msg": "x"}})
        with pytest.raises(UpstreamError, match=kind):
            await submitted(self.MAKER, provider, client)

    async def test_all_is_well(self, provider: Loopback, client: Client) -> None:
        provider.answer = said({"task_id": "42", "base_resp": {"status_code": 0, "status_msg": "success"}})
        assert (await submitted(self.MAKER, provider, client)).handle["id"] == "42"

    async def test_a_prompt_that_is_refused(self, provider: Loopback, client: Client) -> None:
        error = {"type": "unprocessable_entity_error", "message": "x (1026)", "http_code": "422"}
        provider.answer = said({"type": "error", "error": error}, 422)
        with pytest.raises(UpstreamError) as raised:
            await submitted(self.MAKER, provider, client)
        assert (raised.value.kind, raised.value.code) == ("rejected", "content_policy_violation")


async def test_credits_that_are_not_told_are_counted(provider: Loopback, client: Client) -> None:
    maker = MAKERS["runway"]
    kept = await handle(maker, provider, client)
    task = {**maker.done[maker.polled], "cost": None}
    answering(provider, {maker.polled: task})
    assert (await polled(maker, provider, client, kept)).usage == Usage({"credits": 60}, estimated=True)


async def test_pictures_go_along(maker: Maker, provider: Loopback, client: Client) -> None:
    provider.answer = filled(maker.submitted, provider)
    tall = Picture(b"a picture", "image/png", 720, 1280)
    request = VideoRequest(("m",), "a cat", picture=tall, link="https://media.example/p.png")
    await maker.make(client.post).submit(upstream(maker, provider), request, REFERENCE, None)
    (sent,) = provider.received
    assert tall.base64 in json.dumps(sent.body) or "https://media.example/p.png" in json.dumps(sent.body)
