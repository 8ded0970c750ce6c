"""The body of a request for OCR."""

from typing import Annotated, Any, NotRequired

from pydantic import Field, StringConstraints, TypeAdapter, with_config

from aig.modalities.files import Document, Picture
from aig.modalities.given import Given, PictureGiven, given
from aig.modalities.ocr import OcrRequest
from aig.modalities.steering import STRICT, check, named_models, schema
from aig.modalities.translate_body import Language


@with_config(STRICT)
class OcrBody(PictureGiven):
    """Body of POST /v1/ocr. `document_url` and an upload may be a PDF too."""

    document_url: NotRequired[Annotated[str, StringConstraints(min_length=1)] | None]
    languages: NotRequired[Annotated[list[Language], Field(min_length=1, max_length=20)] | None]


_ADAPTER: TypeAdapter[OcrBody] = TypeAdapter(OcrBody)


def body_schema() -> dict[str, Any]:
    return schema(_ADAPTER)


def checked(body: dict[str, Any]) -> OcrBody:
    """Raises aig.errors.InvalidRequest, naming the field."""
    return check(_ADAPTER, body)


def source(body: OcrBody) -> Given:
    """Raises InvalidRequest unless there is exactly one."""
    return given(body, ("image_url", "document_url"), ("image_b64",))


def request(body: OcrBody, loaded: Picture | Document) -> OcrRequest:
    return OcrRequest(
        models=named_models(body),
        source=loaded,
        languages=tuple(body.get("languages") or ()),
        preferences=body.get("provider") or {},
    )
