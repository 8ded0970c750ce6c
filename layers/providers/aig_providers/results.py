"""Where the result of a job comes from: a provider's answer tells a URL, and what lies there is read as it comes.

Such a URL is no more to be believed than a client's: it may lead anywhere. So it goes through the guarded fetcher,
except where it has the origin of the base URL, which the operator has chosen.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urljoin

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.job import Linked
from aig.modalities.upstream import Upstream
from aig.ports import Resolver
from aig_providers import wire
from aig_providers.fetch import GuardedFetcher, NotFetched, Response, is_packed, media_type

T = TypeVar("T")

LONGEST_URL = 4096  # signed ones carry a session's token
HEAD_BYTES = 4096
TOTAL_S = 600.0
_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({403, 404, 410})
_KINDS: Mapping[int, UpstreamKind] = {401: "auth", 429: "rate_limited"}


class ResultGone(UpstreamError):
    """The provider's link is over, or there is nothing behind it: only another link may help."""

    def __init__(self, status: int) -> None:
        super().__init__("unavailable", status=status, code="result_gone")


class ResultTooLarge(UpstreamError):
    def __init__(self) -> None:
        super().__init__("malformed", code="result_too_large")


@dataclass(frozen=True, slots=True)
class Opened:
    """A result on its way. `media_type` is what its server says, which may be untrue; `head` its first bytes.

    `pieces` are all of its bytes, those of `head` too, and can be read once.
    """

    media_type: str | None
    head: bytes
    pieces: AsyncIterator[bytes]


class _Patience:
    """How long waits may take: each so many seconds, and all of them together `total_s`."""

    def __init__(self, total_s: float) -> None:
        self._now = asyncio.get_running_loop().time
        self._until = self._now() + total_s

    async def wait(self, seconds: float, work: Awaitable[T]) -> T:
        """Raises UpstreamError."""
        try:
            return await wire.within(max(0.0, min(seconds, self._until - self._now())), work)
        except NotFetched as error:
            raise UpstreamError("connect" if error.code == "url_unreachable" else "malformed") from None


@asynccontextmanager
async def open_result(
    upstream: Upstream,
    source: Linked,
    resolver: Resolver,
    *,
    most: int,
    total_s: float = TOTAL_S,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Opened]:
    """What lies at the source, read no faster than it is taken, `most` bytes of it and `total_s` seconds at most.

    Raises UpstreamError, also while the pieces are read: connect, timeout, unavailable, rate_limited, auth, and
    malformed for a URL that leads where it must not, for too many redirects and for nothing at all. ResultGone and
    ResultTooLarge are such errors. `tls` is for certificates of one's own.
    """
    fetcher = GuardedFetcher(resolver, own=upstream.base_url, tls=tls, longest_url=LONGEST_URL)
    patience = _Patience(total_s)
    async with AsyncExitStack() as stack:
        first_byte = upstream.timeouts.first_byte
        response = await patience.wait(first_byte, _followed(fetcher, source, stack))
        _check(response, most)
        pieces = _pieces(response, patience, upstream.timeouts.idle, most)
        await stack.enter_async_context(aclosing(pieces))
        head = bytearray()
        while len(head) < HEAD_BYTES and (piece := await anext(pieces, b"")):
            head += piece
        if not head:
            raise UpstreamError("malformed")
        whole = _rejoined(bytes(head), pieces)
        await stack.enter_async_context(aclosing(whole))
        yield Opened(media_type(response), bytes(head), whole)


async def _followed(fetcher: GuardedFetcher, source: Linked, stack: AsyncExitStack) -> Response:
    """The answer at the end of the redirects, open until the stack is closed."""
    url = source.url
    for _ in range(_MAX_REDIRECTS + 1):
        headers = source.headers if fetcher.is_own(url) else {}
        async with AsyncExitStack() as visit:
            response = await visit.enter_async_context(fetcher.answer("GET", url, headers))
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                stack.push_async_exit(visit.pop_all())
                return response
        try:
            url = urljoin(url, location)
        except ValueError:
            raise UpstreamError("malformed") from None
    raise UpstreamError("malformed")


def _check(response: Response, most: int) -> None:
    """Raises UpstreamError for an answer that is no result. It is not what the client asked for that is refused."""
    status = response.status
    if status in _GONE:
        raise ResultGone(status)
    if status >= HTTPStatus.BAD_REQUEST:
        raise UpstreamError(
            _KINDS.get(status, "unavailable"), status=status, retry_after=wire.retry_after(response.headers)
        )
    if status != HTTPStatus.OK or is_packed(response):
        raise UpstreamError("malformed", status=status)
    if (response.content_length or 0) > most:
        raise ResultTooLarge


async def _pieces(response: Response, patience: _Patience, idle_s: float, most: int) -> AsyncGenerator[bytes, None]:
    size = 0
    while piece := await patience.wait(idle_s, response.content.readany()):
        size += len(piece)
        if size > most:
            raise ResultTooLarge
        yield piece


async def _rejoined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield head
    async for piece in rest:
        yield piece
