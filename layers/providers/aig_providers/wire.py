"""The only network IO of the adapters: one client, timeouts, the SSE reader, and statuses as UpstreamError.

aiohttp, because the HTTP client is what a call costs most: docs/decisions/0001 has the figures.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, closing
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import parse_qsl

import aiohttp
from pydantic_core import from_json, to_json

from aig.clock import Clock, SystemClock
from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.upstream import Timeouts, Upstream
from aig.patience import Patience
from aig_providers.sse import SseReader

T = TypeVar("T")

MAX_BODY_BYTES = 64 * 1024 * 1024
FINISH_S = 0.1
# How far an answer is whole before its stream has ended, and how many seconds of silence end it then: its usage may
# come in an event of its own, and a count may be told once more.
Whole = Literal["no", "said", "counted"]
GRACE_S: Mapping[Whole, float] = {"said": 2.0, "counted": 0.5}
IDLE_S = 10.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What `build_request` of an adapter makes."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    method: Literal["POST", "GET", "PUT", "DELETE"] = "POST"


def post_json(upstream: Upstream, path: str, body: Mapping[str, Any]) -> HttpRequest:
    """With the key as a bearer's, as most have it."""
    headers = {"Content-Type": "application/json"}
    if upstream.api_key:
        headers["Authorization"] = f"Bearer {upstream.api_key}"
    return HttpRequest(f"{upstream.base_url.rstrip('/')}/{path}", headers, to_json(body))


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


_NEVER_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


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
            async with session.request(
                request.method,
                request.url,
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
                timeout=limit,
            ) as response:
                yield _HttpReply(response)
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamError("connect", sent=not isinstance(error, _NEVER_CONNECTED)) from error
        finally:
            self._in_use -= 1
            self._used_at = self._clock.now()


CLIENT = Client(SystemClock())


async def within(seconds: float, work: Awaitable[T]) -> T:
    """The result of `work`. Raises UpstreamError: timeout when time is up, connect when the connection breaks."""
    with closing(Patience()) as patience:
        return await _within(patience, seconds, work)


