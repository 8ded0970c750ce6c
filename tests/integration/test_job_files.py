"""The files of jobs: by key, by signed link, for a week, and by no other name or way. Rows 181 to 187."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
import httpx
import pytest
from botocore.config import Config

from aig.wiring import Container
from local.template import Stack
from tests.apps import App
from tests.builders import Account, an_account
from tests.integration.operations import error_of, refusal
from tests.integration.test_jobs import DAY_S, finish, look, made, opened, ordered
from tests.integration.test_keys import call
from tests.jobs import Shop
from tests.unit.clock import FixedClock

WEEK_S: Final = 7 * DAY_S
Job = dict[str, Any]


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


@pytest.fixture
async def job(shop: Shop, generations: App, account: Account) -> Job:
    """A video that is done."""
    return await made(shop, generations, account, duration=1)


async def sign(files: App, account: Account, job: Job, query: str = "", name: str = "video.mp4") -> httpx.Response:
    path = f"/v1/files/jobs/{job['id']}/{name}/signed{query}"
    return await files.client.get(path, headers=account.authorization)


def at(app: App, seconds: float) -> None:
    """The app's clock, and that of those it asks."""
    module: Any = app.module
    module.container = replace(module.container, clock=FixedClock(seconds))


async def test_a_key_opens_it(files: App, jobs: App, account: Account, job: Job) -> None:
    path = f"/v1/files/jobs/{job['id']}/video.mp4"
    response = await files.client.get(path, headers=account.authorization)
    assert (response.status_code, response.headers["cache-control"]) == (302, "no-store")
    async with httpx.AsyncClient() as client:
        whole = await client.get(response.headers["location"])
        part = await client.get(response.headers["location"], headers={"range": "bytes=0-3"})
        head = await files.client.head(path, headers=account.authorization)
        assert (await client.head(head.headers["location"])).status_code == 200
    (file,) = (await look(jobs, account, job))["result"]["files"]
    assert whole.headers["content-type"] == "video/mp4"
    assert "video.mp4" in whole.headers["content-disposition"]
    assert len(whole.content) == file["bytes"]
    assert (part.status_code, part.content) == (206, whole.content[:4])
    assert (await files.client.get(path)).status_code == 401


async def test_a_link_opens_it_without_one(files: App, account: Account, job: Job) -> None:
    began = int(time.time())
    told = (await sign(files, account, job, "?expires_in=60")).json()
    assert told.keys() == {"url", "expires_at"}
    assert began + 60 <= told["expires_at"] <= time.time() + 60
    assert (await opened(files, told["url"])).startswith(b"\0\0\0")


@pytest.mark.parametrize("asked", ["0", "-1", "604801", "1h", "1e99", "1.5", "", "+1", "%D9%A3"])
async def test_a_link_lasts_whole_seconds_of_a_week(files: App, account: Account, job: Job, asked: str) -> None:
    """Row 184."""
    response = await sign(files, account, job, f"?expires_in={asked}")
    assert refusal(response) == (400, "invalid_value", "expires_in")


async def test_a_link_lasts_an_hour_unless_it_is_said(files: App, account: Account, job: Job) -> None:
    assert abs((await sign(files, account, job)).json()["expires_at"] - time.time() - 3600) < 60


async def test_no_link_lasts_longer_than_its_file(files: App, account: Account, job: Job) -> None:
    told = (await sign(files, account, job, f"?expires_in={WEEK_S}")).json()
    assert told["expires_at"] == job["expires_at"]


def changed(**query: str) -> Callable[[str, str], str]:
    def change(path: str, given: str) -> str:
        return f"{path}?{urlencode({**dict(parse_qsl(given)), **query})}"

    return change


def spoiled(change: Callable[[str], str]) -> Callable[[str, str], str]:
    def spoil(path: str, given: str) -> str:
        return f"{path}?{urlencode({**dict(parse_qsl(given)), 'sig': change(dict(parse_qsl(given))['sig'])})}"

    return spoil


@pytest.mark.parametrize(
    "change",
    [
        changed(exp=str(int(time.time()) + DAY_S)),
        changed(exp="99999999999999"),
        changed(exp="-1"),
        changed(exp="1e9"),
        changed(kid="00000000"),
        changed(kid=""),
        spoiled(lambda sig: sig[:-1]),
        spoiled(lambda sig: ""),
        spoiled(lambda sig: sig.upper() if sig.upper() != sig else "0" * 64),
        spoiled(lambda sig: sig[:-1] + ("0" if sig[-1] != "0" else "1")),
        spoiled(lambda sig: sig + " "),
        lambda path, given: f"{path}?{given}&sig=0",
        lambda path, given: f"{path}?{given}&{given}",
        lambda path, given: path,
        lambda path, given: f"{path.replace('video.mp4', 'video-2.mp4')}?{given}",
        lambda path, given: f"{path.replace('video.mp4', 'video.mp4/')}?{given}",
        lambda path, given: f"{path.replace('acct_', 'acct_0')}?{given}",
        lambda path, given: f"{path.replace('job_', 'job_0')}?{given}",
        lambda path, given: f"{path.replace('video.mp4', '..%2fvideo.mp4')}?{given}",
    ],
)
async def test_a_link_that_was_altered_opens_nothing(
    files: App, account: Account, job: Job, change: Callable[[str, str], str]
) -> None:
    """Row 185: typed, and without a word on what is wrong."""
    url = urlsplit((await sign(files, account, job)).json()["url"])
    response = await files.client.get(change(url.path, url.query))
    assert response.status_code in (403, 404)
    if response.status_code == 403:
        assert refusal(response) == (403, "link_not_valid", None)
        assert error_of(response)["message"] == ("The link is not valid, or its time is over. Ask for the file again.")
    assert "location" not in response.headers


