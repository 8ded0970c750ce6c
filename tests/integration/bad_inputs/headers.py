"""Rows 1 to 36: keys and headers, on every endpoint."""

from typing import Any

from tests.integration.bad_inputs.case import OK, UNSUPPORTED, A, B, Case, Refusal

_KEY = "Bearer {key}"


def _wallet(row: int, what: str, expected: Refusal, **more: Any) -> Case:
    return Case(row, what, expected, method="GET", path="/v1/wallet", **more)


def _key(row: int, what: str, *sent: str | bytes) -> Case:
    return Case(row, what, A, headers=[("authorization", value) for value in sent], sender="nobody")


CREDENTIALS = [
    Case(1, "no Authorization", A, sender="nobody"),
    _wallet(1, "no Authorization on the wallet", A, sender="nobody"),
    Case(1, "no Authorization on the key", A, sender="nobody", method="GET", path="/v1/key"),
    _key(2, "empty Authorization", ""),
    _key(3, "Basic", "Basic dXNlcjpw"),
    _key(5, "two spaces", "Bearer  sk-aig-abcdefgh" + "A" * 40),
    _key(5, "a tab", "Bearer\tsk-aig-abcdefgh" + "A" * 40),
    _key(6, "a prefix only", "Bearer sk-aig-"),
    _key(7, "a key of OpenAI's", "Bearer sk-openai-" + "a" * 48),
    _key(9, "a key of 10 kB", "Bearer sk-aig-abcdefgh" + "A" * 10_000),
    _key(11, "an SQL injection", "Bearer sk-aig-abcdefgh' OR 1=1--"),
    _key(12, "a Cyrillic a", "Bearer sk-\u0430ig-abcdefgh".encode() + b"A" * 40),
    Case(17, "a key in the query", A, sender="nobody", path="/v1/chat/completions?api_key=sk-aig-abcdefgh" + "A" * 40),
    Case(19, "x-api-key only", A, sender="nobody", headers=[("x-api-key", "sk-aig-abcdefgh" + "A" * 40)]),
    _wallet(21, "a Host with a path", A, sender="nobody", headers=[("host", "evil.com/v1/models?")]),
    _wallet(22, "X-Original-URL", A, sender="nobody", headers=[("x-original-url", "/v1/models")]),
    _wallet(22, "X-Forwarded-Host", A, sender="nobody", headers=[("x-forwarded-host", "evil.com")]),
]

KEYS = [
    Case(4, "lower-case scheme", OK, headers=[("authorization", "bearer {key}")], sender="nobody", reached=True),
    Case(8, "a newline behind the key", A, headers=[("authorization", _KEY + "\n")], sender="nobody"),
    Case(8, "%0a behind the key", A, headers=[("authorization", _KEY + "%0a")], sender="nobody"),
    Case(10, "a NUL behind the key", A, headers=[("authorization", _KEY + "\0")], sender="nobody"),
    Case(10, "a NUL in the key", A, headers=[("authorization", _KEY.replace("k", "k\0"))], sender="nobody"),
    Case(11, "an SQL injection behind a key", A, headers=[("authorization", _KEY + "' OR 1=1--")], sender="nobody"),
    Case(13, "another last character", A, headers=[("authorization", "Bearer {almost}")], sender="nobody"),
    Case(5, "two spaces and a good key", A, headers=[("authorization", "Bearer  {key}")], sender="nobody"),
    Case(14, "a revoked key", A, sender="revoked"),
    Case(15, "an expired key", A, sender="expired"),
    Case(16, "a key of a suspended account", A, sender="suspended"),
    Case(18, "a good and a bad key", A, headers=[("authorization", "Bearer bad")]),
    Case(18, "a good key twice", A, headers=[("authorization", _KEY)]),
    _wallet(21, "a Host with a path, and a key", OK, headers=[("host", "evil.com/v1/models?")]),
    _wallet(23, "X-HTTP-Method-Override", OK, headers=[("x-http-method-override", "DELETE")]),
]

_ID_OF_10_KB = "a" * 10_000

OTHERS = [
    Case(24, "x-request-id of 10 kB", OK, headers=[("x-request-id", _ID_OF_10_KB)], reached=True),
    Case(25, "x-request-id with CRLF", OK, headers=[("x-request-id", "a\r\nSet-Cookie: b=c")], reached=True),
    Case(26, "x-aig-tag with a newline", B, headers=[("x-aig-tag", "a\nb")]),
    Case(27, "x-aig-tag of 129", B, headers=[("x-aig-tag", "a" * 129)]),
    Case(27, "x-aig-tag of 128", OK, headers=[("x-aig-tag", "a" * 128)], reached=True),
    Case(28, "x-aig-tag <script>", B, headers=[("x-aig-tag", "<script>")]),
    Case(29, "x-aig-tag empty", OK, headers=[("x-aig-tag", "")], reached=True),
    Case(30, "x-aig-tag ../../other", B, headers=[("x-aig-tag", "../../other")]),
    Case(31, "x-cache FORCE", OK, headers=[("x-cache", "FORCE")], reached=True),
    Case(31, "x-cache bogus", B, headers=[("x-cache", "bogus")]),
    Case(32, "x-routing cheapest", B, headers=[("x-routing", "cheapest")]),
    Case(33, "text/plain", UNSUPPORTED, headers=[("content-type", "text/plain")]),
    Case(33, "JSON in UTF-16", UNSUPPORTED, headers=[("content-type", "application/json; charset=utf-16")]),
    Case(34, "multipart", UNSUPPORTED, headers=[("content-type", "multipart/form-data; boundary=x")]),
    # Every Content-Encoding is refused unread: nothing is inflated, so there is nothing to cap at 413.
    Case(
        35, "a gzip bomb", UNSUPPORTED, headers=[("content-encoding", "gzip")], raw=lambda: b"\x1f\x8b" + bytes(97_000)
    ),
    Case(36, "nested encodings", UNSUPPORTED, headers=[("content-encoding", "br, gzip, gzip")]),
]
