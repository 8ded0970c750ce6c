"""Classification on the wire: by the caller's labels (zero-shot) or by the model's own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/classifications",)
MOST_INPUTS = 256
MOST_LABELS = 100


@dataclass(frozen=True, slots=True)
class ClassificationRequest:
    """A checked request; `labels` None: the model's own."""

    model: str
    inputs: list[str]
    labels: list[str] | None
    multi_label: bool


@dataclass(frozen=True, slots=True)
class Classified:
    """A score from 0 to 1 for each label, and the tokens or words read to tell."""

    scores: Mapping[str, float]
    tokens: int


class Classifier(Protocol):
    """A loaded classification model."""

    def classify(
        self, texts: Sequence[str], labels: Sequence[str] | None, *, multi_label: bool
    ) -> Iterator[Classified]:
        """One result for each text, in order; the labels' tokens count with the first.

        The scores add up to 1, or stand each for itself with `multi_label`. Raises `BadRequestError` for labels that
        the model needs or cannot take, and for a text that is too long.
        """
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """The label that fits each input best, and the scores of all."""
    wanted = parse(await fields.json_object(request))

    def work(engine: Classifier) -> Iterator[Classified]:
        return engine.classify(wanted.inputs, wanted.labels, multi_label=wanted.multi_label)

    return JSONResponse(render(wanted, await slots.ask(request, "classify", wanted.model, work)))


def parse(body: Mapping[str, Any]) -> ClassificationRequest:
    """Check a decoded body. Raises `BadRequestError` naming the field."""
    multi_label = fields.flag(body, "multi_label")
    return ClassificationRequest(
        model=fields.model(body),
        inputs=fields.texts(body, "input", MOST_INPUTS),
        labels=None if body.get("labels") is None else _labels(body, least=1 if multi_label else 2),
        multi_label=multi_label,
    )


def _labels(body: Mapping[str, Any], least: int) -> list[str]:
    labels = body["labels"]
    if not isinstance(labels, list) or not least <= len(labels) <= MOST_LABELS:
        raise BadRequestError(f"`labels` must be an array of {least} to {MOST_LABELS} texts.", param="labels")
    checked = fields.texts(body, "labels", MOST_LABELS)
    if len(set(checked)) < len(checked):
        raise BadRequestError("`labels` has the same label twice.", param="labels")
    return checked


def render(wanted: ClassificationRequest, found: Sequence[Classified]) -> dict[str, Any]:
    """The answer's body."""
    results = [_result(index, row.scores) for index, row in enumerate(found)]
    usage = {"input_tokens": sum(row.tokens for row in found)}
    return {"object": "classification", "model": wanted.model, "results": results, "usage": usage}


def _result(index: int, scores: Mapping[str, float]) -> dict[str, Any]:
    ranked = sorted(scores.items(), key=lambda pair: -pair[1])
    labels = [{"label": label, "score": round(score, 6)} for label, score in ranked]
    return {"index": index, **labels[0], "labels": labels}
