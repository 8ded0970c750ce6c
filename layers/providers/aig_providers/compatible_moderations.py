"""Moderation on OpenAI's wire: texts, each by itself, or one input of texts and pictures."""

from collections.abc import Callable, Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.moderate import CATEGORIES, ModerateRequest, ModerateResult, Part, Verdict
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.shapes import score, unsupported
from aig_providers.wire import HttpRequest, Post, parse_object, post_json

ReadUsage = Callable[[Any], Usage | None]


def no_usage(_: Any) -> None:
    """OpenAI tells none: moderation is free there."""


def build_request(upstream: Upstream, request: ModerateRequest) -> HttpRequest:
    """Raises UpstreamError of kind rejected for several inputs that are more than a text each."""
    return post_json(upstream, "moderations", {"model": upstream.model_id, "input": _input(request)})


def _input(request: ModerateRequest) -> list[Any]:
    texts = [part for parts in request.inputs for part in parts if len(parts) == 1 and isinstance(part, str)]
    if len(texts) == len(request.inputs):
        return texts
    if len(request.inputs) > 1:
        raise unsupported("input")
    return [_part(part) for part in request.inputs[0]]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "image_url", "image_url": {"url": part.data_url}}


def parse_response(payload: bytes, request: ModerateRequest, read_usage: ReadUsage = no_usage) -> ModerateResult:
    """The body of a 200. Raises UpstreamError if it has not one verdict for each input."""
    body = parse_object(payload)
    try:
        verdicts = [_verdict(entry) for entry in body["results"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UpstreamError("malformed") from None
    if len(verdicts) != len(request.inputs):
        raise UpstreamError("malformed")
    return ModerateResult(verdicts, read_usage(body.get("usage")))


def _verdict(entry: Mapping[str, Any]) -> Verdict:
    """Of categories that the model does not know, the answer has null or nothing."""
    flags, told = entry["categories"], entry["category_scores"]
    if any(type(flags.get(name) or False) is not bool for name in CATEGORIES):
        raise TypeError
    return Verdict(
        frozenset(name for name in CATEGORIES if flags.get(name)),
        {name: score(told[name]) for name in CATEGORIES if told.get(name) is not None},
        _applied(entry.get("category_applied_input_types")),
    )


def _applied(told: Any) -> Mapping[str, list[str]] | None:
    if not isinstance(told, Mapping):
        return None
    kinds = {name: told.get(name) for name in CATEGORIES}
    return {name: [kind for kind in found if kind in ("text", "image")] for name, found in kinds.items() if found}


class CompatibleModerate:
    """`read_usage` reads the answer's `usage`."""

    def __init__(self, post: Post, read_usage: ReadUsage = no_usage) -> None:
        self._post, self._read_usage = post, read_usage

    async def moderate(self, upstream: Upstream, request: ModerateRequest) -> ModerateResult:
        http = build_request(upstream, request)
        return parse_response(await wire.exchange(self._post, http, upstream), request, self._read_usage)
