"""Black Forest Labs' pictures: a job for each, which is polled until its picture can be fetched."""

import asyncio
from dataclasses import dataclass
from math import gcd
from typing import Any
from urllib.parse import urlsplit

from aig.errors import UpstreamError
from aig.modalities import image_header
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig.modalities.public_url import public_host
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.pictures import side_by_side
from aig_providers.shapes import string, unsupported
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

DOMAIN = "bfl.ai"  # where its regions are, and where pictures are fetched from
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 5.0

_FILL = "flux-pro-1.0-fill"
_KONTEXT = frozenset({"flux-kontext-pro", "flux-kontext-max"})
_BY_RATIO = _KONTEXT | {"flux-pro-1.1-ultra"}
_STEPPED = frozenset({"flux-dev", "flux-2-flex", _FILL})
_SECOND = "flux-2-"  # what the names of its second generation begin with
_MODERATED = frozenset({"Request Moderated", "Content Moderated"})
# Of a job that has failed: what was wrong with the request, by its slug.
_REJECTED = {"content_policy_violation": "content_policy_violation", "invalid_image": "invalid_image"}
_ON_ITS_WAY = frozenset({"Pending", "Queued", "Processing"})


def read_detail(body: Any) -> Detail:
    """`{"error": slug}`, or `{"detail": [{"loc"}]}` for fields that are refused; `{"detail": prose}` for the rest."""
    detail = body.get("detail")
    if isinstance(detail, list):
        return Detail(code="invalid_request_error", param=".".join(map(str, detail[0]["loc"][1:])))
    return Detail(code="invalid_request_error")


def build_request(upstream: Upstream, request: ImageRequest, at: int = 0) -> HttpRequest:
    """For the picture `at` of those that are asked for. Raises UpstreamError of kind rejected for what it cannot do."""
    model = upstream.model_id
    _refuse(model, request)
    body: dict[str, Any] = {"prompt": request.prompt, **_size(model, request), **_pictures(model, request)}
    if request.form:
        body["output_format"] = request.form
    if request.seed is not None:
        body["seed"] = request.seed + at
    body |= {name: value for name in ("steps", "guidance") if (value := getattr(request, name)) is not None}
    plain = post_json(upstream, model, body)
    return HttpRequest(plain.url, {"Content-Type": "application/json", **_key(upstream)}, plain.body)


def _key(upstream: Upstream) -> dict[str, str]:
    return {"x-key": upstream.api_key} if upstream.api_key else {}


def _refuse(model: str, request: ImageRequest) -> None:
    """Raises for what the model has no field for."""
    stepped = model in _STEPPED
    most = 8 if model.startswith(_SECOND) else 1 if model in _KONTEXT | {_FILL} else 0
    least = 1 if model == _FILL else 0
    refusals = {
        "image": not least <= len(request.pictures) <= most,
        "mask": bool(request.mask) and model != _FILL,
        "quality": request.quality not in (None, "auto", "standard"),
        "style": request.style is not None,
        "background": request.background == "transparent",
        "negative_prompt": bool(request.negative_prompt),
        "steps": request.steps is not None and not stepped,
        "guidance": request.guidance is not None and not stepped,
    }
    for name, refused in refusals.items():
        if refused:
            raise unsupported(name)


def _size(model: str, request: ImageRequest) -> dict[str, Any]:
    """Where only a ratio can be said, how large the picture is the model decides."""
    if not request.size:
        return {}
    width, height = request.size
    if model in _BY_RATIO:
        if not 9 * height <= 21 * width <= 49 * height:  # from 9:21 to 21:9
            raise unsupported("size")
        divisor = gcd(width, height)
        return {"aspect_ratio": f"{width // divisor}:{height // divisor}"}
    if not _is_made(model, width, height):
        raise unsupported("size")
    return {"width": width, "height": height}


def _is_made(model: str, width: int, height: int) -> bool:
    """Whether the model makes pictures of that size; one that fills a picture keeps its size."""
    if model == _FILL:
        return False
    if model.startswith(_SECOND):
        return min(width, height) >= 64 and width * height <= 4_000_000 and not (width % 16 or height % 16)
    return all(256 <= side <= 1440 and side % 32 == 0 for side in (width, height))


def _pictures(model: str, request: ImageRequest) -> dict[str, str]:
    if model == _FILL:
        mask = {"mask": request.mask.base64} if request.mask else {}
        return {"image": request.pictures[0].base64, **mask}
    names = ["input_image", *(f"input_image_{number}" for number in range(2, 9))]
    return {name: picture.base64 for name, picture in zip(names, request.pictures, strict=False)}


