"""The body of a request for a video."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.modalities.files import Picture
from aig.modalities.given import Given, PictureGiven, given
from aig.modalities.steering import STRICT, check, named_models, schema
from aig.modalities.video import LONGEST_S, VideoRequest

PICTURE_FIELDS = ("image_url", "image_b64", "upload_id")
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"\S")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=2048)]


@with_config(STRICT)
class VideoBody(PictureGiven):
    """Body of POST /v1/videos/generations. A picture is what the video begins with. `duration` is in seconds."""

    prompt: Prompt
    duration: NotRequired[Annotated[int, Field(ge=1, le=LONGEST_S)] | None]
    aspect_ratio: NotRequired[Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]?:[1-9][0-9]?$")] | None]
    resolution: NotRequired[Literal["360p", "480p", "540p", "720p", "768p", "1080p", "1440p", "4k"] | None]
    negative_prompt: NotRequired[Annotated[str, StringConstraints(max_length=10_000)] | None]
    seed: NotRequired[Seed | None]
    audio: NotRequired[bool | None]
    webhook_url: NotRequired[WebhookUrl | None]


_ADAPTER: TypeAdapter[VideoBody] = TypeAdapter(VideoBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> VideoBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_ADAPTER, body)


def picture(body: VideoBody) -> Given | None:
    """Raises InvalidRequest for more than one."""
    return given(body, ("image_url",), ("image_b64",)) if any(body.get(name) for name in PICTURE_FIELDS) else None


def request(body: VideoBody, loaded: Picture | None = None, link: str | None = None) -> VideoRequest:
    return VideoRequest(
        models=named_models(body),
        prompt=body["prompt"],
        seconds=body.get("duration"),
        aspect_ratio=body.get("aspect_ratio"),
        resolution=body.get("resolution"),
        negative_prompt=body.get("negative_prompt") or None,
        seed=body.get("seed"),
        sound=body.get("audio"),
        picture=loaded,
        link=link,
        preferences=body.get("provider") or {},
    )
