"""Seven makers of videos as they answer, by their documentation, their SDKs and by programs that call them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aig.modalities.job import JobAdapter
from aig.modalities.usage import Unit, Usage
from aig.modalities.video import VideoRequest
from aig_providers import fal, google, google_video, luma, minimax_video, openai_video, replicate, runway
from aig_providers.wire import Post
from tests.conformance.loopback import Answer

FILE = "https://files.example/video.mp4?sig=x"
UUID = "123e4567-e89b-12d3-a456-426614174000"
OPERATION = "models/veo-3.1-generate-001/operations/3s5utwqwvo6s"
BASE = "{base}"  # stands for where the provider is


@dataclass(frozen=True)
class Maker:
    """A provider. `submitted`, `working` and `done` are what it answers; `done` may take several questions.

    `over` has bodies of jobs that ended without a video, each with what is made of it: kind, code, credits.
    """

    make: Callable[[Post], JobAdapter[VideoRequest]]
    model: str
    submitted: Answer
    working: Sequence[tuple[Any, int | None]]
    done: Mapping[str, Any]
    over: Sequence[tuple[Any, tuple[str, str | None, int | None]]]
    usage: Usage
    polled: str
    error: Callable[[str], Any]
    stopped: tuple[str, str] | None
    stop: Answer = field(default_factory=lambda: Answer(status=204))
    lost: Answer = field(default_factory=lambda: Answer([b'{"detail": "Not found."}'], 404))
    file: str = FILE
    headers: Mapping[str, str] = field(default_factory=dict)
    credits: Mapping[Unit, int] = field(default_factory=dict)


def said(body: Any, status: int = 200) -> Answer:
    return Answer([json.dumps(body).encode()], status)


def _fal(status: str, **more: Any) -> Any:
    return {"status": status, "request_id": "r-1", "logs": None, **more}


def _runway(status: str, **more: Any) -> Any:
    return {"id": UUID, "createdAt": "2026-11-26T00:00:00Z", "status": status, **more}


def _luma(state: str, **more: Any) -> Any:
    return {
        "id": UUID, "generation_type": "video", "state": state, "failure_reason": None, "assets": None,
        "created_at": "2026-11-26T00:00:00Z", "model": "ray-2", **more,
    }  # fmt: skip


def _openai(status: str, **more: Any) -> Any:
    return {
        "id": "video_123", "object": "video", "created_at": 1_758_941_485, "status": status, "model": "sora-2",
        "progress": 0, "seconds": "8", "size": "720x1280", "error": None, **more,
    }  # fmt: skip


def _minimax(status: str, **more: Any) -> Any:
    return {"task": {"id": "424010985738629", "model": "MiniMax-H3", "status": status, "error": None, **more}}


def _replicate(status: str, **more: Any) -> Any:
    return {
        "id": "rrr4z55ocneqzikepnug6xezpe", "model": "kwaivgi/kling-v2.5-turbo-pro", "status": status,
        "input": {"prompt": "a cat"}, "output": None, "error": None, "logs": "", "metrics": {},
        "urls": {"get": "https://api.replicate.com/v1/predictions/rrr4z55ocneqzikepnug6xezpe"}, **more,
    }  # fmt: skip


def _veo(response: Any) -> Any:
    return {"name": OPERATION, "done": True, "response": {"generateVideoResponse": response}}


_CLIP = {"video": {"uri": FILE}}
MAKERS = {
    "runway": Maker(
        runway.video, "gen4.5",
        said({"id": UUID}),
        [
            (_runway("PENDING", estimatedCost={"credits": 96.0}), None),
            (_runway("THROTTLED", estimatedCost={"credits": 96.0}), None),
            (_runway("RUNNING", progress=0.42, estimatedCost={"credits": 96.0}), 42),
        ],
        {f"/tasks/{UUID}": _runway("SUCCEEDED", cost={"credits": 96}, output=[FILE])},
        [
            (
                _runway("FAILED", failure="x", failureCode="SAFETY.INPUT.TEXT", cost={"credits": 96}),
                ("rejected", "content_policy_violation", 96),
            ),
            (
                _runway("FAILED", failure="x", failureCode="INPUT_PREPROCESSING.SAFETY.TEXT", cost={"credits": 0}),
                ("rejected", "content_policy_violation", None),
            ),
            (_runway("FAILED", failure="x", failureCode="ASSET.INVALID"), ("rejected", "invalid_image", None)),
            (
                _runway("FAILED", failure="x", failureCode="INTERNAL.BAD_OUTPUT.CODE01", cost={"credits": 0}),
                ("unavailable", None, None),
            ),
            (_runway("FAILED", failure="x"), ("unavailable", None, None)),
            (_runway("CANCELLED", cost={"credits": 40}), ("unavailable", None, 40)),
        ],
        Usage({"credits": 96}), f"/tasks/{UUID}", lambda prose: {"error": prose},
        ("DELETE", f"/tasks/{UUID}"), lost=said({"error": "Not found"}, 404), credits={"seconds": 12},
    ),
    "luma": Maker(
        luma.video, "ray-2",
        said(_luma("queued"), 201),
        [(_luma("queued"), None), (_luma("dreaming"), None)],
        {f"/generations/{UUID}": _luma("completed", assets={"video": FILE, "image": "https://files.example/1.jpg"})},
        [
            (_luma("failed", failure_reason="Moderation failed"), ("rejected", "content_policy_violation", None)),
            (_luma("failed", failure_reason="Something broke"), ("unavailable", None, None)),
            (_luma("failed"), ("unavailable", None, None)),
        ],
        Usage({"seconds": 5}, estimated=True, service_tier="720p"), f"/generations/{UUID}",
        lambda prose: {"detail": prose}, ("DELETE", f"/generations/{UUID}"),
    ),
    "openai": Maker(
        openai_video.OpenAIVideo, "sora-2",
        said(_openai("queued")),
        [(_openai("queued"), 0), (_openai("in_progress", progress=33), 33), (_openai("queued", progress="x"), None)],
        {"/videos/video_123": _openai("completed", progress=100, completed_at=1_758_941_585)},
        [
            (
                _openai("failed", error={"code": "moderation_blocked", "message": "x"}),
                ("rejected", "content_policy_violation", None),
            ),
            (_openai("failed", error={"code": "invalid_prompt", "message": "x"}), ("rejected", "invalid_prompt", None)),
            (_openai("failed", error={"code": "video_generation_failed", "message": "x"}), ("unavailable", None, None)),
            (_openai("failed"), ("unavailable", None, None)),
        ],
        Usage({"seconds": 8}, service_tier="720p"), "/videos/video_123",
        lambda prose: {"error": {"message": prose, "type": "invalid_request_error", "code": None, "param": None}},
        ("DELETE", "/videos/video_123"), said({"id": "video_123", "object": "video.deleted", "deleted": True}),
        file=f"{BASE}/videos/video_123/content", headers={"Authorization": "Bearer sk-provider-42"},
    ),
    "google": Maker(
        lambda post: google_video.GoogleVideo(post, google.read_detail), "veo-3.1-generate-001",
        said({"name": OPERATION}),
        [({"name": OPERATION}, None), ({"name": OPERATION, "done": False, "metadata": {}}, None)],
        {f"/{OPERATION}": _veo({"generatedSamples": [{"video": {"uri": f"{BASE}/files/x:download?alt=media"}}]})},
        [
            (
                _veo({"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["x"]}),
                ("rejected", "content_policy_violation", None),
            ),
            (
                {"name": OPERATION, "done": True, "error": {"code": 3, "message": "x"}},
                ("rejected", "invalid_request_error", None),
            ),
            ({"name": OPERATION, "done": True, "error": {"code": 13, "message": "x"}}, ("unavailable", None, None)),
        ],
        Usage({"seconds": 8}, estimated=True, service_tier="720p"), f"/{OPERATION}",
        lambda prose: {"error": {"code": 1, "message": prose, "status": "SOME"}}, None,
        lost=said({"error": {"code": 404, "message": "x", "status": "NOT_FOUND"}}, 404),
        file=f"{BASE}/files/x:download?alt=media", headers={"x-goog-api-key": "sk-provider-42"},
    ),
    "minimax": Maker(
        minimax_video.MiniMaxVideo, "MiniMax-H3",
        said({"task_id": "424010985738629"}),
        [(_minimax("queued"), None), (_minimax("running"), None)],
        {
            "/v2/query/video_generation/424010985738629": _minimax(
                "succeeded", content={"url": FILE}, resolution="768P", duration=6, ratio="16:9",
                usage={"total_seconds": 6, "input_seconds": 0, "output_seconds": 6},
            )
        },
        [
            (_minimax("failed", error={"code": "1027"}), ("rejected", "content_policy_violation", None)),
            (_minimax("failed", error={"code": 2013, "message": "x"}), ("rejected", "invalid_request_error", None)),
            (_minimax("failed", error={"code": "1000", "message": "x"}), ("unavailable", None, None)),
            (_minimax("failed"), ("unavailable", None, None)),
            (_minimax("cancelled"), ("unavailable", None, None)),
            (_minimax("expired"), ("unavailable", None, None)),
        ],
        Usage({"seconds": 6}, service_tier="768p"), "/v2/query/video_generation/424010985738629",
        lambda prose: {"type": "error", "error": {"type": "some_error", "message": prose, "http_code": "400"}},
        ("DELETE", "/v2/video_generation/424010985738629"), said({"task_id": "424010985738629", "status": "cancelled"}),
        lost=said({"type": "error", "error": {"type": "bad_request_error", "message": "invalid task_id"}}, 400),
    ),
    "fal": Maker(
        fal.FalVideo, "bytedance/seedance-2.0",
        said({
            **_fal("IN_QUEUE", queue_position=0), "response_url": f"{BASE}/bytedance/seedance-2.0/requests/r-1",
        }),
        [(_fal("IN_QUEUE", queue_position=3), None), (_fal("IN_PROGRESS"), None)],
        {
            "/bytedance/seedance-2.0/requests/r-1/status": _fal("COMPLETED", metrics={"inference_time": 45.5}),
            "/bytedance/seedance-2.0/requests/r-1": {"video": {"url": FILE, "content_type": "video/mp4"}, "seed": 42},
        },
        [
            (_fal("COMPLETED", error="x", error_type="runner_disconnected"), ("unavailable", None, None)),
            (
                _fal("COMPLETED", error="x", error_type="content_policy_violation"),
                ("rejected", "content_policy_violation", None),
            ),
        ],
        Usage({"seconds": 5}, estimated=True, service_tier="720p"), "/bytedance/seedance-2.0/requests/r-1/status",
        lambda prose: {"detail": prose},
        ("PUT", "/bytedance/seedance-2.0/requests/r-1/cancel"), said({"status": "CANCELLATION_REQUESTED"}, 202),
    ),
    "replicate": Maker(
        replicate.video, "kwaivgi/kling-v2.5-turbo-pro",
        said(_replicate("starting"), 201),
        [(_replicate("starting"), None), (_replicate("processing"), None)],
        {"/predictions/rrr4z55ocneqzikepnug6xezpe": _replicate("succeeded", output=FILE, metrics={"predict_time": 9})},
        [
            (
                _replicate("failed", error="The input or output was flagged as sensitive. (E005)"),
                ("rejected", "content_policy_violation", None),
            ),
            (_replicate("failed", error="CUDA out of memory"), ("unavailable", None, None)),
            (_replicate("failed"), ("unavailable", None, None)),
            (_replicate("canceled"), ("unavailable", None, None)),
            (_replicate("aborted"), ("unavailable", None, None)),
        ],
        Usage({"seconds": 5}, estimated=True), "/predictions/rrr4z55ocneqzikepnug6xezpe",
        lambda prose: {"detail": prose, "status": 422, "title": "x"},
        ("POST", "/predictions/rrr4z55ocneqzikepnug6xezpe/cancel"), said(_replicate("canceled")),
    ),
}  # fmt: skip
