"""POST /v1/uploads, and the links at /media: whose they are, how long they last, and what opens none."""

import re
import string
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from aig import links
from aig.aws.blobs import Bucket
from aig.aws.files import S3Files, disposition
from aig.aws.secrets import Environment
from aig.aws.sigv4 import Credentials
from aig.links import result_path
from aig.wiring import Container
from aig_providers.sandbox_drawing import description
from tests.apps import App
from tests.builders import PEPPER, Account, an_account
from tests.integration.operations import PICTURE, error_of, fetches_from_loopback, refusal, uploaded
from tests.unit.clock import FixedClock
from tests.unit.providers.site import running

DAY_S: Final = 24 * 3600
KEY: Final = links.link_key(PEPPER)


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def ask(files: App, account: Account, **body: Any) -> httpx.Response:
    return await files.client.post("/v1/uploads", json=body, headers=account.authorization)


async def kept(container: Container, account: Account) -> str:
    """The path of a picture of the account's."""
    return await container.files.keep(account.id, f"{container.ids.new('file')}.png", PICTURE)


def query(container: Container, path: str, seconds: float = DAY_S) -> str:
    return links.signed_query(path, int(container.clock.now() + seconds), KEY)


async def test_an_upload_is_a_url_to_put_so_many_bytes_to(files: App, account: Account, container: Container) -> None:
    body = (await ask(files, account, bytes=8_000_000)).json()
    assert re.fullmatch(r"upload_[0-9A-HJKMNP-TV-Z]{26}", body["id"])
    assert (body["object"], body["bytes"], body["method"]) == ("upload", 8_000_000, "PUT")
    assert abs(body["created_at"] - container.clock.now()) < 60
    assert body["expires_at"] == body["created_at"] + 900
    signed = parse_qs(urlsplit(body["url"]).query)
    assert signed["X-Amz-Expires"] == ["900"]
    # So that S3 refuses a body of any other size. moto does not look at signatures: nothing here shows that it does.
    assert "content-length" in signed["X-Amz-SignedHeaders"][0].split(";")
    assert urlsplit(body["url"]).path.endswith(f"/uploads/{account.id}/{body['id']}")


async def test_what_was_put_is_what_a_request_takes(
    files: App, vision: App, account: Account, container: Container
) -> None:
    upload_id = await uploaded(files, account, PICTURE)
    body = {"model": "sandbox/ocr", "upload_id": upload_id}
    for _ in range(2):  # it is not used up
        response = await vision.client.post("/v1/ocr", json=body, headers=account.authorization)
        assert response.json()["text"] == description(PICTURE)


async def test_an_upload_to_which_nothing_was_put_is_not_found(
    files: App, vision: App, account: Account, container: Container
) -> None:
    upload_id = (await ask(files, account, bytes=10)).json()["id"]
    body = {"model": "sandbox/ocr", "upload_id": upload_id}
    response = await vision.client.post("/v1/ocr", json=body, headers=account.authorization)
    assert refusal(response) == (400, "upload_not_found", "upload_id")
    assert "POST /v1/uploads again" in error_of(response)["message"]


async def test_an_upload_of_another_tenant_is_not_found(
    files: App, vision: App, account: Account, container: Container
) -> None:
    theirs = await uploaded(files, await an_account(container), PICTURE)
    for path in ("/v1/ocr", "/v1/detections"):
        body = {"model": f"sandbox/{path[4:].removesuffix('ions')}", "upload_id": theirs}
        response = await vision.client.post(path, json=body, headers=account.authorization)
        assert refusal(response) == (400, "upload_not_found", "upload_id")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "bytes"),
        ({"bytes": 0}, "bytes"),
        ({"bytes": -1}, "bytes"),
        ({"bytes": 25 * 1024 * 1024 + 1}, "bytes"),
        ({"bytes": "10"}, "bytes"),
        ({"bytes": 1.5}, "bytes"),
        ({"bytes": True}, "bytes"),
        ({"bytes": 10, "filename": "../a.png"}, "filename"),
    ],
)
async def test_a_bad_upload_names_its_field(files: App, account: Account, body: dict[str, Any], param: str) -> None:
    response = await ask(files, account, **body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)


async def test_an_upload_needs_a_key_for_inference(files: App, container: Container) -> None:
    assert (await files.client.post("/v1/uploads", json={"bytes": 1})).status_code == 401
    reader = await an_account(container, scopes=["usage:read"])
    assert refusal(await ask(files, reader, bytes=1))[:2] == (403, "insufficient_scope")


