"""What each maker of videos is sent, in its own words."""

from dataclasses import replace

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig_providers import fal, google_video, luma, minimax_video, openai_video, replicate, runway
from tests.unit.providers.videos import LINK, SQUARE, TALL, WIDE, asked, at, body


class TestRunway:
    def test_a_prompt(self) -> None:
        http = runway.build_request(at("gen4.5"), asked(seconds=7, aspect_ratio="9:16", seed=3))
        assert http.url == "https://acme.example/v1/text_to_video"
        assert (http.headers["Authorization"], http.headers["X-Runway-Version"]) == ("Bearer k-1", "2024-11-06")
        assert body(http) == {
            "model": "gen4.5", "promptText": "a cat", "ratio": "720:1280", "duration": 7, "seed": 3,
        }  # fmt: skip

    def test_a_picture(self) -> None:
        http = runway.build_request(at("gen4_turbo"), asked(picture=SQUARE))
        assert http.url == "https://acme.example/v1/image_to_video"
        assert body(http) == {
            "model": "gen4_turbo", "promptText": "a cat", "ratio": "960:960", "duration": 5,
            "promptImage": SQUARE.data_url,
        }  # fmt: skip

    def test_a_large_picture_goes_as_a_link(self) -> None:
        large = Picture(bytes(4_000_000), "image/png", 2000, 2000)
        sent = body(runway.build_request(at("gen4_turbo"), asked(picture=large, link=LINK)))
        assert sent["promptImage"] == LINK
        with pytest.raises(UpstreamError, match="rejected") as raised:
            runway.build_request(at("gen4_turbo"), asked(picture=large))
        assert raised.value.param == "image_url"

    def test_veo(self) -> None:
        fields = asked(resolution="1080p", negative_prompt="dogs", sound=False, seconds=4)
        assert body(runway.build_request(at("veo3.1_fast"), fields)) == {
            "model": "veo3.1_fast", "promptText": "a cat", "ratio": "1920:1080", "duration": 4,
            "negativePrompt": "dogs", "audio": False,
        }  # fmt: skip


class TestLuma:
    def test_a_prompt(self) -> None:
        http = luma.build_request(at("ray-2"), asked(seconds=9, aspect_ratio="21:9", resolution="1080p"))
        assert http.url == "https://acme.example/v1/generations/video"
        assert body(http) == {
            "generation_type": "video", "model": "ray-2", "prompt": "a cat", "aspect_ratio": "21:9",
            "resolution": "1080p", "duration": "9s",
        }  # fmt: skip

    def test_a_picture_is_a_link(self) -> None:
        sent = body(luma.build_request(at("ray-flash-2"), asked(picture=TALL, link=LINK)))
        assert sent["keyframes"] == {"frame0": {"type": "image", "url": LINK}}
        assert sent["aspect_ratio"] == "9:16"
        with pytest.raises(UpstreamError) as raised:
            luma.build_request(at("ray-flash-2"), asked(picture=TALL))
        assert raised.value.unasked


class TestOpenAI:
    def test_a_prompt(self) -> None:
        http = openai_video.build_request(at("sora-2"), asked())
        assert http.url == "https://acme.example/v1/videos"
        assert body(http) == {"model": "sora-2", "prompt": "a cat", "seconds": "4", "size": "720x1280"}

    def test_a_picture_has_the_size_of_the_video(self) -> None:
        sent = body(openai_video.build_request(at("sora-2-pro"), asked(picture=WIDE, seconds=12)))
        assert (sent["size"], sent["seconds"]) == ("1280x720", "12")
        assert sent["input_reference"] == {"image_url": WIDE.data_url}
        for fields in ({"picture": SQUARE}, {"picture": WIDE, "aspect_ratio": "9:16"}):
            with pytest.raises(UpstreamError) as raised:
                openai_video.OpenAIVideo.check(None, at("sora-2"), asked(**fields))  # type: ignore[arg-type]
            assert raised.value.param == "image_url"
            assert "pixels" in (raised.value.message or "")