async def test_a_link_opens_until_its_last_second(files: App, account: Account, job: Job) -> None:
    told = (await sign(files, account, job, "?expires_in=60")).json()
    for passed, status in ((-1, 302), (0, 403), (1, 403)):
        at(files, told["expires_at"] + passed)
        assert (await files.client.get(told["url"])).status_code == status


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fsecret", "%00", "%2fetc%2fpasswd", "a/b", "a%5Cb", "video.mp4%00", "VIDEO.MP4", "video.mp4/",
        "video", "..", "%2e%2e", "video-2.mp4", "music.mp3", "video.mp4%20",
    ],
)  # fmt: skip
async def test_no_other_name_is_there(files: App, account: Account, job: Job, name: str) -> None:
    """Row 181."""
    response = await call(files, account, "GET", f"/v1/files/jobs/{job['id']}/{name}")
    assert response.status_code == 404
    assert error_of(response)["type"] == "not_found_error"
    if "/" not in name:
        assert (await sign(files, account, job, name=name)).status_code == 404


@pytest.mark.parametrize("model", ["sandbox/video-fail", "queued", "processing"])
async def test_a_job_without_a_result_has_no_file(
    files: App, generations: App, shop: Shop, account: Account, model: str
) -> None:
    """Row 182."""
    job = await ordered(generations, account, model=model if "/" in model else "sandbox/video")
    if model == "processing":
        found = await shop.jobs.get(account.id, job["id"])
        assert found is not None
        await shop.take("submit", found)
    elif model != "queued":
        await finish(shop, account, job)
    for suffix in ("", "/signed"):
        response = await call(files, account, "GET", f"/v1/files/jobs/{job['id']}/video.mp4{suffix}")
        assert refusal(response)[:2] == (404, "not_found")


async def test_ranges_by_the_thousand_are_nothing_of_ours(files: App, account: Account, job: Job) -> None:
    """Row 183: we answer with a redirect, which is as large whatever is asked for."""
    headers = {**account.authorization, "range": "bytes=" + ",".join(["0-"] * 1000)}
    response = await files.client.get(f"/v1/files/jobs/{job['id']}/video.mp4", headers=headers)
    assert (response.status_code, response.content) == (302, b"")


class TestAfterAWeek:
    """J15 and row 186."""

    async def test_everything_says_that_it_is_over(self, files: App, jobs: App, account: Account, job: Job) -> None:
        linked = (await look(jobs, account, job))["result_url"]
        for app in (files, jobs):
            at(app, job["expires_at"])
        shown = await look(jobs, account, job)
        assert (shown["status"], shown["expired"], shown["result_url"]) == ("completed", True, None)
        assert shown["result"]["files"][0]["url"] is None
        for path in ("", "/signed"):
            response = await call(files, account, "GET", f"/v1/files/jobs/{job['id']}/video.mp4{path}")
            assert refusal(response)[:2] == (404, "expired")
        assert (await files.client.get(linked)).status_code == 403

    async def test_a_second_before_it_is_not(self, files: App, jobs: App, account: Account, job: Job) -> None:
        for app in (files, jobs):
            at(app, job["expires_at"] - 1)
        shown = await look(jobs, account, job)
        assert shown["expired"] is False
        assert (await files.client.get(shown["result_url"])).status_code == 302

    async def test_a_file_that_was_swept_is_gone(
        self, files: App, account: Account, job: Job, deployed: Stack, dynamodb: str
    ) -> None:
        linked = (await sign(files, account, job)).json()["url"]
        name = next(bucket.name for bucket in deployed.buckets if bucket.logical_id == "MediaBucket")
        client = boto3.client("s3", endpoint_url=dynamodb, config=Config(s3={"addressing_style": "path"}))
        client.delete_object(Bucket=name, Key=f"media/{account.id}/{job['id']}/video.mp4")
        client.close()
        assert refusal(await files.client.get(linked))[:2] == (404, "expired")
        response = await call(files, account, "GET", f"/v1/files/jobs/{job['id']}/video.mp4")
        assert refusal(response)[:2] == (404, "expired")
