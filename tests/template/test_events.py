"""events/*.json: one event per function, as `sam local invoke` and the integration tests feed it to the handlers."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from aig.aws.events import load_event
from aig.aws.table import load
from aig.usage import entry
from local.stream_filters import passes
from local.template import ROOT, Stack

EVENTS = ROOT / "events"
HTTP = {
    "accounts": "AccountsFunction",
    "requests": "RequestsFunction",
    "chat": "ChatFunction",
    "embeddings": "EmbeddingsFunction",
    "images": "ImagesFunction",
    "audio": "AudioFunction",
    "text": "TextFunction",
    "vision": "VisionFunction",
    "files": "FilesFunction",
    "generations": "GenerationsFunction",
    "jobs": "JobsFunction",
    "models": "ModelsFunction",
    "payments": "PaymentsFunction",
    "usage": "UsageFunction",
    "webhooks": "WebhooksFunction",
}
# The keys of a REST API's proxy event; an HTTP API's has others.
PROXY_EVENT = {
    "resource",
    "path",
    "httpMethod",
    "headers",
    "multiValueHeaders",
    "queryStringParameters",
    "multiValueQueryStringParameters",
    "pathParameters",
    "stageVariables",
    "requestContext",
    "body",
    "isBase64Encoded",
}


def _event(family: str) -> Mapping[str, Any]:
    event: Mapping[str, Any] = json.loads((EVENTS / f"{family}.json").read_text(encoding="utf-8"))
    return event


def test_there_is_one_event_per_function(stack: Stack) -> None:
    families = {name.removesuffix("Function").lower() for name in stack.functions}
    assert {path.stem for path in EVENTS.glob("*.json")} == families


@pytest.mark.parametrize("family", sorted(HTTP))
class TestHttpEvents:
    def test_it_is_an_event_of_a_route_of_its_function(self, stack: Stack, family: str) -> None:
        event = _event(family)
        assert event.keys() == PROXY_EVENT
        function = {route.path: route.function for route in stack.routes}[event["resource"]]
        assert function == HTTP[family]
        context = event["requestContext"]
        assert context["resourcePath"] == event["resource"]
        assert context["httpMethod"] == event["httpMethod"]
        assert context["path"] == f"/{context['stage']}{event['path']}"

    def test_both_header_maps_agree(self, family: str) -> None:
        event = _event(family)
        assert event["multiValueHeaders"] == {name: [value] for name, value in event["headers"].items()}

    def test_the_key_is_to_be_filled_in(self, family: str) -> None:
        assert _event(family)["headers"]["Authorization"] == "Bearer sk-aig-your-key-here"


@pytest.mark.parametrize(
    ("family", "model"),
    [
        ("chat", "sandbox/echo"),
        ("embeddings", "sandbox/embed"),
        ("images", "sandbox/image"),
        ("audio", "sandbox/speech"),
        ("text", "sandbox/rerank"),
        ("vision", "sandbox/ocr"),
        ("generations", "sandbox/video"),
    ],
)
def test_a_call_is_to_a_sandbox_model(family: str, model: str) -> None:
    event = _event(family)
    assert event["httpMethod"] == "POST"
    assert json.loads(event["body"])["model"] == model


def test_the_dispatcher_is_brought_what_its_filter_lets_pass(stack: Stack) -> None:
    (mapping,) = (mapping for mapping in stack.streams if mapping.function == "DispatcherFunction")
    (record,) = _event("dispatcher")["Records"]
    assert passes(record, mapping.filters)
    assert load_event(load(record["dynamodb"]["NewImage"])).type == "balance.low"


def test_the_webhook_worker_is_brought_messages_of_its_queue() -> None:
    (record,) = _event("webhookworker")["Records"]
    assert record["eventSource"] == "aws:sqs"
    assert json.loads(record["body"]).keys() == {"tenant", "delivery_id"}


def test_the_roll_up_is_brought_what_its_filter_lets_pass(stack: Stack) -> None:
    (mapping,) = (mapping for mapping in stack.streams if mapping.function == "RollupFunction")
    (record,) = _event("rollup")["Records"]
    assert passes(record, mapping.filters)
    assert entry(load(record["dynamodb"]["NewImage"])).amount == 8400


def test_the_job_worker_is_brought_what_an_order_sends() -> None:
    (record,) = _event("jobworker")["Records"]
    assert record["eventSource"] == "aws:sqs"
    assert json.loads(record["body"]).keys() == {"tenant", "job_id"}


@pytest.mark.parametrize("family", ["drift", "summary", "sweeper"])
def test_what_runs_by_itself_is_woken_by_its_schedule(family: str) -> None:
    event = _event(family)
    assert (event["source"], event["detail-type"], event["detail"]) == ("aws.events", "Scheduled Event", {})
