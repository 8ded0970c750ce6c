"""How MiniMax says what went wrong: by a status, or with `base_resp` in an answer that has status 200."""

from collections.abc import Mapping
from typing import Any

from aig.errors import UpstreamError, UpstreamKind
from aig_providers.wire import Detail

# https://platform.minimax.io/docs/api-reference/errorcode; what is not here is the provider's fault.
_KINDS: Mapping[int, UpstreamKind] = {
    1002: "rate_limited",
    1004: "auth",
    1008: "auth",  # the balance
    1026: "rejected",
    1027: "rejected",
    1039: "rate_limited",
    1041: "rate_limited",
    1042: "rejected",
    2013: "rejected",
    2045: "rate_limited",
    2049: "auth",
    2056: "rate_limited",
    2061: "auth",  # a model that is not in our plan
}
_MODERATED = frozenset({1026, 1027})  # what was asked for, and what came of it


def coded(code: Any) -> UpstreamError:
    """The error that a code of theirs stands for: a number, or its digits."""
    digits = isinstance(code, str) and code.isascii() and code.isdigit() and len(code) < 9
    number = int(code) if digits else code
    kind = _KINDS.get(number, "unavailable") if type(number) is int else "unavailable"
    if kind != "rejected":
        return UpstreamError(kind)
    moderated = number in _MODERATED
    return UpstreamError(kind, status=400, code="content_policy_violation" if moderated else "invalid_request_error")


def read_detail(body: Any) -> Detail:
    """`{"error": {"type"}}`, whose 422 is of what was filtered; or `base_resp`, whose code says more than a status."""
    if "base_resp" in body:
        error = coded(body["base_resp"]["status_code"])
        return Detail(error.kind, error.code)
    if body["error"]["type"] == "unprocessable_entity_error":
        return Detail(code="content_policy_violation")
    return Detail(code="invalid_request_error" if body["error"]["type"] == "bad_request_error" else None)


def told_failure(body: Mapping[str, Any]) -> UpstreamError | None:
    """What `base_resp` of an answer says; None where all is well. Raises UpstreamError where it says nothing."""
    base = body.get("base_resp")
    number = base.get("status_code") if isinstance(base, Mapping) else None
    if type(number) is not int:
        raise UpstreamError("malformed")
    return coded(number) if number else None


def check(body: Mapping[str, Any]) -> None:
    """Raises UpstreamError for an answer of the second edition, which has a `base_resp` only where it has failed."""
    told = body.get("base_resp")
    code = told.get("status_code") if isinstance(told, Mapping) else None
    if code not in (None, 0):
        raise coded(code)
