"""Stability's pictures: the forms, the ratios, and what of an answer is a picture."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.parser import BytesParser
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.image import ImageRequest
from aig.modalities.upstream import Timeouts
from aig_providers.stability import StabilityImage, build_request, parse
from aig_providers.wire import HttpRequest, Reply
from tests.conformance.test_requests import PNG
from tests.unit.providers.replies import Canned, posting, upstream

PIXEL = base64.b64decode(PNG.partition(",")[2])
PICTURE = Picture(PIXEL, "image/png", 1, 1)
MADE = json.dumps({"image": base64.b64encode(PIXEL).decode(), "finish_reason": "SUCCESS", "seed": 7}).encode()
FILTERED = json.dumps({"image": base64.b64encode(PIXEL).decode(), "finish_reason": "CONTENT_FILTERED"}).encode()


def request(**fields: Any) -> ImageRequest:
    return ImageRequest((), "a cat", **fields)


def fields(http: HttpRequest) -> dict[str, Any]:
    """The parts of a form by their names."""
    head = f"Content-Type: {http.headers['Content-Type']}\r\n\r\n".encode()
    parts: Any = BytesParser().parsebytes(head + http.body).get_payload()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}


@pytest.mark.parametrize(
    ("model", "path", "more"),
    [
        ("stable-image-ultra", "generate/ultra", {}),
        ("stable-image-core", "generate/core", {}),
        ("sd3.5-medium", "generate/sd3", {"model": b"sd3.5-medium"}),
    ],
)
def test_what_is_sent(model: str, path: str, more: dict[str, bytes]) -> None:
    asked = request(size=(1792, 1024), seed=5, negative_prompt="dogs", form="webp")
    http = build_request(upstream(model, base_url="https://acme.example", api_key="k"), asked, 2)
    assert http.url == f"https://acme.example/v2beta/stable-image/{path}"
    assert (http.headers["Accept"], http.headers["Authorization"]) == ("application/json", "Bearer k")
    assert fields(http) == {
        "prompt": b"a cat", "aspect_ratio": b"16:9", "seed": b"7", "negative_prompt": b"dogs", "output_format": b"webp",
        **more,
    }  # fmt: skip


def test_a_picture_is_filled_where_its_mask_says() -> None:
    http = build_request(upstream("inpaint"), request(pictures=(PICTURE,), mask=PICTURE))
    assert http.url.endswith("/v2beta/stable-image/edit/inpaint")
    assert fields(http) == {"prompt": b"a cat", "image": PIXEL, "mask": PIXEL}


@pytest.mark.parametrize(
    ("size", "ratio"),
    [((1024, 1024), "1:1"), ((1024, 1536), "2:3"), ((1024, 1792), "9:16"), ((2520, 1080), "21:9"), ((8, 10), "4:5")],
)
def test_a_size_stands_for_its_ratio(size: tuple[int, int], ratio: str) -> None:
    assert fields(build_request(upstream("stable-image-core"), request(size=size)))["aspect_ratio"] == ratio.encode()


@pytest.mark.parametrize(
    ("model", "asked", "param"),
    [
        ("stable-image-core", {"size": (1024, 768)}, "size"),
        ("stable-image-core", {"size": (5000, 100)}, "size"),
        ("stable-image-core", {"pictures": (PICTURE,)}, "image"),
        ("stable-image-core", {"mask": PICTURE}, "mask"),
        ("stable-image-core", {"quality": "high"}, "quality"),
        ("stable-image-core", {"style": "vivid"}, "style"),
        ("stable-image-core", {"background": "transparent"}, "background"),
        ("stable-image-core", {"steps": 9}, "steps"),
        ("stable-image-core", {"guidance": 2.0}, "guidance"),
        ("inpaint", {}, "image"),
        ("inpaint", {"pictures": (PICTURE, PICTURE)}, "image"),
        ("inpaint", {"pictures": (PICTURE,), "size": (1024, 1024)}, "size"),
    ],
)
def test_what_it_cannot_do(model: str, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        build_request(upstream(model), request(**asked))
    assert (raised.value.kind, raised.value.param, raised.value.unasked) == ("rejected", param, True)


def test_a_picture() -> None:
    image = parse(MADE)
    assert (image.data, image.media_type) == (PIXEL, "image/png")


def test_a_picture_that_was_filtered_is_a_rejection() -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(FILTERED)
    assert (raised.value.kind, raised.value.code) == ("rejected", "content_policy_violation")
    assert not raised.value.unasked


@pytest.mark.parametrize("image", [None, 5, "", "!", "AAAA", base64.b64encode(b"<html>").decode()])
def test_what_is_no_picture(image: Any) -> None:
    with pytest.raises(UpstreamError) as raised:
        parse(json.dumps({"image": image, "finish_reason": "SUCCESS"}).encode())
    assert raised.value.kind == "malformed"


async def test_as_many_as_were_not_filtered() -> None:
    answers = [MADE, FILTERED, MADE]

    @asynccontextmanager
    async def post(_: HttpRequest, __: Timeouts) -> AsyncIterator[Reply]:
        yield Canned([answers.pop(0)])

    result = await StabilityImage(post).image(upstream("stable-image-core"), request(n=3))
    assert len(result.images) == 2
    assert result.usage is not None
    assert result.usage.units == {"images": 2}


@pytest.mark.parametrize(
    ("status", "name", "kind", "code"),
    [
        (400, "bad_request", "rejected", "invalid_request_error"),
        (401, "unauthorized", "auth", "invalid_request_error"),
        (402, "payment_required", "auth", "invalid_request_error"),
        (403, "content_moderation", "rejected", "content_policy_violation"),
        (403, "permission_denied", "auth", "invalid_request_error"),
        (429, "rate_limit_exceeded", "rate_limited", "invalid_request_error"),
        (500, "internal_error", "unavailable", "invalid_request_error"),
    ],
)
async def test_an_error(status: int, name: str, kind: str, code: str) -> None:
    post = posting(json.dumps({"id": "x", "name": name, "errors": ["secret"]}).encode(), status=status)
    with pytest.raises(UpstreamError) as raised:
        await StabilityImage(post).image(upstream("stable-image-core"), request(n=2))
    assert (raised.value.kind, raised.value.status, raised.value.code) == (kind, status, code)
    assert raised.value.usage is None
