"""POST /v1/ocr and /v1/detections: pictures and documents however they are given, and those that are refused."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import httpx
import pytest

from aig.wiring import Container
from aig_providers.sandbox_drawing import picture
from tests.apps import App
from tests.builders import Account, an_account, debits_of, holds_of
from tests.integration.operations import EACH, SOUND, data_url, error_of, fetches_from_loopback, refusal, uploaded
from tests.unit.modalities.media.test_image import film, frame
from tests.unit.modalities.media.test_pdf import PAGE, TREE, made
from tests.unit.modalities.test_image_header import gif, jpeg, png, webp_lossy
from tests.unit.providers.site import running

OCR: Final = "/v1/ocr"
DETECTIONS: Final = "/v1/detections"
SAID: Final = "Invoice 17\nTotal 34.47"
PICTURE: Final = picture(SAID, "", 1, 640, 480)
THREE_PAGES: Final = made(TREE % 3, PAGE, PAGE, PAGE)


@pytest.fixture
async def account(container: Container) -> Account:
    return await an_account(container)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def ask(app: App, account: Account, path: str, **body: Any) -> httpx.Response:
    model = "sandbox/ocr" if path == OCR else "sandbox/detect"
    return await app.client.post(path, json={"model": model, **body}, headers=account.authorization)


async def answer(app: App, account: Account, path: str, **body: Any) -> dict[str, Any]:
    response = await ask(app, account, path, **body)
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    return told


async def test_a_page_has_lines_with_boxes_in_reading_order(vision: App, account: Account) -> None:
    body = await answer(vision, account, OCR, image_url=data_url(PICTURE))
    assert (body["object"], body["model"], body["text"]) == ("ocr", "sandbox/ocr", SAID)
    (page,) = body["pages"]
    assert (page["index"], page["text"], page["width"], page["height"]) == (0, SAID, 640, 480)
    assert page["lines"] == [
        {"text": "Invoice 17", "score": 1.0, "box": {"xmin": 0, "ymin": 0.0, "xmax": 640, "ymax": 240.0}},
        {"text": "Total 34.47", "score": 1.0, "box": {"xmin": 0, "ymin": 240.0, "xmax": 640, "ymax": 480.0}},
    ]
    assert body["usage"] == {"pages": 1, "cost": "0.0105"}


async def test_a_picture_is_the_same_however_it_is_given(vision: App, files: App, account: Account) -> None:
    fetches_from_loopback(vision)
    lines = "\n".join(encoded(PICTURE)[at : at + 76] for at in range(0, len(encoded(PICTURE)), 76))
    async with running() as site:
        site.says(PICTURE)
        given = [
            {"image_b64": encoded(PICTURE)},
            {"image_b64": lines},  # as the base64 command breaks them
            {"image_url": data_url(PICTURE)},
            {"image_url": data_url(PICTURE, "image/jpeg")},  # what it is, its first bytes tell
            {"image_url": f"http://127.0.0.1:{site.port}/a.gif"},
            {"document_url": data_url(PICTURE)},
            {"upload_id": await uploaded(files, account, PICTURE)},
        ]
        told = [await ask(vision, account, OCR, **one) for one in given]
    assert [response.json()["text"] for response in told] == [SAID] * len(given)
    assert [response.headers["x-cache"] for response in told] == ["miss"] + ["hit"] * (len(given) - 1)


async def test_a_document_is_billed_by_its_pages(vision: App, account: Account, container: Container) -> None:
    body = await answer(vision, account, OCR, document_url=data_url(THREE_PAGES, "application/pdf"))
    assert [page["index"] for page in body["pages"]] == [0, 1, 2]
    assert [page["text"][:19] for page in body["pages"]] == [f"sandbox read page {at}" for at in (1, 2, 3)]
    assert body["text"] == "\n\n".join(page["text"] for page in body["pages"])
    assert (body["pages"][0]["width"], body["pages"][0]["lines"][0]["box"]) == (None, None)
    assert body["usage"] == {"pages": 3, "cost": "0.0315"}
    assert [row["amount"] for row in await debits_of(container, account)] == [3 * EACH]


async def test_a_document_as_an_upload(vision: App, files: App, account: Account) -> None:
    upload_id = await uploaded(files, account, THREE_PAGES)
    assert len((await answer(vision, account, OCR, upload_id=upload_id))["pages"]) == 3


async def test_a_model_that_reads_no_documents_is_named(vision: App, account: Account) -> None:
    response = await ask(vision, account, OCR, model="local/rapidocr", document_url=data_url(THREE_PAGES))
    assert refusal(response) == (400, "unsupported_parameter", "document_url")
    assert "GET /v1/models?capability=files" in error_of(response)["message"]


async def test_languages_are_a_hint_and_make_another_request(vision: App, account: Account) -> None:
    told = [
        (await ask(vision, account, OCR, image_b64=encoded(PICTURE), languages=languages)).headers["x-cache"]
        for languages in (["EN", "pt-br"], ["en", "pt-BR"], ["de"])
    ]
    assert told == ["miss", "hit", "miss"]


async def test_what_is_detected_comes_best_first_in_boxes_within_the_picture(vision: App, account: Account) -> None:
    body = await answer(vision, account, DETECTIONS, image_b64=encoded(PICTURE), threshold=0)
    assert (body["object"], body["model"]) == ("detection", "sandbox/detect")
    assert body["image"] == {"width": 640, "height": 480}
    assert body["usage"] == {"images": 1, "cost": "0.0105"}
    assert body["detections"]
    scores = [one["score"] for one in body["detections"]]
    assert scores == sorted(scores, reverse=True)
    for one in body["detections"]:
        assert one["label"]
        box = one["box"]
        assert 0 <= box["xmin"] < box["xmax"] <= 640
        assert 0 <= box["ymin"] < box["ymax"] <= 480


async def test_a_threshold_leaves_the_rest_out(vision: App, account: Account) -> None:
    async def scores(threshold: float | None) -> list[float]:
        body = await answer(vision, account, DETECTIONS, image_b64=encoded(gif(3, 2)), threshold=threshold)
        return [one["score"] for one in body["detections"]]

    everything = await scores(0)
    assert len(everything) == 3
    middle = everything[1]
    assert await scores(middle) == everything[:2]
    assert await scores(1) == []
    assert await scores(None) == [score for score in everything if score >= 0.5]


async def test_labels_are_the_only_ones_that_are_found(vision: App, account: Account) -> None:
    body = await answer(vision, account, DETECTIONS, image_b64=encoded(PICTURE), threshold=0, labels=["bus"])
    assert {one["label"] for one in body["detections"]} == {"bus"}


async def test_a_model_s_other_labels_are_left_out(vision: App, account: Account) -> None:
    """Nothing in the sandbox is a unicorn unless it is asked for, and what is asked for is all there is."""
    usual = await answer(vision, account, DETECTIONS, image_b64=encoded(PICTURE), threshold=0)
    asked = await answer(vision, account, DETECTIONS, image_b64=encoded(PICTURE), threshold=0, labels=["unicorn"])
    assert "unicorn" not in {one["label"] for one in usual["detections"]}
    assert [one["score"] for one in asked["detections"]] == [one["score"] for one in usual["detections"]]


@pytest.mark.parametrize("data", [png(3, 2), jpeg(3, 2), gif(3, 2), webp_lossy(3, 2), film(frame())])
async def test_four_formats(vision: App, account: Account, data: bytes) -> None:
    body = await answer(vision, account, DETECTIONS, image_b64=encoded(data))
    assert body["image"] == {"width": 3, "height": 2}


MISSING: Final = "missing_required_parameter"
INVALID: Final = "invalid_value"
SVG: Final = b"<svg xmlns='http://www.w3.org/2000/svg'/>"


@pytest.mark.parametrize("path", [OCR, DETECTIONS])
@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, MISSING, "image_url"),
        ({"image_url": data_url(PICTURE), "image_b64": encoded(PICTURE)}, INVALID, "image_b64"),
        ({"image_b64": encoded(PICTURE), "upload_id": "upload_" + "0" * 26}, INVALID, "upload_id"),
        ({"upload_id": "upload_" + "0" * 26}, "upload_not_found", "upload_id"),
        ({"upload_id": "../upload_" + "0" * 26}, INVALID, "upload_id"),
        ({"image_b64": ""}, INVALID, "image_b64"),
        ({"image_b64": "!!!!"}, "invalid_base64", "image_b64"),
        ({"image_b64": encoded(PICTURE).rstrip("=") + "==="}, "invalid_base64", "image_b64"),
        ({"image_b64": encoded(b"\xff" * 30).replace("/", "_")}, "invalid_base64", "image_b64"),
        ({"image_b64": data_url(PICTURE)}, "invalid_base64", "image_b64"),
        ({"image_url": "data:image/png,abcd"}, INVALID, "image_url"),
        ({"image_url": "a.png"}, "url_not_allowed", "image_url"),
        ({"image_b64": encoded(png(100_000, 100_000))}, "image_too_large", "image_b64"),
        ({"image_b64": encoded(webp_lossy(16_383, 16_383))}, "image_too_large", "image_b64"),
        ({"image_b64": encoded(SVG)}, "invalid_image", "image_b64"),
        ({"image_url": data_url(SVG, "image/svg+xml")}, "invalid_image", "image_url"),
        ({"image_b64": encoded(film(frame(), frame()))}, "invalid_image", "image_b64"),
        ({"image_b64": encoded(SOUND)}, "invalid_image", "image_b64"),
        ({"image_b64": encoded(b"PK\x03\x04" + bytes(60))}, "invalid_image", "image_b64"),
        ({"image_b64": encoded(b"II*\0" + bytes(60))}, "invalid_image", "image_b64"),
        ({"image_b64": encoded(b"<script>")}, "invalid_image", "image_b64"),
        ({"image_b64": encoded(PICTURE), "quality": 1}, INVALID, "quality"),
    ],
)
async def test_a_bad_picture_names_its_field(
    vision: App, account: Account, container: Container, path: str, body: Mapping[str, Any], code: str, param: str
) -> None:
    assert refusal(await ask(vision, account, path, **body)) == (400, code, param)
    assert await holds_of(container, account) == []


GOOD: Final = {"image_b64": encoded(PICTURE)}


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        (DETECTIONS, {**GOOD, "threshold": -0.1}, INVALID, "threshold"),
        (DETECTIONS, {**GOOD, "threshold": 1.1}, INVALID, "threshold"),
        (DETECTIONS, {**GOOD, "threshold": "half"}, INVALID, "threshold"),
        (DETECTIONS, {**GOOD, "labels": []}, INVALID, "labels"),
        (DETECTIONS, {**GOOD, "labels": [""]}, INVALID, "labels[0]"),
        (DETECTIONS, {"image_b64": encoded(THREE_PAGES)}, "invalid_image", "image_b64"),
        (DETECTIONS, {"document_url": data_url(THREE_PAGES)}, INVALID, "document_url"),
        (OCR, {**GOOD, "languages": []}, INVALID, "languages"),
        (OCR, {**GOOD, "languages": ["English"]}, INVALID, "languages[0]"),
        (OCR, {"document_url": data_url(made(PAGE * 1_001))}, "document_too_large", "document_url"),
    ],
)
async def test_a_bad_body_names_its_field(
    vision: App, account: Account, container: Container, path: str, body: Mapping[str, Any], code: str, param: str
) -> None:
    assert refusal(await ask(vision, account, path, **body)) == (400, code, param)
    assert await holds_of(container, account) == []


@pytest.mark.parametrize("path", [OCR, DETECTIONS])
async def test_a_redirect_is_not_followed_not_even_once(
    vision: App, account: Account, container: Container, path: str
) -> None:
    fetches_from_loopback(vision)
    async with running() as site:
        site.says(b"", f"Location: http://127.0.0.1:{site.port}/b", status="302 Found")
        response = await ask(vision, account, path, image_url=f"http://127.0.0.1:{site.port}/a")
        assert len(site.asked) == 1
    assert refusal(response) == (400, "url_redirects", "image_url")
    assert await holds_of(container, account) == []


async def test_a_picture_that_has_no_end_is_not_taken(vision: App, account: Account, container: Container) -> None:
    fetches_from_loopback(vision)
    async with running() as site:
        site.pieces, site.endless = [b"HTTP/1.1 200 OK\r\n\r\n", bytes(1 << 20)], True
        response = await ask(vision, account, OCR, image_url=f"http://127.0.0.1:{site.port}/a")
    assert refusal(response) == (400, "url_too_large", "image_url")
    assert await holds_of(container, account) == []


async def test_a_drawing_is_called_by_its_name(vision: App, account: Account) -> None:
    message = error_of(await ask(vision, account, OCR, image_b64=encoded(SVG)))["message"]
    assert "an SVG drawing was sent" in message


@pytest.mark.parametrize("path", [OCR, DETECTIONS])
async def test_a_body_that_is_too_large_is_told_of_uploads(
    vision: App, account: Account, container: Container, path: str
) -> None:
    response = await ask(vision, account, path, image_b64=encoded(bytes(5 * 1024 * 1024)))
    assert (response.status_code, error_of(response)["code"]) == (413, "request_too_large")
    assert "POST /v1/uploads" in error_of(response)["message"]
    assert await holds_of(container, account) == []
