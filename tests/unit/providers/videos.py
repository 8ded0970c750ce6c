"""What the tests of videos have in common: requests, pictures, and where each provider's models are listed."""

import json
from collections.abc import Mapping
from typing import Any

from aig.modalities.files import Picture
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import fal, google_video, luma, minimax_video, openai_video, replicate, runway
from aig_providers.video_settings import Makes
from aig_providers.wire import HttpRequest

LINK = "https://media.example/p.png?sig=1"
WIDE, TALL = Picture(b"wide", "image/png", 1280, 720), Picture(b"tall", "image/jpeg", 720, 1280)
SQUARE = Picture(b"square", "image/webp", 900, 910)
MODELS: Mapping[str, Mapping[str, Makes]] = {
    "fal": fal.MODELS,
    "google": google_video.MODELS,
    "luma": luma.MODELS,
    "minimax": minimax_video.MODELS,
    "openai": openai_video.MODELS,
    "replicate": replicate.MODELS,
    "runway": runway.MODELS,
}


def at(model_id: str, **fields: Any) -> Upstream:
    return Upstream("acme", model_id, fields.pop("base_url", "https://acme.example/v1"), "k-1", **fields)


def asked(**fields: Any) -> VideoRequest:
    return VideoRequest(("acme/one",), fields.pop("prompt", "a cat"), **fields)


def body(http: HttpRequest) -> Any:
    return json.loads(http.body)


def sent(table: Any) -> bytes:
    return json.dumps(table).encode()
