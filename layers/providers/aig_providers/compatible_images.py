"""Pictures on OpenAI's wire: made from a prompt, or from a prompt and pictures."""

import base64
from collections.abc import Callable, Collection, Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities import image_header
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.forms import FilePart, post_form
from aig_providers.shapes import string, unsupported
from aig_providers.wire import HttpRequest, Post, count, parse_object, post_json

ReadUsage = Callable[[Any], Usage | None]

# What a setting that is not taken may be all the same: it changes nothing.
_USUAL = {"output_format": "png", "background": "auto"}


def build_request(upstream: Upstream, request: ImageRequest, more: Collection[str] = ()) -> HttpRequest:
    """`more` names settings that are taken beside OpenAI's. Raises UpstreamError of kind rejected for others."""
    body = _body(upstream, request, more)
    if not request.pictures:
        return post_json(upstream, "images/generations", body)
    name = "image" if len(request.pictures) == 1 else "image[]"
    files = [FilePart(name, picture.data, picture.media_type) for picture in request.pictures]
    if request.mask:
        files.append(FilePart("mask", request.mask.data, request.mask.media_type))
    return post_form(upstream, "images/edits", [(field, str(value)) for field, value in body.items()], files)


def _body(upstream: Upstream, request: ImageRequest, more: Collection[str]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": upstream.model_id, "prompt": request.prompt, "n": request.n}
    if request.size:
        body["size"] = "{}x{}".format(*request.size)
    if request.quality:
        body["quality"] = request.quality
    if request.user:
        body["user"] = request.user
    if "no_response_format" in upstream.quirks:
        taken = {"output_format", "background"}
    else:
        body["response_format"] = "b64_json"
        taken = set() if request.pictures else {"style"}
    return {**body, **_settings(request, {*taken, *more})}


def _settings(request: ImageRequest, taken: Collection[str]) -> dict[str, Any]:
    """Those that some models only know."""
    asked: Mapping[str, Any] = {
        "style": request.style,
        "output_format": request.form,
        "background": request.background,
        "seed": request.seed,
        "steps": request.steps,
        "guidance": request.guidance,
        "negative_prompt": request.negative_prompt,
    }
    for name, value in asked.items():
        if value is not None and name not in taken and value != _USUAL.get(name):
            raise unsupported(name)
    return {name: value for name, value in asked.items() if value is not None and name in taken}


def parse_usage(raw: Any) -> Usage | None:
    """OpenAI's totals as disjoint classes. Without details, what was written is pictures. None where none is told."""
    if not isinstance(raw, Mapping):
        return None
    try:
        read, written = count(raw, "input_tokens"), count(raw, "output_tokens")
        pictures = min(count(raw.get("input_tokens_details"), "image_tokens"), read)
        text = min(count(raw.get("output_tokens_details"), "text_tokens"), written)
    except ValueError:
        return None
    if not read + written:
        return None
    return Usage(
        {
            "input_tokens": read - pictures,
            "input_image_tokens": pictures,
            "output_tokens": text,
            "output_image_tokens": written - text,
        }
    )


def parse_response(payload: bytes, request: ImageRequest, read_usage: ReadUsage = parse_usage) -> ImageResult:
    """The body of a 200. Raises UpstreamError if it has no pictures, more than were asked for, or what is none.

    They are billed all the same.
    """
    body = parse_object(payload)
    usage = read_usage(body.get("usage"))
    try:
        images = [_image(entry) for entry in body["data"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UpstreamError("malformed", usage=usage) from None
    if not 0 < len(images) <= request.n:
        raise UpstreamError("malformed", usage=usage)
    return ImageResult(images, usage)


def _image(entry: Mapping[str, Any]) -> Image:
    data = base64.b64decode(string(entry["b64_json"]), validate=True)
    revised = entry.get("revised_prompt")
    return Image(data, image_header.read(data).media_type, revised if isinstance(revised, str) else None)


class CompatibleImage:
    """`more` names settings that are taken beside OpenAI's; `read_usage` reads the answer's `usage`."""

    def __init__(self, post: Post, more: Collection[str] = (), read_usage: ReadUsage = parse_usage) -> None:
        self._post, self._more, self._read_usage = post, more, read_usage

    async def image(self, upstream: Upstream, request: ImageRequest) -> ImageResult:
        http = build_request(upstream, request, self._more)
        return parse_response(await wire.exchange(self._post, http, upstream), request, self._read_usage)
