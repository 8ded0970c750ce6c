"""Detections on the wire: parse and check a request, render what was found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields, images
from local.models.slots import Slots

PATHS = ("/v1/detections",)


@dataclass(frozen=True, slots=True)
class DetectionRequest:
    """A checked request. Nothing below the `threshold` (0 to 1) is wanted; empty `labels` stand for all."""

    model: str
    image: bytes
    threshold: float
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Thing:
    """One detection, its box in pixels of the image as a viewer shows it."""

    label: str
    score: float
    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True, slots=True)
class Scene:
    """The size of the image in pixels, and what is in it, the surest first."""

    width: int
    height: int
    things: tuple[Thing, ...]


class DetectionEngine(Protocol):
    """A loaded model that knows a fixed list of things."""

    def detect(self, request: DetectionRequest) -> Iterator[Scene]:
        """The one scene. Raises `BadRequestError` for a damaged image or a label that it does not know."""
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """What is in one image, and where."""
    wanted = parse(await fields.json_object(request))

    def work(engine: DetectionEngine) -> Iterator[Scene]:
        return engine.detect(wanted)

    (scene,) = await slots.ask(request, "detect", wanted.model, work)
    return JSONResponse(render(wanted, scene))


def parse(body: Mapping[str, Any]) -> DetectionRequest:
    """Check a decoded JSON body. Raises `BadRequestError` naming the field."""
    threshold = fields.number(body, "threshold", 0, 1)
    return DetectionRequest(
        model=fields.model(body),
        image=images.encoded(body),
        threshold=0.5 if threshold is None else float(threshold),
        labels=frozenset(fields.texts(body, "labels", 1000) if body.get("labels") is not None else ()),
    )


def render(request: DetectionRequest, scene: Scene) -> dict[str, Any]:
    """The answer as JSON."""
    return {
        "object": "detection",
        "model": request.model,
        "image": {"width": scene.width, "height": scene.height},
        "detections": [_thing(thing) for thing in scene.things],
        "usage": {"images": 1},
    }


def _thing(thing: Thing) -> dict[str, Any]:
    box = {"xmin": thing.xmin, "ymin": thing.ymin, "xmax": thing.xmax, "ymax": thing.ymax}
    return {"label": thing.label, "score": thing.score, "box": box}
