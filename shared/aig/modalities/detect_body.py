"""The body of a request for detections."""

from typing import Annotated, Any, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.modalities.detect import DetectRequest
from aig.modalities.files import Picture
from aig.modalities.given import Given, PictureGiven, given
from aig.modalities.steering import STRICT, check, named_models, schema

_Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]


@with_config(STRICT)
class DetectBody(PictureGiven):
    """Body of POST /v1/detections."""

    threshold: NotRequired[Annotated[float, Field(ge=0, le=1)] | None]
    labels: NotRequired[Annotated[list[_Label], Field(min_length=1, max_length=100)] | None]


_ADAPTER: TypeAdapter[DetectBody] = TypeAdapter(DetectBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> DetectBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_ADAPTER, body)


def picture(body: DetectBody) -> Given:
    """Raises InvalidRequest unless there is exactly one."""
    return given(body, ("image_url",), ("image_b64",))


def request(body: DetectBody, loaded: Picture) -> DetectRequest:
    threshold = body.get("threshold")
    return DetectRequest(
        models=named_models(body),
        picture=loaded,
        threshold=0.5 if threshold is None else float(threshold),
        labels=tuple(body.get("labels") or ()),
        preferences=body.get("provider") or {},
    )
