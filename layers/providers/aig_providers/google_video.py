"""Google's Veo: a long-running operation for each video, whose file is fetched with the key."""

import base64
import re
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Finished, Handle, Inline, Linked, State
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import job_calls
from aig_providers.job_calls import table
from aig_providers.shapes import string
from aig_providers.video_settings import Makes, Settings, known, refusal, settings
from aig_providers.wire import HttpRequest, Post, ReadDetail, parse_object

_RATIOS = ("16:9", "9:16")
_VEO = Makes(
    (8, 6, 4), _RATIOS, ("720p", "1080p", "4k"), _RATIOS, negative_prompt=True, seed=True, sound="always",
)  # fmt: skip
MODELS: Mapping[str, Makes] = {"veo-3.1-generate-001": _VEO, "veo-3.1-fast-generate-001": _VEO}
_LONG_ONLY = frozenset({"1080p", "4k"})  # which are made eight seconds long
_OPERATION = re.compile(r"(?:models/[\w.-]{1,100}/)?operations/[\w-]{1,200}", re.ASCII)
_INVALID_ARGUMENT = 3  # of google.rpc.Code


def wanted(upstream: Upstream, request: VideoRequest) -> Settings:
    """Raises UpstreamError of kind rejected for what the model cannot do."""
    asked = settings(known(MODELS, upstream.model_id), request)
    if asked.resolution in _LONG_ONLY and asked.seconds != _VEO.seconds[0]:
        raise refusal("duration", f"Videos of {asked.resolution} are 8 seconds long here. Ask for 8, or for 720p.")
    return asked


def build_request(upstream: Upstream, request: VideoRequest) -> HttpRequest:
    asked = wanted(upstream, request)
    instance: dict[str, Any] = {"prompt": request.prompt}
    if request.picture:
        instance["image"] = {"bytesBase64Encoded": request.picture.base64, "mimeType": request.picture.media_type}
    parameters: dict[str, Any] = {
        "aspectRatio": asked.ratio,
        "durationSeconds": asked.seconds,
        "resolution": asked.resolution,
    }
    if request.negative_prompt:
        parameters["negativePrompt"] = request.negative_prompt
    if request.seed is not None:
        parameters["seed"] = request.seed
    return HttpRequest(
        f"{upstream.base_url.rstrip('/')}/models/{upstream.model_id}:predictLongRunning",
        {"Content-Type": "application/json", **_key(upstream)},
        to_json({"instances": [instance], "parameters": parameters}),
    )


def _key(upstream: Upstream) -> dict[str, str]:
    return {"x-goog-api-key": upstream.api_key} if upstream.api_key else {}


def parse_submitted(payload: bytes, asked: Settings) -> State:
    name = parse_object(payload).get("name")
    if not isinstance(name, str) or not _OPERATION.fullmatch(name):
        raise UpstreamError("malformed")
    return job_calls.working({"name": name, **asked.kept})


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    """Videos that were filtered, and operations that failed, are not billed."""
    operation = parse_object(payload)
    if operation.get("done") is not True:
        if operation.get("done") not in (None, False) or operation.get("name") != handle["name"]:
            raise UpstreamError("malformed")
        return job_calls.working(handle)
    if "error" in operation:
        rejected = table(operation["error"]).get("code") == _INVALID_ARGUMENT
        return Failed("rejected", "invalid_request_error") if rejected else Failed("unavailable")
    made = table(table(operation.get("response")).get("generateVideoResponse"))
    if made.get("generatedSamples"):
        usage = job_calls.seconds_used(handle)
        try:
            return Finished([_file(upstream, made["generatedSamples"][0]["video"])], usage)
        except (TypeError, ValueError, KeyError, IndexError):
            raise UpstreamError("malformed", usage=usage) from None
    if made.get("raiMediaFilteredCount") or made.get("raiMediaFilteredReasons"):
        return Failed("rejected", "content_policy_violation")
    raise UpstreamError("malformed")


def _file(upstream: Upstream, video: Any) -> Linked | Inline:
    """Raises what indexing and decoding raise for a video that is none."""
    if encoded := video.get("encodedVideo"):
        return Inline(base64.b64decode(string(encoded), validate=True))
    return job_calls.files(upstream, [video["uri"]], _key(upstream))[0]


class GoogleVideo:
    """It has no key that makes two submissions one, no field for a reference of ours, and nothing to stop one with."""

    idempotent = False

    def __init__(self, post: Post, read_detail: ReadDetail) -> None:
        self._post = post
        self._read_detail = read_detail

    def check(self, upstream: Upstream, request: VideoRequest) -> None:
        wanted(upstream, request)

    async def submit(self, upstream: Upstream, request: VideoRequest, reference: str, stage: Handle | None) -> State:
        asked = wanted(upstream, request)
        http = build_request(upstream, request)
        return parse_submitted(await job_calls.submitted(self._post, http, upstream, self._read_detail), asked)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        http = HttpRequest(f"{upstream.base_url.rstrip('/')}/{handle['name']}", _key(upstream), b"", "GET")
        return parse_polled(await job_calls.followed(self._post, http, upstream, self._read_detail), upstream, handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        return
