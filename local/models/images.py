"""The image of a request, and what a model sees of it."""

import base64
import binascii
import re
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from aig.modalities import image_header
from local.models import fields
from local.models.errors import BadRequestError

if TYPE_CHECKING:
    from PIL.Image import Image

_DATA_URL = re.compile(r"data:[^;,]*;base64,", re.IGNORECASE)


def encoded(body: Mapping[str, Any]) -> bytes:
    """The file in `image_b64`, or in `image_url` as a data URL. Raises `BadRequestError` naming the field.

    Its size in pixels has been read from its header and is not too large; it may still be damaged.
    """
    given = [name for name in ("image_b64", "image_url") if body.get(name) is not None]
    if len(given) != 1:
        raise BadRequestError(
            "Send the image as `image_b64`, or as a data URL in `image_url`.",
            param="image_b64",
            code="missing_required_parameter",
        )
    value = fields.text(body[given[0]], given[0])
    return _checked(value, given[0]) if given[0] == "image_b64" else from_data_url(value, given[0])


def from_data_url(url: str, where: str) -> bytes:
    """The file in a base64 data URL; other URLs are refused, as this server fetches nothing."""
    head = _DATA_URL.match(url)
    if head is None:
        raise BadRequestError(
            f"`{where}` must be a data URL in base64 (data:image/png;base64,...): this server fetches nothing.",
            param=where,
            code="unsupported_value",
        )
    return _checked(url[head.end() :], where)


def _checked(text: str, where: str) -> bytes:
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestError(f"`{where}` is not valid base64.", param=where) from error
    if len(data) > image_header.MAX_BYTES:
        raise BadRequestError(
            f"The image has {len(data)} bytes; at most {image_header.MAX_BYTES} are accepted.", param=where
        )
    try:
        image_header.read(data)
    except ValueError as error:
        raise BadRequestError(f"The image cannot be used: {error}.", param=where, code="invalid_image") from error
    return data


def seen(data: bytes) -> "Image":
    """The image as a viewer shows it: turned as EXIF says, on white where it is transparent, the first of several.

    RGB. Raises `BadRequestError` for a damaged one.
    """
    from PIL import Image, ImageOps  # The routes are imported also where no model that needs it is installed.

    try:
        with Image.open(BytesIO(data), formats=("PNG", "JPEG", "GIF", "WEBP")) as opened:
            image = ImageOps.exif_transpose(opened)
            if not image.has_transparency_data:
                return image.convert("RGB")
            layered = image.convert("RGBA")
    except (OSError, ValueError, SyntaxError) as error:
        raise BadRequestError("The image is damaged and cannot be decoded.", code="invalid_image") from error
    paper = Image.new("RGBA", layered.size, "white")
    return Image.alpha_composite(paper, layered).convert("RGB")
