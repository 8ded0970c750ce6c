"""The one way to fetch what a client's URL leads to, and to be led nowhere else by it.

https on port 443, a name that is looked up once, all of its addresses public, and the connection to one of those. No
redirects, for each would be another URL; no proxy, cookies or credentials; nothing is unpacked, so that nothing swells.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import Literal
from urllib.parse import SplitResult, quote, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override
from yarl import URL

from aig.errors import InvalidRequest
from aig.modalities.public_url import is_public_address, public_host
from aig.ports import Fetched, Resolver

MAX_BYTES = 20 * 1024 * 1024
MAX_URL_LENGTH = 2048
TOTAL_S = 15.0
CONNECT_S = 5.0

_LOOPBACK_HOSTS = ("127.0.0.1", "::1", "localhost")
# What a URL may hold as it is; anything else is percent-encoded. A signed URL is asked for exactly as it was signed.
_AS_IT_IS = "%/:?@!$&'()*+,;=[]~|"
_HEADERS = {"User-Agent": "aigateway", "Accept": "*/*", "Accept-Encoding": "identity"}

Trouble = Literal["url_not_allowed", "url_redirects", "url_timeout", "url_too_large", "url_unreachable"]


class _NotFetched(Exception):
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


def _split(url: str) -> SplitResult:
    if len(url) > MAX_URL_LENGTH:
        raise _NotFetched("url_not_allowed", f"it is longer than {MAX_URL_LENGTH} characters")
    try:
        return urlsplit(url)
    except ValueError:
        raise _NotFetched("url_not_allowed", "it is not a valid URL") from None


def _https_host(url: str) -> str:
    """The host in ASCII, looked at before and after the mapping of IDNA."""
    try:
        host = public_host(url)
    except ValueError as error:
        raise _NotFetched("url_not_allowed", str(error)) from None
    try:
        return public_host(str(URL.build(scheme="https", host=host)))
    except ValueError:
        raise _NotFetched("url_not_allowed", "its host is not a valid name") from None


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


class GuardedFetcher:
    """Fetches what clients' URLs lead to.

    `allow_loopback` lets http URLs through to 127.0.0.1, ::1 and localhost, on any port: for one's own machine. `tls`
    is for certificates of one's own, `total_s` what a fetch may take with everything.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        allow_loopback: bool = False,
        tls: ssl.SSLContext | None = None,
        total_s: float = TOTAL_S,
    ) -> None:
        self._resolver = resolver
        self._allow_loopback = allow_loopback
        self._tls = tls
        self._total_s = total_s

    async def fetch(self, url: str, param: str, limit: int = MAX_BYTES) -> Fetched:
        """What a 200 brings, `limit` bytes at most; a fragment of the URL is for its reader and not sent.

        Raises InvalidRequest with a code of Trouble; of addresses it says nothing.
        """
        try:
            async with asyncio.timeout(self._total_s):
                target = self._target(url)
                return await self._get(target, await self._addresses(target), limit)
        except _NotFetched as error:
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

    def _target(self, url: str) -> URL:
        """The URL to ask for, of parts that were looked at and nothing else."""
        parts = _split(url)
        port = None
        if self._is_local(parts):
            scheme, host, port = "http", str(parts.hostname), parts.port
        else:
            scheme, host = "https", _https_host(url)
        try:
            path, query = (quote(part, safe=_AS_IT_IS) for part in (parts.path or "/", parts.query))
        except UnicodeError:
            raise _NotFetched("url_not_allowed", "it is not a valid URL") from None
        return URL.build(scheme=scheme, host=host, port=port, path=path, query_string=query, encoded=True)

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
            raise _NotFetched("url_unreachable", "its host cannot be resolved")
        allowed = _is_loopback if target.scheme == "http" else is_public_address
        if not all(map(allowed, addresses)):
            raise _NotFetched("url_not_allowed", "its host is not public")
        return addresses

    async def _get(self, target: URL, addresses: Sequence[str], limit: int) -> Fetched:
        connector = aiohttp.TCPConnector(
            resolver=_Pinned(addresses), use_dns_cache=False, force_close=True, ssl=self._tls or True
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            auto_decompress=False,
            trust_env=False,
        )
        async with session, session.get(target, allow_redirects=False) as response:
            _check_head(response, limit)
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) > limit:
                    raise _too_large(limit)
            return Fetched(bytes(data), _media_type(response))


def _too_large(limit: int) -> _NotFetched:
    return _NotFetched("url_too_large", f"it is larger than {limit} bytes")


def _check_head(response: aiohttp.ClientResponse, limit: int) -> None:
    if 300 <= response.status < 400:
        raise _NotFetched(
            "url_redirects", f"it answers with a redirect ({response.status}). Send the URL that it leads to in the end"
        )
    if response.status != 200:
        raise _NotFetched("url_unreachable", f"its server answers with status {response.status} and not 200")
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        raise _NotFetched("url_unreachable", "its server sends it compressed, though asked not to")
    if (response.content_length or 0) > limit:
        raise _too_large(limit)


def _media_type(response: aiohttp.ClientResponse) -> str | None:
    return response.headers.get("Content-Type", "").partition(";")[0].strip().lower() or None
