"""Embeddings: texts, or token ids, to vectors in the same order."""

import base64
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from aig.modalities.cacheable import CacheForm
from aig.modalities.demand import Demand
from aig.modalities.upstream import Upstream
from aig.modalities.usage import INPUT_UNITS, Usage

Text = str | tuple[int, ...]
Vector = list[float] | str  # numbers, or float32 little-endian in base64
InputType = Literal["query", "document", "classification", "clustering"]
Encoding = Literal["float", "base64"]


def max_tokens(text: Text) -> int:
    """An upper bound: no tokenizer in use makes more tokens than there are UTF-8 bytes; some add two marks."""
    return len(text if isinstance(text, tuple) else text.encode()) + 2


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """`inputs` are all texts or all token ids; `dimensions` None is what the model has of itself."""

    model: str
    inputs: tuple[Text, ...]
    encoding: Encoding = "float"
    dimensions: int | None = None
    input_type: InputType | None = None
    user: str | None = None
    preferences: Any = None

    @property
    def demand(self) -> Demand:
        capabilities = {"embed"}
        if isinstance(self.inputs[0], tuple):
            capabilities.add("token_ids")
        if self.dimensions is not None:
            capabilities.add("dimensions")
        return Demand(
            models=(self.model,),
            capabilities=frozenset(capabilities),
            input_tokens=sum(max_tokens(text) for text in self.inputs),
            inputs=len(self.inputs),
            output_tokens=0,
            preferences=self.preferences or {},
        )

    @property
    def cache_form(self) -> CacheForm:
        parameters = {
            "inputs": self.inputs,
            "encoding": self.encoding,
            "dimensions": self.dimensions,
            "input_type": self.input_type,
            "provider": self.preferences,
        }
        return CacheForm(modality="embeddings", parameters=parameters, deterministic=True)

    def estimate(self, _: "EmbedResult") -> Usage:
        """Four bytes a token, the usual figure for English; a token id is one."""
        tokens = sum(len(text) if isinstance(text, tuple) else -(-len(text.encode()) // 4) for text in self.inputs)
        return Usage({"input_tokens": tokens}, estimated=True)

    def answer(self, result: "EmbedResult", usage: Usage) -> dict[str, Any]:
        """OpenAI's `list` of embeddings, without the model's name and the cost."""
        tokens = usage.total(INPUT_UNITS)
        counted: dict[str, Any] = {"prompt_tokens": tokens, "total_tokens": tokens}
        if usage.estimated:
            counted["estimated"] = True
        data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(result.vectors)]
        return {"object": "list", "data": data, "usage": counted}


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """A vector for each input, in the request's order and encoding; usage None where the provider tells none."""

    vectors: Sequence[Vector]
    usage: Usage | None


class EmbedAdapter(Protocol):
    """One provider's wire for embeddings, at any number of inputs. Raises UpstreamError."""

    async def embed(self, upstream: Upstream, request: EmbedRequest) -> EmbedResult: ...


def to_base64(vector: Sequence[float]) -> str:
    """What OpenAI's clients ask for: float32, little-endian."""
    return base64.b64encode(array("f", vector).tobytes()).decode()


def from_base64(text: str) -> list[float]:
    """Raises ValueError for what is not base64 of whole float32 numbers."""
    return array("f", base64.b64decode(text, validate=True)).tolist()


def encoded(vector: Any, encoding: Encoding) -> Vector:
    """A vector as a provider sent it, in the encoding that was asked for. Raises ValueError for what is no vector.

    One is at least one number, and all of its numbers are finite as float32.
    """
    if isinstance(vector, str):
        numbers = array("f", base64.b64decode(vector, validate=True))
    elif isinstance(vector, list) and {*map(type, vector)} <= {int, float}:
        try:
            numbers = array("f", vector)
        except OverflowError:
            raise ValueError("too large") from None
    else:
        raise ValueError("not a vector")
    if not numbers or not math.isfinite(sum(numbers)):  # no sum of float32 is too large for a float
        raise ValueError("not a vector")
    if isinstance(vector, str):
        return vector if encoding == "base64" else numbers.tolist()
    return base64.b64encode(numbers.tobytes()).decode() if encoding == "base64" else vector


def batches(inputs: Sequence[Text], max_batch: int, max_batch_tokens: int | None) -> Iterator[tuple[Text, ...]]:
    """The inputs in order, in pieces that a provider takes in one request."""
    batch: list[Text] = []
    tokens = 0
    for text in inputs:
        more = max_tokens(text)
        if batch and (len(batch) == max_batch or (max_batch_tokens is not None and tokens + more > max_batch_tokens)):
            yield tuple(batch)
            batch, tokens = [], 0
        batch.append(text)
        tokens += more
    if batch:
        yield tuple(batch)
