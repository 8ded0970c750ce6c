"""A request's form, strictly: files by their field, fields as the values that JSON would have."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive

from aig.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType
from aig.http.body import MAX_BODY_BYTES, parse_object
from aig.modalities.given import Given

MAX_FILES = 17  # sixteen pictures and a mask
MAX_FIELDS = 64


_FLAGS = {"true": True, "false": False}
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class FormShape:
    """The fields that are no text: `files` with how many there may be of each, the others as JSON would have them."""

    files: Mapping[str, int]
    numbers: Collection[str] = ()
    flags: Collection[str] = ()
    lists: Collection[str] = ("models",)
    objects: Collection[str] = ("provider",)

    def read(self, name: str, text: str) -> Any:
        """The text itself where it is not what it should be: its check complains in terms of the field."""
        if name in self.numbers and _NUMBER.fullmatch(text):
            return float(text) if "." in text else int(text)
        return _FLAGS.get(text, text) if name in self.flags else text


@dataclass(frozen=True, slots=True)
class Form:
    """`fields` are JSON values; `files` the bytes by field, whose names end without `[]`. File names are not kept."""

    fields: dict[str, Any]
    files: Mapping[str, list[bytes]]

    def given(self, name: str) -> list[Given]:
        """The files of a field."""
        return [Given("bytes", data, name) for data in self.files.get(name, ())]


def is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data"


async def read_form(request: Request, shape: FormShape) -> Form:
    """Raises InvalidRequest, RequestTooLarge, UnsupportedMediaType."""
    if not is_form(request):
        raise UnsupportedMediaType("Send multipart/form-data with the file, or JSON with a URL or an upload_id.")
    _, _, parameters = request.headers["content-type"].partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\";\s]*)", parameters, re.IGNORECASE)
    if charset and charset[1].lower() not in ("utf-8", "utf8"):  # some codecs take minutes for what is made for them
        raise UnsupportedMediaType("The form's fields must be UTF-8. Send it without a charset.")
    fields: dict[str, Any] = {}
    files: dict[str, list[bytes]] = {}
    try:
        limited = Request(request.scope, _limited(request.receive))
        async with limited.form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_BODY_BYTES) as form:
            for key, value in form.multi_items():
                name = key.removesuffix("[]")
                if isinstance(value, UploadFile):
                    _check_file(name, len(files.get(name, ())), shape.files)
                    files.setdefault(name, []).append(await value.read())
                elif name in shape.files:
                    raise InvalidRequest(f"{name} must be a file. With curl: -F {name}=@path", param=name)
                elif name in shape.lists:
                    fields.setdefault(name, []).append(value)
                elif name in fields:
                    raise InvalidRequest(f"{name} is in the form twice. Send it once.", param=name)
                else:
                    fields[name] = shape.read(name, value)
    # HTTPException is what starlette makes of a malformed form.
    except (HTTPException, ClientDisconnect, UnicodeError):
        raise InvalidRequest("The form could not be read: it is cut or malformed. Send it again.") from None
    for name in shape.objects:
        if name in fields:
            fields[name] = parse_object(fields[name].encode())
    return Form(fields, files)


def _limited(receive: Receive) -> Receive:
    """The same body, as far as it may go."""
    length = 0

    async def receive_some() -> Message:
        nonlocal length
        message = await receive()
        length += len(message.get("body", b""))
        if length > MAX_BODY_BYTES:
            raise too_large()
        return message

    return receive_some


def _check_file(name: str, before: int, most_files: Mapping[str, int]) -> None:
    if name not in most_files:
        raise InvalidRequest(
            f"{name[:64]} is no field for a file. Files go into {', '.join(most_files)}.", param=name[:64]
        )
    if before == most_files[name]:
        raise InvalidRequest(f"{name} takes {before} {'file' if before == 1 else 'files'}. Send no more.", param=name)


def too_large() -> RequestTooLarge:
    return RequestTooLarge(
        f"The body is larger than {MAX_BODY_BYTES} bytes. POST /v1/uploads, PUT the file to the URL that it answers, "
        "and send its id as upload_id."
    )
