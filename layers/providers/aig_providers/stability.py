"""Stability AI: pictures by Stable Image and Stable Diffusion 3.5, music by Stable Audio, models by Stable Fast 3D.

Pictures are made from prompts or inpainted by a mask, models from a picture. All of it is answered at once.
"""

import base64
from collections.abc import Mapping
from math import log
from typing import Any

from aig.errors import UpstreamError
from aig.modalities import image_header
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig.modalities.job import Finished, Handle, Inline, State
from aig.modalities.media import audio
from aig.modalities.music import MusicRequest
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.forms import FilePart, post_form
from aig_providers.job_results import AtOnce
from aig_providers.pictures import side_by_side
from aig_providers.shapes import string, unsupported
from aig_providers.wire import Detail, HttpRequest, Post, parse_object

# By our id of the model: its path. Those at `sd3` are told apart by a field.
INPAINT = "inpaint"
_PATHS: Mapping[str, str] = {
    "stable-image-ultra": "generate/ultra",
    "stable-image-core": "generate/core",
    INPAINT: "edit/inpaint",
}
_RATIOS = ((16, 9), (1, 1), (21, 9), (2, 3), (3, 2), (4, 5), (5, 4), (9, 16), (9, 21))
_NEAR = 0.02  # how far a size may be off one of them: 1792x1024 is meant for 16:9
LONGEST_MUSIC_S = 190
POINT_AWARE = "stable-point-aware-3d"  # of those that make models, the only one that takes a seed
_GLB = b"glTF"
_MOST_SEED = 4_294_967_294
_KEY_REFUSED = frozenset({"unauthorized", "permission_denied", "forbidden"})


def read_detail(body: Any) -> Detail:
    """`{"id", "name", "message"}`, of which the name is a slug: a 403 is about the key, or about the content."""
    if body["name"] == "content_moderation":
        return Detail(code="content_policy_violation")
    return Detail("auth" if body["name"] in _KEY_REFUSED else None, "invalid_request_error")


def build_request(upstream: Upstream, request: ImageRequest, at: int = 0) -> HttpRequest:
    """For the picture `at` of those that are asked for. Raises UpstreamError of kind rejected for what it cannot do."""
    _refuse(upstream.model_id, request)
    path = _PATHS.get(upstream.model_id, "generate/sd3")
    fields = {"prompt": request.prompt}
    if path == "generate/sd3":
        fields["model"] = upstream.model_id
    if request.form:
        fields["output_format"] = request.form
    if request.negative_prompt:
        fields["negative_prompt"] = request.negative_prompt
    if request.size:
        fields["aspect_ratio"] = _ratio(*request.size)
    if request.seed is not None:
        fields["seed"] = str((request.seed + at) % _MOST_SEED)
    files = [FilePart("image", picture.data, picture.media_type) for picture in request.pictures]
    if request.mask:
        files.append(FilePart("mask", request.mask.data, request.mask.media_type))
    form = post_form(upstream, f"v2beta/stable-image/{path}", fields.items(), files)
    return HttpRequest(form.url, {**form.headers, "Accept": "application/json"}, form.body)


def _refuse(model_id: str, request: ImageRequest) -> None:
    """Raises for what the API has no field for."""
    edits = model_id == INPAINT
    refusals = {
        "image": len(request.pictures) != (1 if edits else 0),
        "mask": bool(request.mask) and not edits,
        "size": bool(request.size) and edits,  # it keeps that of the picture
        "quality": request.quality not in (None, "auto", "standard"),
        "style": request.style is not None,
        "background": request.background == "transparent",
        "steps": request.steps is not None,
        "guidance": request.guidance is not None,
    }
    for name, refused in refusals.items():
        if refused:
            raise unsupported(name)


def _ratio(width: int, height: int) -> str:
    """The ratio that a size is meant for; how large the picture is, the model decides."""
    wide, high = min(_RATIOS, key=lambda ratio: abs(log(width * ratio[1] / (height * ratio[0]))))
    if abs(width * high / (height * wide) - 1) > _NEAR:
        raise unsupported("size")
    return f"{wide}:{high}"


def parse(payload: bytes) -> Image:
    """The body of a 200. Raises UpstreamError: a picture that was filtered is a rejection."""
    body = parse_object(payload)
    if body.get("finish_reason") == "CONTENT_FILTERED":
        raise UpstreamError("rejected", status=400, code="content_policy_violation")
    try:
        data = base64.b64decode(string(body.get("image")), validate=True)
        return Image(data, image_header.read(data).media_type)
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


