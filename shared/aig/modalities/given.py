"""How a request gives a file: at a URL, inline as base64 or a data URL, as an upload made before, or in a form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import StringConstraints, with_config

from aig.errors import InvalidRequest
from aig.modalities.steering import STRICT, Steered

_Inline = Annotated[str, StringConstraints(min_length=1)]
UploadId = Annotated[str, StringConstraints(pattern=r"^upload_[0-9A-HJKMNP-TV-Z]{26}$")]


@dataclass(frozen=True, slots=True)
class Given:
    """`value` is a https or data URL, text in base64, the id of an upload, or the bytes of a form's file.

    `param` is the field that it stands in.
    """

    kind: Literal["url", "base64", "upload", "bytes"]
    value: str | bytes
    param: str

    @property
    def elsewhere(self) -> bool:
        """Whether it has to be fetched."""
        is_data = isinstance(self.value, str) and self.value[:5].lower() == "data:"
        return self.kind == "upload" or (self.kind == "url" and not is_data)


@with_config(STRICT)
class PictureGiven(Steered):
    """Exactly one of the three. `image_url` is a https URL or a data URL."""

    image_url: NotRequired[_Inline | None]
    image_b64: NotRequired[_Inline | None]
    upload_id: NotRequired[UploadId | None]


def given(
    body: Mapping[str, Any], urls: tuple[str, ...], inline: tuple[str, ...] = (), file: Given | None = None
) -> Given:
    """The one file of a body: a form's, or in a field for `urls`, one for `inline` base64, or `upload_id`.

    Raises InvalidRequest.
    """
    names = [name for name in (*urls, *inline, "upload_id") if body.get(name) is not None]
    if len(names) + (file is not None) != 1:
        known = ", ".join((*(["file"] if file else []), *urls, *inline, "upload_id"))
        code = "invalid_value" if names else "missing_required_parameter"
        raise InvalidRequest(f"Send exactly one of {known}.", code=code, param=names[-1] if names else urls[0])
    if file is not None:
        return file
    (name,) = names
    if name == "upload_id":
        return Given("upload", body[name], name)
    return Given("url" if name in urls else "base64", body[name], name)
