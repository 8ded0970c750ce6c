"""Pages to read: text that is known, drawn in several typefaces and sizes, and then spoilt as paper is."""

import importlib.util
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_MARGIN: Final = 40
_TEXTS: Final = (
    """Opening hours of the town library
Monday to Friday from 9:30 to 19:00,
Saturday until 14:00, closed on Sundays.
A card costs 12.00 a year; children pay nothing.
Late books are 0.25 a day, at most 6.50.
Ask at desk 4 for large print and audio.""",
    """Receipt 7731-B, Harbour Street Hardware
Paint, matt white, 2.5 l          31.95
Brush set (5 pieces)               8.49
Masking tape 50 m x 2              6.98
Total including tax               47.42
Paid by card ending in 0093. Thank you!""",
    """Dear Ms. Okafor,
thank you for your letter of 27 October.
We are glad to offer you the flat on the
third floor at 865 a month, heating included.
Keys can be collected from 1 January.
Yours sincerely, P. Lindqvist""",
    """How to change the filter
1. Switch the machine off and pull the plug.
2. Open the lid and lift the old filter out.
3. Rinse the new one for 30 seconds.
4. Push it in until it clicks, then close.
Do this every 2 months, or after 60 litres.""",
)
_FONTS: Final = {
    "Aileron (Pillow's own)": None,
    "Roboto": ("font_roboto", "Roboto-Regular.ttf"),
    "Caladea": ("font_caladea", "Caladea-Regular.ttf"),
    "Caladea italic": ("font_caladea", "Caladea-Italic.ttf"),
    "Source Sans Pro light": ("font_source_sans_pro", "SourceSansPro-Light.ttf"),
    "Source Sans Pro bold": ("font_source_sans_pro", "SourceSansPro-Bold.ttf"),
}
_SIZES: Final = (16, 20, 28, 40)


@dataclass(frozen=True, slots=True)
class Page:
    """`spoilt` says how, `image` is a PNG file."""

    text: str
    font: str
    size: int
    spoilt: str
    image: bytes


def _noise(page: Image.Image) -> Image.Image:
    grain = np.random.default_rng(7).normal(0, 25, (page.height, page.width, 3))
    return Image.fromarray(np.clip(np.asarray(page) + grain, 0, 255).astype(np.uint8))


def _faint(page: Image.Image) -> Image.Image:
    """Grey 150 on grey 200, of 255."""
    return Image.fromarray((150 + np.asarray(page, dtype=np.float32) * (50 / 255)).astype(np.uint8))


def _jpeg(page: Image.Image) -> Image.Image:
    file = io.BytesIO()
    page.save(file, "JPEG", quality=25)
    return Image.open(file).convert("RGB")


SPOILT: Final[dict[str, Callable[[Image.Image], Image.Image]]] = {
    "clean": lambda page: page,
    "noise": _noise,
    "turned by 1 degree": lambda page: page.rotate(1, Image.Resampling.BICUBIC, fillcolor="white"),
    "turned by -2 degrees": lambda page: page.rotate(-2, Image.Resampling.BICUBIC, fillcolor="white"),
    "low contrast": _faint,
    "blurred": lambda page: page.filter(ImageFilter.GaussianBlur(1.2)),
    "JPEG of quality 25": _jpeg,
}


def pages() -> Iterator[Page]:
    """Every typeface with every way of being spoilt: 42 pages, over which sizes and texts go round."""
    number = 0
    for font in _FONTS:
        for spoilt, spoil in SPOILT.items():
            text, size = _TEXTS[number % len(_TEXTS)], _SIZES[number % len(_SIZES)]
            file = io.BytesIO()
            spoil(_drawn(text, font, size)).save(file, "PNG")
            yield Page(text, font, size, spoilt, file.getvalue())
            number += 1


def _drawn(text: str, name: str, size: int) -> Image.Image:
    font = _font(name, size)
    rows = text.split("\n")
    width = int(max(font.getlength(row) for row in rows)) + 2 * _MARGIN
    page = Image.new("RGB", (width, int(len(rows) * size * 1.5) + 2 * _MARGIN), "white")
    draw = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        draw.text((_MARGIN, _MARGIN + number * size * 1.5), row, font=font, fill="black")
    return page


def _font(name: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    place = _FONTS[name]
    if place is None:
        return ImageFont.load_default(size)
    spec = importlib.util.find_spec(place[0])
    assert spec is not None, f"{place[0]} is not installed: `uv sync --group bench`"
    assert spec.origin is not None
    return ImageFont.truetype(str(Path(spec.origin).with_name("files") / place[1]), size)
