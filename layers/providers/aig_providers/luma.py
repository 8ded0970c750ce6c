"""Luma's Dream Machine: a generation for each video. Pictures are fetched by it, so they go as links."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Handle, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls, wire
from aig_providers.job_calls import table
from aig_providers.shapes import unsupported
from aig_providers.video_settings import Makes, Settings, known, settings
from aig_providers.video_tasks import TaskWire, VideoTasks
from aig_providers.wire import HttpRequest, Post, parse_object, post_json, prose_detail

_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9", "9:21")
_RAY = Makes((5, 9), _RATIOS, ("720p", "540p", "1080p"), _RATIOS)
MODELS: Mapping[str, Makes] = {"ray-2": _RAY, "ray-flash-2": _RAY}


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model cannot do."""
    asked = settings(known(MODELS, upstream.model_id), request)
    body: dict[str, Any] = {
        "generation_type": "video",
        "model": upstream.model_id,
        "prompt": request.prompt,
        "aspect_ratio": asked.ratio,
        "resolution": asked.resolution,
        "duration": f"{asked.seconds}s",
    }
    if request.picture:
        if not request.link:
            raise unsupported("image_b64")
        body["keyframes"] = {"frame0": {"type": "image", "url": request.link}}
    return post_json(upstream, "generations/video", body)


def parse_submitted(payload: bytes, asked: Settings) -> State:
    try:
        return job_calls.working({"id": job_calls.job_id(parse_object(payload).get("id")), **asked.kept})
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    """It tells no cost, and why it has failed in prose alone, in which nothing but moderation has a word of its own."""
    generation = parse_object(payload)
    match generation.get("state"):
        case "queued" | "dreaming":
            return job_calls.working(handle)
        case "completed":
            video = table(generation.get("assets")).get("video")
            return job_calls.finished(upstream, [video], job_calls.seconds_used(handle))
        case "failed":
            moderated = "moderation" in str(generation.get("failure_reason")).lower()
            return Failed("rejected", "content_policy_violation") if moderated else Failed("unavailable")
    raise UpstreamError("malformed")


def _poll(upstream: Upstream, handle: Handle) -> HttpRequest:
    return job_calls.call(upstream, f"generations/{handle['id']}")


def _cancel(upstream: Upstream, handle: Handle) -> HttpRequest:
    return job_calls.call(upstream, f"generations/{handle['id']}", "DELETE")


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
            read_detail=prose_detail,
            of_the_key=(403,),
        ),
    )


class Luma:
    video = video(wire.CLIENT.post)


ADAPTER = Luma()
