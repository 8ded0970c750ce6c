"""Translation on the wire."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/translations",)
MOST_TEXTS = 128
MOST_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class TranslationRequest:
    """A checked request. Languages are ISO 639-1 codes without region; `source` None: to be detected for each text."""

    model: str
    texts: list[str]
    source: str | None
    target: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of the translation of text number `index`, out of `source`."""

    index: int
    source: str
    text: str


class Translator(Protocol):
    """A loaded translation model."""

    def translate(self, texts: Sequence[str], source: str | None, target: str) -> Iterator[Piece]:
        """The translations piece by piece, at least one for each text, in order.

        Raises `BadRequestError` that names the supported pairs for any other, detected or given.
        """
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """A translation of each text."""
    wanted = parse(await fields.json_object(request))

    def work(engine: Translator) -> Iterator[Piece]:
        return engine.translate(wanted.texts, wanted.source, wanted.target)

    return JSONResponse(render(wanted, await slots.ask(request, "translate", wanted.model, work)))


def parse(body: Mapping[str, Any]) -> TranslationRequest:
    """Check a decoded body. Raises `BadRequestError` naming the field."""
    texts = fields.texts(body, "text", MOST_TEXTS)
    if sum(map(len, texts)) > MOST_CHARS:
        raise BadRequestError(
            f"The texts are longer than {MOST_CHARS} characters together: send fewer at a time.",
            param="text",
            code="context_length_exceeded",
        )
    target = _language(body, "target_lang")
    if target is None:
        raise BadRequestError("`target_lang` is required.", param="target_lang", code="missing_required_parameter")
    return TranslationRequest(fields.model(body), texts, _language(body, "source_lang"), target)


def _language(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    code = fields.text(value, name).lower().partition("-")[0]
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise BadRequestError(f"`{name}` must be an ISO 639-1 code, such as en or pt-BR.", param=name)
    return code


def render(wanted: TranslationRequest, pieces: Sequence[Piece]) -> dict[str, Any]:
    """The answer's body; usage counts the characters of the texts as sent."""
    texts = ["" for _ in wanted.texts]
    sources = dict.fromkeys(range(len(texts)), "")
    for piece in pieces:
        texts[piece.index] += piece.text
        sources[piece.index] = piece.source
    translations = [
        {"text": text, "source_lang": sources[index], "target_lang": wanted.target} for index, text in enumerate(texts)
    ]
    usage = {"characters": sum(map(len, wanted.texts))}
    return {"object": "translation", "model": wanted.model, "translations": translations, "usage": usage}
