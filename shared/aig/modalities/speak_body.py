"""The body of a request for speech: OpenAI's."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.modalities.speak import SpeakRequest
from aig.modalities.steering import STRICT, Steered, check, named_models, schema

MAX_CHARACTERS = 10_000


@with_config(STRICT)
class SpeakBody(Steered):
    """Body of POST /v1/audio/speech. `pcm` is 24 kHz, 16 bits, little-endian, mono."""

    input: Annotated[str, StringConstraints(min_length=1, max_length=MAX_CHARACTERS, pattern=r"\S")]
    voice: NotRequired[Annotated[str, StringConstraints(min_length=1, max_length=200)] | None]
    response_format: NotRequired[Literal["mp3", "wav", "opus", "flac", "pcm"] | None]
    speed: NotRequired[Annotated[float, Field(ge=0.25, le=4)] | None]
    instructions: NotRequired[Annotated[str, StringConstraints(max_length=4_096)] | None]
    stream_format: NotRequired[Literal["audio"] | None]


_ADAPTER: TypeAdapter[SpeakBody] = TypeAdapter(SpeakBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def parse(body: dict[str, Any]) -> SpeakRequest:
    """A checked request. Raises aig.errors.InvalidRequest, naming the field."""
    checked = check(_ADAPTER, body)
    return SpeakRequest(
        models=named_models(checked),
        text=checked["input"],
        voice=checked.get("voice"),
        form=checked.get("response_format") or "mp3",
        speed=checked.get("speed"),
        instructions=checked.get("instructions") or None,
        preferences=checked.get("provider") or {},
    )
