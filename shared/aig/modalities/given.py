"""How a request gives a file: at a URL, inline as base64 or a data URL, as an upload made before, or in a form."""

from collections.abc import Mapping, Sequence
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
    body: Mapping[str, Any],
    urls: tuple[str, ...],
    inline: tuple[str, ...] = (),
    form: Sequence[Given] | None = None,
) -> Given:
    """The one file of a body: a form's, or in a field for `urls`, one for `inline` base64, or `upload_id`.

    `form` has the files of a form, None where there is none. Raises InvalidRequest.
    """
    names = [name for name in (*urls, *inline, "upload_id") if body.get(name) is not None]
    if len(names) + len(form or ()) != 1:
        known = ", ".join((*(() if form is None else ("file",)), *urls, *inline, "upload_id"))
        missing = "file" if form is not None else urls[0]
        code = "invalid_value" if names else "missing_required_parameter"
        raise InvalidRequest(f"Send exactly one of {known}.", code=code, param=names[-1] if names else missing)
    if form:
        return form[0]
    (name,) = names
    if name == "upload_id":
        return Given("upload", body[name], name)
    return Given("url" if name in urls else "base64", body[name], name)
