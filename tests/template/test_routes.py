"""The routes of the REST API, and which of them really stream."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local.template import TEMPLATE, Stack, load

ROUTES = {
    "/": "ModelsFunction",
    "/llms.txt": "ModelsFunction",
    "/llms-full.txt": "ModelsFunction",
    "/openapi.json": "ModelsFunction",
    "/v1/chat/completions": "ChatFunction",
    "/v1/embeddings": "EmbeddingsFunction",
    "/v1/images/generations": "ImagesFunction",
    "/v1/images/edits": "ImagesFunction",
    "/v1/audio/transcriptions": "AudioFunction",
    "/v1/audio/translations": "AudioFunction",
    "/v1/audio/speech": "AudioFunction",
    "/v1/moderations": "TextFunction",
    "/v1/translations": "TextFunction",
    "/v1/classifications": "TextFunction",
    "/v1/rerank": "TextFunction",
    "/v1/ocr": "VisionFunction",
    "/v1/detections": "VisionFunction",
    "/v1/uploads": "FilesFunction",
    "/media/{account}/{name}": "FilesFunction",
    "/media/{account}/{job}/{name}": "FilesFunction",
    "/v1/files/jobs/{job_id}/{name}": "FilesFunction",
    "/v1/files/jobs/{job_id}/{name}/signed": "FilesFunction",
    "/v1/videos/generations": "GenerationsFunction",
    "/v1/audio/music": "GenerationsFunction",
    "/v1/3d/generations": "GenerationsFunction",
    "/v1/jobs": "JobsFunction",
    "/v1/jobs/{job_id}": "JobsFunction",
    "/v1/events": "AccountsFunction",
    "/v1/health/providers": "ModelsFunction",
    "/v1/key": "AccountsFunction",
    "/v1/keys": "AccountsFunction",
    "/v1/keys/{proxy+}": "AccountsFunction",
    "/v1/models": "ModelsFunction",
    "/v1/models/{proxy+}": "ModelsFunction",
    "/v1/account": "AccountsFunction",
    "/v1/requests": "RequestsFunction",
    "/v1/requests/{proxy+}": "RequestsFunction",
    "/v1/sub-accounts": "AccountsFunction",
    "/v1/sub-accounts/{proxy+}": "AccountsFunction",
    "/v1/payments/{provider}": "PaymentsFunction",
    "/v1/usage": "UsageFunction",
    "/v1/usage/by-model": "UsageFunction",
    "/v1/usage/by-sub-account": "UsageFunction",
    "/v1/usage/by-tag": "UsageFunction",
    "/v1/webhook-secret": "WebhooksFunction",
    "/v1/webhook-secret/rotate": "WebhooksFunction",
    "/v1/webhooks/deliveries": "WebhooksFunction",
    "/v1/webhooks/deliveries/{proxy+}": "WebhooksFunction",
    "/v1/webhooks/endpoints": "WebhooksFunction",
    "/v1/webhooks/endpoints/{proxy+}": "WebhooksFunction",
    "/v1/wallet": "AccountsFunction",
    "/v1/wallet/top-ups": "PaymentsFunction",
    "/v1/wallet/top-ups/{top_up_id}": "PaymentsFunction",
    "/v1/wallet/transactions": "AccountsFunction",
    "/v1/wallet/transactions/{transaction_id}": "AccountsFunction",
    "/{proxy+}": "ModelsFunction",
}
_STREAM = {"ChatFunction", "EmbeddingsFunction", "ImagesFunction", "AudioFunction", "TextFunction", "VisionFunction"}
STREAMING = {path for path, function in ROUTES.items() if function in _STREAM}


def _integration(body: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    methods = body["paths"][path]
    assert list(methods) == ["x-amazon-apigateway-any-method"], "the app answers 405 itself, in our error shape"
    integration: Mapping[str, Any] = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
    return integration


def test_every_path_goes_to_its_family(stack: Stack) -> None:
    assert {route.path: route.function for route in stack.routes} == ROUTES


@pytest.mark.parametrize("path", sorted(STREAMING))
def test_a_streaming_route_streams(body: Mapping[str, Any], path: str) -> None:
    integration = _integration(body, path)
    assert integration["type"] == "aws_proxy"
    assert integration["responseTransferMode"] == "STREAM"
    assert integration["timeoutInMillis"] == 900_000
    assert integration["uri"]["Fn::Sub"] == (
        "arn:aws:apigateway:${AWS::Region}:lambda:path/2021-11-15/functions/${"
        + ROUTES[path]
        + ".Arn}/response-streaming-invocations"
    )


@pytest.mark.parametrize("path", sorted(ROUTES.keys() - STREAMING))
def test_every_other_route_is_buffered(body: Mapping[str, Any], path: str) -> None:
    integration = _integration(body, path)
    assert integration["type"] == "aws_proxy"
    assert "responseTransferMode" not in integration
    assert "timeoutInMillis" not in integration
    assert integration["uri"]["Fn::Sub"].endswith("/${" + ROUTES[path] + ".Arn}/invocations")


def test_a_function_ends_no_later_than_its_route(stack: Stack) -> None:
    for route in stack.routes:
        assert stack.functions[route.function].timeout <= route.timeout, route.path


def test_no_provider_calls_us_back() -> None:
    """J13 and J14: jobs are polled, so that there is nothing to forge and no order to get wrong."""
    taking = {path for path in ROUTES if re.search(r"callback|webhook|hook|notif", path)}
    assert not {path for path in taking if not path.startswith("/v1/webhook")}
    assert [path for path in ROUTES if "{provider}" in path] == ["/v1/payments/{provider}"]  # of payments, not of jobs


def test_a_wrong_spelling_of_the_transfer_mode_is_noticed(tmp_path: Path) -> None:
    """SAM and cfn-lint accept any string there and buffer; the assertions above must not."""
    text = TEMPLATE.read_text(encoding="utf-8")
    assert text.count("RESPONSE_STREAM") == len(STREAMING)
    wrong = tmp_path / "template.yaml"
    shutil.copytree(TEMPLATE.parent / "statemachines", tmp_path / "statemachines")
    wrong.write_text(text.replace("RESPONSE_STREAM", "STREAM"), encoding="utf-8")
    assert not any(route.streaming for route in load(wrong).routes)


def test_the_api_is_regional(resources: Mapping[str, Mapping[str, Any]]) -> None:
    assert resources["Api"]["Properties"]["EndpointConfiguration"] == {"Types": ["REGIONAL"]}


def test_there_is_one_stage_and_it_is_throttled(resources: Mapping[str, Mapping[str, Any]]) -> None:
    (stage,) = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::ApiGateway::Stage"]
    assert stage["StageName"] == {"Ref": "StageName"}
    (settings,) = stage["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert settings["ThrottlingRateLimit"] == {"Ref": "ThrottleRate"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "ThrottleBurst"}


def test_forms_are_base64_encoded_and_json_bodies_are_not(stack: Stack) -> None:
    assert stack.binary_media_types == ("multipart/form-data",)