def check_music(request: MusicRequest) -> None:
    """Raises UpstreamError of kind rejected for what the API has no field for."""
    if request.lyrics:
        raise unsupported("lyrics")
    if (request.seconds or 1) > LONGEST_MUSIC_S:
        raise UpstreamError(
            "rejected",
            code="invalid_value",
            param="duration",
            message=f"This model makes up to {LONGEST_MUSIC_S} seconds of music. Change duration.",
        )


def build_music(upstream: Upstream, request: MusicRequest) -> HttpRequest:
    """A form without files. As JSON the answer says whether it was filtered, as audio only its head would."""
    fields = {"prompt": request.prompt, "model": upstream.model_id, "output_format": request.form or "mp3"}
    if request.seconds is not None:
        fields["duration"] = str(request.seconds)
    if request.seed is not None:
        fields["seed"] = str(request.seed % _MOST_SEED)
    form = post_form(upstream, "v2beta/audio/stable-audio-2/text-to-audio", fields.items(), ())
    return HttpRequest(form.url, {**form.headers, "Accept": "application/json"}, form.body)


def parse_music(payload: bytes) -> Finished:
    """The body of a 200. Raises UpstreamError: music that was filtered is a rejection."""
    body = parse_object(payload)
    if body.get("finish_reason") == "CONTENT_FILTERED":
        raise UpstreamError("rejected", status=400, code="content_policy_violation")
    try:
        data = base64.b64decode(string(body.get("audio")), validate=True)
        if audio.kind(data) is None:
            raise ValueError("no music")
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None
    return Finished([Inline(data)], Usage({"tracks": 1}))


def check_model(model_id: str, request: ThreeDRequest) -> None:
    """Raises UpstreamError of kind rejected for what the API has no field for. Its models always have a texture."""
    refusals = {
        "image_url": request.picture is None,
        "prompt": bool(request.prompt),
        "negative_prompt": bool(request.negative_prompt),
        "seed": request.seed is not None and model_id != POINT_AWARE,
    }
    for name, refused in refusals.items():
        if refused:
            raise unsupported(name)


def build_model(upstream: Upstream, request: ThreeDRequest) -> HttpRequest:
    fields = {} if request.seed is None else {"seed": str(request.seed % _MOST_SEED)}
    files = [FilePart("image", picture.data, picture.media_type)] if (picture := request.picture) else []
    return post_form(upstream, f"v2beta/3d/{upstream.model_id}", fields.items(), files)


def parse_model(payload: bytes) -> Finished:
    """The body of a 200, which is the file. Raises UpstreamError for anything else."""
    if not payload.startswith(_GLB):
        raise UpstreamError("malformed")
    return Finished([Inline(payload)], Usage({"assets": 1}))


class StabilityImage:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def image(self, upstream: Upstream, request: ImageRequest) -> ImageResult:
        """A request for each picture. Its pages say of each price: "You will not be charged for failed generations"."""
        asked = [build_request(upstream, request, at) for at in range(request.n)]
        return await side_by_side(self._one(upstream, http) for http in asked)

    async def _one(self, upstream: Upstream, http: HttpRequest) -> Image:
        return parse(await wire.exchange(self._post, http, upstream, read_detail))


class StabilityMusic(AtOnce):
    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: MusicRequest) -> None:
        check_music(request)

    async def submit(self, upstream: Upstream, request: MusicRequest, reference: str, stage: Handle | None) -> State:
        check_music(request)
        return parse_music(await wire.exchange(self._post, build_music(upstream, request), upstream, read_detail))


class StabilityThreeD(AtOnce):
    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: ThreeDRequest) -> None:
        check_model(upstream.model_id, request)

    async def submit(self, upstream: Upstream, request: ThreeDRequest, reference: str, stage: Handle | None) -> State:
        check_model(upstream.model_id, request)
        return parse_model(await wire.exchange(self._post, build_model(upstream, request), upstream, read_detail))


class Stability:
    image = StabilityImage(wire.CLIENT.post)
    music = StabilityMusic(wire.CLIENT.post)
    three_d = StabilityThreeD(wire.CLIENT.post)


ADAPTER = Stability()