async def test_nothing_is_fetched_for_a_call_that_nobody_could_serve_or_pay(
    vision: App, account: Account, container: Container
) -> None:
    fetches_from_loopback(vision)
    empty = await an_account(container, "0")
    async with running() as site:
        site.says(PICTURE)
        body = {"image_url": f"http://127.0.0.1:{site.port}/a.png"}

        async def told(account: Account, model: str) -> tuple[int, str, str | None]:
            sent = {**body, "model": model}
            return refusal(await vision.client.post("/v1/ocr", json=sent, headers=account.authorization))

        assert await told(account, "nobody/knows") == (404, "model_not_found", "model")
        assert await told(account, "sandbox/echo") == (400, "wrong_modality", "model")
        assert await told(empty, "sandbox/ocr") == (402, "insufficient_balance", None)
        assert site.asked == []
        good = {**body, "model": "sandbox/ocr"}
        assert (await vision.client.post("/v1/ocr", json=good, headers=account.authorization)).status_code == 200
        assert len(site.asked) == 1


async def test_the_head_of_a_link_leads_to_the_head_of_the_file(
    files: App, account: Account, container: Container
) -> None:
    path = await kept(container, account)
    response = await files.client.head(f"/media/{path}?{query(container, path)}")
    assert response.status_code == 302
    async with httpx.AsyncClient() as client:
        assert (await client.head(response.headers["location"])).status_code == 200


