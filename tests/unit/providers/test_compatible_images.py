"""Pictures on OpenAI's wire: what is sent for a request, and what an answer is taken for."""

import base64
import json
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.image import Image, ImageRequest, ImageResult
from aig_providers.aigateway import PICTURE_SETTINGS, parse_totals
from aig_providers.compatible_images import build_request, parse_response, parse_usage
from tests.multipart import Part, parts
from tests.unit.providers.replies import upstream

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (64).to_bytes(4, "big") + (32).to_bytes(4, "big")
JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x20\x00\x40" + bytes(12)
PICTURE = Picture(PNG, "image/png", 64, 32)
INLINE = upstream(quirks=frozenset({"no_response_format"}))


def asked(**fields: Any) -> ImageRequest:
    return ImageRequest(("acme/one",), "a cat", **fields)


def sent(where: Any, request: ImageRequest, more: Any = ()) -> Any:
    return json.loads(build_request(where, request, more).body)


def encoded(*pictures: bytes, **more: Any) -> bytes:
    data = [{"b64_json": base64.b64encode(picture).decode()} for picture in pictures]
    return json.dumps({"created": 1, "data": data, **more}).encode()


def parsed(payload: bytes, **fields: Any) -> ImageResult:
    return parse_response(payload, asked(**fields))


class TestARequest:
    def test_the_address_and_the_least(self) -> None:
        http = build_request(upstream(api_key="k"), asked())
        assert (http.url, http.headers["Authorization"]) == ("https://acme.example/v1/images/generations", "Bearer k")
        assert json.loads(http.body) == {"model": "one-v1", "prompt": "a cat", "n": 1, "response_format": "b64_json"}

    def test_a_model_that_gives_them_inline_is_not_asked_for_it(self) -> None:
        made = sent(INLINE, asked(n=2, size=(1536, 1024), quality="high", form="webp", background="opaque", user="u"))
        assert made == {
            "model": "one-v1", "prompt": "a cat", "n": 2, "size": "1536x1024", "quality": "high", "user": "u",
            "output_format": "webp", "background": "opaque",
        }  # fmt: skip

    def test_a_style_is_for_those_that_are_asked_for_base64(self) -> None:
        assert sent(upstream(), asked(style="vivid"))["style"] == "vivid"

    @pytest.mark.parametrize(
        ("where", "fields", "param"),
        [
            (INLINE, {"style": "natural"}, "style"),
            (INLINE, {"seed": 0}, "seed"),
            (INLINE, {"steps": 20}, "steps"),
            (INLINE, {"guidance": 3.5}, "guidance"),
            (INLINE, {"negative_prompt": "dogs"}, "negative_prompt"),
            (upstream(), {"form": "webp"}, "output_format"),
            (upstream(), {"background": "transparent"}, "background"),
            (upstream(), {"style": "vivid", "pictures": (PICTURE,)}, "style"),
        ],
    )
    def test_what_it_cannot_do_is_refused_unasked(self, where: Any, fields: Any, param: str) -> None:
        with pytest.raises(UpstreamError) as raised:
            build_request(where, asked(**fields))
        assert (raised.value.kind, raised.value.param, raised.value.unasked) == ("rejected", param, True)

    def test_what_is_usual_anyway_is_left_out(self) -> None:
        made = sent(upstream(), asked(form="png", background="auto"))
        assert made.keys() == {"model", "prompt", "n", "response_format"}

    def test_our_own_wire_takes_all(self) -> None:
        fields = {"seed": 0, "steps": 4, "guidance": 3.5, "negative_prompt": "dogs", "style": "vivid"}
        made = sent(upstream(), asked(**fields, form="jpeg", background="opaque"), PICTURE_SETTINGS)
        assert made.items() >= {**fields, "output_format": "jpeg", "background": "opaque"}.items()


