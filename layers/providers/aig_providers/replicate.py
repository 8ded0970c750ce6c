"""Replicate's queue: a prediction for each job, of a model of theirs whose fields are told here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Handle, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls, wire
from aig_providers.video_settings import Makes, Settings, known, settings
from aig_providers.video_tasks import TaskWire, VideoTasks
from aig_providers.wire import HttpRequest, Post, parse_object, post_json, prose_detail

_WIDE = ("16:9", "9:16", "1:1")
_SEEDANCE = Makes(
    (5, 2, 3, 4, *range(6, 13)), ("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "9:21"), ("720p", "480p", "1080p"),
    seed=True,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Fields:
    """How a model calls what is not called alike by all."""

    makes: Makes
    picture: str


_MODELS: Mapping[str, _Fields] = {
    "kwaivgi/kling-v2.5-turbo-pro": _Fields(Makes((5, 10), _WIDE, (), negative_prompt=True), "start_image"),
    "bytedance/seedance-1-pro": _Fields(_SEEDANCE, "image"),
    "bytedance/seedance-1-lite": _Fields(_SEEDANCE, "image"),
}
MODELS: Mapping[str, Makes] = {model_id: fields.makes for model_id, fields in _MODELS.items()}
_MOST_INLINE = 256_000  # bytes of a file that it wants to be sent within a request
# The codes that stand in brackets at the end of an error: https://replicate.com/docs/reference/error-codes
_REJECTED = {"(E005)": "content_policy_violation", "(E006)": "invalid_request_error"}


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model cannot do."""
    asked = settings(known(MODELS, upstream.model_id), request)
    given: dict[str, Any] = {"prompt": request.prompt, "duration": asked.seconds}
    if asked.ratio:
        given["aspect_ratio"] = asked.ratio
    if asked.resolution:
        given["resolution"] = asked.resolution
    if request.seed is not None:
        given["seed"] = request.seed
    if request.negative_prompt:
        given["negative_prompt"] = request.negative_prompt
    if request.picture:
        small = len(request.picture.data) <= _MOST_INLINE or not request.link
        given[_MODELS[upstream.model_id].picture] = request.picture.data_url if small else request.link
    return post_json(upstream, f"models/{upstream.model_id}/predictions", {"input": given})


def parse_submitted(payload: bytes, asked: Settings) -> State:
    try:
        return job_calls.working({"id": job_calls.job_id(parse_object(payload).get("id")), **asked.kept})
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    prediction = parse_object(payload)
    match prediction.get("status"):
        case "starting" | "processing":
            return job_calls.working(handle)
        case "succeeded":
            output = prediction.get("output")
            usage = job_calls.seconds_used(handle)
            return job_calls.finished(upstream, output if isinstance(output, list) else [output], usage)
        case "failed":
            error = prediction.get("error")
            ending = error.rstrip()[-6:] if isinstance(error, str) else ""
            return Failed("rejected", _REJECTED[ending]) if ending in _REJECTED else Failed("unavailable")
        case "canceled" | "aborted":
            return Failed("unavailable")
    raise UpstreamError("malformed")


def _poll(upstream: Upstream, handle: Handle) -> HttpRequest:
    return job_calls.call(upstream, f"predictions/{handle['id']}")


def _cancel(upstream: Upstream, handle: Handle) -> HttpRequest:
    return job_calls.call(upstream, f"predictions/{handle['id']}/cancel", "POST")


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


class Replicate:
    video = video(wire.CLIENT.post)


ADAPTER = Replicate()
