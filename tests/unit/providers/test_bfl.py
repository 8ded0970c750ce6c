"""Black Forest Labs: what is sent, where it is polled, and what each state of a job means."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aig.errors import UpstreamError
from aig.modalities.files import Picture
from aig.modalities.image import ImageRequest
from aig.modalities.upstream import Timeouts
from aig_providers import bfl
from aig_providers.bfl import BflImage, build_request, is_own
from aig_providers.wire import HttpRequest, Reply
from tests.conformance.test_requests import PNG
from tests.unit.providers.replies import Canned, upstream

BASE = "https://api.bfl.ai/v1"
POLL = "https://api.eu1.bfl.ai/v1/get_result?id=1"
SAMPLE = "https://delivery-eu1.bfl.ai/results/1.png?sig=x"
PIXEL = base64.b64decode(PNG.partition(",")[2])
PICTURE = Picture(PIXEL, "image/png", 1, 1)
ENCODED = base64.b64encode(PIXEL).decode()
READY = {"status": "Ready", "result": {"sample": SAMPLE}}
PENDING = {"status": "Pending", "result": None}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfl, "FIRST_WAIT_S", 0.0)


def request(**fields: Any) -> ImageRequest:
    return ImageRequest((), "a cat", **fields)


def body(model: str, **fields: Any) -> Any:
    return json.loads(build_request(upstream(model), request(**fields)).body)


class Server:
    """Takes every job; `polled` are the answers to its polls in turn, the last for ever: bodies, or statuses."""

    def __init__(self, *polled: Any, submitted: Any = None, sample: bytes | int = PIXEL) -> None:
        self.polled = list(polled)
        self.submitted = {"id": "1", "polling_url": POLL} if submitted is None else submitted
        self.sample = sample
        self.asked: list[HttpRequest] = []

    @asynccontextmanager
    async def post(self, http: HttpRequest, _: Timeouts) -> AsyncIterator[Reply]:
        self.asked.append(http)
        answer: Any = self.submitted
        if http.method == "GET":
            answer = self.polled[0] if "get_result" in http.url else self.sample
            if "get_result" in http.url and len(self.polled) > 1:
                self.polled.pop(0)
        if answer == "reset":
            raise UpstreamError("connect")
        if isinstance(answer, int):
            yield Canned([b'{"detail": "prose"}'], answer)
        else:
            yield Canned([answer if isinstance(answer, bytes) else json.dumps(answer).encode()])

    async def make(self, seconds: float = 60.0, **fields: Any) -> Any:
        timeouts = Timeouts(total=seconds)
        target = upstream("flux-pro-1.1", base_url=BASE, api_key="secret", timeouts=timeouts)
        return await BflImage(self.post).image(target, request(**fields))

    async def failure(self, seconds: float = 60.0, **fields: Any) -> UpstreamError:
        with pytest.raises(UpstreamError) as raised:
            await self.make(seconds, **fields)
        return raised.value


class TestWhatIsSent:
    def test_a_prompt(self) -> None:
        http = build_request(upstream("flux-pro-1.1", base_url=BASE, api_key="k"), request(), 0)
        assert (http.url, http.method, http.headers["x-key"]) == (f"{BASE}/flux-pro-1.1", "POST", "k")
        assert "Authorization" not in http.headers
        assert json.loads(http.body) == {"prompt": "a cat"}

    def test_settings(self) -> None:
        sized = body("flux-dev", size=(1024, 768), seed=5, steps=20, guidance=3.0, form="png")
        assert sized == {
            "prompt": "a cat", "width": 1024, "height": 768, "seed": 5, "steps": 20, "guidance": 3.0,
            "output_format": "png",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("size", "ratio"), [((1024, 1024), "1:1"), ((1792, 1024), "7:4"), ((1080, 2520), "3:7"), ((2520, 1080), "7:3")]
    )
    def test_a_ratio_where_no_size_can_be_said(self, size: tuple[int, int], ratio: str) -> None:
        for model in ("flux-pro-1.1-ultra", "flux-kontext-pro"):
            assert body(model, size=size) == {"prompt": "a cat", "aspect_ratio": ratio}

    def test_pictures(self) -> None:
        assert body("flux-kontext-max", pictures=(PICTURE,))["input_image"] == ENCODED
        many = body("flux-2-pro", pictures=(PICTURE,) * 3)
        assert {name for name in many if name != "prompt"} == {"input_image", "input_image_2", "input_image_3"}
        filled = body("flux-pro-1.0-fill", pictures=(PICTURE,), mask=PICTURE)
        assert filled == {"prompt": "a cat", "image": ENCODED, "mask": ENCODED}

    @pytest.mark.parametrize(
        ("model", "asked", "param"),
        [
            ("flux-pro-1.1", {"pictures": (PICTURE,)}, "image"),
            ("flux-kontext-pro", {"pictures": (PICTURE,) * 2}, "image"),
            ("flux-2-pro", {"pictures": (PICTURE,) * 9}, "image"),
            ("flux-pro-1.0-fill", {}, "image"),
            ("flux-pro-1.0-fill", {"pictures": (PICTURE,), "size": (1024, 1024)}, "size"),
            ("flux-kontext-pro", {"pictures": (PICTURE,), "mask": PICTURE}, "mask"),
            ("flux-pro-1.1", {"size": (1792, 1024)}, "size"),
            ("flux-pro-1.1", {"size": (1000, 1000)}, "size"),
            ("flux-2-pro", {"size": (4096, 1024)}, "size"),
            ("flux-2-pro", {"size": (1000, 1000)}, "size"),
            ("flux-pro-1.1-ultra", {"size": (3000, 1000)}, "size"),
            ("flux-pro-1.1-ultra", {"size": (1000, 3000)}, "size"),
            ("flux-pro-1.1", {"steps": 9}, "steps"),
            ("flux-pro-1.1", {"guidance": 2.0}, "guidance"),
            ("flux-pro-1.1", {"negative_prompt": "dogs"}, "negative_prompt"),
            ("flux-pro-1.1", {"quality": "hd"}, "quality"),
            ("flux-pro-1.1", {"style": "natural"}, "style"),
            ("flux-pro-1.1", {"background": "transparent"}, "background"),
        ],
    )
    def test_what_it_cannot_do(self, model: str, asked: dict[str, Any], param: str) -> None:
        with pytest.raises(UpstreamError) as raised:
            body(model, **asked)
        assert (raised.value.kind, raised.value.param, raised.value.unasked) == ("rejected", param, True)


@pytest.mark.parametrize(
    ("base", "url", "own"),
    [
        (BASE, POLL, True),
        (BASE, SAMPLE, True),
        (BASE, "https://bfl.ai/x", True),
        ("https://api.us.bfl.ai/v1", POLL, True),
        (BASE, "http://api.eu1.bfl.ai/x", False),
        (BASE, "https://api.bfl.ai:8443/x", False),
        (BASE, "https://key@api.bfl.ai/x", False),
        (BASE, "https://notbfl.ai/x", False),
        (BASE, "https://bfl.ai.evil.example/x", False),
        (BASE, "https://evil.example/bfl.ai", False),
        (BASE, "https://evil.example\\@api.bfl.ai/x", False),
        (BASE, "https://evil.example#.bfl.ai", False),
        (BASE, "https://10.0.0.1/x", False),
        (BASE, "file:///etc/passwd", False),
        (BASE, "", False),
        ("https://proxy.example.co.uk/v1", "https://proxy.example.co.uk/poll", True),
        ("https://proxy.example.co.uk/v1", "https://eu.proxy.example.co.uk/poll", True),
        ("https://proxy.example.co.uk/v1", "https://other.co.uk/poll", False),
        ("https://proxy.example.co.uk/v1", POLL, False),
        ("http://127.0.0.1:9/v1", "http://127.0.0.1:9/poll", True),
        ("http://127.0.0.1:9/v1", "http://127.0.0.1:10/poll", False),
    ],
)
def test_whose_urls_are_asked(base: str, url: str, own: bool) -> None:
    assert is_own(base, url) is own


class TestAJob:
    async def test_it_is_polled_until_it_is_made(self) -> None:
        server = Server(PENDING, PENDING, READY)
        result = await server.make()
        (image,) = result.images
        assert (image.data, image.media_type) == (PIXEL, "image/png")
        assert result.usage.units == {"images": 1}
        assert [http.url for http in server.asked] == [f"{BASE}/flux-pro-1.1", POLL, POLL, POLL, SAMPLE]
        assert "secret" in str(server.asked[1].headers)
        assert "secret" not in str(server.asked[-1])  # the picture is not theirs who make it

    async def test_a_poll_that_finds_nobody_is_none(self) -> None:
        server = Server(503, 429, "reset", READY)
        assert len((await server.make()).images) == 1

    async def test_several_are_made_side_by_side_from_seeds_of_their_own(self) -> None:
        server = Server(READY)
        assert len((await server.make(n=3, seed=7)).images) == 3
        assert sorted(json.loads(http.body)["seed"] for http in server.asked if http.method == "POST") == [7, 8, 9]

    async def test_those_that_came_are_given_and_billed(self) -> None:
        moderated = {"status": "Content Moderated"}
        server = Server(moderated, READY)
        result = await server.make(n=3)
        assert (len(result.images), result.usage.units) == (2, {"images": 2})

    async def test_a_key_never_goes_elsewhere(self) -> None:
        server = Server(READY, submitted={"polling_url": "https://evil.example/v1/get_result"})
        error = await server.failure()
        assert error.kind == "malformed"
        assert len(server.asked) == 1

    async def test_nor_is_a_picture_fetched_from_elsewhere(self) -> None:
        server = Server({"status": "Ready", "result": {"sample": "https://169.254.169.254/latest"}})
        error = await server.failure()
        assert error.kind == "malformed"
        assert all("169.254" not in http.url for http in server.asked)

    @pytest.mark.parametrize(
        ("polled", "kind", "code"),
        [
            ({"status": "Request Moderated"}, "rejected", "content_policy_violation"),
            ({"status": "Content Moderated"}, "rejected", "content_policy_violation"),
            ({"status": "Error", "error": "content_policy_violation"}, "rejected", "content_policy_violation"),
            ({"status": "Error", "error": "invalid_image"}, "rejected", "invalid_image"),
            ({"status": "Error", "error": "generation_timeout"}, "unavailable", None),
            ({"status": "Error", "error": ["x"]}, "unavailable", None),
            ({"status": "Failed"}, "unavailable", None),
            ({"status": "Task not found"}, "unavailable", None),
            ({"status": "From the future"}, "malformed", None),
            ({}, "malformed", None),
        ],
    )
    async def test_a_failure_that_is_told_costs_nothing(self, polled: Any, kind: str, code: str | None) -> None:
        error = await Server(PENDING, polled).failure()
        assert (error.kind, error.code, error.unasked, error.usage) == (kind, code, False, None)

    @pytest.mark.parametrize(
        ("server", "kind"),
        [
            (lambda: Server(READY, sample=b"<html>"), "malformed"),
            (lambda: Server(READY, sample=b""), "malformed"),
            (lambda: Server(READY, sample=403), "unavailable"),
            (lambda: Server(READY, sample=401), "unavailable"),
            (lambda: Server(401), "auth"),
            (lambda: Server(READY, sample=404), "unavailable"),
            (lambda: Server(READY, sample=500), "unavailable"),
            (lambda: Server({"status": "Ready", "result": None}), "malformed"),
            (lambda: Server({"status": "Ready"}), "malformed"),
            (lambda: Server(b"<html>"), "malformed"),
            (lambda: Server(404), "unavailable"),
            (lambda: Server(READY, submitted={"id": "1"}), "malformed"),
            (lambda: Server(READY, submitted={"polling_url": 5}), "malformed"),
        ],
    )
    async def test_a_picture_that_only_we_have_lost_costs_what_it_costs(
        self, server: Callable[[], Server], kind: str
    ) -> None:
        error = await server().failure(n=2)
        assert error.kind == kind
        assert error.usage is not None
        assert error.usage.units == {"images": 2}

    async def test_one_that_is_never_done(self) -> None:
        error = await Server(PENDING).failure(seconds=0.05)
        assert error.kind == "timeout"
        assert error.usage is not None

    @pytest.mark.parametrize(
        ("status", "kind"),
        [(400, "rejected"), (401, "auth"), (402, "auth"), (403, "auth"), (404, "rejected"), (422, "rejected"),
         (429, "rate_limited"), (500, "unavailable")],
    )  # fmt: skip
    async def test_a_job_that_is_not_taken(self, status: int, kind: str) -> None:
        error = await Server(READY, submitted=status).failure()
        assert (error.kind, error.status, error.usage) == (kind, status, None)


def test_a_field_that_is_refused_is_named() -> None:
    told = {"detail": [{"loc": ["body", "safety_tolerance"], "msg": "prose", "type": "x"}]}
    assert bfl.read_detail(told).param == "safety_tolerance"