def is_own(base_url: str, url: str) -> bool:
    """Whether a URL from an answer leads to where the base URL leads, or to its vendor: over https, by name.

    Nothing else is asked: it could be in a network of ours, and a poll carries the key.
    """
    here, there = urlsplit(base_url), urlsplit(url)
    if (there.scheme, there.netloc) == (here.scheme, here.netloc):
        return True
    try:
        host = public_host(url)
    except ValueError:
        return False
    own = here.hostname or ""
    domain = DOMAIN if f".{own}".endswith(f".{DOMAIN}") else own
    return f".{host}".endswith(f".{domain}")


def _own_url(value: Any, upstream: Upstream) -> str:
    """Raises TypeError or ValueError for what is none, or leads elsewhere."""
    if not is_own(upstream.base_url, string(value)):
        raise ValueError("url")
    return string(value)


def parse_submitted(payload: bytes, upstream: Upstream) -> str:
    """Where the job is to be polled: at the region that has it. Raises UpstreamError."""
    try:
        return _own_url(parse_object(payload).get("polling_url"), upstream)
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


@dataclass
class Job:
    """`charged` is whether the picture has to be paid for, whatever becomes of it: told failures cost nothing."""

    charged: bool = False


def parse_polled(payload: bytes, upstream: Upstream, job: Job) -> str | None:
    """Where the picture is, once it is made; None before. Raises UpstreamError for a job that has failed."""
    body = parse_object(payload)
    status = body.get("status")
    if status == "Ready":
        try:
            return _own_url(body["result"]["sample"], upstream)
        except (KeyError, TypeError, ValueError):
            raise UpstreamError("malformed") from None
    if status in _ON_ITS_WAY:
        return None
    job.charged = False
    if status in _MODERATED:
        raise UpstreamError("rejected", status=400, code="content_policy_violation")
    if status in ("Error", "Failed"):
        code = _REJECTED.get(body["error"]) if isinstance(body.get("error"), str) else None
        raise UpstreamError("rejected", status=400, code=code) if code else UpstreamError("unavailable")
    raise UpstreamError("unavailable" if status == "Task not found" else "malformed")


def parse_picture(payload: bytes) -> Image:
    try:
        return Image(payload, image_header.read(payload).media_type)
    except ValueError:
        raise UpstreamError("malformed") from None


class BflImage:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def image(self, upstream: Upstream, request: ImageRequest) -> ImageResult:
        asked = [build_request(upstream, request, at) for at in range(request.n)]
        return await side_by_side(self._one(upstream, http) for http in asked)

    async def _one(self, upstream: Upstream, http: HttpRequest) -> Image:
        """Raises UpstreamError, with the picture's price if it is lost to us only."""
        job = Job()
        try:
            return await wire.within(upstream.timeouts.total, self._made(upstream, http, job))
        except UpstreamError as error:
            error.usage = Usage({"images": 1}) if job.charged else None
            raise

    async def _made(self, upstream: Upstream, http: HttpRequest, job: Job) -> Image:
        payload = await self._exchange(upstream, http)
        job.charged = True
        polling_url, wait = parse_submitted(payload, upstream), FIRST_WAIT_S
        while (sample := await self._polled(upstream, polling_url, job)) is None:
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, LONGEST_WAIT_S)
        return parse_picture(await self._fetched(upstream, sample))

    async def _polled(self, upstream: Upstream, url: str, job: Job) -> str | None:
        """A poll that finds nobody is as one that finds nothing: the job goes on."""
        try:
            payload = await self._exchange(upstream, HttpRequest(url, _key(upstream), b"", "GET"))
        except UpstreamError as error:
            if error.kind in ("connect", "rate_limited") or (error.status or 0) >= 500:
                return None
            raise UpstreamError(
                "unavailable" if error.kind == "rejected" else error.kind, status=error.status
            ) from None
        return parse_polled(payload, upstream, job)

    async def _fetched(self, upstream: Upstream, url: str) -> bytes:
        """Without the key. What is refused here is neither what the client has asked for nor the key."""
        try:
            return await wire.exchange(self._post, HttpRequest(url, {}, b"", "GET"), upstream, read_detail)
        except UpstreamError as error:
            refused = error.kind in ("rejected", "auth")
            raise UpstreamError("unavailable" if refused else error.kind, status=error.status) from None

    async def _exchange(self, upstream: Upstream, http: HttpRequest) -> bytes:
        try:
            return await wire.exchange(self._post, http, upstream, read_detail)
        except UpstreamError as error:
            if error.status == 403:  # of a key that is none, its message says
                raise UpstreamError("auth", status=403) from None
            raise


class Bfl:
    image = BflImage(wire.CLIENT.post)


ADAPTER = Bfl()
