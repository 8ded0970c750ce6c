"""Runway's videos: a task for each, which tells what it has cost in credits."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Handle, State
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.modalities.video import VideoRequest
from aig_providers import job_calls, wire
from aig_providers.job_calls import table
from aig_providers.video_settings import Makes, Settings, known, refusal, settings
from aig_providers.video_tasks import TaskWire, VideoTasks
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

VERSION = "2024-11-06"
_MOST_URI = 5_000_000  # characters of a picture that is sent with the request
_SIZES: Mapping[tuple[str, str], str] = {
    ("16:9", "720p"): "1280:720",
    ("9:16", "720p"): "720:1280",
    ("4:3", "720p"): "1104:832",
    ("3:4", "720p"): "832:1104",
    ("1:1", "720p"): "960:960",
    ("21:9", "720p"): "1584:672",
    ("16:9", "1080p"): "1920:1080",
    ("9:16", "1080p"): "1080:1920",
}
_WIDE = ("16:9", "9:16")
_ALL = (*_WIDE, "4:3", "3:4", "1:1", "21:9")
_SECONDS = (5, 2, 3, 4, *range(6, 11))
_VEO = Makes(
    (8, 6, 4), _WIDE, ("720p", "1080p"), _WIDE,
    negative_prompt=True, seed=True, sound="by choice", longest_prompt=1000,
)  # fmt: skip
MODELS: Mapping[str, Makes] = {
    "gen4_turbo": Makes(_SECONDS, _ALL, ("720p",), _ALL, prompts=False, seed=True, longest_prompt=1000),
    "gen4.5": Makes(_SECONDS, _WIDE, ("720p",), _ALL, seed=True, longest_prompt=1000),
    "veo3.1": _VEO,
    "veo3.1_fast": _VEO,
}


def read_detail(body: Any) -> Detail:
    """`{"error": prose}`: nothing in it that the status does not say."""
    return Detail(code="invalid_request_error" if "error" in body else None)


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model cannot do."""
    asked = settings(known(MODELS, upstream.model_id), request)
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "promptText": request.prompt,
        "ratio": _SIZES[asked.ratio or "16:9", asked.resolution or "720p"],
        "duration": asked.seconds,
    }
    if request.picture:
        body["promptImage"] = _picture(request)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.negative_prompt:
        body["negativePrompt"] = request.negative_prompt
    if request.sound is not None and MODELS[upstream.model_id].sound == "by choice":
        body["audio"] = request.sound
    http = post_json(upstream, "image_to_video" if request.picture else "text_to_video", body)
    return _versioned(http)


def _picture(request: VideoRequest) -> str:
    assert request.picture is not None
    if len(request.picture.data) * 4 // 3 + 100 <= _MOST_URI:
        return request.picture.data_url
    if request.link:
        return request.link
    raise refusal("image_url", "The picture is too large for this model: it takes 3.7 MB at most.")


def _versioned(http: HttpRequest) -> HttpRequest:
    return HttpRequest(http.url, {**http.headers, "X-Runway-Version": VERSION}, http.body, http.method)


def parse_submitted(payload: bytes, asked: Settings) -> State:
    try:
        return job_calls.working({"id": job_calls.job_id(parse_object(payload).get("id")), "seconds": asked.seconds})
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    task = parse_object(payload)
    told = table(task.get("cost")).get("credits")
    match task.get("status"):
        case "PENDING" | "THROTTLED":
            return job_calls.working(handle)
        case "RUNNING":
            progress = task.get("progress")
            return job_calls.working(handle, 100 * progress if isinstance(progress, float | int) else None)
        case "SUCCEEDED":
            output = task.get("output")
            usage = job_calls.credits_used(upstream, handle, told)
            return job_calls.finished(upstream, output if isinstance(output, list) else [], usage)
        case "FAILED" | "CANCELLED" as status:
            # What is not refunded is told; a task that says nothing of its cost has had none.
            code = task.get("failureCode") if status == "FAILED" else None
            return _failed(code, job_calls.credits_used(upstream, handle, told) if told else None)
    raise UpstreamError("malformed")


def _failed(code: Any, usage: Usage | None) -> Failed:
    """By https://docs.dev.runwayml.com/errors/task-failures/: words with dots between, the most telling first."""
    words = code.split(".") if isinstance(code, str) else []
    if "SAFETY" in words[:2]:
        return Failed("rejected", "content_policy_violation", usage)
    if words[:2] == ["ASSET", "INVALID"]:
        return Failed("rejected", "invalid_image", usage)
    return Failed("unavailable", usage=usage)


def _poll(upstream: Upstream, handle: Handle) -> HttpRequest:
    return _versioned(job_calls.call(upstream, f"tasks/{handle['id']}"))


def _cancel(upstream: Upstream, handle: Handle) -> HttpRequest:
    """A task that runs already is stopped, and is not refunded."""
    return _versioned(job_calls.call(upstream, f"tasks/{handle['id']}", "DELETE"))


def video(post: Post) -> VideoTasks:
    return VideoTasks(
        post,
        TaskWire(
            models=MODELS,
            build_request=build_request,
            parse_submitted=parse_submitted,
            poll=_poll,
            parse_polled=parse_polled,
            cancel=_cancel,
            read_detail=read_detail,
        ),
    )


class Runway:
    video = video(wire.CLIENT.post)


ADAPTER = Runway()