class TestGoogle:
    def test_a_prompt(self) -> None:
        http = google_video.build_request(
            at("veo-3.1-generate-001"), asked(seconds=6, seed=1, negative_prompt="dogs", aspect_ratio="9:16")
        )
        assert http.url == "https://acme.example/v1/models/veo-3.1-generate-001:predictLongRunning"
        assert (http.headers["x-goog-api-key"], "Authorization" in http.headers) == ("k-1", False)
        assert body(http) == {
            "instances": [{"prompt": "a cat"}],
            "parameters": {
                "aspectRatio": "9:16", "durationSeconds": 6, "resolution": "720p", "negativePrompt": "dogs", "seed": 1,
            },
        }  # fmt: skip

    def test_a_picture(self) -> None:
        sent = body(google_video.build_request(at("veo-3.1-fast-generate-001"), asked(picture=TALL)))
        assert sent["instances"][0]["image"] == {"bytesBase64Encoded": TALL.base64, "mimeType": "image/jpeg"}

    def test_fine_videos_are_eight_seconds_long(self) -> None:
        assert google_video.wanted(at("veo-3.1-generate-001"), asked(resolution="4k")).seconds == 8
        with pytest.raises(UpstreamError) as raised:
            google_video.wanted(at("veo-3.1-generate-001"), asked(resolution="1080p", seconds=4))
        assert raised.value.param == "duration"


class TestMinimax:
    def test_a_prompt(self) -> None:
        http = minimax_video.build_request(at("MiniMax-H3", base_url="https://api.example"), asked())
        assert http.url == "https://api.example/v2/video_generation"
        assert body(http) == {
            "model": "MiniMax-H3", "content": [{"type": "text", "text": "a cat"}], "duration": 5,
            "resolution": "768P", "ratio": "16:9",
        }  # fmt: skip

    def test_a_picture_is_the_first_frame(self) -> None:
        sent = body(minimax_video.build_request(at("MiniMax-H3"), asked(picture=WIDE, resolution="1440p")))
        picture = {"type": "image_url", "image_url": {"url": WIDE.data_url}, "role": "first_frame"}
        assert sent["content"] == [{"type": "text", "text": "a cat"}, picture]
        assert (sent["resolution"], "ratio" in sent) == ("2K", False)


class TestFal:
    def test_a_prompt(self) -> None:
        http = fal.build_request(at("bytedance/seedance-2.0"), asked(seconds=8, seed=4, sound=False))
        assert http.url == "https://acme.example/v1/bytedance/seedance-2.0/text-to-video"
        assert http.headers["Authorization"] == "Key k-1"
        assert body(http) == {
            "prompt": "a cat", "duration": "8", "resolution": "720p", "aspect_ratio": "16:9", "seed": 4,
            "generate_audio": False,
        }  # fmt: skip

    def test_a_picture(self) -> None:
        http = fal.build_request(at("minimax/h3-max"), asked(picture=WIDE, link=LINK, resolution="480p"))
        assert http.url == "https://acme.example/v1/minimax/h3-max/image-to-video"
        assert body(http) == {
            "prompt": "a cat", "duration": 5, "resolution": "480P", "image_url": WIDE.data_url,
        }  # fmt: skip

    def test_without_a_key(self) -> None:
        http = fal.build_request(replace(at("kling/v4"), api_key=None), asked())
        assert "Authorization" not in http.headers


class TestReplicate:
    def test_a_prompt(self) -> None:
        http = replicate.build_request(at("bytedance/seedance-1-pro"), asked(seconds=12, resolution="480p", seed=9))
        assert http.url == "https://acme.example/v1/models/bytedance/seedance-1-pro/predictions"
        assert body(http) == {
            "input": {"prompt": "a cat", "duration": 12, "aspect_ratio": "16:9", "resolution": "480p", "seed": 9}
        }

    def test_a_picture(self) -> None:
        model = at("kwaivgi/kling-v2.5-turbo-pro")
        sent = body(replicate.build_request(model, asked(picture=WIDE, negative_prompt="dogs")))
        assert sent == {
            "input": {"prompt": "a cat", "duration": 5, "negative_prompt": "dogs", "start_image": WIDE.data_url}
        }
        large = Picture(bytes(300_000), "image/png", 900, 900)
        assert body(replicate.build_request(model, asked(picture=large, link=LINK)))["input"]["start_image"] == LINK
        assert body(replicate.build_request(model, asked(picture=large)))["input"]["start_image"] == large.data_url