class TestAnEdit:
    def form(self, **fields: Any) -> list[Part]:
        http = build_request(INLINE, asked(**fields))
        assert http.url == "https://acme.example/v1/images/edits"
        return parts(http.headers["Content-Type"], http.body)

    def test_of_one_picture(self) -> None:
        assert self.form(pictures=(PICTURE,), size=(64, 32)) == [
            Part("model", b"one-v1"),
            Part("prompt", b"a cat"),
            Part("n", b"1"),
            Part("size", b"64x32"),
            Part("image", PNG, "file.png", "image/png"),
        ]

    def test_of_several_and_a_mask(self) -> None:
        two = Picture(JPEG, "image/jpeg", 64, 32)
        assert self.form(pictures=(PICTURE, two), mask=PICTURE)[3:] == [
            Part("image[]", PNG, "file.png", "image/png"),
            Part("image[]", JPEG, "file.jpg", "image/jpeg"),
            Part("mask", PNG, "file.png", "image/png"),
        ]


class TestAnAnswer:
    def test_pictures_and_their_types(self) -> None:
        assert parsed(encoded(PNG, JPEG), n=2).images == [Image(PNG, "image/png"), Image(JPEG, "image/jpeg")]

    def test_a_revised_prompt(self) -> None:
        entry = {"b64_json": base64.b64encode(PNG).decode(), "revised_prompt": "a fluffy cat"}
        payload = json.dumps({"data": [entry]}).encode()
        assert parsed(payload).images == [Image(PNG, "image/png", "a fluffy cat")]

    def test_fewer_than_asked_for(self) -> None:
        assert len(parsed(encoded(PNG), n=3).images) == 1

    @pytest.mark.parametrize(
        "payload",
        [
            b"[]",
            b"{}",
            encoded(),
            encoded(PNG, PNG),
            encoded(b""),
            encoded(b"<html>not a picture</html>"),
            b'{"data": {"b64_json": "aaaa"}}',
            b'{"data": [5]}',
            b'{"data": [{"url": "https://acme.example/1.png"}]}',
            b'{"data": [{"b64_json": 5}]}',
            b'{"data": [{"b64_json": "***"}]}',
        ],
    )
    def test_what_is_none(self, payload: bytes) -> None:
        with pytest.raises(UpstreamError) as raised:
            parsed(payload)
        assert raised.value.kind == "malformed"


class TestUsage:
    def test_the_classes_are_disjoint(self) -> None:
        usage = parse_usage(
            {
                "input_tokens": 50,
                "output_tokens": 4200,
                "total_tokens": 4250,
                "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
                "output_tokens_details": {"text_tokens": 40, "image_tokens": 4160},
            }
        )
        assert usage is not None
        assert usage.units == {
            "input_tokens": 10, "input_image_tokens": 40, "output_tokens": 40, "output_image_tokens": 4160
        }  # fmt: skip

    def test_without_details_what_is_written_is_pictures(self) -> None:
        usage = parse_usage({"input_tokens": 10, "output_tokens": 1056, "total_tokens": 1066})
        assert usage is not None
        assert {unit: n for unit, n in usage.units.items() if n} == {"input_tokens": 10, "output_image_tokens": 1056}

    def test_details_beyond_the_total_are_not_charged(self) -> None:
        details = {"image_tokens": 10**6}
        usage = parse_usage({"input_tokens": 10, "output_tokens": 20, "input_tokens_details": details})
        assert usage is not None
        assert usage.units["input_image_tokens"] == 10

    @pytest.mark.parametrize(
        "raw", [None, "much", 5, [], {}, {"input_tokens": -1}, {"input_tokens": "9"}, {"input_tokens": 0, "images": 1}]
    )
    def test_what_tells_nothing(self, raw: Any) -> None:
        assert parse_usage(raw) is None

    def test_another_gateway_has_totals_beside_their_parts(self) -> None:
        usage = parse_totals(
            {"images": 1, "input_tokens": 50, "input_image_tokens": 40, "output_tokens": 4160,
             "output_image_tokens": 4160, "total_tokens": 4210, "cost": "0.1"}
        )  # fmt: skip
        assert usage is not None
        assert {unit: n for unit, n in usage.units.items() if n} == {
            "images": 1, "input_tokens": 10, "input_image_tokens": 40, "output_image_tokens": 4160
        }  # fmt: skip
