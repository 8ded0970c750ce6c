"""Detection: the picture as it is goes up, and boxes in its pixels come back."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.detect import Box, Detection, DetectRequest, DetectResult
from aig.modalities.files import Picture
from aig.modalities.upstream import Upstream
from aig_providers.cloudflare.run import ask, fraction, number, opened, run_bytes
from aig_providers.shapes import string
from aig_providers.wire import HttpRequest, Post


def build_request(upstream: Upstream, request: DetectRequest) -> HttpRequest:
    return run_bytes(upstream, request.picture.data, request.picture.media_type)


def parse(payload: bytes, picture: Picture) -> DetectResult:
    """`[{"label", "score", "box"}]`, none where nothing is to be seen. Raises UpstreamError."""
    found: Any = opened(payload)
    if not isinstance(found, list):
        raise UpstreamError("malformed")
    try:
        seen = [
            Detection(string(entry["label"]), fraction(entry["score"]), _box(entry["box"], picture)) for entry in found
        ]
    except (TypeError, KeyError, ValueError):
        raise UpstreamError("malformed") from None
    return DetectResult(seen, None)


def _box(box: Mapping[str, Any], picture: Picture) -> Box:
    """Within the picture: the model's boxes may reach a little beyond its edges."""
    left, right = (min(max(0.0, number(box[name])), float(picture.width)) for name in ("xmin", "xmax"))
    top, bottom = (min(max(0.0, number(box[name])), float(picture.height)) for name in ("ymin", "ymax"))
    if left > right or top > bottom:
        raise ValueError
    return Box(left, top, right, bottom)


class CloudflareDetect:
    def __init__(self, post: Post) -> None:
        self._post = post

    async def detect(self, upstream: Upstream, request: DetectRequest) -> DetectResult:
        return parse(await ask(self._post, build_request(upstream, request), upstream), request.picture)
