"""fal's queue: a request for each job, of a model of theirs whose fields are told here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Handle, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls, wire
from aig_providers.job_calls import is_home, table
from aig_providers.shapes import string
from aig_providers.video_settings import Makes, Settings, known, settings
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")


@dataclass(frozen=True, slots=True)
class _Fields:
    """How a model says what is not said alike by all. Those with a prompt alone have a path of their own."""

    makes: Makes
    duration_as_text: bool = False
    resolutions: Mapping[str, str] = field(default_factory=dict)


_SEEDANCE = _Fields(
    Makes((5, 4, *range(6, 16)), _RATIOS, ("720p", "480p", "1080p"), seed=True, sound="by choice"), True
)
_MODELS: Mapping[str, _Fields] = {
    "bytedance/seedance-2.0": _SEEDANCE,
    "minimax/h3-max": _Fields(
        Makes((5, *range(6, 16)), _RATIOS, ("768p", "480p"), sound="always", longest_prompt=5000),
        resolutions={"480p": "480P", "768p": "768P"},
    ),
    "kling/v4": _Fields(
        Makes((5, 3, 4, *range(6, 31)), ("16:9", "9:16", "1:1"), ("720p", "1080p"), pictures=False, sound="always")
    ),
}
MODELS: Mapping[str, Makes] = {model_id: fields.makes for model_id, fields in _MODELS.items()}
# What the type of an error, of those at https://docs.fal.ai/errors, says of the request; others are of their servers.
_REJECTED = {
    "content_policy_violation": "content_policy_violation",
    "image_too_large": "image_too_large",
    "image_too_small": "invalid_image",
    "image_load_error": "invalid_image",
    "face_detection_error": "invalid_image",
    "unsupported_image_format": "invalid_image_format",
    "file_download_error": "invalid_image_url",
    "file_too_large": "image_too_large",
}


def read_detail(body: Any) -> Detail:
    """`{"detail": [{"loc", "type"}]}` for fields that are refused, `{"detail": prose}` for the rest."""
    return Detail(code=_code(body) or "invalid_request_error")


def _code(body: Mapping[str, Any]) -> str | None:
    """What of the request was wrong, by its slug."""
    detail = body.get("detail")
    first = detail[0] if isinstance(detail, list) and detail else {}
    return _REJECTED.get(str(table(first).get("type"))) or _REJECTED.get(str(body.get("error_type")))


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for what the model cannot do."""
    asked = settings(known(MODELS, upstream.model_id), request)
    fields = _MODELS[upstream.model_id]
    resolution = asked.resolution or ""
    body: dict[str, Any] = {
        "prompt": request.prompt,
        "duration": str(asked.seconds) if fields.duration_as_text else asked.seconds,
        "resolution": fields.resolutions.get(resolution, resolution),
    }
    if asked.ratio:
        body["aspect_ratio"] = asked.ratio
    if request.seed is not None:
        body["seed"] = request.seed
    if request.sound is not None and fields.makes.sound == "by choice":
        body["generate_audio"] = request.sound
    if request.picture:
        body["image_url"] = request.picture.data_url
    kind = "image-to-video" if request.picture else "text-to-video"
    http = post_json(upstream, f"{upstream.model_id}/{kind}", body)
    return _keyed(upstream, http)


def _keyed(upstream: Upstream, http: HttpRequest) -> HttpRequest:
    key = {"Authorization": f"Key {upstream.api_key}"} if upstream.api_key else {}
    return HttpRequest(http.url, {**http.headers, **key}, http.body, http.method)


def parse_submitted(payload: bytes, upstream: Upstream, asked: Settings) -> State:
    """It tells where to ask for the job; a URL that leads elsewhere is replaced by the one that its clients make."""
    body = parse_object(payload)
    try:
        request_id = job_calls.job_id(body.get("request_id"))
        told = body.get("response_url")
        if told is None or not is_home(upstream, string(told)):
            app = "/".join(upstream.model_id.split("/")[:2])
            told = f"{upstream.base_url.rstrip('/')}/{app}/requests/{request_id}"
        return job_calls.working({"url": told, **asked.kept})
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def parse_status(payload: bytes, handle: Handle) -> State | None:
    """None for a job whose result is to be fetched."""
    body = parse_object(payload)
    match body.get("status"):
        case "IN_QUEUE" | "IN_PROGRESS":
            return job_calls.working(handle)
        case "COMPLETED" if body.get("error") or body.get("error_type"):
            code = _code(body)
            return Failed("rejected", code) if code else Failed("unavailable")
        case "COMPLETED":
            return None
    raise UpstreamError("malformed")


def parse_result(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    video = table(parse_object(payload).get("video"))
    return job_calls.finished(upstream, [video.get("url")], job_calls.seconds_used(handle))


class FalVideo:
    """It has no key that makes two submissions one, and no field for a reference of ours."""

    idempotent = False

    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: VideoRequest) -> None:
        settings(known(MODELS, upstream.model_id), request)

    async def submit(self, upstream: Upstream, request: VideoRequest, reference: str, stage: Handle | None) -> State:
        asked = settings(known(MODELS, upstream.model_id), request)
        http = build_request(upstream, request)
        payload = await job_calls.submitted(self._post, http, upstream, read_detail, of_the_key=(403,))
        return parse_submitted(payload, upstream, asked)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        """The status, and then the result, which is refused where the job has failed by what it was asked."""
        http = _keyed(upstream, HttpRequest(f"{handle['url']}/status", {}, b"", "GET"))
        state = parse_status(await job_calls.followed(self._post, http, upstream, read_detail), handle)
        if state is not None:
            return state
        http = _keyed(upstream, HttpRequest(handle["url"], {}, b"", "GET"))
        try:
            payload = await wire.exchange(self._post, http, upstream, read_detail)
        except UpstreamError as error:
            if error.kind != "rejected" or error.status == 404:
                raise
            return Failed("rejected", error.code)
        return parse_result(payload, upstream, handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        """One that is at work already may well be finished, and billed."""
        http = _keyed(upstream, HttpRequest(f"{handle['url']}/cancel", {}, b"", "PUT"))
        await job_calls.stopped(self._post, http, upstream, read_detail)


class Fal:
    video = FalVideo(wire.CLIENT.post)


ADAPTER = Fal()
