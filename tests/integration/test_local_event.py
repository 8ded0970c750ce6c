"""The REST proxy event and the answer in a function's result, against captures of the real service."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from local import event
from local.event import MalformedResultError, Request
from local.routing import Match
from local.template import Route

NOW = datetime(2026, 7, 10, 19, 19, 4, 836000, tzinfo=UTC)
MATCH = Match(Route("ANY", "/{proxy+}", "F", streaming=False, timeout=29), {"proxy": "capture/space%20value"})

# Keys and kinds of an event that API Gateway delivered (regional endpoint, {proxy+}, POST).
CAPTURED: dict[str, type | tuple[type, ...]] = {
    "resource": str,
    "path": str,
    "httpMethod": str,
    "headers": dict,
    "multiValueHeaders": dict,
    "queryStringParameters": (dict, type(None)),
    "multiValueQueryStringParameters": (dict, type(None)),
    "pathParameters": (dict, type(None)),
    "stageVariables": type(None),
    "requestContext": dict,
    "body": (str, type(None)),
    "isBase64Encoded": bool,
}
CAPTURED_CONTEXT = {
    "accountId",
    "apiId",
    "deploymentId",
    "domainName",
    "domainPrefix",
    "extendedRequestId",
    "httpMethod",
    "identity",
    "path",
    "protocol",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "resourceId",
    "resourcePath",
    "stage",
}
CAPTURED_IDENTITY = {
    "accessKey",
    "accountId",
    "caller",
    "cognitoAuthenticationProvider",
    "cognitoAuthenticationType",
    "cognitoIdentityId",
    "cognitoIdentityPoolId",
    "principalOrgId",
    "sourceIp",
    "user",
    "userAgent",
    "userArn",
}


def request(**changes: Any) -> Request:
    values: dict[str, Any] = {
        "method": "POST",
        "path": "/capture/space%20value",
        "query": "",
        "headers": [("host", "api.example.com"), ("user-agent", "curl/8.7.1"), ("content-type", "application/json")],
        "body": b"{}",
        "client": "68.8.83.18",
        "port": 8787,
        "id": "7c2af7db-31f3-42b5-8a6d-9ffc74e3b9e0",
    }
    return Request(**(values | changes))


def build(given: Request, binary: tuple[str, ...] = ()) -> dict[str, Any]:
    return event.build(given, MATCH, "live", binary, NOW)


def test_the_shape_is_the_captured_one() -> None:
    built = build(request(query="a=1"))
    assert set(built) == set(CAPTURED)
    for key, kind in CAPTURED.items():
        assert isinstance(built[key], kind), key
    context = built["requestContext"]
    assert set(context) == CAPTURED_CONTEXT
    assert set(context["identity"]) == CAPTURED_IDENTITY
    assert context["path"] == "/live/capture/space%20value"
    assert context["resourcePath"] == built["resource"] == "/{proxy+}"
    assert context["requestTime"] == "10/Jul/2026:19:19:04 +0000"
    assert context["requestTimeEpoch"] == 1783711144836
    assert context["identity"]["sourceIp"] == "68.8.83.18"
    json.dumps(built)


def test_path_and_path_parameters_stay_encoded() -> None:
    built = build(request())
    assert built["path"] == "/capture/space%20value"
    assert built["pathParameters"] == {"proxy": "capture/space%20value"}


def test_leading_slashes_collapse_in_the_path_but_not_in_the_context() -> None:
    built = build(request(path="//capture/"))
    assert built["path"] == "/capture/"
    assert built["requestContext"]["path"] == "/live//capture/"


def test_query_parameters_are_decoded_and_the_single_map_keeps_the_last() -> None:
    query = "empty=&flag&encodedPlus=a%2Bb&literalPlus=a+b&repeat=one&repeat=two&bad=%FF"
    built = build(request(query=query))
    assert built["multiValueQueryStringParameters"] == {
        "empty": [""],
        "flag": [""],
        "encodedPlus": ["a+b"],
        "literalPlus": ["a b"],
        "repeat": ["one", "two"],
        "bad": ["�"],
    }
    assert built["queryStringParameters"]["repeat"] == "two"


def test_nothing_is_none_and_not_empty() -> None:
    built = build(request(body=b""))
    assert built["queryStringParameters"] is built["multiValueQueryStringParameters"] is None
    assert built["body"] is None
    plain = event.build(request(), Match(Route("ANY", "/", "F", streaming=False, timeout=29), {}), "live", (), NOW)
    assert plain["pathParameters"] is None


def test_headers_repeat_in_the_multi_map_and_hop_by_hop_ones_are_gone() -> None:
    headers = [
        ("host", "h"),
        ("authorization", "Bearer a"),
        ("x-probe", "first"),
        ("x-probe", "second"),
        ("connection", "keep-alive, x-probe"),
        ("content-length", "2"),
        ("expect", "100-continue"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "gopher"),
        ("x-amzn-trace-id", "Root=1-a-b"),
    ]
    built = build(request(headers=headers))
    assert built["headers"] == {
        "Host": "h",
        "Authorization": "Bearer a",
        "x-probe": "second",
        "X-Forwarded-For": "1.2.3.4, 68.8.83.18",
        "X-Forwarded-Port": "8787",
        "X-Forwarded-Proto": "http",
        "X-Amzn-Trace-Id": "Root=1-a-b",
    }
    assert built["multiValueHeaders"]["x-probe"] == ["first", "second"]


def test_a_trace_id_is_made_when_there_is_none() -> None:
    assert build(request())["headers"]["X-Amzn-Trace-Id"].startswith("Root=1-6a5145a8-")


def test_bodies_are_text_unless_their_type_is_binary() -> None:
    png = [("content-type", "image/png; q=1")]
    assert build(request(body=b"\xff{}"))["body"] == "�{}"
    built = build(request(headers=png, body=b"\x89PNG"), ("image/png",))
    assert (built["body"], built["isBase64Encoded"]) == (base64.b64encode(b"\x89PNG").decode(), True)
    assert build(request(headers=png, body=b"a"))["isBase64Encoded"] is False


@pytest.mark.parametrize(
    ("header", "types", "expected"),
    [
        ("image/png", ["image/png"], True),
        ("IMAGE/PNG; x=1", ["image/png"], True),
        ("audio/wav", ["audio/*"], True),
        ("application/json", ["image/png", "audio/*"], False),
        ("application/json", ["*/*"], True),
        ("", ["image/png"], False),
    ],
)
def test_media_types(header: str, types: list[str], expected: bool) -> None:
    assert event.media_type_matches(header, types) is expected


def test_size_counts_the_json_document() -> None:
    text = request(body=b"a" * 1000)
    quotes = request(body=b'"' * 1000)
    unicode = request(body="é".encode() * 500)
    assert event.size(build(quotes)) - event.size(build(text)) == 1000
    assert event.size(build(unicode)) == event.size(build(text))
    binary = build(request(body=b"a" * 999), ("*/*",))
    assert event.size(binary) > event.size(build(text)) + 300


def test_results_become_answers() -> None:
    result = {
        "statusCode": 201,
        "headers": {"Content-Type": "text/plain", "X-One": "1", "set-cookie": "lost"},
        "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
        "body": "hé",
        "isBase64Encoded": False,
    }
    answer = event.parse_result(result, "*/*", ())
    assert answer.status == 201
    assert answer.headers == [
        ("content-type", "text/plain"),
        ("x-one", "1"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]
    assert answer.body == "hé".encode()


def test_an_empty_result_is_200_json() -> None:
    answer = event.parse_result({}, "", ())
    assert (answer.status, answer.headers, answer.body) == (200, [("content-type", "application/json")], b"")


def test_headers_that_the_gateway_owns_come_back_renamed() -> None:
    headers = [("Content-Length", "3"), ("date", "x"), ("Server", "uvicorn"), ("connection", "close")]
    assert event.response_headers([*headers, ("transfer-encoding", "chunked"), ("x-cache", "hit")]) == [
        ("x-amzn-remapped-content-length", "3"),
        ("x-amzn-remapped-date", "x"),
        ("x-amzn-remapped-server", "uvicorn"),
        ("x-amzn-remapped-connection", "close"),
        ("x-cache", "hit"),
    ]


def test_base64_answers_are_decoded_only_for_a_binary_accept() -> None:
    encoded = base64.b64encode(b"\x89PNG").decode()
    result = {"body": encoded, "isBase64Encoded": True}
    assert event.parse_result(result, "image/png,*/*", ("image/png",)).body == b"\x89PNG"
    assert event.parse_result(result, "*/*", ("image/png",)).body == encoded.encode()


@pytest.mark.parametrize(
    "result",
    [
        None,
        "text",
        {"statusCode": 200, "extra": 1},
        {"statusCode": "abc"},
        {"statusCode": 99},
        {"statusCode": 600},
        {"headers": "x"},
        {"multiValueHeaders": {"a": None}},
        {"body": {"a": 1}},
    ],
)
def test_malformed_results_are_refused(result: object) -> None:
    with pytest.raises(MalformedResultError):
        event.parse_result(result, "*/*", ())


def test_base64_that_is_none_is_refused() -> None:
    with pytest.raises(MalformedResultError):
        event.parse_result({"body": "*", "isBase64Encoded": True}, "image/png", ("*/*",))
