"""What is asked of the models that look at images."""

import base64
import importlib.util
import io
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image

from bench.quality.edits import distance
from bench.quality.pages import pages
from local.models.detections import DetectionEngine, DetectionRequest
from local.models.moderations import FLAGGED_FROM, Item, Moderator
from local.models.ocr import OcrEngine, OcrRequest, in_reading_order

_PHOTOGRAPHS: Final = Path(__file__).with_name("photographs.toml")


def reading(engine: OcrEngine) -> dict[str, str]:
    """The character error rate of all pages and of those that are spoilt in one way: edits, of what was written."""
    edits: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for page in pages():
        (read,) = engine.read(OcrRequest("", page.image, frozenset()))
        wanted, got = " ".join(page.text.split()), " ".join(line.text for line in in_reading_order(read.lines))
        row = (distance(wanted, got), len(wanted))
        for name in ("all", page.spoilt, f"{page.size} pixels"):
            edits[name].append(row)
        edits["spaces left out of the count"].append(
            (distance(wanted.replace(" ", ""), got.replace(" ", "")), len(wanted.replace(" ", "")))
        )
    rates = {name: _rate(rows) for name, rows in edits.items()}
    return {f"characters wrong on {len(edits['all'])} rendered pages": rates.pop("all"), **rates}


def _rate(rows: list[tuple[int, int]]) -> str:
    return f"{sum(wrong for wrong, _ in rows) / sum(size for _, size in rows):.1%}"


def detecting(engine: DetectionEngine) -> dict[str, str]:
    """At the threshold that requests have by default, and at a lower one, what is found and what is not there."""
    seen = list(_photographs())
    figures = {}
    for threshold in (0.5, 0.3):
        right = wrong = 0
        for image, things in seen:
            (scene,) = engine.detect(DetectionRequest("", image, threshold, frozenset()))
            found = Counter(thing.label for thing in scene.things)
            right += (found & things).total()
            wrong += (found - things).total()
        there = sum(things.total() for _, things in seen)
        asked = f"things found on {len(seen)} photographs from {threshold} on"
        figures[asked] = f"{right} of {there}, {wrong} too many"
    return figures


def judging(engine: Moderator) -> dict[str, str]:
    """Harmless photographs only: none that should be flagged is in any package."""
    urls = ["data:image/png;base64," + base64.b64encode(image).decode() for image, _ in _photographs()]
    scores = [row.scores["sexual"] for row in engine.moderate([Item(images=(url,)) for url in urls])]
    flagged = sum(score >= FLAGGED_FROM for score in scores)
    return {
        f"flagged of {len(scores)} harmless photographs": str(flagged),
        "highest score among them": f"{max(scores):.3f}",
        "photographs that should be flagged": "not tested, for want of any",
    }


def _photographs() -> Iterator[tuple[bytes, Counter[str]]]:
    for row in tomllib.loads(_PHOTOGRAPHS.read_text(encoding="utf-8"))["photographs"]:
        spec = importlib.util.find_spec(row["package"])
        assert spec is not None, f"{row['package']} is not installed: `uv sync --group bench`"
        assert spec.origin is not None
        with Image.open(Path(spec.origin).parent / row["file"]) as opened:
            file = io.BytesIO()
            opened.convert("RGB").save(file, "PNG")
        yield file.getvalue(), Counter(row["seen"])
