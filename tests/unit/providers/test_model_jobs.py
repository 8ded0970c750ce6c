"""Models in three dimensions by Meshy, Tripo and Stability: requests, refusals, and every state that they tell."""

import json
from collections.abc import Mapping
from email.parser import BytesParser
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.job import MAX_HANDLE_BYTES, Failed, Finished, Inline, Linked, Stage, Working
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import meshy, stability, tripo
from aig_providers.wire import HttpRequest
from tests.unit.providers.replies import upstream

PICTURE = Picture(b"\x89PNG", "image/png", 640, 480)
WEBP, GIF = (Picture(b"x", f"image/{name}", 640, 480) for name in ("webp", "gif"))
GLB = b"glTF\x02\x00\x00\x00" + bytes(12)
URL = "https://assets.example.com/t/model.glb?Signature=x"
ODD = [b"", b"<html>", b"[]", b"null", b"{}", b'{"code": 0}', b'{"code": "0", "data": {}}', b'{"result": 7}']


def of_text(**fields: Any) -> ThreeDRequest:
    return ThreeDRequest((), "a chair", **fields)


def of_picture(**fields: Any) -> ThreeDRequest:
    return ThreeDRequest((), picture=PICTURE, **fields)


def at(model: str, **fields: Any) -> Upstream:
    return upstream(model, base_url="https://acme.example/api", api_key="k", credits={"assets": 30}, **fields)


def body(http: HttpRequest) -> Any:
    return json.loads(http.body)


def form(http: HttpRequest) -> dict[str, Any]:
    head = f"Content-Type: {http.headers['Content-Type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + http.body).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


def refusal(adapter: Any, request: ThreeDRequest, model: str = "m") -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        adapter.ADAPTER.three_d.check(at(model), request)
    assert raised.value.unasked
    return raised.value


