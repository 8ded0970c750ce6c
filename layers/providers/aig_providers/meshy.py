"""Meshy: models from prompts, in two steps that are paid for apart (a shape, then its texture), or from a picture."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.job import Failed, Finished, Handle, Stage, State, Working
from aig.modalities.three_d import ThreeDRequest
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.job_results import credits_estimated, credits_told, linked
from aig_providers.shapes import unsupported
from aig_providers.wire import Detail, HttpRequest, Post, parse_object, post_json

FROM_TEXT, FROM_PICTURE = "v2/text-to-3d", "v1/image-to-3d"
LONGEST_PROMPT = 600
TEXTURE_CREDITS = 10  # of those that a model costs, whatever the shape costs
_PICTURES = frozenset({"image/jpeg", "image/png"})
_ON_ITS_WAY = ("PENDING", "IN_PROGRESS")
_CREATED, _DELETED = (200, 202), (200, 202, 204)


def read_detail(_: Any) -> Detail:
    """`{"message": prose}`: nothing in it that the status does not say."""
    return Detail(code="invalid_request_error")


def check(request: ThreeDRequest) -> None:
    """Raises UpstreamError of kind rejected for what the API does not have."""
    plain = request.picture is not None and not request.texture
    refusals = {
        "negative_prompt": bool(request.negative_prompt),
        "seed": request.seed is not None,
        "prompt": bool(request.prompt) and plain,  # beside a picture it says how the texture should be
    }
    for name, refused in refusals.items():
        if refused:
            raise unsupported(name)
    if len(request.prompt or "") > LONGEST_PROMPT:
        raise UpstreamError(
            "rejected",
            code="string_above_max_length",
            param="prompt",
            message=f"This model takes prompts of up to {LONGEST_PROMPT} characters. Shorten the prompt.",
        )
    if request.picture and request.picture.media_type not in _PICTURES:
        raise UpstreamError(
            "rejected",
            code="invalid_image_format",
            param="image_url",
            message="This model takes JPEG and PNG only. Convert the picture.",
        )


def build_submit(upstream: Upstream, request: ThreeDRequest, stage: Handle | None) -> HttpRequest:
    """With the stage before, for the texture; the shape is known there by its own id."""
    body: dict[str, Any] = {"ai_model": upstream.model_id}
    if request.picture:
        body |= {"image_url": request.picture.data_url, "should_texture": request.texture}
        if request.prompt:
            body["texture_prompt"] = request.prompt
        return post_json(upstream, FROM_PICTURE, body)
    if stage is None:
        return post_json(upstream, FROM_TEXT, {"mode": "preview", "prompt": request.prompt, **body})
    return post_json(upstream, FROM_TEXT, {"mode": "refine", "preview_task_id": stage["id"], **body})


def _to_task(upstream: Upstream, handle: Handle, method: Any) -> HttpRequest:
    plain = post_json(upstream, f"{handle['path']}/{handle['id']}", {})
    headers = {name: value for name, value in plain.headers.items() if name != "Content-Type"}
    return HttpRequest(plain.url, headers, b"", method)


def build_poll(upstream: Upstream, handle: Handle) -> HttpRequest:
    return _to_task(upstream, handle, "GET")


def build_cancel(upstream: Upstream, handle: Handle) -> HttpRequest:
    return _to_task(upstream, handle, "DELETE")


def parse_submitted(payload: bytes, upstream: Upstream, request: ThreeDRequest, stage: Handle | None) -> Working:
    """Raises UpstreamError. `step` is what is being made, of which the whole is one, or a half."""
    task = parse_object(payload).get("result")
    # It becomes a part of a path.
    if not isinstance(task, str) or not task.replace("-", "").replace("_", "").isalnum():
        raise UpstreamError("malformed")
    whole = credits_estimated(upstream).units["credits"]
    if request.picture:
        step, path, share = "whole", FROM_PICTURE, whole if request.texture else whole - TEXTURE_CREDITS
    elif not request.texture:
        step, path, share = "whole", FROM_TEXT, whole - TEXTURE_CREDITS
    elif stage is None:
        step, path, share = "shape", FROM_TEXT, whole - TEXTURE_CREDITS
    else:
        step, path, share = "texture", FROM_TEXT, TEXTURE_CREDITS
    return Working({"id": task, "path": path, "step": step, "credits": max(0, share)})


def _progress(told: Any, step: str) -> int | None:
    if type(told) is not int or not 0 <= told <= 100:
        return None
    return told if step == "whole" else told // 2 + (50 if step == "texture" else 0)


def parse_polled(payload: bytes, handle: Handle) -> State:
    """Raises UpstreamError for a status that is none. Credits of a task that has failed are given back."""
    body = parse_object(payload)
    status = body.get("status")
    if status in _ON_ITS_WAY:
        return Working(handle, _progress(body.get("progress"), handle["step"]))
    if status == "FAILED":
        return _failed(body.get("task_error"))
    if status == "CANCELED":
        return Failed("unavailable")
    if status != "SUCCEEDED":
        raise UpstreamError("malformed")
    usage = credits_told(body.get("consumed_credits")) or Usage({"credits": handle["credits"]}, estimated=True)
    if handle["step"] == "shape":
        return Stage({"id": handle["id"]}, usage)
    try:
        return Finished([linked(body["model_urls"]["glb"])], usage)
    except (KeyError, TypeError, ValueError):
        raise UpstreamError("malformed") from None


def _failed(error: Any) -> Failed:
    """By the vendor's types and codes, https://docs.meshy.ai/en/api/errors."""
    table = error if isinstance(error, Mapping) else {}
    if table.get("code") == "moderation_blocked":
        return Failed("rejected", "content_policy_violation")
    if table.get("type") == "invalid_input":
        return Failed("rejected", "invalid_image" if table.get("code") == "image_too_complex" else "invalid_value")
    return Failed("unavailable")


class MeshyThreeD:
    """It has no idempotency keys, and no place for an id of ours."""

    idempotent = False

    def __init__(self, post: Post) -> None:
        self._post = post

    def check(self, upstream: Upstream, request: ThreeDRequest) -> None:
        check(request)

    async def submit(self, upstream: Upstream, request: ThreeDRequest, reference: str, stage: Handle | None) -> State:
        check(request)
        payload = await self._exchange(upstream, build_submit(upstream, request, stage), _CREATED)
        return parse_submitted(payload, upstream, request, stage)

    async def poll(self, upstream: Upstream, handle: Handle) -> State:
        return parse_polled(await self._exchange(upstream, build_poll(upstream, handle), (200,)), handle)

    async def cancel(self, upstream: Upstream, handle: Handle) -> None:
        """It is deleted. One that is over, or was deleted before, is refused: that is as good."""
        try:
            await self._exchange(upstream, build_cancel(upstream, handle), _DELETED)
        except UpstreamError as error:
            if error.kind != "rejected":
                raise

    async def _exchange(self, upstream: Upstream, http: HttpRequest, expected: tuple[int, ...]) -> bytes:
        try:
            return await wire.exchange(self._post, http, upstream, read_detail, expected=expected)
        except UpstreamError as error:
            if error.status == 403:  # it is about who calls, never about what for
                raise UpstreamError("auth", status=403) from None
            raise


class Meshy:
    three_d = MeshyThreeD(wire.CLIENT.post)


ADAPTER = Meshy()
