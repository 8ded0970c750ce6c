"""What API Gateway answers without us is still our error shape."""

import json
from typing import Any

import pytest

from local.template import Stack

EXPECTED = {
    "DEFAULT_4XX": (None, "invalid_request_error", "bad_request"),
    "DEFAULT_5XX": (None, "internal_error", "internal_error"),
    "INTEGRATION_FAILURE": (503, "overloaded_error", "service_unavailable"),
    "INTEGRATION_TIMEOUT": (504, "timeout_error", "upstream_timeout"),
    "MISSING_AUTHENTICATION_TOKEN": (405, "invalid_request_error", "method_not_allowed"),
    "REQUEST_TOO_LARGE": (413, "invalid_request_error", "request_too_large"),
    "THROTTLED": (429, "rate_limit_error", "rate_limit_exceeded"),
}
RETRYABLE = {"INTEGRATION_FAILURE", "THROTTLED"}


def test_these_answers_are_ours(stack: Stack) -> None:
    assert stack.gateway_responses.keys() == EXPECTED.keys()


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_the_body_is_our_error(stack: Stack, kind: str) -> None:
    answer = stack.gateway_responses[kind]
    status, type_, code = EXPECTED[kind]
    assert answer.status == status
    assert answer.body is not None
    error: dict[str, Any] = json.loads(answer.body)["error"]
    message = error.pop("message")
    assert message.endswith(".")
    assert "  " not in message
    assert error == {"type": type_, "code": code, "param": None, "request_id": "$context.requestId"}


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_the_headers_carry_the_request_id_and_the_wait(stack: Stack, kind: str) -> None:
    headers = stack.gateway_responses[kind].headers
    wait = {"Retry-After": "'1'"} if kind in RETRYABLE else {}
    ids = dict.fromkeys(("x-request-id", "request-id"), "context.requestId")
    assert headers == {**ids, **wait}