class TestMeshy:
    AT = at("meshy-6")

    def handle(self, request: ThreeDRequest, stage: Any = None) -> Mapping[str, Any]:
        payload = json.dumps({"result": "018a210d-8ba4-705c-b111-1f1776f7f578"}).encode()
        handle = meshy.parse_submitted(payload, self.AT, request, stage).handle
        assert len(json.dumps(handle)) < MAX_HANDLE_BYTES
        return handle

    def polled(self, answer: Any, request: ThreeDRequest, stage: Any = None) -> Any:
        return meshy.parse_polled(json.dumps(answer).encode(), self.handle(request, stage))

    def test_a_shape_and_then_its_texture(self) -> None:
        first = meshy.build_submit(self.AT, of_text(), None)
        assert (first.url, first.method) == ("https://acme.example/api/v2/text-to-3d", "POST")
        assert first.headers["Authorization"] == "Bearer k"
        assert body(first) == {"mode": "preview", "prompt": "a chair", "ai_model": "meshy-6"}
        state = self.polled({"status": "SUCCEEDED", "progress": 100, "consumed_credits": 20}, of_text())
        assert isinstance(state, Stage)
        assert state.usage == Usage({"credits": 20})
        second = meshy.build_submit(self.AT, of_text(), state.handle)
        assert second.url == first.url
        assert body(second) == {"mode": "refine", "preview_task_id": state.handle["id"], "ai_model": "meshy-6"}
        done = {"status": "SUCCEEDED", "model_urls": {"glb": URL, "fbx": "x"}, "consumed_credits": 10}
        assert self.polled(done, of_text(), state.handle) == Finished([Linked(URL)], Usage({"credits": 10}))

    def test_a_shape_that_needs_no_texture_is_all(self) -> None:
        done = {"status": "SUCCEEDED", "model_urls": {"glb": URL}, "consumed_credits": 20}
        assert self.polled(done, of_text(texture=False)) == Finished([Linked(URL)], Usage({"credits": 20}))

    def test_a_picture(self) -> None:
        http = meshy.build_submit(self.AT, of_picture(), None)
        assert http.url == "https://acme.example/api/v1/image-to-3d"
        assert body(http) == {"image_url": PICTURE.data_url, "should_texture": True, "ai_model": "meshy-6"}
        both = body(meshy.build_submit(self.AT, of_picture(prompt="of oak"), None))
        assert both["texture_prompt"] == "of oak"
        assert meshy.build_poll(self.AT, self.handle(of_picture())).url.startswith(http.url + "/018a210d")

    @pytest.mark.parametrize(
        ("request_of", "stage", "cost"),
        [
            (of_text(), None, 20),
            (of_text(), {"id": "a"}, 10),
            (of_text(texture=False), None, 20),
            (of_picture(), None, 30),
            (of_picture(texture=False), None, 20),
        ],
    )
    def test_credits_that_nobody_tells(self, request_of: ThreeDRequest, stage: Any, cost: int) -> None:
        for told in ({}, {"consumed_credits": None}, {"consumed_credits": -1}, {"consumed_credits": "20"}):
            state = self.polled({"status": "SUCCEEDED", "model_urls": {"glb": URL}, **told}, request_of, stage)
            assert state.usage == Usage({"credits": cost}, estimated=True)

    @pytest.mark.parametrize(
        ("request_of", "stage", "told", "progress"),
        [
            (of_text(), None, 50, 25),
            (of_text(), {"id": "a"}, 50, 75),
            (of_picture(), None, 50, 50),
            (of_picture(), None, "50", None),
            (of_picture(), None, 101, None),
        ],
    )
    def test_how_far_it_is(self, request_of: ThreeDRequest, stage: Any, told: Any, progress: int | None) -> None:
        for status in ("PENDING", "IN_PROGRESS"):
            state = self.polled({"status": status, "progress": told}, request_of, stage)
            assert state == Working(self.handle(request_of, stage), progress)

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            ({"type": "invalid_input", "code": "moderation_blocked"}, Failed("rejected", "content_policy_violation")),
            ({"type": "invalid_input", "code": "image_too_complex"}, Failed("rejected", "invalid_image")),
            ({"type": "invalid_input", "message": "m"}, Failed("rejected", "invalid_value")),
            ({"type": "timeout", "code": "timeout"}, Failed("unavailable")),
            ({"type": "server_error", "message": "m"}, Failed("unavailable")),
            ({"message": "m"}, Failed("unavailable")),
            (None, Failed("unavailable")),
        ],
    )
    def test_what_went_wrong(self, error: Any, state: Failed) -> None:
        assert self.polled({"status": "FAILED", "task_error": error}, of_text()) == state

    def test_one_that_was_stopped(self) -> None:
        assert self.polled({"status": "CANCELED"}, of_text()) == Failed("unavailable")

    @pytest.mark.parametrize(
        ("request_of", "param"),
        [
            (of_text(seed=0), "seed"),
            (of_text(negative_prompt="legs"), "negative_prompt"),
            (ThreeDRequest((), "a" * 601), "prompt"),
            (of_picture(prompt="of oak", texture=False), "prompt"),
            (ThreeDRequest((), picture=WEBP), "image_url"),
        ],
    )
    def test_what_it_cannot_do(self, request_of: ThreeDRequest, param: str) -> None:
        assert refusal(meshy, request_of).param == param

    def test_what_it_can_do(self) -> None:
        for request in (of_text(), of_picture(), of_picture(prompt="of oak"), ThreeDRequest((), "a" * 600)):
            meshy.ADAPTER.three_d.check(self.AT, request)

    @pytest.mark.parametrize("task", ["", "../balance", "a/b", "a?b", 7, None, []])
    def test_no_id(self, task: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            meshy.parse_submitted(json.dumps({"result": task}).encode(), self.AT, of_text(), None)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize(
        "answer",
        [
            {"status": "DREAMING"},
            {"status": None},
            {"status": "SUCCEEDED"},
            {"status": "SUCCEEDED", "model_urls": {"glb": ""}},
            {"status": "SUCCEEDED", "model_urls": {"glb": "http://assets.example.com/a"}},
            {"status": "SUCCEEDED", "model_urls": {"glb": "https://169.254.169.254/a"}},
            {"status": "SUCCEEDED", "model_urls": []},
        ],
    )
    def test_no_state(self, answer: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            self.polled(answer, of_picture())
        assert raised.value.kind == "malformed"

    def test_how_it_is_stopped(self) -> None:
        http = meshy.build_cancel(self.AT, self.handle(of_text()))
        assert (http.method, http.body, "Content-Type" in http.headers) == ("DELETE", b"", False)


class TestTripo:
    AT = at("v3.0-20250812")

    def polled(self, answer: Any) -> Any:
        return tripo.parse_polled(json.dumps({"code": 0, "data": answer}).encode(), self.AT, {"id": "t"})

    def test_from_a_text(self) -> None:
        http = tripo.build_submit(self.AT, of_text(seed=7, negative_prompt="legs"), None)
        assert http.url == "https://acme.example/api/generation/text-to-model"
        assert http.headers["Authorization"] == "Bearer k"
        assert body(http) == {
            "model": "v3.0-20250812", "prompt": "a chair", "model_seed": 7, "negative_prompt": "legs",
        }  # fmt: skip

    def test_from_a_picture(self) -> None:
        upload = tripo.build_upload(self.AT, PICTURE)
        assert (upload.url, form(upload)) == ("https://acme.example/api/files", {"file": PICTURE.data})
        token = tripo.parse_uploaded(b'{"code": 0, "data": {"file_token": "file_1"}}')
        http = tripo.build_submit(self.AT, of_picture(texture=False), token)
        assert http.url == "https://acme.example/api/generation/image-to-model"
        assert body(http) == {"model": "v3.0-20250812", "input": "file_1", "texture": False, "pbr": False}

    def test_a_task_begins(self) -> None:
        payload = b'{"code": 0, "data": {"task_id": "916ef2cf-02e5-4bed-97f3-d8a8196f7dfc"}}'
        state = tripo.parse_submitted(payload)
        assert state == Working({"id": "916ef2cf-02e5-4bed-97f3-d8a8196f7dfc"})
        http = tripo.build_poll(self.AT, state.handle)
        assert (http.method, http.body) == ("GET", b"")
        assert http.url == "https://acme.example/api/tasks/916ef2cf-02e5-4bed-97f3-d8a8196f7dfc"

    @pytest.mark.parametrize("status", ["queued", "running", "unknown"])
    def test_on_its_way(self, status: str) -> None:
        assert self.polled({"status": status, "progress": 40}) == Working({"id": "t"}, 40)
        assert self.polled({"status": status}) == Working({"id": "t"})

    def test_done(self) -> None:
        for name in ("model_url", "pbr_model_url", "pbr_model"):
            state = self.polled({"status": "success", "output": {name: URL}, "credits_consumed": 19.5})
            assert state == Finished([Linked(URL)], Usage({"credits": 20}))
        untold = self.polled({"status": "success", "output": {"model_url": URL}})
        assert untold.usage == Usage({"credits": 30}, estimated=True)
        free = self.polled({"status": "success", "output": {"model_url": URL}, "credits_consumed": 0})
        assert free.usage == Usage({"credits": 0})

    @pytest.mark.parametrize(
        ("answer", "state"),
        [
            ({"status": "banned"}, Failed("rejected", "content_policy_violation")),
            ({"status": "failed", "error_code": 2008}, Failed("rejected", "content_policy_violation")),
            ({"status": "failed", "error_code": 2003}, Failed("rejected", "invalid_value")),
            ({"status": "failed", "error_code": 1001}, Failed("unavailable")),
            ({"status": "failed", "error_code": []}, Failed("unavailable")),
            ({"status": "failed"}, Failed("unavailable")),
            ({"status": "cancelled"}, Failed("unavailable")),
            ({"status": "expired"}, Failed("unavailable")),
        ],
    )
    def test_what_went_wrong(self, answer: Any, state: Failed) -> None:
        assert self.polled(answer) == state

    @pytest.mark.parametrize(
        ("code", "kind", "status", "slug"),
        [
            (1000, "unavailable", None, None),
            (1002, "auth", None, None),
            (1004, "rejected", 400, "invalid_request_error"),
            (1005, "auth", None, None),
            (2000, "rate_limited", None, None),
            (2001, "rejected", 404, "invalid_request_error"),
            (2008, "rejected", 400, "content_policy_violation"),
            (2010, "auth", None, None),
            (9999, "unavailable", None, None),
        ],
    )
    def test_an_error_in_a_200(self, code: int, kind: str, status: int | None, slug: str | None) -> None:
        payload = json.dumps({"code": code, "message": "account 17 says no"}).encode()
        for parse in (tripo.parse_submitted, tripo.parse_uploaded):
            with pytest.raises(UpstreamError) as raised:
                parse(payload)
            error = raised.value
            assert (error.kind, error.status, error.code) == (kind, status, slug)
            assert "account" not in str(error)

    @pytest.mark.parametrize(
        ("request_of", "param"),
        [
            (of_picture(prompt="of oak"), "prompt"),
            (of_picture(negative_prompt="legs"), "negative_prompt"),
            (of_text(negative_prompt="a" * 256), "negative_prompt"),
            (ThreeDRequest((), "a" * 1025), "prompt"),
            (ThreeDRequest((), picture=GIF), "image_url"),
        ],
    )
    def test_what_it_cannot_do(self, request_of: ThreeDRequest, param: str) -> None:
        assert refusal(tripo, request_of).param == param

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            {"status": "asleep"},
            {"status": "success"},
            {"status": "success", "output": {"model_url": 5}},
            {"status": "success", "output": {"model_url": "http://a.example.com/"}},
        ],
    )
    def test_no_state(self, answer: Any) -> None:
        with pytest.raises(UpstreamError) as raised:
            self.polled(answer)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize("payload", [*ODD, b'{"code": 0, "data": {"task_id": "../x", "file_token": 5}}'])
    def test_no_answer(self, payload: bytes) -> None:
        for parse in (tripo.parse_submitted, tripo.parse_uploaded):
            with pytest.raises(UpstreamError) as raised:
                parse(payload)
            assert raised.value.kind == "malformed"


