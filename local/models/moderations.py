"""Moderation on the wire, in OpenAI's shape."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/moderations",)
MOST_INPUTS = 256
FLAGGED_FROM = 0.5
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
"""OpenAI's, all of which every result has."""

Kind: TypeAlias = Literal["text", "image"]


@dataclass(frozen=True, slots=True)
class Item:
    """What gets one result: a text, or texts and images together. `images` are URLs as sent, data: ones included."""

    texts: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """Scores from 0 to 1 by category; those not named are 0. `kinds` is what each category was looked for in."""

    scores: Mapping[str, float]
    kinds: Mapping[str, tuple[Kind, ...]]


class Moderator(Protocol):
    """A loaded moderation model."""

    def moderate(self, items: Sequence[Item]) -> Iterator[Judged]:
        """One result for each item, in order. Raises `BadRequestError` for images or texts that it cannot judge."""
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """One result for each text, or one for all the parts together."""
    body = await fields.json_object(request)
    model, items = fields.model(body), parse(body.get("input"))

    def work(engine: Moderator) -> Iterator[Judged]:
        return engine.moderate(items)

    return JSONResponse(render(model, await slots.ask(request, "moderate", model, work)))


def parse(value: object) -> list[Item]:
    """The items of `input`: a string, strings, or parts. Raises `BadRequestError` naming the field."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [_parts(value)]
    return [Item(texts=(text,)) for text in fields.texts({"input": value}, "input", MOST_INPUTS)]


def _parts(parts: Sequence[object]) -> Item:
    texts, images = [], []
    for index, part in enumerate(parts):
        where = f"input[{index}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind == "text":
            texts.append(fields.text(part.get("text"), f"{where}.text"))
        elif isinstance(part, dict) and kind == "image_url":
            image = part.get("image_url")
            images.append(fields.text(image.get("url") if isinstance(image, dict) else None, f"{where}.image_url.url"))
        else:
            raise BadRequestError(f"`{where}.type` must be text or image_url.", param=f"{where}.type")
    return Item(tuple(texts), tuple(images))


def render(model: str, judged: Sequence[Judged]) -> dict[str, Any]:
    """The answer's body."""
    return {"id": f"modr-{uuid.uuid4().hex}", "model": model, "results": [_result(row) for row in judged]}


def _result(judged: Judged) -> dict[str, Any]:
    scores = {category: round(judged.scores.get(category, 0.0), 6) for category in CATEGORIES}
    categories = {category: score >= FLAGGED_FROM for category, score in scores.items()}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": scores,
        "category_applied_input_types": {category: list(judged.kinds.get(category, ())) for category in CATEGORIES},
    }
