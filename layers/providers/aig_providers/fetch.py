"""The one way to ask what a URL leads to that came from outside, and to be led nowhere else by it.

https on port 443, a name that is looked up once, all of its addresses public, and the connection to one of those. No
redirects, for each would be another URL; no proxy, cookies or credentials; nothing is unpacked, so that nothing swells.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override
from yarl import URL

from aig.errors import InvalidRequest
from aig.modalities.public_url import is_public_address, public_host
from aig.ports import Fetched, NotPosted, Posted, Resolver

MAX_BYTES = 20 * 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024  # of a webhook's receiver
MAX_URL_LENGTH = 2048
TOTAL_S = 15.0
CONNECT_S = 5.0

_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
# What a URL may hold as it is; anything else is percent-encoded. A signed URL is asked for exactly as it was signed.
_AS_IT_IS = "%/:?@!$&'()*+,;=[]~|"
_HEADERS = {"User-Agent": "aigateway", "Accept": "*/*", "Accept-Encoding": "identity"}
_NO_HEADERS: Mapping[str, str] = {}

Response = aiohttp.ClientResponse
Trouble = Literal["url_not_allowed", "url_redirects", "url_timeout", "url_too_large", "url_unreachable"]


class NotFetched(Exception):
    """The message is the rest of a sentence; of addresses it says nothing."""

    def __init__(self, code: Trouble, why: str) -> None:
        super().__init__(why)
        self.code = code


class _Pinned(AbstractResolver):
    """Knows one answer, whatever the question: the addresses that were looked at."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses

    @override
    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self._addresses
        ]

    @override
    async def close(self) -> None:
        """There is nothing to close."""


def _https_host(url: str) -> str:
    """The host in ASCII, looked at before and after the mapping of IDNA."""
    try:
        host = public_host(url)
    except ValueError as error:
        raise NotFetched("url_not_allowed", str(error)) from None
    try:
        return public_host(str(URL.build(scheme="https", host=host)))
    except ValueError:
        raise NotFetched("url_not_allowed", "its host is not a valid name") from None


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


