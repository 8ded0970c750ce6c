"""Rows 18, 25 and 26 as bytes, and rows 37 to 39 and 55 to 58: what depends on the server in front of the apps."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.integration.bad_inputs.case import good_body
from tests.wire import request

CLOSED: Final = 0  # instead of a status: no answer at all
_BODY: Final = json.dumps(good_body()).encode()
_CHAT: Final = "/v1/chat/completions"
_JSON: Final = "Content-Type: application/json"

Where = Literal["server", "front"]


@dataclass(frozen=True)
class Wire:
    """A request as bytes, made with a good key. `server` are the statuses that uvicorn and the family's app may answer,
    `front` those of the whole stack; `half_close` ends the client's side behind the last byte.
    """

    row: int
    what: str
    family: str
    send: Callable[[str], bytes]
    server: tuple[int, ...]
    front: tuple[int, ...] = ()
    half_close: bool = False
    absent: tuple[str, ...] = field(default=())  # headers that the answer must not have

    @property
    def id(self) -> str:
        """As pytest shows it."""
        return f"{self.row:03}-{self.what}"

    def statuses(self, where: Where) -> tuple[int, ...]:
        """What may be answered there."""
        return self.front if where == "front" and self.front else self.server


def _post(*headers: str, body: bytes | None = _BODY, length: int | None = None) -> Callable[[str], bytes]:
    return lambda key: request("POST", _CHAT, f"Authorization: Bearer {key}", *headers, _JSON, body=body, length=length)


def _path(row: int, family: str, path: str, *statuses: int, method: str = "GET", front: tuple[int, ...] = ()) -> Wire:
    return Wire(row, f"{method} {path}", family, lambda _: request(method, path), statuses, front)


WIRES: Final = [
    Wire(18, "two keys", "chat", _post("Authorization: Bearer bad"), (401,)),
    Wire(
        25,
        "x-request-id with CRLF",
        "chat",
        _post("X-Request-Id: a\r\nSet-Cookie: b=c"),
        (200,),
        absent=("set-cookie",),
    ),
    Wire(26, "x-aig-tag over two lines", "chat", _post("x-aig-tag: a\r\n b"), (400,)),
    Wire(37, "a Content-Length too short", "chat", _post(length=len(_BODY) - 5), (400,)),
    Wire(37, "a Content-Length too long", "chat", _post(length=len(_BODY) + 5), (400, CLOSED), half_close=True),
    Wire(37, "two Content-Lengths", "chat", _post("Content-Length: 1"), (400,)),
    Wire(37, "no number as Content-Length", "chat", _post("Content-Length: x", body=None), (400,)),
    Wire(38, "Transfer-Encoding and Content-Length", "chat", _post("Transfer-Encoding: chunked"), (400,)),
    Wire(38, "an unknown Transfer-Encoding", "chat", _post("Transfer-Encoding: cow", body=None), (400,)),
    Wire(39, "Expect without a body", "chat", _post("Expect: 100-continue", body=b""), (400,)),
    Wire(39, "Expect with a body", "chat", _post("Expect: 100-continue"), (200,)),
    _path(55, "models", "/v1/models", 405, method="TRACE"),
    _path(55, "chat", _CHAT, 405, method="PROPFIND"),
    _path(55, "chat", _CHAT, 405),
    _path(55, "chat", "/v1/models", 400, method="NONSENSE"),
    # API Gateway takes leading slashes for one.
    _path(56, "models", "//v1/models", 404, front=(200,)),
    _path(56, "models", "/v1/models/", 404),
    _path(56, "models", "/V1/MODELS", 404),
    _path(56, "models", "/v1//models", 404),
    # `%6d` is an `m` (RFC 3986, 6.2.2.2): the same public list. On paths with a key, it opens no door.
    _path(56, "models", "/v1/%6dodels", 200),
    _path(56, "accounts", "/v1/%77allet", 401, front=(404,)),
    _path(56, "accounts", "//v1/wallet", 404, front=(401,)),
    _path(56, "accounts", "/v1/wallet/", 404),
    _path(56, "accounts", "/V1/WALLET", 404),
    _path(56, "accounts", "/v1/wallet%2f", 404),
    _path(57, "models", "/v1/models/%00", 404),
    _path(57, "models", "/v1/models/sandbox%2Fecho%00", 404),
    _path(57, "models", "/%2e%2e%2fetc/passwd", 404),
    _path(57, "models", "/v1/models/%2e%2e%2f%2e%2e%2fopenapi.json", 404),
    _path(57, "models", "/v1/models/../../openapi.json", 404),
    _path(57, "models", "/v1/models/%ff%fe", 404),
    _path(57, "accounts", "/v1/models/%2e%2e/wallet", 404),
]

# uvicorn takes them, and API Gateway does not let them come that far.
LARGE_HEADERS: Final = [
    Wire(58, "10,000 headers", "chat", _post(*[f"x-{n}: {n}" for n in range(10_000)]), (431,)),
    Wire(58, "a cookie of 32 kB", "chat", _post("Cookie: a=" + "b" * 32_768), (431,)),
]
