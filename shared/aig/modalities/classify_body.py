"""The body of a request for classifications."""

from typing import Annotated, Any, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.errors import InvalidRequest
from aig.modalities.classify import ClassifyRequest
from aig.modalities.steering import STRICT, Steered, check, named_models, schema

MAX_TEXTS = 128
MAX_LABELS = 100

_Text = Annotated[str, StringConstraints(min_length=1)]
_Label = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


@with_config(STRICT)
class ClassifyBody(Steered):
    """Body of POST /v1/classifications. Without `labels` the model judges by its own."""

    input: _Text | Annotated[list[_Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]
    labels: NotRequired[Annotated[list[_Label], Field(min_length=1, max_length=MAX_LABELS)] | None]
    multi_label: NotRequired[bool | None]


_ADAPTER: TypeAdapter[ClassifyBody] = TypeAdapter(ClassifyBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def parse(body: dict[str, Any]) -> ClassifyRequest:
    """A checked request. Raises aig.errors.InvalidRequest, naming the field."""
    checked = check(_ADAPTER, body)
    texts, labels = checked["input"], checked.get("labels") or []
    if len(set(labels)) < len(labels):
        raise InvalidRequest("labels: one stands there twice. Name each label once.", param="labels")
    return ClassifyRequest(
        models=named_models(checked),
        texts=(texts,) if isinstance(texts, str) else tuple(texts),
        labels=tuple(labels),
        multi_label=bool(checked.get("multi_label")),
        preferences=checked.get("provider") or {},
    )
