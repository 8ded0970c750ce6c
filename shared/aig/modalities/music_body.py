"""The body of a request for music."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.modalities.music import LONGEST_S, MusicRequest
from aig.modalities.steering import STRICT, Steered, check, named_models, schema
from aig.modalities.video_body import Prompt, Seed, WebhookUrl


@with_config(STRICT)
class MusicBody(Steered):
    """Body of POST /v1/audio/music. `duration` is in seconds."""

    prompt: Prompt
    duration: NotRequired[Annotated[int, Field(ge=1, le=LONGEST_S)] | None]
    lyrics: NotRequired[Annotated[str, StringConstraints(max_length=10_000)] | None]
    instrumental: NotRequired[bool | None]
    response_format: NotRequired[Literal["mp3", "wav"] | None]
    seed: NotRequired[Seed | None]
    webhook_url: NotRequired[WebhookUrl | None]


_ADAPTER: TypeAdapter[MusicBody] = TypeAdapter(MusicBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> MusicBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_ADAPTER, body)


def request(body: MusicBody) -> MusicRequest:
    return MusicRequest(
        models=named_models(body),
        prompt=body["prompt"],
        seconds=body.get("duration"),
        lyrics=body.get("lyrics") or None,
        instrumental=bool(body.get("instrumental")),
        form=body.get("response_format"),
        seed=body.get("seed"),
        preferences=body.get("provider") or {},
    )
