"""The body of a request to rerank: Cohere's and Jina's, whose clients send it."""

from typing import Annotated, Any, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config
from typing_extensions import TypedDict

from aig.modalities.rerank import RerankRequest
from aig.modalities.steering import STRICT, Steered, check, named_models, schema

MAX_DOCUMENTS = 1000

_Text = Annotated[str, StringConstraints(min_length=1)]


@with_config(STRICT)
class Document(TypedDict):
    text: _Text


@with_config(STRICT)
class RerankBody(Steered):
    """Body of POST /v1/rerank."""

    query: _Text
    documents: Annotated[list[_Text | Document], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)]
    top_n: NotRequired[Annotated[int, Field(ge=1)] | None]
    return_documents: NotRequired[bool | None]


_ADAPTER: TypeAdapter[RerankBody] = TypeAdapter(RerankBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def parse(body: dict[str, Any]) -> RerankRequest:
    """A checked request. Raises aig.errors.InvalidRequest, naming the field."""
    checked = check(_ADAPTER, body)
    return RerankRequest(
        models=named_models(checked),
        query=checked["query"],
        documents=tuple(one if isinstance(one, str) else one["text"] for one in checked["documents"]),
        top_n=checked.get("top_n"),
        return_documents=bool(checked.get("return_documents")),
        preferences=checked.get("provider") or {},
    )