class GuardedFetcher:
    """Fetches what clients' URLs lead to, and asks whatever else others may name.

    `allow_loopback` lets http URLs through to 127.0.0.1, ::1 and localhost, on any port: for one's own machine. `own`
    is a base URL that the operator has chosen: what has its scheme, host and port may be anywhere. `tls` is for
    certificates of one's own, `total_s` what a fetch may take with everything, `longest_url` in characters.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        allow_loopback: bool = False,
        own: str | None = None,
        tls: ssl.SSLContext | None = None,
        total_s: float = TOTAL_S,
        longest_url: int = MAX_URL_LENGTH,
    ) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback
        chosen = URL(own or "")
        self._own = chosen.origin() if chosen.host else None  # a model of our own is nowhere
        self._longest_url = longest_url
        self._tls = tls
        self._total_s = total_s

    async def fetch(self, url: str, param: str, limit: int = MAX_BYTES) -> Fetched:
        """What a 200 brings, `limit` bytes at most; a fragment of the URL is for its reader and not sent.

        Raises InvalidRequest with a code of Trouble; of addresses it says nothing.
        """
        try:
            async with asyncio.timeout(self._total_s):
                async with self.answer("GET", url) as response:
                    return await _whole(response, limit)
        except NotFetched as error:
            raise InvalidRequest(f"{param} cannot be fetched: {error}.", code=error.code, param=param) from None
        except TimeoutError:
            raise InvalidRequest(
                f"{param} cannot be fetched: its server takes too long. Send the file itself.",
                code="url_timeout",
                param=param,
            ) from None
        except (aiohttp.ClientError, OSError):
            raise InvalidRequest(
                f"{param} cannot be fetched: its server cannot be reached, or broke off. Correct the URL.",
                code="url_unreachable",
                param=param,
            ) from None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
        """A webhook: the answer, whatever its status, read to its end of MAX_ANSWER_BYTES at most. Raises NotPosted."""
        status: int | None = None
        try:
            async with asyncio.timeout(self._total_s), self.answer("POST", url, headers, body) as response:
                status = response.status
                read = bytearray()
                async for piece in response.content.iter_any():
                    read += piece
                    if len(read) > MAX_ANSWER_BYTES:
                        raise NotPosted("too_large", status, bytes(read[:MAX_ANSWER_BYTES]))
                names = {name.lower(): value for name, value in response.headers.items()}
                return Posted(status, names, bytes(read))
        except NotFetched as error:
            raise NotPosted("dns" if error.code == "url_unreachable" else "not_allowed") from None
        except TimeoutError:
            raise NotPosted("timeout", status) from None
        except (aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch):
            raise NotPosted("tls") from None
        except (aiohttp.ClientError, OSError):
            raise NotPosted("connection", status) from None

    @asynccontextmanager
    async def answer(
        self, method: str, url: str, headers: Mapping[str, str] = _NO_HEADERS, body: bytes | None = None
    ) -> AsyncIterator[Response]:
        """The answer as soon as its head is there, a redirect or an error too; how long that may take is the caller's.

        Raises NotFetched, aiohttp.ClientError and OSError.
        """
        target = self._target(url)
        async with (
            _pinned(await self._addresses(target), self._tls) as session,
            session.request(method, target, headers=headers, data=body, allow_redirects=False) as response,
        ):
            yield response

    def is_own(self, url: str) -> bool:
        """Whether a URL has the origin that the operator has chosen. Raises NotFetched for what is no URL."""
        return self._is_own(self._split(url))

    def _split(self, url: str) -> SplitResult:
        if len(url) > self._longest_url:
            raise NotFetched("url_not_allowed", f"it is longer than {self._longest_url} characters")
        try:
            return urlsplit(url)
        except ValueError:
            raise NotFetched("url_not_allowed", "it is not a valid URL") from None

    def _target(self, url: str) -> URL:
        """The URL to ask for, of parts that were looked at and nothing else."""
        parts = self._split(url)
        port = None
        if self._is_own(parts):
            scheme, host, port = parts.scheme, str(parts.hostname), parts.port
        elif self._is_local(parts):
            scheme, host, port = "http", str(parts.hostname), parts.port
        else:
            scheme, host = "https", _https_host(url)
        try:
            path, query = (quote(part, safe=_AS_IT_IS) for part in (parts.path or "/", parts.query))
        except UnicodeError:
            raise NotFetched("url_not_allowed", "it is not a valid URL") from None
        if ":" in host:  # an IPv6 address, which stands as it is where nothing is to be encoded
            host = f"[{host}]"
        return URL.build(scheme=scheme, host=host, port=port, path=path, query_string=query, encoded=True)

    def _is_own(self, parts: SplitResult) -> bool:
        own = self._own
        if own is None or "@" in parts.netloc:
            return False
        try:
            port = parts.port
        except ValueError:
            return False
        usual = {"https": 443, "http": 80}.get(parts.scheme)
        return (parts.scheme, parts.hostname, port or usual) == (own.scheme, own.raw_host, own.port)

    def _is_local(self, parts: SplitResult) -> bool:
        try:
            plain = parts.scheme == "http" and "@" not in parts.netloc and parts.port != 0
        except ValueError:
            return False
        return self._allow_loopback and plain and parts.hostname in _LOOPBACK_HOSTS

    async def _addresses(self, target: URL) -> Sequence[str]:
        """All that the host stands for, looked up once: whoever answers otherwise later is not asked."""
        try:
            addresses = await self._resolver.addresses(str(target.raw_host))
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            raise NotFetched("url_unreachable", "its host cannot be resolved")
        allowed = _is_loopback if target.scheme == "http" else is_public_address
        if target.origin() != self._own and not all(map(allowed, addresses)):
            raise NotFetched("url_not_allowed", "its host is not public")
        return addresses


def _pinned(addresses: Sequence[str], tls: ssl.SSLContext | None) -> aiohttp.ClientSession:
    """A session for one request, which connects to these addresses and to no other."""
    connector = aiohttp.TCPConnector(
        resolver=_Pinned(addresses), use_dns_cache=False, force_close=True, ssl=tls or True
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
        auto_decompress=False,
        trust_env=False,
    )


async def _whole(response: Response, limit: int) -> Fetched:
    _check_head(response, limit)
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > limit:
            raise _too_large(limit)
    return Fetched(bytes(data), media_type(response))


def _too_large(limit: int) -> NotFetched:
    return NotFetched("url_too_large", f"it is larger than {limit} bytes")


def _check_head(response: Response, limit: int) -> None:
    if 300 <= response.status < 400:
        raise NotFetched(
            "url_redirects", f"it answers with a redirect ({response.status}). Send the URL that it leads to in the end"
        )
    if response.status != 200:
        raise NotFetched("url_unreachable", f"its server answers with status {response.status} and not 200")
    if is_packed(response):
        raise NotFetched("url_unreachable", "its server sends it compressed, though asked not to")
    if (response.content_length or 0) > limit:
        raise _too_large(limit)


def is_packed(response: Response) -> bool:
    """Whether the body is compressed, which nobody has asked for."""
    return response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", "")


def media_type(response: Response) -> str | None:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None
