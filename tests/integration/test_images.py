"""POST /v1/images/generations and /v1/images/edits: pictures inline and behind links, and bad requests for them."""

import asyncio
import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest

from aig.aws.blobs import BlobError, Bucket
from aig.wiring import Container
from aig_providers.sandbox_drawing import description, picture
from tests.apps import App
from tests.builders import Account, an_account, debits_of, holds_of
from tests.integration.operations import EACH, PICTURE, SOUND, data_url, error_of, refusal, uploaded
from tests.logs import Log
from tests.unit.modalities.test_image_header import gif, jpeg, png, webp_lossy

MODEL: Final = "sandbox/image"
INLINE: Final = {"response_format": "b64_json"}
SMALL: Final = {"size": "64x48"}
DAY_S: Final = 24 * 3600


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


async def paint(app: App, account: Account, prompt: str = "a cat", cache: str = "auto", **body: Any) -> httpx.Response:
    asked = {"model": MODEL, "prompt": prompt, **body}
    headers = {**account.authorization, "x-cache": cache}
    return await app.client.post("/v1/images/generations", json=asked, headers=headers)


async def edit(app: App, account: Account, *files: tuple[str, bytes], **fields: str) -> httpx.Response:
    """The answer to a form with these files, each of a field."""
    parts: list[tuple[str, Any]] = [(name, ("file", data)) for name, data in files]
    parts += [(name, (None, value)) for name, value in {"model": MODEL, "prompt": "with a hat", **fields}.items()]
    return await app.client.post("/v1/images/edits", files=parts, headers=account.authorization)


async def opened(files: App, url: str) -> httpx.Response:
    """What a browser gets, which has no key: our answer, or what that leads to."""
    parts = urlsplit(url)
    first = await files.client.get(f"{parts.path}?{parts.query}")
    if first.status_code != 302:
        return first
    assert first.headers["cache-control"] == "no-store"
    async with httpx.AsyncClient() as client:
        return await client.get(first.headers["location"])


def inline(response: httpx.Response) -> list[bytes]:
    assert response.status_code == 200, response.text
    return [base64.b64decode(one["b64_json"], validate=True) for one in response.json()["data"]]


def size_of(data: bytes) -> tuple[int, int]:
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


async def test_a_picture_behind_a_link(images: App, files: App, account: Account, container: Container) -> None:
    response = await paint(images, account)
    body = response.json()
    (one,) = body["data"]
    assert set(one) == {"url"}
    assert abs(body["created"] - container.clock.now()) < 60
    assert body["usage"] == {"images": 1, "cost": "0.0105"}
    assert one["url"].startswith(f"http://gateway/media/{account.id}/file_")
    seen = await opened(files, one["url"])
    assert (seen.status_code, seen.headers["content-type"]) == (200, "image/png")
    assert size_of(seen.content) == (1024, 1024)
    assert description(seen.content) == "a cat"


async def test_a_link_lasts_for_a_day(images: App, account: Account, container: Container) -> None:
    url = (await paint(images, account, **SMALL)).json()["data"][0]["url"]
    expires_at = int(dict(part.split("=") for part in urlsplit(url).query.split("&"))["exp"])
    assert abs(expires_at - container.clock.now() - DAY_S) < 60


async def test_a_picture_inline(images: App, account: Account) -> None:
    response = await paint(images, account, **INLINE, **SMALL)
    assert set(response.json()["data"][0]) == {"b64_json"}
    (data,) = inline(response)
    assert (size_of(data), description(data)) == ((64, 48), "a cat")


async def test_each_picture_is_another_and_is_paid_for(images: App, account: Account, container: Container) -> None:
    response = await paint(images, account, n=3, **INLINE, **SMALL)
    assert len(set(inline(response))) == 3
    assert response.json()["usage"] == {"images": 3, "cost": "0.0315"}
    assert [row["amount"] for row in await debits_of(container, account)] == [3 * EACH]


async def test_n_links_are_n_files(images: App, files: App, account: Account) -> None:
    urls = [one["url"] for one in (await paint(images, account, n=2, **SMALL)).json()["data"]]
    assert len({(await opened(files, url)).content for url in urls}) == 2


