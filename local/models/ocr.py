"""OCR on the wire: parse and check a request, bring the found lines in reading order, render them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields, images
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/ocr",)


@dataclass(frozen=True, slots=True)
class OcrRequest:
    """A checked request. `languages` are the base codes (`en` of `en-US`) that the page may be in; empty for any."""

    model: str
    image: bytes
    languages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of text in one row, with its upright box in pixels and a score from 0 to 1.

    `level` is how far down its middle is once the page is straightened, `height` that of the letters, both in pixels.
    """

    text: str
    score: float
    level: float
    height: float
    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True, slots=True)
class Page:
    """What was found, in any order; sizes in pixels of the image as a viewer shows it."""

    width: int
    height: int
    lines: tuple[Line, ...]


class OcrEngine(Protocol):
    """A loaded model that finds and reads text."""

    def read(self, request: OcrRequest) -> Iterator[Page]:
        """The one page. Raises `BadRequestError` for a damaged image or a language that it cannot read."""
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """The text of one image."""
    wanted = parse(await fields.json_object(request))

    def work(engine: OcrEngine) -> Iterator[Page]:
        return engine.read(wanted)

    (page,) = await slots.ask(request, "ocr", wanted.model, work)
    return JSONResponse(render(wanted, page))


def parse(body: Mapping[str, Any]) -> OcrRequest:
    """Check a decoded JSON body. Raises `BadRequestError` naming the field."""
    if body.get("document_url") is not None:
        raise BadRequestError(
            "Local models read images and no documents: send each page as an image.",
            param="document_url",
            code="unsupported_value",
        )
    languages = fields.texts(body, "languages", 100) if body.get("languages") is not None else []
    return OcrRequest(
        model=fields.model(body),
        image=images.encoded(body),
        languages=frozenset(language.lower().split("-")[0] for language in languages),
    )


def in_reading_order(lines: tuple[Line, ...]) -> list[Line]:
    """Row by row from the top, each from the left; columns are not told apart, so their lines come side by side."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: line.level):
        if rows and line.level - rows[-1][0].level < rows[-1][0].height / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.xmin)]


def render(request: OcrRequest, page: Page) -> dict[str, Any]:
    """The answer as JSON."""
    lines = in_reading_order(page.lines)
    text = "\n".join(line.text for line in lines)
    rendered = {
        "index": 0,
        "text": text,
        "width": page.width,
        "height": page.height,
        "lines": [_line(line) for line in lines],
    }
    return {"object": "ocr", "model": request.model, "text": text, "pages": [rendered], "usage": {"pages": 1}}


def _line(line: Line) -> dict[str, Any]:
    box = {"xmin": line.xmin, "ymin": line.ymin, "xmax": line.xmax, "ymax": line.ymax}
    return {"text": line.text, "score": line.score, "box": box}
