"""The body of a request for embeddings, checked as strictly as OpenAI checks it."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Discriminator, Field, StringConstraints, Tag, TypeAdapter, with_config
from typing_extensions import TypedDict

from aig.modalities.chat_types import ProviderPreferences
from aig.modalities.embed import EmbedRequest, Text
from aig.modalities.steering import STRICT, check, schema

MAX_INPUTS = 2048

_Text = Annotated[str, StringConstraints(min_length=1)]
_TokenIds = Annotated[
    list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1, max_length=100_000, fail_fast=True)
]

_Texts = Annotated[list[_Text], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]
_TokenLists = Annotated[list[_TokenIds], Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True)]


def _shape(value: Any) -> str:
    """Which of the four forms the client means, so that the complaint is about that one."""
    if not isinstance(value, list):
        return "a text"
    first = value[0] if value else ""
    return "lists of token ids" if isinstance(first, list) else "token ids" if type(first) is int else "a list of texts"


@with_config(STRICT)
class EmbedBody(TypedDict):
    """Body of POST /v1/embeddings: OpenAI's, and `input_type` and `provider`."""

    model: Annotated[str, StringConstraints(min_length=1)]
    input: Annotated[
        Annotated[_Text, Tag("a text")]
        | Annotated[_TokenIds, Tag("token ids")]
        | Annotated[_Texts, Tag("a list of texts")]
        | Annotated[_TokenLists, Tag("lists of token ids")],
        Discriminator(_shape),
    ]
    encoding_format: NotRequired[Literal["float", "base64"] | None]
    dimensions: NotRequired[Annotated[int, Field(ge=1, le=65_536)] | None]
    user: NotRequired[Annotated[str, StringConstraints(max_length=1024)] | None]
    # What the texts are for: some models embed a query differently from a document.
    input_type: NotRequired[Literal["query", "document", "classification", "clustering"] | None]
    provider: NotRequired[ProviderPreferences | None]


_ADAPTER: TypeAdapter[EmbedBody] = TypeAdapter(EmbedBody)


def body_schema() -> dict[str, Any]:
    """The JSON schema of the body, for the OpenAPI document."""
    return schema(_ADAPTER)


def parse(body: dict[str, Any]) -> EmbedRequest:
    """A checked request. Raises aig.errors.InvalidRequest, naming the field."""
    checked = check(_ADAPTER, body)
    return EmbedRequest(
        model=checked["model"],
        inputs=_inputs(checked["input"]),
        encoding=checked.get("encoding_format") or "float",
        dimensions=checked.get("dimensions"),
        input_type=checked.get("input_type"),
        user=checked.get("user"),
        preferences=checked.get("provider") or {},
    )


def _inputs(value: Any) -> tuple[Text, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value[0], int):
        return (tuple(value),)
    return tuple(text if isinstance(text, str) else tuple(text) for text in value)
