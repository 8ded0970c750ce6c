"""Our signature is the one that botocore would have made."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as OracleCredentials
from hypothesis import given
from hypothesis import strategies as st

from aig.aws.sigv4 import Credentials, canonical_query, presign_object, sign, sign_object

TIMESTAMP = "20261122T193956Z"


def oracle(
    credentials: Credentials, region: str, service: str, host: str, target: str, payload: bytes, timestamp: str
) -> str:
    """The Authorization header as botocore computes it for the same request at the same time."""
    headers = {"host": host, "x-amz-date": timestamp, "x-amz-target": target}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    request: Any = AWSRequest("POST", f"https://{host}/", headers=headers, data=payload)
    request.context["timestamp"] = timestamp
    known = OracleCredentials(credentials.access_key, credentials.secret_key, credentials.token)
    signer: Any = SigV4Auth(known, service, region)
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    signed = signer.signed_headers(signer.headers_to_sign(request))
    return (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={signed}, Signature={signer.signature(to_sign, request)}"
    )


@pytest.mark.parametrize("token", [None, "", "FwoGZXIvYXdzEXAMPLETOKEN//////////wEaDA=="])
@pytest.mark.parametrize("payload", [b"", b"{}", '{"TableName":"core","Key":{"pk":{"S":"é"}}}'.encode()])
@pytest.mark.parametrize(
    ("service", "host", "target"),
    [
        ("dynamodb", "dynamodb.eu-west-1.amazonaws.com", "DynamoDB_20120810.TransactWriteItems"),
        ("dynamodb", "127.0.0.1:5603", "DynamoDB_20120810.GetItem"),
        ("secretsmanager", "secretsmanager.eu-west-1.amazonaws.com", "secretsmanager.GetSecretValue"),
    ],
)
def test_the_signature_is_botocores(service: str, host: str, target: str, payload: bytes, token: str | None) -> None:
    call = (Credentials("AKIDEXAMPLE", "secret", token), "eu-west-1", service, host, target, payload, TIMESTAMP)
    assert sign(*call)["authorization"] == oracle(*call)


@given(
    st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=40),
    st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S")), max_size=200),
    st.binary(max_size=200),
    st.datetimes().map(lambda when: when.strftime("%Y%m%dT%H%M%SZ").rjust(16, "0")),
)
def test_so_it_is_for_any_secret_token_payload_and_time(
    secret: str, token: str, payload: bytes, timestamp: str
) -> None:
    credentials = Credentials("AKIDEXAMPLE", secret, token or None)
    call = (credentials, "us-east-1", "dynamodb", "localhost:8000", "DynamoDB_20120810.Query", payload, timestamp)
    assert sign(*call)["authorization"] == oracle(*call)


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEXAMPLETOKEN//////////wEaDA=="])
@pytest.mark.parametrize("payload", [b"", b"x" * 1000])
@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("bucket.s3.eu-west-1.amazonaws.com", "/cache/acct_1/0a1b"),
        ("127.0.0.1:5603", "/bucket/cache/acct_1/0a1b"),
        ("bucket.s3.eu-west-1.amazonaws.com", "/cache/a%20b%23c"),
    ],
)
def test_so_is_the_signature_of_an_object(host: str, path: str, method: str, payload: bytes, token: str | None) -> None:
    credentials = Credentials("AKIDEXAMPLE", "secret", token)
    headers = sign_object(credentials, "eu-west-1", method, host, path, payload, TIMESTAMP)
    signed = {name: value for name, value in headers.items() if name != "authorization"}
    request: Any = AWSRequest(method, f"https://{host}{path}", headers=signed, data=payload)
    request.context["timestamp"] = TIMESTAMP
    signer: Any = S3SigV4Auth(OracleCredentials("AKIDEXAMPLE", "secret", token), "s3", "eu-west-1")
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    assert headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signer.signature(to_sign, request)}"
    )


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEXAMPLETOKEN//////////wEaDA=="])
@pytest.mark.parametrize(
    ("method", "query", "more"),
    [
        ("POST", {"uploads": ""}, {"content-type": "video/mp4"}),
        ("PUT", {"uploadId": "a/b+c==&~", "partNumber": "12"}, {}),
        ("GET", {}, {"range": "bytes=0-0"}),
    ],
)
def test_so_it_is_with_a_query_and_more_headers(
    method: str, query: dict[str, str], more: dict[str, str], token: str | None
) -> None:
    credentials, host = Credentials("AKIDEXAMPLE", "secret", token), "bucket.s3.eu-west-1.amazonaws.com"
    text = canonical_query(query)
    headers = sign_object(credentials, "eu-west-1", method, host, "/media/a", b"x", TIMESTAMP, text, more)
    signed = {name: value for name, value in headers.items() if name != "authorization"}
    assert more.items() <= signed.items()
    request: Any = AWSRequest(method, f"https://{host}/media/a", headers=signed, data=b"x", params=query)
    request.context["timestamp"] = TIMESTAMP
    signer: Any = S3SigV4Auth(OracleCredentials("AKIDEXAMPLE", "secret", token), "s3", "eu-west-1")
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    assert headers["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signer.signature(to_sign, request)}"
    )


def test_all_that_is_signed_is_sent() -> None:
    headers = sign(Credentials("AKID", "secret", "token"), "us-east-1", "dynamodb", "h", "T.Op", b"{}", TIMESTAMP)
    assert headers.keys() == {"host", "x-amz-date", "x-amz-security-token", "x-amz-target", "authorization"}
    assert headers["x-amz-date"] == TIMESTAMP
    without = sign(Credentials("AKID", "secret"), "us-east-1", "dynamodb", "h", "T.Op", b"{}", TIMESTAMP)
    assert "x-amz-security-token" not in without


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(Credentials("AKID", "the-secret", "the-token"))
    assert "AKID" in shown
    assert "the-" not in shown


@pytest.mark.parametrize("token", [None, "FwoGZXIvYXdzEXAMPLETOKEN//////////wEaDA=="])
@pytest.mark.parametrize(
    ("method", "path", "headers", "query"),
    [
        ("PUT", "/uploads/acct_1/upload_1", {"content-length": "8000000"}, {}),
        ("GET", "/media/acct_1/file_1.png", {}, {"response-content-type": "image/png"}),
        ("GET", "/bucket/media/acct_1/file_1.png", {}, {"response-content-type": "image/svg+xml; charset=utf-8"}),
    ],
)
def test_a_presigned_query_is_botocores(
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    headers: dict[str, str],
    query: dict[str, str],
    token: str | None,
) -> None:
    now = datetime.strptime(TIMESTAMP, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: now.replace(tzinfo=None))
    host = "bucket.s3.eu-west-1.amazonaws.com"
    request: Any = AWSRequest(method, f"https://{host}{path}", headers={"host": host, **headers}, params=query)
    known = OracleCredentials("AKIDEXAMPLE", "secret", token)
    signer: Any = S3SigV4QueryAuth(known, "s3", "eu-west-1", expires=300)
    signer.add_auth(request)
    ours = presign_object(
        Credentials("AKIDEXAMPLE", "secret", token), "eu-west-1", method, host, path, TIMESTAMP, 300, headers, query
    )
    assert dict(parse_qsl(ours)) == dict(parse_qsl(urlsplit(request.url).query))
