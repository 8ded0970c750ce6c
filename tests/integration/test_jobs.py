"""Jobs as clients have them: POST, the list, a look, DELETE and files, through the apps."""

import asyncio
import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from aig.money.ledger import Credit
from aig.money.units import Nano
from aig.ports import StoreBusy
from aig.wiring import Container
from tests.apps import App
from tests.builders import PROMPT, Account, a_key, a_sub_account, an_account, debits_of, holds_of, wallet_of
from tests.integration.operations import PICTURE, error_of, fetches_from_loopback, refusal, uploaded
from tests.integration.test_keys import call
from tests.jobs import COST, Shop
from tests.logs import Log
from tests.unit.clock import FixedClock
from tests.unit.providers.site import running

DAY_S: Final = 24 * 3600
BALANCE: Final = 10**10


@dataclass(frozen=True)
class Kind:
    """A kind of job: its endpoint, its sandbox model, what it is called, and its file."""

    path: str
    model: str
    type: str
    file: str
    media_type: str
    begins: bytes


VIDEO: Final = Kind("/v1/videos/generations", "sandbox/video", "video.generation", "video.mp4", "video/mp4", b"\0\0\0")
MUSIC: Final = Kind("/v1/audio/music", "sandbox/music", "audio.music", "music.wav", "audio/wav", b"RIFF")
SOLID: Final = Kind("/v1/3d/generations", "sandbox/3d", "3d.generation", "model.glb", "model/gltf-binary", b"glTF")
KINDS: Final = (VIDEO, MUSIC, SOLID)
FIELDS: Final = {
    "id", "object", "type", "status", "model", "provider", "created", "started_at", "ended_at", "expires_at", "expired",
    "progress", "result_url", "result", "error", "usage", "tag", "request_id", "webhook_url",
}  # fmt: skip


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def post(
    generations: App, account: Account, kind: Kind = VIDEO, headers: Mapping[str, str] | None = None, **body: Any
) -> httpx.Response:
    """An order that is good but for what the test says."""
    sent = {"model": kind.model, "prompt": PROMPT, **body}
    given = {**account.authorization, "x-sandbox-duration": "0", **(headers or {})}
    return await generations.client.post(kind.path, json=sent, headers=given)


async def ordered(generations: App, account: Account, kind: Kind = VIDEO, **body: Any) -> dict[str, Any]:
    response = await post(generations, account, kind, **body)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


async def made(shop: Shop, generations: App, account: Account, kind: Kind = VIDEO, **body: Any) -> dict[str, Any]:
    """A job that has been brought to its end."""
    job = await ordered(generations, account, kind, **body)
    await finish(shop, account, job)
    return job


async def finish(shop: Shop, account: Account, job: Mapping[str, Any]) -> None:
    found = await shop.jobs.get(account.id, job["id"])
    assert found is not None
    shop.clock.time = max(shop.clock.time, time.time())
    await shop.run(found)


async def look(jobs: App, account: Account, job: Mapping[str, Any]) -> dict[str, Any]:
    response = await jobs.client.get(f"/v1/jobs/{job['id']}", headers=account.authorization)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


