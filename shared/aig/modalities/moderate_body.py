"""The body of a request for moderations: OpenAI's."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, StringConstraints, Tag, TypeAdapter, with_config
from typing_extensions import TypedDict

from aig.modalities.files import Picture
from aig.modalities.given import Given
from aig.modalities.moderate import ModerateRequest, Part
from aig.modalities.steering import STRICT, Steered, check, named_models, schema

MAX_INPUTS = 256
MAX_PARTS = 32

_Text = Annotated[str, StringConstraints(min_length=1)]


@with_config(STRICT)
class TextPart(TypedDict):
    type: Literal["text"]
    text: _Text


@with_config(STRICT)
class ImageUrl(TypedDict):
    url: _Text


@with_config(STRICT)
class ImagePart(TypedDict):
    type: Literal["image_url"]
    image_url: ImageUrl


_Parts = Annotated[
    list[Annotated[TextPart | ImagePart, Field(discriminator="type")]], Field(min_length=1, max_length=MAX_PARTS)
]
_Texts = Annotated[list[_Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]


def _shape(value: Any) -> str:
    """Which of the three forms the client means, so that the complaint is about that one."""
    if not isinstance(value, list):
        return "a text"
    return "parts" if value and isinstance(value[0], dict) else "texts"


@with_config(STRICT)
class ModerateBody(Steered):
    """Body of POST /v1/moderations. Texts are judged one by one, parts all together."""

    input: Annotated[
        Annotated[_Text, Tag("a text")] | Annotated[_Texts, Tag("texts")] | Annotated[_Parts, Tag("parts")],
        Discriminator(_shape),
    ]


_ADAPTER: TypeAdapter[ModerateBody] = TypeAdapter(ModerateBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> ModerateBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_ADAPTER, body)


def pictures(body: ModerateBody) -> list[Given]:
    """The pictures among the parts, in their order."""
    return [
        Given("url", part["image_url"]["url"], f"input[{at}].image_url.url")
        for at, part in enumerate(body["input"])
        if isinstance(part, dict) and part["type"] == "image_url"
    ]


def request(body: ModerateBody, loaded: Sequence[Picture]) -> ModerateRequest:
    """With the pictures that were loaded, in the order of `pictures`."""
    return ModerateRequest(
        models=named_models(body), inputs=_inputs(body["input"], loaded), preferences=body.get("provider") or {}
    )


def _inputs(value: Any, loaded: Sequence[Picture]) -> tuple[tuple[Part, ...], ...]:
    if isinstance(value, str):
        return ((value,),)
    if isinstance(value[0], str):
        return tuple((text,) for text in value)
    following = iter(loaded)
    return (tuple(part["text"] if part["type"] == "text" else next(following) for part in value),)
