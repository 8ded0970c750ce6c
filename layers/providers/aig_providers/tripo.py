"""Tripo, by the third version of its API: models from prompts and from pictures, which are uploaded first.

Answers are `{"code": 0, "data"}`; any other code is an error, whatever the status.
"""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.files import Picture
from aig.modalities.job import Failed, Finished, Handle, Linked, State, Working
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Upstream
from aig_providers import wire
from aig_providers.forms import FilePart, post_form
from aig_providers.job_results import credits_estimated, credits_told, linked
from aig_providers.shapes import string, unsupported
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

LONGEST_PROMPT, LONGEST_NEGATIVE = 1024, 255
_MOST_SEED = 2**31
_PICTURES = frozenset({"image/jpeg", "image/png", "image/webp"})
_ON_ITS_WAY = ("queued", "running", "unknown")  # the last is one whose status cannot be told just now
_MODERATED = 2008
_NOT_FOUND = 2001
_CODES: Mapping[int, UpstreamKind] = {
    1002: "auth",
    1003: "rejected",
    1004: "rejected",
    1005: "auth",
    1007: "rate_limited",
    2000: "rate_limited",  # too many tasks at a time
    _NOT_FOUND: "rejected",
    2002: "rejected",
    2003: "rejected",
    2004: "rejected",
    _MODERATED: "rejected",
    2010: "auth",  # credits
    2015: "rejected",
}
_FILE_FIELDS = ("model_url", "pbr_model_url", "model", "pbr_model")


def read_detail(body: Any) -> Detail:
    """`{"code": number, "message", "suggestion"}`."""
    kind = _CODES.get(body["code"]) if type(body["code"]) is int else None
    slug = "content_policy_violation" if body["code"] == _MODERATED else "invalid_request_error"
    return Detail(kind, slug)


def _data(payload: bytes) -> Mapping[str, Any]:
    """Raises UpstreamError."""
    body = parse_object(payload)
    code = body.get("code")
    if type(code) is not int or (not code and not isinstance(body.get("data"), Mapping)):
        raise UpstreamError("malformed")
    if not code:
        data: Mapping[str, Any] = body["data"]
        return data
    kind = _CODES.get(code, "unavailable")
    if kind != "rejected":
        raise UpstreamError(kind)
    slug = "content_policy_violation" if code == _MODERATED else "invalid_request_error"
    raise UpstreamError(kind, status=404 if code == _NOT_FOUND else 400, code=slug)


def check(request: ThreeDRequest) -> None:
    """Raises UpstreamError of kind rejected for what the API does not have."""
    if request.picture and request.prompt:
        raise unsupported("prompt")
    if request.picture and request.negative_prompt:
        raise unsupported("negative_prompt")
    for name, text, most in (
        ("prompt", request.prompt, LONGEST_PROMPT),
        ("negative_prompt", request.negative_prompt, LONGEST_NEGATIVE),
    ):
        if len(text or "") > most:
            raise UpstreamError(
                "rejected",
                code="string_above_max_length",
                param=name,
                message=f"This model takes up to {most} characters of {name}. Shorten it.",
            )
    if request.picture and request.picture.media_type not in _PICTURES:
        raise UpstreamError(
            "rejected",
            code="invalid_image_format",
            param="image_url",
            message="This model takes JPEG, PNG and WebP only. Convert the picture.",
        )


def build_upload(upstream: Upstream, picture: Picture) -> HttpRequest:
    return post_form(upstream, "files", (), [FilePart("file", picture.data, picture.media_type)])


def parse_uploaded(payload: bytes) -> str:
    """The token of a file. Raises UpstreamError."""
    try:
        return string(_data(payload).get("file_token"))
    except TypeError:
        raise UpstreamError("malformed") from None


def build_submit(upstream: Upstream, request: ThreeDRequest, token: str | None) -> HttpRequest:
    """`token` is that of the picture. A texture is what it makes unless it is told not to."""
    body: dict[str, Any] = {"model": upstream.model_id}
    if not request.texture:
        body |= {"texture": False, "pbr": False}
    if request.seed is not None:
        body["model_seed"] = request.seed % _MOST_SEED
    if token is not None:
        return post_json(upstream, "generation/image-to-model", {"input": token, **body})
    if request.negative_prompt:
        body["negative_prompt"] = request.negative_prompt
    return post_json(upstream, "generation/text-to-model", {"prompt": request.prompt, **body})


def parse_submitted(payload: bytes) -> Working:
    """Raises UpstreamError."""
    task = _data(payload).get("task_id")
    # It becomes a part of a path.
    if not isinstance(task, str) or not task.replace("-", "").replace("_", "").isalnum():
        raise UpstreamError("malformed")
    return Working({"id": task})


def build_poll(upstream: Upstream, handle: Handle) -> HttpRequest:
    plain = post_json(upstream, f"tasks/{handle['id']}", {})
    headers = {name: value for name, value in plain.headers.items() if name != "Content-Type"}
    return HttpRequest(plain.url, headers, b"", "GET")


def parse_polled(payload: bytes, upstream: Upstream, handle: Handle) -> State:
    """Raises UpstreamError for a status that is none. Tasks that have failed cost nothing, or are given back."""
    data = _data(payload)
    status, progress = data.get("status"), data.get("progress")
    if status in _ON_ITS_WAY:
        return Working(handle, progress if type(progress) is int and 0 <= progress <= 100 else None)
    if status == "banned" or (status == "failed" and data.get("error_code") == _MODERATED):
        return Failed("rejected", "content_policy_violation")
    if status == "failed":
        code = data.get("error_code")
        refused = type(code) is int and _CODES.get(code) == "rejected"
        return Failed("rejected", "invalid_value") if refused else Failed("unavailable")
    if status in ("cancelled", "expired"):
        return Failed("unavailable")
    if status != "success":
        raise UpstreamError("malformed")
    usage = credits_told(data.get("credits_consumed")) or credits_estimated(upstream)
    return Finished([_file(data.get("output"))], usage)


def _file(output: Any) -> Linked:
    """Behind a signed URL, under one of the names that it has had."""
    table = output if isinstance(output, Mapping) else {}
    try:
        return linked(next((table[name] for name in _FILE_FIELDS if table.get(name)), None))
    except (TypeError, ValueError):
        raise UpstreamError("malformed") from None


class TripoThreeD:
    """It has no idempotency keys, no place for an id of ours, and nothing to stop a task with."""

    idempotent = False

    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: ThreeDRequest) -> None:
        check(request)

    async def submit(self, upstream: Upstream, request: ThreeDRequest, reference: str, stage: Handle | None) -> State:
        check(request)
        token = await self._uploaded(upstream, request.picture) if request.picture else None
        return parse_submitted(await self._exchange(upstream, build_submit(upstream, request, token)))

    async def _uploaded(self, upstream: Upstream, picture: Picture) -> str:
        """A picture that may have arrived has begun nothing: what is doubtful for a task is a plain failure here."""
        try:
            return parse_uploaded(await self._exchange(upstream, build_upload(upstream, picture)))
        except UpstreamError as error:
            if error.kind in ("timeout", "malformed", "connect"):
                raise UpstreamError("unavailable", status=error.status) from None
            raise

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        return parse_polled(await self._exchange(upstream, build_poll(upstream, handle)), upstream, handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        """It goes on to its end."""

    async def _exchange(self, upstream: Upstream, http: HttpRequest) -> bytes:
        return await wire.exchange(self._post, http, upstream, read_detail)


class Tripo:
    three_d = TripoThreeD(wire.CLIENT.post)


ADAPTER = Tripo()
