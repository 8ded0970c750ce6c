"""A job as its client sees it, in each of its states."""

import re
from urllib.parse import urlsplit

import pytest

from aig.jobs.job import KINDS, STATUSES, Failure, File, Status
from aig.jobs.times import FILES_S
from aig.jobs.view import expires_at, job_json, link_to, links_of, type_of
from aig.links import signed_query
from aig.modalities.usage import Usage
from tests.unit.jobs.orders import NOW, a_job, an_order

KEY = b"k" * 32
FILMS = (File("video.mp4", "video/mp4", 1000, "0a" * 32), File("video-2.mp4", "video/mp4", 2000, "0b" * 32))
FAILURE = Failure("provider_error", "job_lost", "It is lost.")


def link(name: str) -> str:
    return f"https://gateway.example/{name}"


def test_what_was_ordered_is_shown() -> None:
    order = an_order(tag="boats", webhook_url="https://hooks.example")
    shown = job_json(a_job(order), link, NOW)
    assert shown == {
        **dict.fromkeys(("started_at", "ended_at", "progress", "result_url", "result", "error", "usage", "provider")),
        "id": "job_1", "object": "job", "type": "video.generation", "status": "queued", "model": "maker/film",
        "created": NOW, "expires_at": NOW + FILES_S, "expired": False, "tag": "boats", "request_id": "req_1",
        "webhook_url": "https://hooks.example",
    }  # fmt: skip


def test_one_at_work_shows_who_has_it_and_how_far_it_is() -> None:
    working = a_job(status="processing", candidate="spare/maker/film", started_at=NOW + 5, progress=40)
    shown = job_json(working, link, NOW + 9)
    assert (shown["provider"], shown["started_at"], shown["progress"]) == ("spare", NOW + 5, 40)
    assert (shown["usage"], shown["result"]) == (None, None)


def test_files_are_shown_once_it_is_paid_for() -> None:
    usage = Usage({"assets": 2})
    kept = a_job(status="processing", files=FILMS, usage=usage, progress=99)
    assert job_json(kept, link, NOW)["result"] is None
    done = a_job(status="completed", files=FILMS, usage=usage, cost=10_500_000, progress=99, ended_at=NOW + 60)
    shown = job_json(done, link, NOW + 60)
    assert (shown["progress"], shown["ended_at"], shown["expired"]) == (100, NOW + 60, False)
    assert shown["usage"] == {"assets": 2, "cost": "0.0105"}
    assert shown["result_url"] == link("video.mp4")
    assert shown["result"]["files"] == [
        {
            "filename": film.name, "content_type": film.media_type, "bytes": film.size, "sha256": film.sha256,
            "url": link(film.name),
        }
        for film in FILMS
    ]  # fmt: skip


def test_a_link_goes_with_its_file() -> None:
    done = a_job(status="completed", files=FILMS[:1], usage=Usage({"assets": 1}), cost=0)
    last = job_json(done, link, NOW + FILES_S - 0.1)
    assert (last["expired"], last["result_url"]) == (False, link("video.mp4"))
    gone = job_json(done, link, NOW + FILES_S)
    assert (gone["expired"], gone["result_url"]) == (True, None)
    assert gone["result"]["files"][0]["url"] is None
    assert gone["result"]["files"][0]["sha256"] == FILMS[0].sha256


def test_a_failure_costs_nothing_and_says_why() -> None:
    failed = a_job(status="failed", failure=FAILURE, usage=Usage({"assets": 1}), files=FILMS, cost=0)
    shown = job_json(failed, link, NOW + 2 * FILES_S)
    assert shown["error"] == {"type": "provider_error", "code": "job_lost", "message": "It is lost.", "param": None}
    assert (shown["usage"], shown["result"], shown["expired"]) == ({"cost": "0.00"}, None, False)


@pytest.mark.parametrize("status", STATUSES)
def test_only_an_end_has_a_cost(status: Status) -> None:
    shown = job_json(a_job(status=status), link, NOW)
    assert (shown["usage"] is None) is (status in ("queued", "processing"))


def test_types_are_called_after_their_endpoints() -> None:
    assert [type_of(kind) for kind in KINDS] == ["video.generation", "audio.music", "3d.generation"]


def test_links_are_ours_and_last_as_long_as_the_files() -> None:
    job = a_job()
    url = urlsplit(links_of(job, KEY)("video.mp4"))
    assert (url.scheme, url.netloc, url.path) == ("https", "gateway.example", "/media/acct_1/job_1/video.mp4")
    assert url.query == signed_query("acct_1/job_1/video.mp4", expires_at(job), KEY)
    assert re.search(rf"\bexp={NOW + FILES_S}\b", url.query)
    assert link_to(job, "video.mp4", NOW + 60, KEY) != link_to(job, "video.mp4", NOW + 61, KEY)
