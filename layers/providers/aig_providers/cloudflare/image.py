"""Pictures of the models at Workers AI: one a request, as base64 in an envelope or as the body itself."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.image import TILE, USUAL_SIZE, Format, Image, ImageRequest, ImageResult
from aig.modalities.image_header import read as read_header
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers.batches import side_by_side, summed
from aig_providers.cloudflare.run import ask, opened_table, run_json
from aig_providers.shapes import string, unsupported
from aig_providers.wire import HttpRequest, Post


@dataclass(frozen=True, slots=True)
class Maker:
    """What a model takes. `sides` are the least and the most pixels, None for one that makes its own size only.

    `usual_steps` are sent where the client says none: what is billed is then what was sent.
    """

    form: Format
    usual_steps: int
    most_steps: int
    steps_field: str = "num_steps"
    sides: tuple[int, int] | None = None
    settings: frozenset[str] = frozenset()


_OLD = Maker("png", 20, 20, sides=(256, 2048), settings=frozenset({"seed", "guidance", "negative_prompt"}))
_MAKERS: Mapping[str, Maker] = {
    "@cf/black-forest-labs/flux-1-schnell": Maker("jpeg", 4, 8, "steps"),
    "@cf/stabilityai/stable-diffusion-xl-base-1.0": _OLD,
    "@cf/lykon/dreamshaper-8-lcm": _OLD,
    # It says nothing of its usual steps; by what it bills they are 15.
    "@cf/leonardo/lucid-origin": Maker("jpeg", 15, 40, sides=(1, 2500), settings=frozenset({"seed", "guidance"})),
    "@cf/leonardo/phoenix-1.0": replace(_OLD, form="jpeg", usual_steps=25, most_steps=50, sides=(1, 2048)),
}


def _maker(upstream: Upstream) -> Maker:
    found = _MAKERS.get(upstream.model_id)
    if found is None:
        raise unsupported("model")
    return found


def build_request(upstream: Upstream, request: ImageRequest, at: int = 0) -> HttpRequest:
    """For the picture at `at` of those asked for, whose seed is that much more, or all would be the same one.

    Raises UpstreamError of kind rejected for what the model does not take.
    """
    maker = _maker(upstream)
    _refuse(request, maker)
    body: dict[str, Any] = {"prompt": request.prompt, maker.steps_field: _steps(request, maker)}
    if maker.sides:
        body["width"], body["height"] = request.size or USUAL_SIZE
    if request.seed is not None:
        body["seed"] = request.seed + at
    if request.guidance is not None:
        body["guidance"] = request.guidance
    if request.negative_prompt:
        body["negative_prompt"] = request.negative_prompt
    return run_json(upstream, body)


def _refuse(request: ImageRequest, maker: Maker) -> None:
    asked = {
        "image": request.pictures,
        "mask": request.mask,
        "style": request.style,
        "background": request.background == "transparent",
        "quality": request.quality not in (None, "auto", "standard"),
        "output_format": request.form not in (None, maker.form),
        "steps": (request.steps or 0) > maker.most_steps,
        "size": request.size is not None and not _makes(maker, request.size),
        **{name: getattr(request, name) not in (None, "") for name in _SETTINGS - maker.settings},
    }
    for name, value in asked.items():
        if value:
            raise unsupported(name)


_SETTINGS = frozenset({"seed", "guidance", "negative_prompt"})


def _makes(maker: Maker, size: tuple[int, int]) -> bool:
    if maker.sides is None:
        return size == USUAL_SIZE
    least, most = maker.sides
    return all(least <= side <= most for side in size)


def _steps(request: ImageRequest, maker: Maker) -> int:
    return request.steps or maker.usual_steps


def billed(upstream: Upstream, request: ImageRequest) -> Usage:
    """Of one picture, as it was asked for: no answer tells.

    The pricing page has a price for a tile and one for a step. The header `cf-ai-neurons` shows that a tile is a share
    of the area, and that each step counts once for each tile: FLUX of 1024x1024 in 4 steps comes to 172.8 neurons,
    which are 4 tiles of 4.8 and 16 of 9.6. Parts of a unit are rounded up.
    """
    width, height = request.size or USUAL_SIZE
    steps, tile = _steps(request, _maker(upstream)), TILE * TILE
    return Usage({"tiles": -(-width * height // tile), "steps": -(-width * height * steps // tile)})


def parse(payload: bytes) -> Image:
    """Either form of an answer. Raises UpstreamError for what is no picture."""
    try:
        data = base64.b64decode(_text(payload), validate=True) if payload[:1] == b"{" else payload
        return Image(data, read_header(data).media_type)
    except (ValueError, TypeError):
        raise UpstreamError("malformed") from None


def _text(payload: bytes) -> str:
    text = string(opened_table(payload).get("image"))
    return text.partition("base64,")[2] if text.startswith("data:") else text


class CloudflareImage:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def image(self, upstream: Upstream, request: ImageRequest) -> ImageResult:
        async def send(at: int) -> ImageResult:
            payload = await ask(self._post, build_request(upstream, request, at), upstream)
            return ImageResult([parse(payload)], billed(upstream, request))

        def consumed(_: int, result: ImageResult) -> Usage:
            return result.usage or request.estimate(result)

        made = await side_by_side(upstream, range(request.n), send, consumed)
        return ImageResult([image for one in made for image in one.images], summed([one.usage for one in made]))