class TestAnOrder:
    @pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.type)
    async def test_is_taken_on_and_becomes_a_file(
        self, generations: App, jobs: App, files: App, shop: Shop, account: Account, container: Container, kind: Kind
    ) -> None:
        began = int(time.time())
        response = await post(generations, account, kind, {"x-aig-tag": "boats", "x-request-id": "mine"})
        assert (response.status_code, response.headers["x-request-id"]) == (202, "mine")
        job = response.json()
        assert job.keys() == FIELDS
        assert (job["object"], job["type"], job["status"], job["model"]) == ("job", kind.type, "queued", kind.model)
        assert began <= job["created"] <= time.time()
        assert job["expires_at"] == job["created"] + 7 * DAY_S
        assert job["tag"] == "boats"
        empty = ("provider", "started_at", "ended_at", "progress", "result_url", "result", "error", "usage")
        assert {name: job[name] for name in (*empty, "webhook_url")} == dict.fromkeys((*empty, "webhook_url"))
        assert generations.module.queue.sent == [{"tenant": account.id, "job_id": job["id"]}]
        assert (await wallet_of(container, account)).held == COST
        assert await look(jobs, account, job) == job

        await finish(shop, account, job)

        shown = await look(jobs, account, job)
        assert shown.keys() == FIELDS
        assert (shown["status"], shown["progress"], shown["provider"]) == ("completed", 100, "sandbox")
        assert shown["usage"] == {"assets": 1, "cost": "0.0105"}
        assert shown["created"] <= shown["started_at"] <= shown["ended_at"]
        (file,) = shown["result"]["files"]
        assert (file["filename"], file["content_type"], file["url"]) == (
            kind.file, kind.media_type, shown["result_url"],
        )  # fmt: skip
        assert urlsplit(shown["result_url"]).netloc == "gateway"  # J11: ours, not the provider's
        data = await opened(files, shown["result_url"])
        assert data.startswith(kind.begins)
        assert len(data) == file["bytes"]
        wallet = await wallet_of(container, account)
        assert (wallet.available, wallet.held) == (BALANCE - COST, 0)
        (debit,) = await debits_of(container, account)
        assert (debit["tag"], debit["amount"], debit["request_id"]) == ("boats", COST, shown["request_id"])

    async def test_is_kept_as_a_record_once_it_has_ended(
        self, generations: App, requests: App, shop: Shop, account: Account
    ) -> None:
        job = await made(shop, generations, account)
        bad = await made(shop, generations, account, model="sandbox/video-fail")
        data = (await call(requests, account, "GET", "/v1/requests")).json()["data"]
        found = {record["id"]: record for record in data}
        good = found[job["request_id"]]
        assert (good["operation"], good["cost"], good["model"]) == ("videos.generations", "0.0105", "sandbox/video")
        whole = (await call(requests, account, "GET", f"/v1/requests/{job['request_id']}")).json()
        assert whole["request"] == {"model": "sandbox/video", "prompt": PROMPT}
        assert found[bad["request_id"]]["cost"] in (None, "0.00")
        assert found[bad["request_id"]]["error"] == "provider_failed"

    async def test_that_ends_without_a_result_costs_nothing(
        self, generations: App, jobs: App, files: App, shop: Shop, account: Account, container: Container
    ) -> None:
        job = await made(shop, generations, account, model="sandbox/video-fail")
        shown = await look(jobs, account, job)
        assert (shown["status"], shown["usage"], shown["result"]) == ("failed", {"cost": "0.00"}, None)
        assert shown["error"].keys() == {"type", "code", "message", "param"}
        assert (shown["error"]["type"], shown["error"]["code"]) == ("provider_error", "provider_failed")
        wallet = await wallet_of(container, account)
        assert (wallet.available, wallet.held) == (BALANCE, 0)
        gone = await files.client.get(f"/v1/files/jobs/{job['id']}/video.mp4", headers=account.authorization)
        assert refusal(gone)[:2] == (404, "not_found")

    async def test_tells_its_event_with_the_words_of_a_look(
        self, generations: App, jobs: App, shop: Shop, account: Account
    ) -> None:
        """J9's other half: who is told and looks sees the same."""
        url = "https://hooks.example/videos"
        job = await made(shop, generations, account, webhook_url=url)
        (event,) = await shop.events(account.id)
        assert (event.type, event.webhook_url, event.key_id) == ("job.completed", url, account.key_id)
        shown = await look(jobs, account, job)
        assert shown.pop("webhook_url") == url
        assert event.data == shown

    async def test_without_money_leaves_nothing(self, generations: App, jobs: App, container: Container) -> None:
        poor = await an_account(container, "0.01")
        assert refusal(await post(generations, poor))[:2] == (402, "insufficient_balance")
        assert (await call(jobs, poor, "GET", "/v1/jobs")).json()["data"] == []
        assert generations.module.queue.sent == []
        assert await holds_of(container, poor) == []

    async def test_whose_message_cannot_be_sent_is_taken_on_all_the_same(
        self, generations: App, jobs: App, account: Account, logged: Log
    ) -> None:
        class Busy:
            async def send(self, body: Mapping[str, Any]) -> None:
                raise StoreBusy

            async def close(self) -> None:
                """There is nothing to close."""

        generations.module.queue = Busy()  # type: ignore[attr-defined]
        job = await ordered(generations, account)
        assert (await look(jobs, account, job))["status"] == "queued"
        assert "JobNotQueued" in logged.text

    @pytest.mark.parametrize("seconds", ["-1", "3601", "1.5", "", "1e3", "three"])
    async def test_of_the_sandbox_takes_whole_seconds(self, generations: App, account: Account, seconds: str) -> None:
        response = await post(generations, account, headers={"x-sandbox-duration": seconds})
        assert refusal(response) == (400, "invalid_value", "x-sandbox-duration")

    async def test_of_a_model_that_makes_something_else_is_refused(self, generations: App, account: Account) -> None:
        for kind, model in ((VIDEO, "sandbox/music"), (MUSIC, "sandbox/3d"), (SOLID, "sandbox/echo")):
            assert refusal(await post(generations, account, kind, model=model)) == (400, "wrong_modality", "model")

    async def test_needs_a_key_for_inference(self, generations: App, jobs: App, container: Container) -> None:
        reader = await an_account(container, scopes=["usage:read"])
        assert refusal(await post(generations, reader))[:2] == (403, "insufficient_scope")
        assert (await call(jobs, reader, "GET", "/v1/jobs")).status_code == 403
        assert (await generations.client.post(VIDEO.path, json={})).status_code == 401


