"""Every error that a client can see has the status and type that the documentation promises."""

import pytest

from aig import errors
from aig.errors import AIGError, UpstreamError, UpstreamKind

TREE: list[tuple[type[AIGError], int, str, str]] = [
    (errors.InvalidRequest, 400, "invalid_request_error", "invalid_value"),
    (errors.Unauthenticated, 401, "authentication_error", "invalid_api_key"),
    (errors.BudgetExceeded, 402, "budget_exceeded", "insufficient_balance"),
    (errors.Forbidden, 403, "permission_error", "insufficient_scope"),
    (errors.ModelNotFound, 404, "model_not_found", "model_not_found"),
    (errors.NotFound, 404, "not_found_error", "not_found"),
    (errors.MethodNotAllowed, 405, "invalid_request_error", "method_not_allowed"),
    (errors.Conflict, 409, "conflict_error", "conflict"),
    (errors.RequestTooLarge, 413, "invalid_request_error", "request_too_large"),
    (errors.UnsupportedMediaType, 415, "invalid_request_error", "unsupported_media_type"),
    (errors.RateLimited, 429, "rate_limit_error", "rate_limit_exceeded"),
    (errors.InternalError, 500, "internal_error", "internal_error"),
    (errors.ProviderUnavailable, 502, "provider_error", "provider_unavailable"),
    (errors.Overloaded, 503, "overloaded_error", "overloaded"),
    (errors.UpstreamTimeout, 504, "timeout_error", "upstream_timeout"),
]


def _descendants(kind: type[AIGError]) -> set[type[AIGError]]:
    return {kind}.union(*(_descendants(child) for child in kind.__subclasses__()))


def test_the_table_names_every_error() -> None:
    assert {row[0] for row in TREE} == _descendants(AIGError) - {AIGError}


@pytest.mark.parametrize(("kind", "status", "type_", "code"), TREE, ids=lambda value: getattr(value, "__name__", None))
def test_status_type_and_code(kind: type[AIGError], status: int, type_: str, code: str) -> None:
    error = kind("Do this next.")
    assert (error.status, error.type, error.code) == (status, type_, code)
    assert (error.message, str(error), error.param, error.retry_after) == ("Do this next.", "Do this next.", None, None)


def test_a_caller_may_be_more_precise() -> None:
    error = errors.RateLimited("Wait.", code="upstream_rate_limited", param="model", retry_after=7)
    assert (error.code, error.param, error.retry_after) == ("upstream_rate_limited", "model", 7)


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        ("connect", True),
        ("timeout", True),
        ("rate_limited", True),
        ("unavailable", True),
        ("malformed", True),
        ("auth", True),
        ("rejected", False),
    ],
)
def test_only_a_refused_request_is_not_worth_another_provider(kind: UpstreamKind, retryable: bool) -> None:
    assert UpstreamError(kind).retryable is retryable


def test_an_upstream_error_shows_slugs_and_no_more() -> None:
    error = UpstreamError("rejected", status=400, code="bad_code", param="messages")
    assert str(error) == "rejected (status 400, code bad_code)"
