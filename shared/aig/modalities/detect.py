"""Detection: what is to be seen in a picture, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import Demand
from aig.modalities.files import Picture, fingerprint
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage, units_json

PROMPT_TOKENS = 1_024  # what a model that reads pictures is told to do


@dataclass(frozen=True, slots=True)
class Box:
    """In pixels of the picture as it was sent, from its top left corner."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float

    def to_json(self) -> dict[str, float]:
        return {"xmin": self.xmin, "ymin": self.ymin, "xmax": self.xmax, "ymax": self.ymax}


@dataclass(frozen=True, slots=True)
class DetectRequest:
    """Things with a score of at least `threshold`; of these `labels` only, unless there are none."""

    models: tuple[str, ...]
    picture: Picture
    threshold: float = 0.5
    labels: tuple[str, ...] = ()
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        return Demand(
            models=self.models,
            capabilities=frozenset({"detect"}),
            input_tokens=PROMPT_TOKENS + sum(len(label.encode()) for label in self.labels),
            output_tokens=None,
            images=1,
            counts={"images": 1},
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "picture": fingerprint(self.picture.data),
            "threshold": self.threshold,
            "labels": self.labels,
            "provider": self.preferences,
        }
        return CacheForm(modality="detections", parameters=parameters, deterministic=True)

    def estimate(self, _: "DetectResult") -> Usage:
        return Usage({"images": 1}, estimated=True)

    def answer(self, result: "DetectResult", usage: Usage) -> dict[str, Any]:
        wanted = [
            one
            for one in sorted(result.detections, key=lambda one: -one.score)
            if one.score >= self.threshold and (not self.labels or one.label in self.labels)
        ]
        shown = [{"label": one.label, "score": one.score, "box": one.box.to_json()} for one in wanted]
        size = {"width": self.picture.width, "height": self.picture.height}
        return {"object": "detection", "image": size, "detections": shown, "usage": units_json(usage)}


@dataclass(frozen=True, slots=True)
class Detection:
    """`score` between 0 and 1."""

    label: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class DetectResult:
    """In any order, of any score."""

    detections: Sequence[Detection]
    usage: Usage | None


class DetectAdapter(Protocol):
    """Raises UpstreamError."""

    async def detect(self, upstream: Upstream, request: DetectRequest) -> DetectResult: ...
