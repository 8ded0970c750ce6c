"""The only network IO of the adapters: one client, timeouts, the SSE reader, and statuses as UpstreamError.

aiohttp, because the HTTP client is what a call costs most: docs/decisions/0001 has the figures.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import aiohttp
from pydantic_core import from_json

from aig.clock import Clock, SystemClock
from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.upstream import Timeouts

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024 * 1024
FINISH_S = 0.1
IDLE_S = 10.0
MAX_LINE_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A POST of JSON: what `build_request` of an adapter makes."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Reply(Protocol):
    """An answer whose head is there. `read_some` gives the next bytes, none at the end."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read_some(self) -> bytes: ...


class _HttpReply:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._content = response.content

    async def read_some(self) -> bytes:
        return await self._content.readany()


class Client:
    """The connections of one event loop.

    After ten idle seconds by the wall clock they are given up. Lambda freezes a function between two requests: servers
    close what they see idle meanwhile, while aiohttp's own timer, on the monotonic clock, may have stood still.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._in_use = 0
        self._used_at = 0.0

    async def _open(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is not None and self._loop is not loop:
            self._session = None  # its loop is gone, and its connections with it
        stale = None
        if not self._in_use and self._clock.now() - self._used_at > IDLE_S:
            stale, self._session = self._session, None
        # Whoever comes while the old session is closing must find the new one, in use.
        self._used_at = self._clock.now()
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "aigateway", "Accept-Encoding": "identity"},
            )
        session = self._session
        if stale is not None:
            await stale.close()
        return session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def post(self, request: HttpRequest, timeouts: Timeouts) -> AsyncIterator[Reply]:
        """The reply's head, as soon as it is there. Raises UpstreamError of kind connect."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect)
        session = await self._open()
        self._in_use += 1
        try:
            async with session.post(
                request.url, data=request.body, headers=request.headers, allow_redirects=False, timeout=limit
            ) as response:
                yield _HttpReply(response)
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError("connect") from error
        finally:
            self._in_use -= 1
            self._used_at = self._clock.now()


CLIENT = Client(SystemClock())


async def within(seconds: float, work: Awaitable[T]) -> T:
    """The result of `work`. Raises UpstreamError: timeout when time is up, connect when the connection breaks."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise UpstreamError("timeout") from None
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamError("connect") from error


async def read_all(reply: Reply) -> bytes:
    """The whole body. Raises UpstreamError for one that is too large to be an answer."""
    pieces = bytearray()
    while piece := await reply.read_some():
        pieces += piece
        if len(pieces) > MAX_BODY_BYTES:
            raise UpstreamError("malformed")
    return bytes(pieces)


_STATUS_KINDS: Mapping[int, UpstreamKind] = {
    401: "auth",
    402: "auth",
    403: "auth",
    408: "unavailable",
    425: "unavailable",
    429: "rate_limited",
}
_OUT_OF_CREDIT = frozenset({"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"})
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARAM = re.compile(r"[A-Za-z][A-Za-z0-9_.\[\]]{0,63}")


def _slug(value: Any, form: re.Pattern[str], secret: str | None) -> str | None:
    """The text if it has the form of a slug and does not quote our key back at us."""
    if not isinstance(value, str) or not form.fullmatch(value):
        return None
    return None if secret and secret.lower() in value.lower() else value


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`; None for none, for a date, and for what is no number."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = lower.get(name, "")
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            return float(text) * scale
    return None


def status_error(status: int, headers: Mapping[str, str], body: bytes, secret: str | None = None) -> UpstreamError:
    """What a status other than 200 means, with the slugs of an OpenAI-shaped error body; its prose is dropped.

    `secret` is the key that was sent: a slug that holds it is dropped too.
    """
    try:
        detail = from_json(body)["error"]
        code, param = _slug(detail.get("code"), _CODE, secret), _slug(detail.get("param"), _PARAM, secret)
    except (ValueError, KeyError, TypeError, AttributeError):
        code = param = None
    kind = _STATUS_KINDS.get(status) or ("rejected" if 400 <= status < 500 else "unavailable")
    if code in _OUT_OF_CREDIT:
        kind = "auth"
    wait = retry_after(headers) if kind in ("rate_limited", "unavailable") else None
    return UpstreamError(kind, status=status, code=code, param=param, retry_after=wait)


class SseReader:
    """Bytes in, `data` payloads out: CR, LF and CRLF, multi-line data, comments, pieces cut anywhere."""

    _LINE_END = re.compile(rb"\r\n|\n|\r")

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line whose end has not come
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The payloads that `piece` completes. Raises UpstreamError for a line without end."""
        split_crlf = bool(self._rest) and self._rest[-1].endswith(b"\r")
        self._rest.append(piece)
        self._rest_bytes += len(piece)
        ended = b"\n" in piece or b"\r" in piece or split_crlf
        lines = self._complete_lines(b"".join(self._rest)) if ended else []
        if self._rest_bytes > MAX_LINE_BYTES:
            raise UpstreamError("malformed")
        payloads: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._data_bytes += len(line)
                if self._data_bytes > MAX_LINE_BYTES:
                    raise UpstreamError("malformed")
            elif not line and self._data:
                payloads.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
        return payloads

    def _complete_lines(self, text: bytes) -> list[bytes]:
        # A CR at the very end may be the first half of a CRLF: wait for what follows.
        usable = text[:-1] if text.endswith(b"\r") else text
        *lines, tail = self._LINE_END.split(usable)
        rest = tail + text[len(usable) :]
        self._rest, self._rest_bytes = [rest] if rest else [], len(rest)
        return lines

    def end(self) -> list[bytes]:
        """The payload that a stream without a last blank line leaves."""
        return self.feed(b"\n\n")


async def sse_payloads(reply: Reply, timeouts: Timeouts) -> AsyncIterator[bytes]:
    """The `data` payloads of a stream, each as soon as it is complete. Raises UpstreamError."""
    reader, patience = SseReader(), timeouts.first_byte
    while piece := await within(patience, reply.read_some()):
        patience = timeouts.idle
        for payload in reader.feed(piece):
            yield payload
    for payload in reader.end():
        yield payload


async def finish(reply: Reply) -> None:
    """Read the few bytes behind the last event, without which the connection could not be used again."""
    try:
        async with asyncio.timeout(FINISH_S):
            while await reply.read_some():
                pass
    except (TimeoutError, aiohttp.ClientError, OSError):
        return  # a server that does not end its answers: this connection is dropped
