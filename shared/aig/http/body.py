"""A request's body as JSON, strictly: what two parsers could read differently is refused."""

import json
import re
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from aig.errors import InvalidRequest, RequestTooLarge, UnsupportedMediaType

# A Lambda event holds 6 MB; API Gateway's envelope takes some of it.
MAX_BODY_BYTES = 6 * 1024 * 1024
MAX_DEPTH = 64
MAX_KEYS = 10_000
MAX_CONTAINERS = 100_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _bad(message: str, code: str = "invalid_json") -> InvalidRequest:
    return InvalidRequest(f"The body is not usable JSON: {message}. Correct it and send the request again.", code=code)


def _refuse_constant(name: str) -> NoReturn:
    raise _bad(f"{name} is not a JSON number")


def _parse_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _bad(f"{text[:20]} is too large a number")
    return value


class _Objects:
    """Makes the objects of one body, each key once, and not too many of them."""

    def __init__(self) -> None:
        self._made = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._made += 1
        if self._made > MAX_CONTAINERS:
            raise _too_many()
        table = dict(pairs)
        if len(table) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise _bad(f"the key {twice[:64]!r} stands twice in one object")
        if len(table) > MAX_KEYS:
            raise _bad(f"an object has more than {MAX_KEYS} keys")
        return table


def _too_many() -> InvalidRequest:
    return _bad(f"it has more than {MAX_CONTAINERS} objects and arrays")


def _check_depth(value: Any) -> None:
    stack, seen = [(value, 1)], 0
    while stack:
        node, depth = stack.pop()
        seen += 1
        if seen + len(stack) > MAX_CONTAINERS:
            raise _too_many()
        if depth > MAX_DEPTH:
            raise _bad(f"it is nested deeper than {MAX_DEPTH}")
        if isinstance(node, dict):
            stack.extend((child, depth + 1) for child in node.values() if isinstance(child, dict | list))
        else:
            stack.extend((child, depth + 1) for child in node if isinstance(child, dict | list))


def parse_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`. Raises InvalidRequest.

    Refused beyond what JSON forbids: duplicate keys, NaN and infinities, depth over 64, lone surrogates, huge integers.
    """
    if not raw.strip():
        raise _bad("it is empty")
    try:
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_Objects(), parse_constant=_refuse_constant, parse_float=_parse_float
        )
    except UnicodeDecodeError:
        raise _bad("it is not UTF-8") from None
    except RecursionError:
        raise _bad(f"it is nested deeper than {MAX_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise _bad(f"{error.msg} at character {error.pos}") from None
    except ValueError:  # an integer of more digits than Python converts
        raise _bad("an integer in it has too many digits") from None
    if not isinstance(value, dict):
        raise _bad("it must be an object")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    if _SURROGATE.search(raw):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _bad("it has half of a surrogate pair") from None
    return value


def _check_headers(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise UnsupportedMediaType("Compressed bodies are not accepted. Send the body without Content-Encoding.")
    media_type, _, parameters = request.headers.get("content-type", "application/json").partition(";")
    charset = parameters.partition("charset=")[2].strip(" \"'").lower()
    if media_type.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType("The body must be JSON in UTF-8. Send it with Content-Type: application/json.")


async def read_raw(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """The body as it was sent. Raises InvalidRequest or RequestTooLarge."""
    raw = bytearray()
    try:
        async for piece in request.stream():
            raw += piece
            if len(raw) > most:
                raise RequestTooLarge(
                    f"The body is larger than {most} bytes. Send less in one request or, where an upload_id is taken, "
                    "the file by POST /v1/uploads."
                )
    except ClientDisconnect:
        raise _bad("it ended before its Content-Length") from None
    return bytes(raw)


async def read_json(request: Request) -> dict[str, Any]:
    """The body as an object. Raises InvalidRequest, RequestTooLarge or UnsupportedMediaType."""
    _check_headers(request)
    return parse_object(await read_raw(request))
