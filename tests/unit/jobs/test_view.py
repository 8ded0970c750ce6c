"""A job as clients see it, in each of its states."""

from urllib.parse import parse_qsl, urlsplit

import pytest

from aig import links
from aig.jobs.job import KINDS, STATUSES, Failure, File, Status
from aig.jobs.view import expires_at, job_json, link_to, links_of, type_of
from aig.modalities.usage import Usage
from aig.money.units import Nano
from tests.unit.jobs.orders import CREATED, a_job

KEY = links.link_key("pepper")
WEEK_S = 7 * 24 * 3600
FILES = (File("video.mp4", "video/mp4", 7, "a" * 64), File("video-2.mp4", "video/mp4", 8, "b" * 64))
DONE = a_job(
    status="completed", candidate="maker/maker/film", files=FILES, usage=Usage({"assets": 1, "seconds": 0}),
    cost=Nano(10_500_000), started_at=CREATED + 1, ended_at=CREATED + 9, progress=50,
)  # fmt: skip


def plain(name: str) -> str:
    return f"link to {name}"


def test_a_job_s_type_is_its_endpoint_s() -> None:
    assert [type_of(kind) for kind in KINDS] == ["video.generation", "audio.music", "3d.generation"]


def test_one_that_is_done_has_its_files_and_what_it_cost() -> None:
    shown = job_json(DONE, plain, CREATED + 10)
    assert shown["result_url"] == "link to video.mp4"
    assert shown["result"]["files"][1] == {
        "filename": "video-2.mp4",
        "content_type": "video/mp4",
        "bytes": 8,
        "sha256": "b" * 64,
        "url": "link to video-2.mp4",
    }
    assert (shown["usage"], shown["progress"], shown["expired"]) == ({"assets": 1, "cost": "0.0105"}, 100, False)


def test_what_was_estimated_says_so() -> None:
    estimated = a_job(status="completed", usage=Usage({"assets": 1}, estimated=True), cost=Nano(1))
    assert job_json(estimated, plain, CREATED)["usage"]["estimated"] is True


def test_after_a_week_the_links_are_gone_and_the_rest_is_there() -> None:
    for now, gone in ((CREATED + WEEK_S - 1, False), (CREATED + WEEK_S, True)):
        shown = job_json(DONE, plain, now)
        assert shown["expired"] is gone
        assert (shown["result_url"] is None) is gone
        assert [file["sha256"] for file in shown["result"]["files"]] == ["a" * 64, "b" * 64]


@pytest.mark.parametrize("status", STATUSES)
def test_only_what_has_ended_has_a_cost_and_only_what_is_done_a_result(status: Status) -> None:
    shown = job_json(a_job(status=status, files=FILES, usage=Usage({"assets": 1}), progress=42), plain, CREATED)
    ended = status in ("completed", "failed", "cancelled")
    assert (shown["usage"] is not None) is ended
    assert (shown["result"] is not None) is (status == "completed")
    assert shown["progress"] == (100 if status == "completed" else 42)
    if status in ("failed", "cancelled"):
        assert shown["usage"] == {"cost": "0.00"}
    assert shown["expired"] is False


def test_a_failure_is_an_error_in_our_form() -> None:
    failure = Failure("provider_error", "job_lost", "It is lost.")
    shown = job_json(a_job(status="failed", failure=failure), plain, CREATED)
    assert shown["error"] == {"type": "provider_error", "code": "job_lost", "message": "It is lost.", "param": None}


def test_nothing_of_the_inside_is_shown() -> None:
    inside = a_job(status="processing", handle={"id": "upstream-7"}, candidate="maker/maker/film")
    text = repr(job_json(inside, plain, CREATED))
    assert not [word for word in ("upstream-7", "secret", "acct_1", "key_1", "trace", "spare") if word in text]


def test_a_link_is_signed_for_its_file_until_the_file_goes() -> None:
    url = urlsplit(links_of(DONE, KEY)("video.mp4"))
    assert (url.netloc, url.path) == ("media.example", "/media/acct_1/job_1/video.mp4")
    query = dict(parse_qsl(url.query))
    assert int(query["exp"]) == expires_at(DONE) == CREATED + WEEK_S
    path = url.path.removeprefix("/media/")
    assert links.opens(path, **query, keys=[KEY], now=CREATED)
    assert not links.opens(path.replace("video.mp4", "video-2.mp4"), **query, keys=[KEY], now=CREATED)
    sooner = dict(parse_qsl(urlsplit(link_to(DONE, "video.mp4", CREATED + 5, KEY)).query))
    assert not links.opens(path, **sooner, keys=[KEY], now=CREATED + 5)
