"""The `openai` package for Node, as it comes, against the whole gateway."""

import json
import subprocess
import uuid
from typing import Any

import pytest

from tests.builders import PROMPT
from tests.downloads import program
from tests.e2e.stack import Stack
from tests.node import node_project


@pytest.fixture(scope="module")
def steps(stack: Stack) -> dict[str, Any]:
    """What client.mjs saw, by step."""
    variables = {
        "BASE_URL": stack.base_url,
        "API_KEY": stack.key,
        "PROMPT": PROMPT,
        "SESSION": uuid.uuid4().hex,
        "NO_PROXY": "127.0.0.1",
    }
    command = [program("node"), "client.mjs"]
    done = subprocess.run(
        command, cwd=node_project(), env=variables, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seen = [json.loads(line) for line in done.stdout.splitlines()]
    return {line.pop("step"): line for line in seen}


def test_chat(steps: dict[str, Any]) -> None:
    seen = steps["chat"]
    assert (seen["text"], seen["finish"]) == (f"echo: {PROMPT}", "stop")
    assert (seen["usage"]["total_tokens"], seen["usage"]["cost"]) == (3, "0.00000525")
    assert seen["requestID"].startswith("req_")


def test_streams(steps: dict[str, Any]) -> None:
    plain, with_usage = steps["stream"], steps["stream with usage"]
    assert plain["text"] == with_usage["text"] == f"echo: {PROMPT}"
    assert plain["usage"] is None
    assert set(plain["choices"]) == {1}
    assert with_usage["choices"][-1] == 0
    assert with_usage["usage"]["total_tokens"] == 3


def test_tools_with_a_second_turn(steps: dict[str, Any]) -> None:
    assert steps["tools"] == {"name": "weather", "arguments": {"city": "Paris"}, "text": "tool said: 12 degrees"}


def test_a_schema_is_parsed(steps: dict[str, Any]) -> None:
    assert steps["parse"]["parsed"] == {"name": "Paris", "capital": True, "rivers": [{"length": 7}]}


def test_models(steps: dict[str, Any]) -> None:
    assert {"sandbox/echo", "openai/gpt-5.4-mini"} <= set(steps["models"]["ids"])
    assert steps["models"]["one"] == "sandbox/echo"


def test_errors(steps: dict[str, Any]) -> None:
    for step in ("not found", "not found in chat"):
        assert (steps[step]["name"], steps[step]["status"]) == ("NotFoundError", 404)
        assert (steps[step]["code"], steps[step]["param"]) == ("model_not_found", "model")
        assert steps[step]["requestID"].startswith("req_")
    bad, wrong_key = steps["bad request"], steps["wrong key"]
    assert (bad["name"], bad["code"], bad["param"]) == ("BadRequestError", "invalid_value", "temperature")
    assert (wrong_key["name"], wrong_key["code"]) == ("AuthenticationError", "invalid_api_key")
    assert (steps["broken stream"]["name"], steps["broken stream"]["code"]) == ("APIError", "provider_unavailable")


@pytest.mark.parametrize(
    ("model", "first"),
    [("sandbox/fail-once-429", "RateLimitError"), ("sandbox/fail-once-500", "InternalServerError")],
)
def test_its_own_retries_get_through(steps: dict[str, Any], model: str, first: str) -> None:
    assert steps[model] == {"text": f"echo: {PROMPT}", "impatient": first}