async def opened(files: App, url: str) -> bytes:
    """What a link without a key leads to."""
    response = await files.client.get(url)
    assert response.status_code == 302, response.text
    async with httpx.AsyncClient() as client:
        file = await client.get(response.headers["location"])
    assert file.status_code == 200
    return file.content


class TestIdempotency:
    """Rows 174 and 175."""

    async def test_one_key_and_body_are_one_job(
        self, generations: App, shop: Shop, account: Account, container: Container
    ) -> None:
        key = {"idempotency-key": "a"}
        first = await post(generations, account, headers=key)
        second = await post(generations, account, headers=key)
        await finish(shop, account, first.json())
        third = await post(generations, account, headers=key)
        assert first.json() == second.json() == third.json()
        assert {first.status_code, second.status_code, third.status_code} == {202}
        assert second.headers["idempotent-replayed"] == "true"
        assert len(await holds_of(container, account)) == 1

    async def test_another_body_is_a_conflict(self, generations: App, account: Account, container: Container) -> None:
        key = {"idempotency-key": "a"}
        await post(generations, account, headers=key)
        response = await post(generations, account, headers=key, seed=1)
        assert refusal(response)[:2] == (409, "idempotency_mismatch")
        assert len(await holds_of(container, account)) == 1

    async def test_ten_at_once_are_one_job(self, generations: App, account: Account, container: Container) -> None:
        key = {"idempotency-key": "a"}
        answers = await asyncio.gather(*(post(generations, account, headers=key) for _ in range(10)))
        assert {answer.status_code for answer in answers} <= {202, 409, 503}
        assert len({answer.json()["id"] for answer in answers if answer.status_code == 202}) == 1
        assert len(await holds_of(container, account)) == 1

    async def test_a_refusal_may_be_tried_again(self, generations: App, container: Container) -> None:
        poor = await an_account(container, "0.01")
        key = {"idempotency-key": "a"}
        assert (await post(generations, poor, headers=key)).status_code == 402
        await container.wallets.credit(poor.id, Credit(container.ids.new("topup"), Nano(10**9), 0))
        assert (await post(generations, poor, headers=key)).status_code == 202

    async def test_keys_of_two_tenants_are_two(self, generations: App, account: Account, container: Container) -> None:
        other, key = await an_account(container), {"idempotency-key": "a"}
        first, second = [(await post(generations, who, headers=key)).json()["id"] for who in (account, other)]
        assert first != second


class TestTheList:
    async def test_has_the_newest_first_in_pages(self, generations: App, jobs: App, account: Account) -> None:
        ids = [(await ordered(generations, account))["id"] for _ in range(3)]
        first = (await call(jobs, account, "GET", "/v1/jobs?limit=2")).json()
        assert [job["id"] for job in first["data"]] == ids[:0:-1]
        assert (first["has_more"], first["last_id"]) == (True, ids[1])
        rest = (await call(jobs, account, "GET", f"/v1/jobs?limit=2&after={ids[1]}")).json()
        assert ([job["id"] for job in rest["data"]], rest["has_more"]) == ([ids[0]], False)

    async def test_may_be_of_one_status_and_type(
        self, generations: App, jobs: App, shop: Shop, account: Account
    ) -> None:
        done = await made(shop, generations, account)
        bad = await made(shop, generations, account, model="sandbox/video-fail")
        song = await ordered(generations, account, MUSIC)
        for asked, ids in {
            "status=completed": [done["id"]],
            "status=failed": [bad["id"]],
            "status=queued": [song["id"]],
            "status=processing": [],
            "status=cancelled": [],
            "type=video.generation": [bad["id"], done["id"]],
            "type=audio.music": [song["id"]],
            "type=3d.generation": [],
            "type=video.generation&status=failed": [bad["id"]],
            "type=video.generation&limit=1": [bad["id"]],
            f"type=video.generation&limit=1&after={bad['id']}": [done["id"]],
        }.items():
            found = (await call(jobs, account, "GET", f"/v1/jobs?{asked}")).json()
            assert [job["id"] for job in found["data"]] == ids, asked
            assert found["has_more"] == (asked == "type=video.generation&limit=1")

    @pytest.mark.parametrize(
        ("asked", "param"),
        [("status=done", "status"), ("type=video", "type"), ("limit=0", "limit"), ("after=%00", "after")],
    )
    async def test_refuses_what_it_does_not_know(self, jobs: App, account: Account, asked: str, param: str) -> None:
        assert refusal(await call(jobs, account, "GET", f"/v1/jobs?{asked}")) == (400, "invalid_value", param)


