"""Results of jobs as they are read from where a provider's answer says: all of it, from nowhere else, no faster."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from aig.errors import UpstreamError
from aig.modalities.job import Linked
from aig.modalities.upstream import Timeouts, Upstream
from aig_providers.results import Opened, ResultGone, ResultTooLarge, open_result
from tests.unit.providers.site import ADDRESS, HOST, Site, certificate, lead_to, running

CDN: Final = "cdn.example"
SECRET: Final = {"X-Key": "sk-secret"}


class Names:
    """Two names are public, one is inside; an address is itself."""

    async def addresses(self, host: str) -> Sequence[str]:
        known = {HOST: [ADDRESS], CDN: [ADDRESS], "inside.example": ["10.0.0.1"], "127.0.0.1": ["127.0.0.1"]}
        if host not in known:
            raise OSError
        return known[host]


def provider(site: Site, **more: Any) -> Upstream:
    return Upstream("acme", "m", f"http://127.0.0.1:{site.port}/v1", timeouts=Timeouts(**more))


def at(site: Site, path: str = "/files/a.mp4") -> Linked:
    return Linked(f"http://127.0.0.1:{site.port}{path}", SECRET)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running() as found:
        yield found


@asynccontextmanager
async def opened(upstream: Upstream, source: Linked, most: int = 10**6, **more: Any) -> AsyncIterator[Opened]:
    async with open_result(upstream, source, Names(), most=most, **more) as result:
        yield result


async def read(upstream: Upstream, source: Linked, most: int = 10**6, **more: Any) -> bytes:
    async with opened(upstream, source, most, **more) as result:
        return b"".join([piece async for piece in result.pieces])


async def failure(upstream: Upstream, source: Linked, most: int = 10**6, **more: Any) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await read(upstream, source, most, **more)
    return raised.value


@pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 300_000])
async def test_the_whole_result_with_its_first_bytes_ahead(site: Site, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    site.says(data, "Content-Type: Video/MP4; a=b")
    async with opened(provider(site), at(site)) as result:
        assert result.media_type == "video/mp4"
        assert len(result.head) >= min(size, 4096)
        assert data.startswith(result.head)
        assert b"".join([piece async for piece in result.pieces]) == data
    assert b"x-key: sk-secret\r\n" in site.asked[0].lower()


async def test_a_result_in_drops_and_chunks(site: Site) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    site.pieces = [head, b"2\r\nab\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"]
    async with opened(provider(site), at(site)) as result:
        assert (result.head, result.media_type) == (b"abc", None)
        assert b"".join([piece async for piece in result.pieces]) == b"abc"


async def test_it_is_read_no_faster_than_it_is_taken(site: Site) -> None:
    """The sender gets stuck while nobody takes: what is under way fits into the sockets' buffers."""
    sent, total, stuck = 0, 64_000_000, asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.set_write_buffer_limits(0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        while sent < total:
            writer.write(bytes(1_000_000))
            sent += 1_000_000
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                stuck.set()
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    site.port = server.sockets[0].getsockname()[1]
    async with server, opened(provider(site), at(site), total) as result:
        async with asyncio.timeout(20):
            await stuck.wait()
        assert sent < total
        assert sum([len(piece) async for piece in result.pieces]) == total


STATUSES: Final = [
    ("403 Forbidden", "unavailable"),
    ("404 Not Found", "unavailable"),
    ("410 Gone", "unavailable"),
    ("400 Bad", "unavailable"),
    ("401 Who", "auth"),
    ("429 Slow", "rate_limited"),
    ("500 Oh", "unavailable"),
    ("503 Busy", "unavailable"),
    ("204 None", "malformed"),
    ("206 Part", "malformed"),
    ("304 Same", "malformed"),
    ("302 Found", "malformed"),  # to nowhere
]


@pytest.mark.parametrize(("status", "kind"), STATUSES)
async def test_an_answer_that_is_no_result(site: Site, status: str, kind: str) -> None:
    site.says(b"" if status[0] in "23" else b"<html>", "Retry-After: 7", status=status)
    error = await failure(provider(site), at(site))
    assert (error.kind, error.status) == (kind, int(status[:3]))
    assert isinstance(error, ResultGone) == (status[:3] in ("403", "404", "410"))
    assert error.retryable


async def test_nothing_is_no_result(site: Site) -> None:
    site.says(b"")
    assert (await failure(provider(site), at(site))).kind == "malformed"


async def test_nor_is_what_is_packed(site: Site) -> None:
    site.says(b"x", "Content-Encoding: gzip")
    assert (await failure(provider(site), at(site))).kind == "malformed"


@pytest.mark.parametrize("head", [b"Content-Length: 5001\r\n", b"", b"Content-Length: 99999999\r\n"])
async def test_more_than_the_limit(site: Site, head: bytes) -> None:
    site.pieces, site.endless = [b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", bytes(1000)], True
    assert isinstance(await failure(provider(site), at(site), 5000), ResultTooLarge)


async def test_the_limit_is_inside(site: Site) -> None:
    site.says(bytes(5000))
    assert len(await read(provider(site), at(site), 5000)) == 5000


CUT: Final = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort",
    b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + bytes(8999),
    b"SSH-2.0-OpenSSH\r\n",
    b"",
]


@pytest.mark.parametrize("said", CUT)
async def test_one_that_breaks_off_is_no_result(site: Site, said: bytes) -> None:
    site.pieces = [said]
    assert (await failure(provider(site), at(site))).kind == "connect"


async def test_nobody_is_there() -> None:
    async with running() as gone:
        upstream, source = provider(gone), at(gone)
    assert (await failure(upstream, source)).kind == "connect"


async def test_silence_before_the_head_within_the_body_and_a_drop_now_and_then(site: Site) -> None:
    site.pieces, site.endless, site.pause_s = [b""], True, 60
    assert (await failure(provider(site, first_byte=0.05), at(site))).kind == "timeout"
    site.pieces = [b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000)]
    assert (await failure(provider(site, idle=0.05), at(site))).kind == "timeout"
    site.pieces, site.pause_s = [b"HTTP/1.1 200 OK\r\n\r\n", b"x"], 0.01
    assert (await failure(provider(site), at(site), total_s=0.3)).kind == "timeout"