async def test_without_a_pepper_no_link_opens(
    files: App, account: Account, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await kept(container, account)
    without = replace(files.module.container, secrets=Environment({}))
    monkeypatch.setattr(files.module, "container", without)
    response = await files.client.get(f"/media/{path}?{links.signed_query(path, 2**31, links.link_key(''))}")
    assert (response.status_code, error_of(response)["code"]) == (500, "not_configured")


async def test_a_link_needs_no_key_and_leads_to_the_file(files: App, account: Account, container: Container) -> None:
    path = await kept(container, account)
    response = await files.client.get(f"/media/{path}?{query(container, path)}")
    assert (response.status_code, response.headers["cache-control"]) == (302, "no-store")
    to = urlsplit(response.headers["location"])
    assert to.path.endswith(f"/media/{path}")
    assert parse_qs(to.query)["X-Amz-Expires"] == ["300"]
    async with httpx.AsyncClient() as client:
        file = await client.get(response.headers["location"])
    assert (file.content, file.headers["content-type"]) == (PICTURE, "image/png")


def _edited(name: str, value: str) -> Any:
    return lambda query: re.sub(rf"{name}=[^&]*", f"{name}={value}", query)


TAMPERED: Final = {
    "no query": lambda query: "",
    "no signature": lambda query: query.partition("&sig=")[0],
    "an empty signature": _edited("sig", ""),
    "a cut signature": lambda query: query[:-1],
    "a signature in capitals": lambda query: query.partition("sig=")[0] + "sig=" + query.partition("sig=")[2].upper(),
    "a later time": _edited("exp", "99999999999"),
    "a time that is none": _edited("exp", "1e99"),
    "a negative time": _edited("exp", "-1"),
    "another key's name": _edited("kid", "00000000"),
    "no key's name": _edited("kid", ""),
    "a second signature": lambda query: f"{query}&sig=00",
    "a second signature ahead": lambda query: f"sig=00&{query}",
    "the same signature twice": lambda query: f"{query}&{query.partition('&kid=')[2].partition('&')[2]}",
    "a second time": lambda query: f"exp=1&{query}",
    "a second key": lambda query: f"{query}&kid=",
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_link_that_was_changed_is_not_valid(
    files: App, account: Account, container: Container, what: str
) -> None:
    path = await kept(container, account)
    response = await files.client.get(f"/media/{path}?{TAMPERED[what](query(container, path))}")
    assert refusal(response) == (403, "link_not_valid", None)
    assert "location" not in response.headers


async def test_a_link_is_for_its_own_file_only(files: App, account: Account, container: Container) -> None:
    mine, also_mine = await kept(container, account), await kept(container, account)
    theirs = await kept(container, await an_account(container))
    for other in (also_mine, theirs, mine.upper(), f"{account.id}/nothing.png", mine.replace("/", "/job_1/")):
        response = await files.client.get(f"/media/{other}?{query(container, mine)}")
        assert refusal(response) == (403, "link_not_valid", None)


async def test_a_link_of_another_deployment_s_key_is_not_valid(
    files: App, account: Account, container: Container
) -> None:
    path = await kept(container, account)
    foreign = links.signed_query(path, int(container.clock.now()) + DAY_S, links.link_key("another pepper"))
    known = re.sub(r"kid=[^&]*", f"kid={links.key_id(KEY)}", foreign)
    for signed in (foreign, known):
        assert (await files.client.get(f"/media/{path}?{signed}")).status_code == 403


@pytest.mark.parametrize(("seconds", "status"), [(1, 302), (0, 403), (-1, 403), (7 * DAY_S, 302), (7 * DAY_S + 1, 403)])
async def test_a_link_ends_with_its_time(
    files: App, account: Account, container: Container, monkeypatch: pytest.MonkeyPatch, seconds: int, status: int
) -> None:
    """And none lasts longer than a week, however it was signed."""
    now = int(container.clock.now())
    monkeypatch.setattr(files.module, "container", _at(files.module.container, float(now)))
    path = await kept(container, account)
    response = await files.client.get(f"/media/{path}?{links.signed_query(path, now + seconds, KEY)}")
    assert response.status_code == status


def _at(container: Container, now: float) -> Container:
    return replace(container, clock=FixedClock(now))


@pytest.mark.parametrize(
    "name", ["..%2f..%2fsecret", "%00", "a%2fb", "..%5csecret", "a.png%0d%0aset-cookie:a", "a" * 400]
)
async def test_a_path_that_is_no_file_s_leads_nowhere(files: App, account: Account, name: str) -> None:
    response = await files.client.get(f"/media/{account.id}/{name}?exp=1&kid=a&sig=b")
    assert response.status_code in (403, 404)
    assert not {"location", "set-cookie"} & set(response.headers)


async def of_a_job(container: Container, account: Account, name: str = "video.mp4", data: bytes = b"0123456789") -> str:
    """The path of a job's file."""

    async def pieces() -> AsyncIterator[bytes]:
        yield data

    await container.files.keep_result(account.id, "job_1", name, pieces(), "application/octet-stream", 10**6)
    return result_path(account.id, "job_1", name)


@pytest.mark.parametrize(
    ("name", "media_type", "shown"),
    [
        ("video.mp4", "video/mp4", "inline"),
        ("music.mp3", "audio/mpeg", "inline"),
        ("picture.png", "image/png", "inline"),
        ("model.glb", "model/gltf-binary", "attachment"),
        ("result.bin", "application/octet-stream", "attachment"),
        ("page.html", "application/octet-stream", "attachment"),
        ("drawing.svg", "application/octet-stream", "attachment"),
    ],
)
async def test_a_job_s_file_comes_as_what_its_name_says(
    files: App, account: Account, container: Container, name: str, media_type: str, shown: str
) -> None:
    path = await of_a_job(container, account, name)
    response = await files.client.get(f"/media/{path}?{query(container, path)}")
    assert response.status_code == 302
    assert (response.headers["cache-control"], response.headers["referrer-policy"]) == ("no-store", "no-referrer")
    to = parse_qs(urlsplit(response.headers["location"]).query)
    assert int(to["X-Amz-Expires"][0]) <= 300
    async with httpx.AsyncClient() as client:
        file = await client.get(response.headers["location"])
    assert (file.content, file.headers["content-type"]) == (b"0123456789", media_type)
    assert file.headers["content-disposition"] == f'{shown}; filename="{name}"'


async def test_a_part_of_a_file_can_be_asked_for(files: App, account: Account, container: Container) -> None:
    """As players do that skip. They send the Range along where the redirect leads."""
    path = await of_a_job(container, account)
    response = await files.client.get(f"/media/{path}?{query(container, path)}", headers={"range": "bytes=2-4"})
    async with httpx.AsyncClient() as client:
        part = await client.get(response.headers["location"], headers={"range": "bytes=2-4"})
        beyond = await client.get(response.headers["location"], headers={"range": "bytes=10-"})
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert beyond.status_code == 416


async def test_the_head_of_a_job_s_link_tells_how_large_the_file_is(
    files: App, account: Account, container: Container
) -> None:
    path = await of_a_job(container, account)
    response = await files.client.head(f"/media/{path}?{query(container, path)}")
    async with httpx.AsyncClient() as client:
        head = await client.head(response.headers["location"])
    assert (response.status_code, head.status_code, head.headers["content-length"]) == (302, 200, "10")


async def test_a_link_in_which_one_character_is_another_opens_nothing(
    files: App, account: Account, container: Container
) -> None:
    path = await of_a_job(container, account)
    link = f"/media/{path}?{query(container, path)}"
    assert (await files.client.get(link)).status_code == 302
    kept = string.digits + string.ascii_lowercase
    for at in range(len("/media/"), len(link)):
        other = kept[(kept.find(link[at]) + 1) % len(kept)]
        response = await files.client.get(link[:at] + other + link[at + 1 :])
        if link[at] in "/?":  # another route, where the name is not a link's
            assert response.status_code in (403, 404)
        else:
            assert refusal(response) == (403, "link_not_valid", None), at


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_job_s_link_that_was_changed_is_not_valid(
    files: App, account: Account, container: Container, what: str
) -> None:
    path = await of_a_job(container, account)
    response = await files.client.get(f"/media/{path}?{TAMPERED[what](query(container, path))}")
    assert refusal(response) == (403, "link_not_valid", None)


async def test_what_others_append_to_a_link_does_not_close_it(
    files: App, account: Account, container: Container
) -> None:
    path = await of_a_job(container, account)
    assert (await files.client.get(f"/media/{path}?{query(container, path)}&utm_source=mail")).status_code == 302


async def test_a_link_to_a_file_that_is_forgotten_says_so(files: App, account: Account, container: Container) -> None:
    for path in (f"{account.id}/job_1/video.mp4", f"{account.id}/file_1.png"):
        response = await files.client.get(f"/media/{path}?{query(container, path)}")
        assert refusal(response) == (404, "expired", None)


async def test_a_store_that_does_not_answer_is_no_missing_file(
    files: App, account: Account, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running() as gone:
        nobody = Bucket("media", "us-east-1", Credentials("a", "b"), f"http://127.0.0.1:{gone.port}")
    monkeypatch.setattr(files.module, "container", replace(files.module.container, files=S3Files(nobody)))
    path = f"{account.id}/job_1/video.mp4"
    response = await files.client.get(f"/media/{path}?{query(container, path)}")
    assert (refusal(response)[:2], response.headers["retry-after"]) == ((503, "overloaded"), "1")


def _with(container: Container, **secrets: str) -> Container:
    return replace(container, secrets=Environment({"pepper": PEPPER, **secrets}))


async def test_links_survive_one_rotation_of_their_key(
    files: App, account: Account, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, now = await of_a_job(container, account), int(container.clock.now())
    old, new = "0a" * 32, "1b" * 32

    async def opened(key: bytes, **secrets: str) -> int:
        monkeypatch.setattr(files.module, "container", _with(files.module.container, **secrets))
        link = f"/media/{path}?{links.signed_query(path, now + DAY_S, key)}"
        return (await files.client.get(link)).status_code

    switching = str(now + links.SWITCH_S)
    for from_ in ("", switching):
        rotated = {"link_key": old, "link_key_before": KEY.hex(), "link_key_from": from_}
        assert await opened(KEY, **rotated) == 302
        assert await opened(bytes.fromhex(old), **rotated) == 302
    assert (await _with(container, **rotated).link_keys())[0] == KEY
    again = {"link_key": new, "link_key_before": old}
    assert [await opened(key, **again) for key in (bytes.fromhex(new), bytes.fromhex(old), KEY)] == [302, 302, 403]
    assert await opened(KEY, link_key="no key") == 500


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("my film.mp4", 'inline; filename="my film.mp4"'),
        ("../../etc/passwd", 'inline; filename="_.._etc_passwd"'),
        (
            'a".mp4\r\nset-cookie: a',
            "inline; filename=\"a_.mp4__set-cookie_ a\"; filename*=UTF-8''a%22.mp4__set-cookie%3A%20a",
        ),
        ("\u00fcber.mp4", "inline; filename=\"_ber.mp4\"; filename*=UTF-8''%C3%BCber.mp4"),
        ("...", 'inline; filename="file"'),
        ("a" * 999, f'inline; filename="{"a" * 150}"'),
    ],
)
def test_a_name_to_save_a_file_under_leads_nowhere(name: str, told: str) -> None:
    assert disposition("inline", name) == told