class TestCancelling:
    """Row 180, J3 and J4."""

    async def test_a_queued_job_gives_its_money_back(
        self, generations: App, jobs: App, shop: Shop, account: Account, container: Container
    ) -> None:
        job = await ordered(generations, account)
        for _ in range(2):
            response = await call(jobs, account, "DELETE", f"/v1/jobs/{job['id']}")
            assert (response.status_code, response.json()["status"]) == (200, "cancelled")
            assert response.json()["usage"] == {"cost": "0.00"}
        wallet = await wallet_of(container, account)
        assert (wallet.available, wallet.held) == (BALANCE, 0)
        await finish(shop, account, job)
        assert (await look(jobs, account, job))["status"] == "cancelled"
        assert await debits_of(container, account) == []
        assert await shop.events(account.id) == []

    async def test_a_job_that_is_begun_or_over_cannot_be_cancelled(
        self, generations: App, jobs: App, shop: Shop, account: Account
    ) -> None:
        job = await ordered(generations, account)
        found = await shop.jobs.get(account.id, job["id"])
        assert found is not None
        await shop.take("submit", found)
        for status in ("processing", "completed"):
            assert (await look(jobs, account, job))["status"] == status
            response = await call(jobs, account, "DELETE", f"/v1/jobs/{job['id']}")
            assert refusal(response)[:2] == (409, "job_not_cancellable")
            assert status in error_of(response)["message"]
            await finish(shop, account, job)

    async def test_a_job_whose_hold_was_given_back_is_cancelled_too(
        self, generations: App, jobs: App, account: Account, container: Container
    ) -> None:
        job = await ordered(generations, account)
        hold = await container.wallets.held(account.id, job["request_id"])
        assert hold is not None
        await container.wallets.void(hold)
        assert (await call(jobs, account, "DELETE", f"/v1/jobs/{job['id']}")).json()["status"] == "cancelled"


class TestOthers:
    """Rows 176 to 179."""

    async def test_see_and_touch_nothing_of_it(
        self, generations: App, jobs: App, files: App, shop: Shop, account: Account, container: Container
    ) -> None:
        (child,), (sibling,) = [await a_sub_account(container, account.id) for _ in range(2)]
        stranger = await an_account(container)
        own, theirs = await made(shop, generations, account), await made(shop, generations, child)
        looks = [(who, own) for who in (stranger, child)] + [(who, theirs) for who in (stranger, sibling, account)]
        for who, job in looks:
            unknown = job["id"][:-1] + ("0" if job["id"][-1] != "0" else "1")
            for method, path in (
                ("GET", f"/v1/jobs/{job['id']}"),
                ("DELETE", f"/v1/jobs/{job['id']}"),
                ("GET", f"/v1/files/jobs/{job['id']}/video.mp4"),
                ("GET", f"/v1/files/jobs/{job['id']}/video.mp4/signed"),
            ):
                app = files if "files" in path else jobs
                answers = [
                    (seen.status_code, seen.text.replace(seen.headers["x-request-id"], ""))
                    for seen in (
                        await call(app, who, method, path),
                        await call(app, who, method, path.replace(job["id"], unknown)),
                    )
                ]
                assert answers[0] == answers[1]
                assert answers[0][0] == 404
        for who, ids in ((stranger, []), (child, [theirs["id"]]), (sibling, []), (account, [own["id"]])):
            listed = (await call(jobs, who, "GET", "/v1/jobs")).json()["data"]
            assert [job["id"] for job in listed] == ids

    async def test_another_key_of_the_account_sees_it(
        self, generations: App, jobs: App, account: Account, container: Container
    ) -> None:
        job = await ordered(generations, account)
        assert (await look(jobs, await a_key(container, account.id), job))["id"] == job["id"]

    @pytest.mark.parametrize(
        "path", ["../keys", "%2e%2e", "%2e%2e%2fkeys", "job_", "a" * 10_000, "job_%00", "job#1", "JOB_" + "0" * 26]
    )
    async def test_what_is_no_id_is_not_found(self, jobs: App, account: Account, path: str) -> None:
        for method in ("GET", "DELETE"):
            response = await call(jobs, account, method, f"/v1/jobs/{path}")
            assert response.status_code in (404, 405)
            assert response.json()["error"]["type"] in ("not_found_error", "invalid_request_error")