async def test_whoever_leaves_early_hangs_up(site: Site) -> None:
    site.pieces, site.endless = [b"HTTP/1.1 200 OK\r\n\r\n", bytes(10_000)], True

    async def leave() -> None:
        async with opened(provider(site), at(site), 10**9) as result:
            assert await anext(result.pieces)
            raise KeyError

    with pytest.raises(KeyError):  # and it is nobody else's failure
        await leave()


URLS_INSIDE: Final = [
    "https://inside.example/a.mp4",
    "https://169.254.169.254/latest/meta-data/",
    "https://localhost/a.mp4",
    "http://files.example/a.mp4",
    "http://127.0.0.1/a.mp4",
    "http://user:pass@127.0.0.1:{port}/a.mp4",
    "http://127.0.0.1:{port}@inside.example/a.mp4",
    "file:///etc/passwd",
    "ftp://files.example/a.mp4",
    "https://files.example:8443/a.mp4",
    "data:video/mp4;base64,AAAA",
    "/files/a.mp4",
    "",
    "https://files.example/" + "a" * 5000,
]


@pytest.mark.parametrize("url", URLS_INSIDE)
async def test_a_url_that_leads_elsewhere_than_it_may(site: Site, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = lead_to(site, monkeypatch)
    error = await failure(provider(site), Linked(url.format(port=site.port), SECRET))
    assert error.kind == "malformed"
    assert (dialled, site.asked) == ([], [])


@pytest.mark.parametrize("url", URLS_INSIDE[:-3])  # the last are no URLs, and are asked of the site itself
async def test_so_where_a_redirect_leads(site: Site, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site.says(b"", f"Location: {url.format(port=site.port)}", status="302 Found")
    assert (await failure(provider(site), at(site))).kind == "malformed"
    assert len(site.asked) == 1


@pytest.mark.parametrize("base_url", ["", "sandbox:"])
async def test_without_a_host_of_the_provider_nothing_is_its_own(site: Site, base_url: str) -> None:
    assert (await failure(Upstream("acme", "m", base_url), at(site))).kind == "malformed"
    assert site.asked == []


@pytest.mark.parametrize("location", ["http://[", "https://files.example:x/", "//["])
async def test_a_redirect_to_what_is_no_url(site: Site, location: str) -> None:
    site.says(b"", f"Location: {location}", status="302 Found")
    assert (await failure(provider(site), at(site))).kind == "malformed"


async def test_a_name_that_nobody_knows_may_be_known_later(site: Site) -> None:
    assert (await failure(provider(site), Linked("https://unknown.example/a.mp4"))).kind == "connect"


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[Site, ssl.SSLContext]]:
    server, client = certificate(tmp_path, HOST, CDN)
    async with running(server) as site:
        yield site, client


async def test_another_host_is_asked_without_the_secret(
    secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tls = secure
    dialled = lead_to(site, monkeypatch)
    site.says(b"film")
    upstream = Upstream("acme", "m", f"https://{HOST}/v1")
    for host, sent in ((HOST, True), (CDN, False)):
        assert await read(upstream, Linked(f"https://{host}/a%2Fb.mp4?sig=x%2By", SECRET), tls=tls) == b"film"
        assert site.asked[-1].startswith(b"GET /a%2Fb.mp4?sig=x%2By HTTP/1.1\r\n")
        assert (b"sk-secret" in site.asked[-1]) == sent
    assert set(dialled) == {(ADDRESS, 443)}


class Paths:
    """Answers each path as it says."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(asked)
        writer.write(self.answers[asked.split(b" ")[1].decode().strip("/")])
        writer.close()


def moved(location: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


FILM: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfilm"


@asynccontextmanager
async def paths(**answers: bytes) -> AsyncIterator[tuple[Paths, str]]:
    served = Paths(**answers)
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, family=socket.AF_INET)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(server)
        yield served, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed_also_relative_ones(status: int) -> None:
    async with paths(a=moved("/b", status), b=moved("c", status), c=FILM) as (served, base):
        assert await read(Upstream("acme", "m", base), Linked(f"{base}/a", SECRET)) == b"film"
    assert all(b"sk-secret" in asked for asked in served.asked)


async def test_up_to_three() -> None:
    async with paths(a=moved("b"), b=moved("c"), c=moved("d"), d=FILM, z=moved("a"), loop=moved("loop")) as (_, base):
        upstream = Upstream("acme", "m", base)
        assert await read(upstream, Linked(f"{base}/a")) == b"film"
        assert (await failure(upstream, Linked(f"{base}/z"))).kind == "malformed"
        assert (await failure(upstream, Linked(f"{base}/loop"))).kind == "malformed"


async def test_a_redirect_away_takes_no_secret_along(
    secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tls = secure
    site.says(b"", f"Location: https://{CDN}/a.mp4", status="302 Found")
    lead_to(site, monkeypatch)
    error = await failure(Upstream("acme", "m", f"https://{HOST}"), Linked(f"https://{HOST}/a", SECRET), tls=tls)
    assert error.kind == "malformed"  # for it leads on and on
    assert [b"sk-secret" in asked for asked in site.asked] == [True, False, False, False]
