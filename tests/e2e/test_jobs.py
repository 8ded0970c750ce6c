"""Jobs as a new user meets them: a video, its webhook, its link; and a receiver that fails before it is well again."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import httpx
import pytest
import stripe
from typing_extensions import override

from tests.e2e.stack import Stack

PATIENCE_S: Final = 60.0
SCALE: Final = 0.001
DELAYS_S: Final = (30, 120, 600, 3600, 21600)
SLACK_S: Final = 1.0 + 2.0  # a machine waits whole seconds; and this one may be busy

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Arrived:
    """A webhook as it came; header names are lower case, `at` is by the monotonic clock."""

    at: float
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers every webhook with `status`, and keeps what came."""

    status: int = 200
    arrived: list[Arrived] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        kept, receiver = self.arrived, self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                kept.append(
                    Arrived(time.monotonic(), {name.lower(): text for name, text in self.headers.items()}, body)
                )
                self.send_response(receiver.status)
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class User:
    """A client of a running stack."""

    client: httpx.Client

    def job(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body, headers={"x-sandbox-duration": "2"})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ended(self, job_id: str) -> tuple[Any, list[str]]:
        """The job at its end, and the states that it was seen in."""
        states: list[str] = []
        job: Any = None

        def has_ended() -> bool:
            nonlocal job
            job = self.get(f"/jobs/{job_id}")
            if job["status"] not in states:
                states.append(job["status"])
            return job["status"] in ("completed", "failed")

        until(has_ended)
        return job, states


def until(is_so: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with Stack(TIME_SCALE=str(SCALE)) as stack:
        headers = {"Authorization": f"Bearer {stack.key}"}
        with httpx.Client(base_url=stack.base_url, headers=headers, timeout=30) as client:
            yield User(client)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.close()


def verified(arrived: Arrived, secret: str) -> None:
    """Raises unless Stripe's own library takes the signature: it is of the same scheme."""
    header = arrived.headers["x-aig-signature"]
    stripe.WebhookSignature.verify_header(arrived.body.decode(), header, secret, tolerance=300)


def test_a_video_is_made_told_of_and_opened_by_its_link(user: User, receiver: Receiver) -> None:
    before = user.get("/wallet")
    asked = user.job(
        "/videos/generations", model="sandbox/video", prompt="a paper boat", duration=3, webhook_url=receiver.url
    )
    assert (asked["status"], asked["object"]) == ("queued", "job")
    job, states = user.ended(asked["id"])
    assert states in (["queued", "processing", "completed"], ["processing", "completed"])
    assert job["usage"] == {"assets": 1, "cost": "0.0105"}
    assert user.get("/wallet")["balance"] != before["balance"]

    until(lambda: bool(receiver.arrived))
    (told,) = receiver.arrived
    verified(told, user.get("/webhook-secret")["secret"])
    assert told.headers["x-aig-event-type"] == "job.completed"
    assert told.headers["x-aig-attempt"] == "1"
    assert told.event["data"] == {name: value for name, value in job.items() if name != "webhook_url"}

    # A browser has no key.
    film = httpx.get(job["result_url"], follow_redirects=True)
    assert film.headers["content-type"] == "video/mp4"
    av: Any = pytest.importorskip("av", reason="PyAV is not installed here")
    with av.open(io.BytesIO(film.content)) as container:
        frames = sum(1 for _ in container.decode(video=0))
        assert (container.duration, frames) == (3_000_000, 72)
    part = httpx.get(job["result_url"], headers={"Range": "bytes=0-9"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, film.content[:10])
    last = job["result_url"][-1]
    altered = job["result_url"][:-1] + ("0" if last != "0" else "1")
    assert httpx.get(altered).json()["error"]["code"] == "link_not_valid"


def test_a_link_ends_when_it_says(user: User) -> None:
    job, _ = user.ended(user.job("/3d/generations", model="sandbox/3d", prompt="Hi")["id"])
    (file,) = job["result"]["files"]
    signed = user.get(f"/files/jobs/{job['id']}/{file['filename']}/signed?expires_in=2")
    assert httpx.get(signed["url"], follow_redirects=True).content[:4] == b"glTF"
    until(lambda: httpx.get(signed["url"]).status_code == 403)
    assert time.time() >= signed["expires_at"]


def test_music_and_a_job_that_fails(user: User) -> None:
    song, _ = user.ended(user.job("/audio/music", model="sandbox/music", prompt="rain", response_format="wav")["id"])
    assert song["result"]["files"][0]["content_type"] == "audio/wav"
    spent = user.get("/wallet")
    failed, _ = user.ended(user.job("/videos/generations", model="sandbox/video-fail", prompt="no")["id"])
    assert (failed["error"]["code"], failed["usage"]["cost"]) == ("provider_failed", "0.00")
    assert user.get("/wallet")["balance"] == spent["balance"]


def test_a_receiver_that_fails_is_tried_at_the_documented_times_and_asked_again(user: User, receiver: Receiver) -> None:
    receiver.status = 500
    job = user.job("/videos/generations", model="sandbox/video", prompt="again", webhook_url=receiver.url)
    user.ended(job["id"])
    until(lambda: len(receiver.arrived) == 6, PATIENCE_S + sum(DELAYS_S) * SCALE * 1.1)

    assert [told.headers["x-aig-attempt"] for told in receiver.arrived] == list("123456")
    assert len({told.headers["x-aig-delivery-id"] for told in receiver.arrived}) == 1
    secret = user.get("/webhook-secret")["secret"]
    for told in receiver.arrived:
        verified(told, secret)
    waits = [later.at - told.at for told, later in zip(receiver.arrived, receiver.arrived[1:], strict=False)]
    for wait, delay in zip(waits, DELAYS_S, strict=True):
        assert delay * SCALE - 0.1 <= wait <= delay * SCALE * 1.1 + SLACK_S, waits

    delivery_id = receiver.arrived[0].headers["x-aig-delivery-id"]
    until(lambda: user.get(f"/webhooks/deliveries/{delivery_id}")["status"] == "dead")
    log = user.get(f"/webhooks/deliveries/{delivery_id}")
    assert [attempt["status_code"] for attempt in log["attempts"]] == [500] * 6

    receiver.status = 200
    answer = user.client.post(f"/webhooks/deliveries/{delivery_id}/resend", json={})
    assert answer.status_code in (200, 202), answer.text
    until(lambda: len(receiver.arrived) == 7)
    verified(receiver.arrived[6], secret)
    assert receiver.arrived[6].headers["x-aig-delivery-id"] == delivery_id
    until(lambda: user.get(f"/webhooks/deliveries/{delivery_id}")["status"] == "delivered")