async def test_all_pictures_of_an_answer_are_kept_at_once_and_in_their_order(
    images: App, files: App, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind the slowest of answers there are seconds for it; the first is made to be the last that is kept."""
    put, begun, others = Bucket.put, [], asyncio.Event()

    async def barred(bucket: Bucket, key: str, data: bytes) -> None:
        begun.append(data)
        if data is begun[0]:
            async with asyncio.timeout(5):
                await others.wait()
        await put(bucket, key, data)
        if len(begun) == 3:
            others.set()

    monkeypatch.setattr(Bucket, "put", barred)
    urls = [one["url"] for one in (await paint(images, account, n=3, **SMALL)).json()["data"]]
    assert [(await opened(files, url)).content for url in urls] == begun


async def test_a_hit_has_links_of_its_own_to_the_same_picture(images: App, files: App, account: Account) -> None:
    first, second = [await paint(images, account, seed=1, **SMALL) for _ in range(2)]
    assert [answer.headers["x-cache"] for answer in (first, second)] == ["miss", "hit"]
    urls = [answer.json()["data"][0]["url"] for answer in (first, second)]
    assert urls[0] != urls[1]
    assert len({(await opened(files, url)).content for url in urls}) == 1


async def test_a_link_and_a_picture_inline_are_one_answer(images: App, account: Account) -> None:
    told = [await paint(images, account, seed=1, **SMALL, **form) for form in ({}, INLINE)]
    assert [answer.headers["x-cache"] for answer in told] == ["miss", "hit"]


async def test_without_a_seed_a_picture_is_cached_only_where_that_is_forced(images: App, account: Account) -> None:
    async def told(cache: str) -> list[str]:
        return [(await paint(images, account, cache=cache, **SMALL)).headers["x-cache"] for _ in range(2)]

    assert await told("auto") == ["skip", "skip"]
    assert await told("force") == ["miss", "hit"]


async def test_where_no_file_can_be_kept_the_picture_is_inline(
    images: App, account: Account, monkeypatch: pytest.MonkeyPatch, logged: Log
) -> None:
    """It is paid for."""

    async def put(*_: Any) -> None:
        raise BlobError("503")

    monkeypatch.setattr(Bucket, "put", put)
    (data,) = inline(await paint(images, account, **SMALL))
    assert description(data) == "a cat"
    assert "FileNotKept" in logged.text


async def test_an_edit_is_of_the_picture_that_was_sent(images: App, account: Account, container: Container) -> None:
    response = await edit(images, account, ("image", PICTURE), **INLINE)
    (data,) = inline(response)
    assert (size_of(data), description(data)) == ((64, 48), "with a hat")
    assert response.headers["x-aig-cost"] == "0.0105"
    (other,) = inline(await edit(images, account, ("image", jpeg(64, 48)), **INLINE))
    assert other != data
    assert [row["amount"] for row in await debits_of(container, account)] == [EACH, EACH]


async def test_several_pictures_and_a_mask_count(images: App, account: Account) -> None:
    mask = picture("", "", 1, 64, 48, clear=True)
    two = ("image[]", PICTURE), ("image[]", webp_lossy(30, 20))
    made = [
        inline(await edit(images, account, *given, size="512x512", **INLINE))[0]
        for given in (two[:1], two, (*two, ("mask", mask)))
    ]
    assert len(set(made)) == 3


async def test_an_edit_with_a_seed_is_a_hit_for_the_same_files_only(images: App, account: Account) -> None:
    told = [
        (await edit(images, account, ("image", data), seed="7", n="1", size="64x48")).headers["x-cache"]
        for data in (PICTURE, PICTURE, jpeg(64, 48))
    ]
    assert told == ["miss", "hit", "miss"]


BOMB: Final = png(100_000, 100_000)
INVALID: Final = "invalid_value"


@pytest.mark.parametrize(
    ("given", "fields", "code", "param"),
    [
        ([], {}, "missing_required_parameter", "image"),
        ([("image", PICTURE), ("mask", picture("", "", 1, 48, 64))], {}, INVALID, "mask"),
        ([("image", PICTURE), ("mask", PICTURE), ("mask", PICTURE)], {}, INVALID, "mask"),
        ([("image", PICTURE)] * 17, {}, INVALID, "image"),
        ([("image", PICTURE), ("picture", PICTURE)], {}, INVALID, "picture"),
        ([("image", b"")], {}, "invalid_image", "image"),
        ([("image", SOUND)], {}, "invalid_image", "image"),
        ([("image", b"<svg xmlns='http://www.w3.org/2000/svg'/>")], {}, "invalid_image", "image"),
        ([("image", BOMB)], {}, "image_too_large", "image"),
        ([("image", gif(3, 2)[:-4])], {"n": "0"}, INVALID, "n"),
        ([("image", PICTURE)], {"n": "two"}, INVALID, "n"),
        ([("image", PICTURE)], {"size": "64"}, INVALID, "size"),
        ([("image", PICTURE)], {"prompt": ""}, INVALID, "prompt"),
        ([("image", PICTURE)], {"strength": "1"}, INVALID, "strength"),
    ],
)
async def test_a_bad_edit_names_its_field(
    images: App,
    account: Account,
    container: Container,
    given: Sequence[tuple[str, bytes]],
    fields: Mapping[str, str],
    code: str,
    param: str,
) -> None:
    assert refusal(await edit(images, account, *given, **fields)) == (400, code, param)
    assert await holds_of(container, account) == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": "a" * 32_001}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": "1"}, "n"),
        ({"size": "1024"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"size": "99999x99999"}, "size"),
        ({"size": "4097x64"}, "size"),
        ({"size": "1024\u00d71024"}, "size"),
        ({"size": "\uff11024x1024"}, "size"),
        ({"response_format": "svg"}, "response_format"),
        ({"output_format": "gif"}, "output_format"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"steps": 51}, "steps"),
        ({"image": "a"}, "image"),
    ],
)
async def test_a_bad_body_names_its_field(
    images: App, account: Account, container: Container, body: Mapping[str, Any], param: str
) -> None:
    response = await paint(images, account, **body)
    assert (response.status_code, error_of(response)["param"]) == (400, param)
    assert await holds_of(container, account) == []


async def test_what_the_model_cannot_paint_costs_nothing(images: App, account: Account, container: Container) -> None:
    response = await paint(images, account, output_format="webp")
    assert (response.status_code, error_of(response)["param"]) == (400, "output_format")
    assert await debits_of(container, account) == []


async def test_an_edit_takes_urls_and_uploads_in_json_and_beside_files(
    images: App, files: App, account: Account
) -> None:
    upload_id = await uploaded(files, account, PICTURE)
    asked: dict[str, Any] = {"model": MODEL, "prompt": "with a hat", **INLINE}
    for given in ({"image_url": data_url(PICTURE)}, {"upload_id": [upload_id]}, {"image_url": [data_url(PICTURE)] * 2}):
        body = {**asked, **given, "mask_url": data_url(PICTURE)}
        response = await images.client.post("/v1/images/edits", json=body, headers=account.authorization)
        assert description(inline(response)[0]) == "with a hat"
    assert inline(await edit(images, account, ("image", PICTURE), mask_upload_id=upload_id, **INLINE))
    assert inline(await edit(images, account, upload_id=upload_id, **INLINE))


async def test_two_masks_are_one_too_many(images: App, account: Account) -> None:
    files = (("image", PICTURE), ("mask", PICTURE))
    assert refusal(await edit(images, account, *files, mask_url=data_url(PICTURE))) == (400, "invalid_value", "image")


async def test_what_openais_clients_may_send_is_taken_where_it_changes_nothing(images: App, account: Account) -> None:
    usual: dict[str, Any] = {"moderation": "auto", "output_compression": 100, "stream": False}
    assert (await paint(images, account, **SMALL, **usual)).status_code == 200
    form = {"input_fidelity": "low", "output_compression": "100", "stream": "false"}
    assert (await edit(images, account, ("image", PICTURE), **form)).status_code == 200
    assert refusal(await paint(images, account, stream=True)) == (400, "invalid_value", "stream")


async def test_a_model_that_edits_nothing_is_named(images: App, account: Account) -> None:
    response = await edit(images, account, ("image", PICTURE), model="black-forest-labs/flux-1-schnell")
    assert refusal(response) == (400, "unsupported_parameter", "image")
    assert "GET /v1/models?capability=edit" in error_of(response)["message"]
