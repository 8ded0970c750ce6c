"""OpenAI's videos, whose bytes are fetched with the key."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Finished, Handle, Linked, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls
from aig_providers.job_calls import table
from aig_providers.video_settings import Makes, Settings, known, refusal, settings
from aig_providers.wire import HttpRequest, Post, parse_object, post_json

_SIZES = {"16:9": (1280, 720), "9:16": (720, 1280)}
_SORA = Makes((4, 8, 12), ("9:16", "16:9"), ("720p",), ("9:16", "16:9"), sound="always", longest_prompt=32_000)
MODELS: Mapping[str, Makes] = {"sora-2": _SORA, "sora-2-pro": _SORA}
_MODERATED = frozenset({"moderation_blocked", "content_policy_violation", "content_filter", "sentinel_block"})
_REJECTED = frozenset({"invalid_prompt", "invalid_image", "invalid_request_error", "invalid_value"})


def wanted(upstream: Upstream, request: VideoRequest) -> Settings:
    """Raises UpstreamError of kind rejected for what the model cannot do: a picture must be of the video's own size."""
    asked = settings(known(MODELS, upstream.model_id), request)
    picture, (width, height) = request.picture, _SIZES[asked.ratio or "9:16"]
    if picture and (picture.width, picture.height) != (width, height):
        raise refusal("image_url", f"The picture must have the size of the video: {width}x{height} pixels.")
    return asked


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    asked = wanted(upstream, request)
    width, height = _SIZES[asked.ratio or "9:16"]
    body: dict[str, Any] = {
        "model": upstream.model_id,
        "prompt": request.prompt,
        "seconds": str(asked.seconds),
        "size": f"{width}x{height}",
    }
    if request.picture:
        body["input_reference"] = {"image_url": request.picture.data_url}
    return post_json(upstream, "videos", body)


def parse_submitted(payload: bytes, asked: Settings) -> State:
    """Whatever its state: the first poll reads that."""
    try:
        return job_calls.working({"id": job_calls.job_id(parse_object(payload).get("id")), **asked.kept})
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    """Failed videos are not billed."""
    video = parse_object(payload)
    match video.get("status"):
        case "queued" | "in_progress":
            return job_calls.working(handle, video.get("progress"))
        case "completed":
            seconds = video.get("seconds")
            told = int(seconds) if isinstance(seconds, str) and seconds.isascii() and seconds.isdigit() else None
            content = job_calls.call(upstream, f"videos/{handle['id']}/content")
            return Finished([Linked(content.url, content.headers)], job_calls.seconds_used(handle, told))
        case "failed":
            return _failed(table(video.get("error")).get("code"))
    raise UpstreamError("malformed")


def _failed(code: Any) -> Failed:
    if isinstance(code, str) and code in _MODERATED:
        return Failed("rejected", "content_policy_violation")
    if isinstance(code, str) and code in _REJECTED:
        return Failed("rejected", code)
    return Failed("unavailable")


class OpenAIVideo:
    """It documents no key that makes two submissions one, and has no field for a reference of ours."""

    idempotent = False

    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: VideoRequest) -> None:
        wanted(upstream, request)

    async def submit(self, upstream: Upstream, request: VideoRequest, reference: str, stage: Handle | None) -> State:
        asked = wanted(upstream, request)
        return parse_submitted(await job_calls.submitted(self._post, build_request(upstream, request), upstream), asked)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        http = job_calls.call(upstream, f"videos/{handle['id']}")
        return parse_polled(await job_calls.followed(self._post, http, upstream), upstream, handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        await job_calls.stopped(self._post, job_calls.call(upstream, f"videos/{handle['id']}", "DELETE"), upstream)