class TestStability:
    def test_what_is_sent(self) -> None:
        http = stability.build_model(at("stable-point-aware-3d"), of_picture(seed=5))
        assert http.url == "https://acme.example/api/v2beta/3d/stable-point-aware-3d"
        assert form(http) == {"seed": b"5", "image": PICTURE.data}
        assert form(stability.build_model(at("stable-fast-3d"), of_picture())) == {"image": PICTURE.data}

    def test_an_answer(self) -> None:
        assert stability.parse_model(GLB) == Finished([Inline(GLB)], Usage({"assets": 1}))

    @pytest.mark.parametrize("payload", ODD)
    def test_what_is_no_model(self, payload: bytes) -> None:
        with pytest.raises(UpstreamError) as raised:
            stability.parse_model(payload)
        assert raised.value.kind == "malformed"

    @pytest.mark.parametrize(
        ("request_of", "param"),
        [
            (of_text(), "image_url"),
            (of_picture(prompt="of oak"), "prompt"),
            (of_picture(negative_prompt="legs"), "negative_prompt"),
            (of_picture(seed=5), "seed"),
        ],
    )
    def test_what_it_cannot_do(self, request_of: ThreeDRequest, param: str) -> None:
        assert refusal(stability, request_of, "stable-fast-3d").param == param
        stability.ADAPTER.three_d.check(at("stable-point-aware-3d"), of_picture(seed=5, texture=False))
