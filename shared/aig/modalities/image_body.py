"""The bodies of requests for pictures: OpenAI's, and what open models take beside it."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, with_config

from aig.errors import InvalidRequest
from aig.modalities.files import Picture
from aig.modalities.given import Given, UploadId
from aig.modalities.image import MOST_STEPS, Format, ImageRequest, Quality
from aig.modalities.steering import STRICT, Steered, check, named_models, schema

MAX_IMAGES = 10
MAX_SIDE = 4_096
MAX_PICTURES = 16
_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})", re.ASCII)


def _size(text: str) -> str:
    match = _SIZE.fullmatch(text)
    if text == "auto" or (match and max(int(match[1]), int(match[2])) <= MAX_SIDE):
        return text
    raise ValueError(f"a size is auto or <width>x<height> in pixels, at most {MAX_SIDE} each, such as 1024x1024")


@with_config(STRICT)
class ImageBody(Steered):
    """Body of POST /v1/images/generations. Without `response_format` it is a link, but of models that know none."""

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=32_000, pattern=r"\S")]
    n: NotRequired[Annotated[int, Field(ge=1, le=MAX_IMAGES)] | None]
    size: NotRequired[Annotated[str, AfterValidator(_size)] | None]
    quality: NotRequired[Quality | None]
    style: NotRequired[Literal["vivid", "natural"] | None]
    response_format: NotRequired[Literal["url", "b64_json"] | None]
    output_format: NotRequired[Format | None]
    background: NotRequired[Literal["transparent", "opaque", "auto"] | None]
    user: NotRequired[Annotated[str, StringConstraints(max_length=1024)] | None]
    seed: NotRequired[Annotated[int, Field(ge=0, lt=2**32)] | None]
    steps: NotRequired[Annotated[int, Field(ge=1, le=MOST_STEPS)] | None]
    guidance: NotRequired[Annotated[float, Field(ge=0, le=30)] | None]
    negative_prompt: NotRequired[Annotated[str, StringConstraints(max_length=32_000)] | None]
    # What OpenAI's clients may send, at the value that changes nothing.
    moderation: NotRequired[Literal["auto"] | None]
    output_compression: NotRequired[Literal[100] | None]
    stream: NotRequired[Literal[False] | None]


_Url = Annotated[str, StringConstraints(min_length=1)]


@with_config(STRICT)
class EditBody(ImageBody):
    """Body of POST /v1/images/edits beside the files of a form. URLs and uploads may stand in their place."""

    image_url: NotRequired[_Url | Annotated[list[_Url], Field(min_length=1, max_length=MAX_PICTURES)] | None]
    upload_id: NotRequired[UploadId | Annotated[list[UploadId], Field(min_length=1, max_length=MAX_PICTURES)] | None]
    mask_url: NotRequired[_Url | None]
    mask_upload_id: NotRequired[UploadId | None]
    input_fidelity: NotRequired[Literal["low"] | None]


_ADAPTER: TypeAdapter[ImageBody] = TypeAdapter(ImageBody)
_EDIT_ADAPTER: TypeAdapter[EditBody] = TypeAdapter(EditBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def edit_schema() -> dict[str, Any]:
    return schema(_EDIT_ADAPTER)


def checked(body: dict[str, Any]) -> ImageBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_ADAPTER, body)


def checked_edit(body: dict[str, Any]) -> EditBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_EDIT_ADAPTER, body)


def pictures(body: EditBody) -> list[Given]:
    """Those that are given by URL or upload."""
    return [*_given("url", "image_url", body.get("image_url")), *_given("upload", "upload_id", body.get("upload_id"))]


def masks(body: EditBody) -> list[Given]:
    found = _given("url", "mask_url", body.get("mask_url"))
    return [*found, *_given("upload", "mask_upload_id", body.get("mask_upload_id"))]


def _given(kind: Literal["url", "upload"], param: str, value: str | list[str] | None) -> list[Given]:
    values = [value] if isinstance(value, str) else value or []
    return [Given(kind, one, param) for one in values]


def request(body: ImageBody, pictures: Sequence[Picture] = (), mask: Picture | None = None) -> ImageRequest:
    """With the pictures that are to be edited, if it is an edit. Raises InvalidRequest."""
    if mask is not None and (mask.width, mask.height) != (pictures[0].width, pictures[0].height):
        raise InvalidRequest("The mask must be as large as the picture that it is for.", param="mask")
    match = _SIZE.fullmatch(body.get("size") or "auto")
    guidance = body.get("guidance")
    return ImageRequest(
        models=named_models(body),
        prompt=body["prompt"],
        n=body.get("n") or 1,
        size=(int(match[1]), int(match[2])) if match else None,
        quality=body.get("quality"),
        style=body.get("style"),
        form=body.get("output_format"),
        background=body.get("background"),
        seed=body.get("seed"),
        steps=body.get("steps"),
        guidance=None if guidance is None else float(guidance),
        negative_prompt=body.get("negative_prompt") or None,
        pictures=tuple(pictures),
        mask=mask,
        user=body.get("user"),
        preferences=body.get("provider") or {},
    )
