"""The body of a request for a model in three dimensions."""

from typing import Annotated, Any, NotRequired

from pydantic import StringConstraints, TypeAdapter, with_config

from aig.errors import InvalidRequest
from aig.modalities.files import Picture
from aig.modalities.given import Given, PictureGiven, given
from aig.modalities.steering import STRICT, check, named_models, schema
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.video_body import PICTURE_FIELDS, Prompt, Seed, WebhookUrl


@with_config(STRICT)
class ThreeDBody(PictureGiven):
    """Body of POST /v1/3d/generations. It needs a prompt or a picture."""

    prompt: NotRequired[Prompt | None]
    texture: NotRequired[bool | None]
    negative_prompt: NotRequired[Annotated[str, StringConstraints(max_length=10_000)] | None]
    seed: NotRequired[Seed | None]
    webhook_url: NotRequired[WebhookUrl | None]


_ADAPTER: TypeAdapter[ThreeDBody] = TypeAdapter(ThreeDBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> ThreeDBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    found = check(_ADAPTER, body)
    if not found.get("prompt") and not any(found.get(name) for name in PICTURE_FIELDS):
        raise InvalidRequest(
            "Send a prompt, or a picture as image_url, image_b64 or upload_id.",
            code="missing_required_parameter",
            param="prompt",
        )
    return found


def picture(body: ThreeDBody) -> Given | None:
    """Raises InvalidRequest for more than one."""
    return given(body, ("image_url",), ("image_b64",)) if any(body.get(name) for name in PICTURE_FIELDS) else None


def request(body: ThreeDBody, loaded: Picture | None = None, link: str | None = None) -> ThreeDRequest:
    texture = body.get("texture")
    return ThreeDRequest(
        models=named_models(body),
        prompt=body.get("prompt") or None,
        texture=True if texture is None else texture,
        negative_prompt=body.get("negative_prompt") or None,
        seed=body.get("seed"),
        picture=loaded,
        link=link,
        preferences=body.get("provider") or {},
    )
