"""What a body of any modality says of who shall serve it, and how bodies are checked."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from aig.modalities.chat_types import Models, ProviderPreferences, Slug
from aig.modalities.invalid import invalid_field

BodyT = TypeVar("BodyT")
STRICT = ConfigDict(strict=True, extra="forbid")


@with_config(STRICT)
class Steered(TypedDict):
    """`model`, then `models` in their order; neither, or `auto`, leaves the choice to the gateway."""

    model: NotRequired[Slug | None]
    models: NotRequired[Models | None]
    provider: NotRequired[ProviderPreferences | None]


def named_models(body: Mapping[str, Any]) -> tuple[str, ...]:
    """`model` first, then those of `models`; none if the gateway is to choose."""
    named = [body.get("model") or "auto", *(body.get("models") or ())]
    return tuple(dict.fromkeys(slug for slug in named if slug != "auto"))


def check(adapter: TypeAdapter[BodyT], body: dict[str, Any]) -> BodyT:
    """The body, if it is one. Raises aig.errors.InvalidRequest, naming the field."""
    try:
        return adapter.validate_python(body)
    except ValidationError as error:
        raise invalid_field(error, body) from None


def schema(adapter: TypeAdapter[Any]) -> dict[str, Any]:
    """The JSON schema of a body, for the OpenAPI document."""
    return adapter.json_schema(ref_template="#/components/schemas/{model}")
