"""The image routes' part of the OpenAPI document."""

from typing import Any

from aig.http.reference import METERED_ERRORS, METERED_HEADERS, operation
from aig.modalities import image_body

_LINK = (
    "http://127.0.0.1:8787/media/acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C/file_01KAP6V3J8Q0ZB5N7E2XWY4T9D.png?exp=…&kid=…&sig=…"
)
_ANSWER = {
    "created": 1_795_000_000,
    "data": [{"url": _LINK}],
    "model": "sandbox/image",
    "usage": {"images": 1, "cost": "0.0105"},
}


def _form() -> dict[str, Any]:
    schema = image_body.edit_schema()
    file = {"type": "string", "format": "binary"}
    given = {"image": {"type": "array", "items": file}, "mask": file}
    return {**schema, "properties": {**given, **schema["properties"]}, "required": ["image", "prompt"]}


GENERATIONS = operation(
    "createImage",
    "Make pictures from a prompt",
    "images",
    request={
        "schema": image_body.body_schema(),
        "example": {"model": "sandbox/image", "prompt": "a cozy reading corner", "size": "512x512"},
    },
    answer=_ANSWER,
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
EDITS = operation(
    "createImageEdit",
    "Make pictures from a prompt and pictures",
    "images",
    request={
        "schema": image_body.edit_schema(),
        "example": {"model": "sandbox/image", "prompt": "in blue", "image_url": "https://example.com/cat.png"},
    },
    form={"schema": _form()},
    answer=_ANSWER,
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
