"""The endpoint of all models, the envelope that their JSON comes in, and its errors.

An envelope is `{"success", "errors": [{"code", "message"}], "messages", "result"}`; the numbers are those of
https://developers.cloudflare.com/workers-ai/platform/errors/ and of Cloudflare's API as a whole.
"""

import math
from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig_providers import wire
from aig_providers.wire import Detail, HttpRequest, Post, count, parse_object, post_json

# Of our account: not signed in or not allowed (9109, 10000), blocked, not let to the model, the free allocation of the
# day used up (3036, which arrives as 4006 too), the model's terms not agreed to. Waiting a moment helps none of them.
_ACCOUNT = frozenset({3023, 3036, 3041, 4006, 5016, 5018, 9109, 10000})
_SLUGS = {3006: "request_too_large", 3042: "model_not_found", 5007: "model_not_found"}
# What those that stand in an answer with status 200 are worth.
_STATUSES = {
    **dict.fromkeys((3003, 3030, 5004, 5005, 5006, 5007), 400),
    3042: 404,
    3006: 413,
    3007: 408,
    3008: 408,
    3040: 429,
}


def read_detail(body: Any) -> Detail:
    """Raises what indexing raises for another body."""
    code = body["errors"][0]["code"]
    return Detail("auth") if code in _ACCOUNT else Detail(code=_SLUGS.get(code, "invalid_request_error"))


def run_json(upstream: Upstream, body: Mapping[str, Any]) -> HttpRequest:
    return post_json(upstream, f"run/{upstream.model_id}", body)


def run_bytes(upstream: Upstream, data: bytes, media_type: str, query: str = "") -> HttpRequest:
    """For models that take a file alone; its settings are in the query."""
    plain = run_json(upstream, {})
    return HttpRequest(plain.url + query, {**plain.headers, "Content-Type": media_type}, data)


async def ask(post: Post, http: HttpRequest, upstream: Upstream) -> bytes:
    return await wire.exchange(post, http, upstream, read_detail)


def opened(payload: bytes) -> Any:
    """The result in an envelope. Raises UpstreamError for none, and for one that tells an error."""
    body = parse_object(payload)
    if body.get("success") is True and body.get("result") is not None:
        return body["result"]
    if body.get("success") is not False:
        raise UpstreamError("malformed")
    try:
        status = _STATUSES.get(body["errors"][0]["code"], 503)
    except (KeyError, TypeError, IndexError):
        status = 503
    raise wire.status_error(status, {}, payload, read_detail=read_detail)


def opened_table(payload: bytes) -> Mapping[str, Any]:
    result = opened(payload)
    if not isinstance(result, Mapping):
        raise UpstreamError("malformed")
    return result


def token_usage(result: Mapping[str, Any]) -> Usage | None:
    """Models that are billed by tokens tell these inside their result, if they do."""
    raw = result.get("usage")
    if not isinstance(raw, Mapping) or raw.get("prompt_tokens") is None:
        return None
    try:
        return Usage({"input_tokens": count(raw, "prompt_tokens"), "output_tokens": count(raw, "completion_tokens")})
    except ValueError:
        return None


def number(value: Any) -> float:
    """A finite one. Raises TypeError or ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def fraction(value: Any) -> float:
    """A number between 0 and 1. Raises TypeError or ValueError for anything else."""
    if not 0 <= (found := number(value)) <= 1:
        raise ValueError
    return found
