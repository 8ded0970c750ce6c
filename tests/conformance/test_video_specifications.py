"""What we send to OpenAI, Runway and Luma for videos, judged by descriptions of their APIs."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from aig.modalities.files import Picture
from aig.modalities.upstream import Upstream
from aig.modalities.video import VideoRequest
from aig_providers import luma, openai_video, runway
from aig_providers.wire import HttpRequest
from tests.conformance.test_vendor_specifications import SPECIFICATIONS, validator
from tests.conformance.video_makers import MAKERS

pytestmark = pytest.mark.skipif(not SPECIFICATIONS.is_dir(), reason="there are no shared/specs beside the repository")

WIDE = Picture(b"a picture", "image/png", 1280, 720)
FIELDS: dict[str, dict[str, Any]] = {
    "a prompt": {},
    "tall": {"aspect_ratio": "9:16"},
    "a picture": {"picture": WIDE, "link": "https://media.example/p.png"},
}
Build = Callable[[Upstream, VideoRequest], HttpRequest]
OPENAI, LUMA = "openai/openapi.json", "luma/openapi.yaml"
TEXT, IMAGE = (
    "runway/openapi_runway-text-to-video-api-openapi.yml",
    "runway/openapi_runway-image-to-video-api-openapi.yml",
)
JUDGES: dict[str, tuple[Build, str, str, dict[str, Any]]] = {
    "sora-2": (openai_video.build_request, OPENAI, "CreateVideoJsonBody", {"seconds": 12}),
    "sora-2-pro": (openai_video.build_request, OPENAI, "CreateVideoJsonBody", {"seconds": 8}),
    "ray-2": (luma.build_request, LUMA, "GenerationRequest", {"seconds": 9, "resolution": "1080p"}),
    "ray-flash-2": (luma.build_request, LUMA, "GenerationRequest", {"seconds": 5, "resolution": "540p"}),
    "gen4.5": (runway.build_request, TEXT, "TextToVideoRequest", {"seconds": 10}),
}


def complaints(file: str, schema: str, body: Any) -> list[str]:
    found = validator(file, f"components/schemas/{schema}").iter_errors(body)
    return [f"{error.json_path}: {error.message[:300]}" for error in found]


def sent(model: str, **fields: Any) -> Any:
    build = JUDGES[model][0]
    return json.loads(
        build(Upstream("p", model, "https://p.example", "k"), VideoRequest(("m",), "a cat", **fields)).body
    )


@pytest.mark.parametrize("what", FIELDS)
@pytest.mark.parametrize("model", JUDGES)
def test_a_request(model: str, what: str) -> None:
    _, file, schema, more = JUDGES[model]
    if file == TEXT and "picture" in FIELDS[what]:
        file, schema = IMAGE, "ImageToVideoRequest"
    for fields in ({}, more):
        assert complaints(file, schema, sent(model, **FIELDS[what], **fields)) == []


@pytest.mark.parametrize("model", JUDGES)
def test_the_judges_see_a_mistake(model: str) -> None:
    _, file, schema, _ = JUDGES[model]
    body = sent(model)
    assert complaints(file, schema, {**body, "model": 5})
    assert complaints(file, schema, {key: value for key, value in body.items() if key not in ("model", "prompt")})


@pytest.mark.parametrize(
    ("maker", "file", "schema"),
    [("openai", OPENAI, "VideoResource"), ("luma", LUMA, "Generation")],
)
def test_the_answers_that_the_tests_are_made_of(maker: str, file: str, schema: str) -> None:
    """Those of vendors that describe them. What they leave out where it is not told, ours say as null."""
    made = MAKERS[maker]
    bodies = [*(body for body, _ in made.working[:2]), *(body for body, _ in made.over), *made.done.values()]
    for body in bodies:
        told = {name: value for name, value in body.items() if value is not None}
        found = [one for one in complaints(file, schema, told) if "required" not in one]
        assert found == []