async def _within(patience: Patience, seconds: float, work: Awaitable[T]) -> T:
    """`within` for one of many waits."""
    try:
        with patience.until(asyncio.get_running_loop().time() + seconds):
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
    408: "unavailable",
    424: "unavailable",
    425: "unavailable",
    429: "rate_limited",
}
OUT_OF_CREDIT = frozenset({"insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"})
# Of a 403, these say that it is our key that is refused; others refuse what the prompt says.
_KEY_REFUSED = frozenset(
    {"authentication_error", "permission_error", "permissions_error", "permission_denied", "access_terminated"}
    | {"invalid_api_key", "account_deactivated", "unsupported_country_region_territory"}
)
# Slugs that a client may be told. Any other word of a provider stays here: it could name an account of ours.
_CODES = OUT_OF_CREDIT | frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "context_length_exceeded",
        "data_inspection_failed",
        "failed_generation",
        "image_too_large",
        "invalid_base64",
        "invalid_image",
        "invalid_image_format",
        "invalid_image_url",
        "invalid_json",
        "invalid_prompt",
        "invalid_request_error",
        "invalid_type",
        "invalid_value",
        "json_validate_failed",
        "missing_required_parameter",
        "model_not_found",
        "moderation_blocked",
        "not_found_error",
        "request_too_large",
        "string_above_max_length",
        "tool_use_failed",
        "unknown_parameter",
        "unsupported_country_region_territory",
        "unsupported_parameter",
        "unsupported_value",
    }
)
_LONGEST_MESSAGE = 500
_PATH = re.compile(r"\w[\w.\[\]]{0,199}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Detail:
    """What an error's body says by its structure: the kind if it is another than the status's, and slugs."""

    kind: UpstreamKind | None = None
    code: Any = None
    param: Any = None
    retry_after: float | None = None


ReadDetail = Callable[[Any], Detail]


def common_detail(body: Any) -> Detail:
    """The error body that most vendors share. Raises what indexing raises for another."""
    error = body["error"]
    code, kind = _slug(error.get("code")), _slug(error.get("type"))
    ours = code in OUT_OF_CREDIT or {code, kind} & _KEY_REFUSED
    return Detail("auth" if ours else None, code, error.get("param"))


def prose_detail(body: Any) -> Detail:
    """`{"detail": prose}` as Jina and Voyage send it: nothing in it that the status does not say."""
    return Detail(code="invalid_request_error" if "detail" in body else None)


def _slug(value: Any) -> str | None:
    """Some vendors put a number there, and any could put a table."""
    return value if isinstance(value, str) else None


def told_error(error: Any) -> UpstreamError:
    """An error that stands in an answer with status 200, or in a stream: its own words for what its status would be."""
    table = error if isinstance(error, dict) else {}
    code, kind = _slug(table.get("code")), _slug(table.get("type"))
    status = next((value for name in ("status_code", "status", "code") if type(value := table.get(name)) is int), None)
    if code in OUT_OF_CREDIT or kind in OUT_OF_CREDIT:
        return UpstreamError("auth", status=status)
    if "rate_limit" in f"{code} {kind}":
        return UpstreamError("rate_limited", status=status)
    if status is None and (code in _CODES or kind == "invalid_request_error"):
        status = 400
    if status is None or status < 400:
        return UpstreamError("unavailable")
    return status_error(status, {}, to_json({"error": table}))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after`; None for none, for a date, and for what is no number."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = lower.get(name, "")
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
            return float(text) * scale
    return None


def status_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    sent: bytes = b"",
    read_detail: ReadDetail = common_detail,
    *,
    tells_clients: bool = False,
) -> UpstreamError:
    """What a status other than 200 means, with what the body's structure adds; its prose is dropped.

    Unless it `tells_clients`: then it was written by us, for them.

    `sent` is the body of the request: a field that it does not have is not named, for it could be anything.
    """
    detail, read = Detail(), False
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, IndexError):
        told = from_json(body)
        read = isinstance(told, dict | list)
        detail = read_detail(told)
    kind = detail.kind or _STATUS_KINDS.get(status) or ("rejected" if 400 <= status < 500 else "unavailable")
    if status == 403 and not read:  # a page of something that stands before the provider
        kind = "unavailable"
    param = detail.param if isinstance(detail.param, str) and _is_in(sent, detail.param) else None
    wait = retry_after(headers)
    return UpstreamError(
        kind,
        status=status,
        code=detail.code if isinstance(detail.code, str) and detail.code in _CODES else None,
        param=param,
        retry_after=(detail.retry_after if wait is None else wait) if kind in ("rate_limited", "unavailable") else None,
        message=_message(body) if tells_clients else None,
    )


def _refused(
    reply: Reply, body: bytes, request: HttpRequest, upstream: Upstream, read_detail: ReadDetail
) -> UpstreamError:
    tells_clients = "tells_clients" in upstream.quirks
    return status_error(reply.status, reply.headers, body, request.body, read_detail, tells_clients=tells_clients)


def _message(body: bytes) -> str | None:
    """What a body like OpenAI's says, if it is a text that may be shown."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        message = from_json(body)["error"]["message"]
        if isinstance(message, str) and message.isprintable() and len(message) <= _LONGEST_MESSAGE:
            return message
    return None


def _is_in(sent: bytes, path: str) -> bool:
    """Whether a path such as `tools[0].function.name` or `messages.0.content` leads to a field of this body."""
    if not _PATH.fullmatch(path):
        return False
    if sent.startswith(b"--"):  # a form with files
        return any(f'; name="{name}"'.encode() in sent for name in (path, f"{path}[]"))
    try:
        node = from_json(sent)
    except ValueError:
        node = dict(parse_qsl(sent.decode("latin-1")))  # a form
    for step in re.findall(r"\w+", path):
        if isinstance(node, dict) and step in node:
            node = node[step]
        elif isinstance(node, list) and step in map(str, range(len(node))):
            node = node[int(step)]
        else:
            return False
    return True


Post = Callable[[HttpRequest, Timeouts], AbstractAsyncContextManager[Reply]]


async def exchange(
    post: Post,
    request: HttpRequest,
    upstream: Upstream,
    read_detail: ReadDetail = common_detail,
    *,
    expected: Container[int] = (200,),
) -> bytes:
    """The body of an answer with an expected status. Raises UpstreamError."""

    async def answer() -> bytes:
        async with post(request, upstream.timeouts) as reply:
            payload = await read_all(reply)
            if reply.status not in expected:
                raise _refused(reply, payload, request, upstream, read_detail)
            return payload

    return await within(upstream.timeouts.total, answer())


async def events(
    post: Post,
    request: HttpRequest,
    upstream: Upstream,
    *,
    is_last: Callable[[bytes], bool],
    is_whole: Callable[[], Whole] = lambda: "no",
    read_detail: ReadDetail = common_detail,
) -> AsyncGenerator[bytes, None]:
    """The `data` payloads of a stream, each as soon as it is complete, up to the last or the end. Raises UpstreamError.

    `is_whole` is asked after each. An answer that is whole is not lost because its server says no end to it, or breaks
    off before it does. Whoever leaves early closes the generator, and with it the connection.
    """
    timeouts = upstream.timeouts
    async with AsyncExitStack() as stack:

        async def head() -> Reply:
            reply = await stack.enter_async_context(post(request, timeouts))
            if reply.status != 200:
                body = await read_all(reply)
                raise _refused(reply, body, request, upstream, read_detail)
            return reply

        reply = await within(timeouts.first_byte, head())
        async with aclosing(sse_payloads(reply, timeouts, is_whole)) as payloads:
            async for payload in payloads:
                yield payload
                if is_last(payload):
                    await finish(reply)
                    return


async def pieces(
    post: Post, request: HttpRequest, upstream: Upstream, read_detail: ReadDetail = common_detail
) -> AsyncGenerator[bytes, None]:
    """The bytes of a 200, as they come: audio. Raises UpstreamError, also for an answer of nothing."""
    timeouts, total = upstream.timeouts, 0
    async with AsyncExitStack() as stack:

        async def head() -> tuple[Reply, bytes]:
            reply = await stack.enter_async_context(post(request, timeouts))
            if reply.status != 200:
                body = await read_all(reply)
                raise _refused(reply, body, request, upstream, read_detail)
            return reply, await reply.read_some()

        reply, piece = await within(timeouts.first_byte, head())
        while piece:
            yield piece
            total += len(piece)
            if total > MAX_BODY_BYTES:
                raise UpstreamError("malformed")
            piece = await within(timeouts.idle, reply.read_some())
    if not total:
        raise UpstreamError("malformed")


def parse_object(payload: bytes) -> dict[str, Any]:
    """A JSON object. Raises UpstreamError for anything else."""
    try:
        body = from_json(payload, allow_inf_nan=False)
    except ValueError:
        raise UpstreamError("malformed") from None
    if not isinstance(body, dict):
        raise UpstreamError("malformed")
    return body


_MOST_UNITS = 10**9


def count(table: Any, name: str) -> int:
    """A count in a table of usage; 0 if there is none. Raises ValueError for what cannot be one."""
    value = table.get(name) if isinstance(table, dict) else None
    if value is None:
        return 0
    if type(value) is not int or not 0 <= value <= _MOST_UNITS:
        raise ValueError(name)
    return value


async def sse_payloads(
    reply: Reply, timeouts: Timeouts, is_whole: Callable[[], Whole] = lambda: "no"
) -> AsyncGenerator[bytes, None]:
    """The `data` payloads of a stream, each as soon as it is complete. Raises UpstreamError."""
    reader, seconds = SseReader(), timeouts.first_byte
    with closing(Patience()) as patience:
        while piece := await _piece(reply, patience, seconds, is_whole):
            seconds = timeouts.idle
            for payload in reader.feed(piece):
                yield payload
    for payload in reader.end():
        yield payload


async def _piece(reply: Reply, patience: Patience, seconds: float, is_whole: Callable[[], Whole]) -> bytes:
    """What comes next, or nothing where all that matters has come and nothing more does."""
    grace = GRACE_S[whole] if (whole := is_whole()) != "no" else None
    try:
        return await _within(patience, seconds if grace is None else min(grace, seconds), reply.read_some())
    except UpstreamError:
        if grace is None:
            raise
        return b""


async def finish(reply: Reply) -> None:
    """Read the few bytes behind the last event, without which the connection could not be used again."""
    try:
        async with asyncio.timeout(FINISH_S):
            while await reply.read_some():
                pass
    except (TimeoutError, aiohttp.ClientError, OSError):
        return  # a server that does not end its answers: this connection is dropped
