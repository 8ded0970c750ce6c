"""MiniMax's videos: a task for each, at the second edition of its API."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Handle, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls
from aig_providers.job_calls import table
from aig_providers.minimax_calls import check, coded, read_detail
from aig_providers.video_settings import Makes, Settings, known, settings
from aig_providers.wire import HttpRequest, Post, parse_object, post_json

_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
_SECONDS = (5, *range(6, 16))
MODELS: Mapping[str, Makes] = {
    "MiniMax-H3": Makes(_SECONDS, _RATIOS, ("768p", "1440p"), sound="always", longest_prompt=7000),
    "MiniMax-H3-Max": Makes(_SECONDS, _RATIOS, ("768p", "480p"), sound="always", longest_prompt=7000),
}
_THEIRS = {"480p": "480P", "768p": "768P", "1440p": "2K"}
_OURS = {theirs: ours for ours, theirs in _THEIRS.items()}


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model cannot do."""
    asked = settings(known(MODELS, upstream.model_id), request)
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    if request.picture:
        url = {"url": request.picture.data_url}
        content.append({"type": "image_url", "image_url": url, "role": "first_frame"})
    body = {
        "model": upstream.model_id,
        "content": content,
        "duration": asked.seconds,
        "resolution": _THEIRS[asked.resolution or "768p"],
    }
    if asked.ratio:
        body["ratio"] = asked.ratio
    return post_json(upstream, "v2/video_generation", body)


def parse_submitted(payload: bytes, asked: Settings) -> State:
    body = parse_object(payload)
    check(body)
    try:
        return job_calls.working({"id": job_calls.job_id(body.get("task_id")), **asked.kept})
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    """Failed tasks are not billed."""
    body = parse_object(payload)
    check(body)
    task = table(body.get("task"))
    match task.get("status"):
        case "queued" | "running":
            return job_calls.working(handle)
        case "succeeded":
            seconds = table(task.get("usage")).get("output_seconds") or task.get("duration")
            usage = job_calls.seconds_used(handle, seconds, _OURS.get(str(task.get("resolution"))))
            return job_calls.finished(upstream, [table(task.get("content")).get("url")], usage)
        case "failed":
            error = coded(table(task.get("error")).get("code"))
            return Failed("rejected", error.code) if error.kind == "rejected" else Failed("unavailable")
        case "cancelled" | "expired":
            return Failed("unavailable")
    raise UpstreamError("malformed")


class MiniMaxVideo:
    """It has no key that makes two submissions one, and no field for a reference of ours."""

    idempotent = False

    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: VideoRequest) -> None:
        settings(known(MODELS, upstream.model_id), request)

    async def submit(self, upstream: Upstream, request: VideoRequest, reference: str, stage: Handle | None) -> State:
        asked = settings(known(MODELS, upstream.model_id), request)
        http = build_request(upstream, request)
        return parse_submitted(await job_calls.submitted(self._post, http, upstream, read_detail), asked)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        """The id is all that is asked with: a refusal says that there is no such task, or none of the last week."""
        http = job_calls.call(upstream, f"v2/query/video_generation/{handle['id']}")
        try:
            payload = await job_calls.followed(self._post, http, upstream, read_detail)
        except UpstreamError as error:
            if error.status != 400:
                raise
            raise UpstreamError("unavailable", status=404) from None
        return parse_polled(payload, upstream, handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        http = job_calls.call(upstream, f"v2/video_generation/{handle['id']}", "DELETE")
        await job_calls.stopped(self._post, http, upstream, read_detail)