class TestLimits:
    async def test_a_sub_account_s_cap_and_its_parent_s_wallet_both_bind(
        self, generations: App, shop: Shop, account: Account, container: Container
    ) -> None:
        (child,) = await a_sub_account(container, account.id, cap=int(1.5 * COST))
        job = await ordered(generations, child)
        second = await post(generations, child)
        assert (second.status_code, error_of(second)["code"]) == (402, "in_flight_holds")
        await finish(shop, child, job)
        assert refusal(await post(generations, child))[:2] == (402, "spend_cap_reached")
        wallet = await wallet_of(container, account)
        assert (wallet.available, wallet.held) == (BALANCE - COST, 0)
        (debit,) = await debits_of(container, account)
        assert debit["sub_account"] == child.id

    async def test_a_failed_job_gives_the_cap_back(
        self, generations: App, shop: Shop, account: Account, container: Container
    ) -> None:
        (child,) = await a_sub_account(container, account.id, cap=int(1.5 * COST))
        for _ in range(3):
            await made(shop, generations, child, model="sandbox/video-fail")
        await ordered(generations, child)

    async def test_jobs_count_against_the_rate(self, generations: App, container: Container) -> None:
        account = await an_account(container, rpm=2)
        generations.replace(clock=FixedClock(time.time()))
        first, second, third = [await post(generations, account) for _ in range(3)]
        assert (first.status_code, second.status_code, third.status_code) == (202, 202, 429)
        assert int(third.headers["retry-after"]) >= 1
        assert first.headers["x-ratelimit-limit-requests"] == "2"

    async def test_what_only_repeats_an_order_does_not(self, generations: App, container: Container) -> None:
        account = await an_account(container, rpm=1)
        key = {"idempotency-key": "a"}
        assert [(await post(generations, account, headers=key)).status_code for _ in range(3)] == [202] * 3

    async def test_a_tag_of_the_key_s_is_that_of_its_jobs(self, generations: App, container: Container) -> None:
        account = await an_account(container, default_tag="films")
        assert (await ordered(generations, account))["tag"] == "films"


class TestPictures:
    @pytest.mark.parametrize("kind", [VIDEO, SOLID], ids=lambda kind: kind.type)
    @pytest.mark.parametrize("way", ["image_b64", "upload_id", "image_url"])
    async def test_a_picture_comes_to_the_worker_whichever_way_it_came(
        self, generations: App, files: App, jobs: App, shop: Shop, account: Account, kind: Kind, way: str
    ) -> None:
        fetches_from_loopback(generations)
        async with running() as site:
            site.says(PICTURE)
            sent = {
                "image_b64": base64.b64encode(PICTURE).decode(),
                "upload_id": await uploaded(files, account, PICTURE),
                "image_url": f"http://127.0.0.1:{site.port}/a.png",
            }[way]
            job = await ordered(generations, account, kind, **{way: sent})
        found = await shop.jobs.get(account.id, job["id"])
        assert found is not None
        body = await shop.jobs.body(account.id, job["id"])
        assert body is not None
        assert (found.order.picture, way in body) == ("image/png", False)
        made = await shop.steps._request(found)
        assert made.picture is not None  # type: ignore[union-attr]
        assert made.picture.data == PICTURE  # type: ignore[union-attr]
        await finish(shop, account, job)
        assert (await look(jobs, account, job))["status"] == "completed"

    async def test_more_than_one_is_refused(self, generations: App, account: Account) -> None:
        encoded = base64.b64encode(PICTURE).decode()
        response = await post(generations, account, image_b64=encoded, image_url="https://pictures.example/a")
        assert response.status_code == 400

    async def test_what_is_no_picture_is_refused_and_costs_nothing(
        self, generations: App, account: Account, container: Container
    ) -> None:
        response = await post(generations, account, image_b64=base64.b64encode(b"<svg/>").decode())
        assert refusal(response) == (400, "invalid_image", "image_b64")
        theirs = await post(generations, account, upload_id="upload_" + "0" * 26)
        assert refusal(theirs) == (400, "upload_not_found", "upload_id")
        assert await holds_of(container, account) == []

    async def test_music_has_none(self, generations: App, account: Account) -> None:
        response = await post(generations, account, MUSIC, image_b64=base64.b64encode(PICTURE).decode())
        assert refusal(response)[2] == "image_b64"


async def test_a_look_at_a_job_asks_no_provider(generations: App, jobs: App, account: Account) -> None:
    """J12: however often."""
    job = await ordered(generations, account)
    assert not hasattr(jobs.module, "gateway")
    for _ in range(20):
        await look(jobs, account, job)
