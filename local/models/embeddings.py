"""Embeddings on the wire, in OpenAI's shape."""

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.models import fields
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/embeddings",)
MOST_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A checked request; `encoded`: base64 of little-endian 32-bit floats instead of numbers."""

    model: str
    inputs: list[str]
    encoded: bool


@dataclass(frozen=True, slots=True)
class Embedded:
    """A vector of length 1, and how many tokens the model read for it."""

    vector: Sequence[float]
    tokens: int


class Embedder(Protocol):
    """A loaded embeddings model."""

    def embed(self, texts: Sequence[str]) -> Iterator[Embedded]:
        """One vector for each text, in order. Raises `BadRequestError` for a text that does not fit the context."""
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """One vector for each input."""
    wanted = parse(await fields.json_object(request))

    def work(engine: Embedder) -> Iterator[Embedded]:
        return engine.embed(wanted.inputs)

    return JSONResponse(render(wanted, await slots.ask(request, "embed", wanted.model, work)))


def parse(body: Mapping[str, Any]) -> EmbeddingsRequest:
    """Check a decoded body. Raises `BadRequestError` naming the field."""
    value = body.get("input")
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, int | list):
        raise BadRequestError(
            "Token ids belong to another model's tokenizer: send `input` as text.",
            param="input",
            code="unsupported_value",
        )
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise BadRequestError("`encoding_format` must be float or base64.", param="encoding_format")
    if body.get("dimensions") is not None:
        raise BadRequestError(
            "Local models have one size of vector: leave `dimensions` out.",
            param="dimensions",
            code="unsupported_value",
        )
    return EmbeddingsRequest(fields.model(body), fields.texts(body, "input", MOST_INPUTS), encoding == "base64")


def render(wanted: EmbeddingsRequest, embedded: Sequence[Embedded]) -> dict[str, Any]:
    """The answer's body."""
    tokens = sum(row.tokens for row in embedded)
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _encode(row.vector) if wanted.encoded else list(row.vector),
        }
        for index, row in enumerate(embedded)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": wanted.model, "usage": usage}


def _encode(vector: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
