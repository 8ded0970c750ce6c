"""How MiniMax says what went wrong: by a status, or with `base_resp` in an answer that has status 200."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError, UpstreamKind
from aig_providers.wire import Detail

# https://platform.minimax.io/docs/api-reference/errorcode; what is not here is the provider's fault.
_CODES: Mapping[int, tuple[UpstreamKind, int, str | None]] = {
    1002: ("rate_limited", 429, None),
    1004: ("auth", 401, None),
    1008: ("auth", 402, None),  # no balance
    1026: ("rejected", 422, "content_policy_violation"),  # of what goes in
    1027: ("rejected", 422, "content_policy_violation"),  # of what comes out
    1039: ("rate_limited", 429, None),
    1041: ("rate_limited", 429, None),
    1042: ("rejected", 400, "invalid_request_error"),
    2013: ("rejected", 400, "invalid_request_error"),
    2045: ("rate_limited", 429, None),
    2049: ("auth", 401, None),
    2056: ("auth", 402, None),  # a plan's allowance is used up
}


def coded(code: Any) -> UpstreamError:
    """The error that a code of theirs stands for: a number, or its digits."""
    digits = isinstance(code, str) and code.isascii() and code.isdigit()
    number = int(code) if digits and len(code) < 9 else code
    if type(number) is not int or number not in _CODES:
        return UpstreamError("unavailable")
    kind, status, slug = _CODES[number]
    return UpstreamError(kind, status=status, code=slug)


def read_detail(body: Any) -> Detail:
    """`{"error": {"type"}}`, whose 422 is of what was filtered; or `base_resp`, whose code says more than a status."""
    if "base_resp" in body:
        error = coded(body["base_resp"]["status_code"])
        return Detail(error.kind, error.code)
    if body["error"]["type"] == "unprocessable_entity_error":
        return Detail(code="content_policy_violation")
    return Detail(code="invalid_request_error" if body["error"]["type"] == "bad_request_error" else None)


def check(body: Mapping[str, Any]) -> None:
    """Raises UpstreamError for an answer that has come with status 200, and whose `base_resp` tells of a failure."""
    told = body.get("base_resp")
    code = told.get("status_code") if isinstance(told, Mapping) else None
    if code not in (None, 0):
        raise coded(code)
