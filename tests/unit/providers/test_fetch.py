"""No URL leads the gateway astray: not by its spelling, not by what its name resolves to, not by what it answers."""

import gzip
import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import InvalidRequest
from aig.ports import Fetch, NotPosted
from aig_providers.fetch import MAX_BYTES, MAX_URL_LENGTH, GuardedFetcher
from tests.unit.providers.site import ADDRESS, HOST, Site, certificate, lead_to, running


class Names:
    """A resolver that knows what it is told; of several answers for a name each is given once, in turn."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers: Mapping[str, list[Sequence[str]]] = {
            name.replace("_", "."): list(each) for name, each in answers.items()
        }
        self.asked: list[str] = []

    async def addresses(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        return self.answers[host].pop(0)


class Anything:
    """A resolver for which every name is inside."""

    async def addresses(self, host: str) -> Sequence[str]:
        return ["10.0.0.1"]


def local(site: Site, path: str = "/a.png", host: str = "127.0.0.1") -> str:
    return f"http://{host}:{site.port}{path}"


class Loopback:
    """Knows the names of this machine, as its hosts file does."""

    async def addresses(self, host: str) -> Sequence[str]:
        return {"localhost": ["127.0.0.1"], "127.0.0.1": ["127.0.0.1"]}[host]


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running() as found:
        yield found


@pytest.fixture
def fetcher() -> Fetch:
    """As on one's own machine: with loopback."""
    return GuardedFetcher(Loopback(), allow_loopback=True)


async def refusal(fetcher: Fetch, url: str, limit: int = MAX_BYTES) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        await fetcher.fetch(url, "image_url", limit)
    assert raised.value.param == "image_url"
    assert raised.value.status == 400
    assert raised.value.message.startswith("image_url cannot be fetched: ")
    return raised.value


async def test_a_file(site: Site, fetcher: Fetch) -> None:
    site.says(b"\x89PNG", "Content-Type: Image/PNG; name=x")
    fetched = await fetcher.fetch(local(site, "/a.png?x=1#part"), "image_url")
    assert (fetched.data, fetched.content_type) == (b"\x89PNG", "image/png")
    assert site.asked[0].startswith(b"GET /a.png?x=1 HTTP/1.1\r\n")


async def test_localhost_by_name_an_empty_body_and_no_type(site: Site, fetcher: Fetch) -> None:
    site.says(b"")
    fetched = await fetcher.fetch(local(site, "", host="LOCALHOST"), "image_url")
    assert (fetched.data, fetched.content_type) == (b"", None)
    assert site.asked[0].startswith(b"GET / HTTP/1.1\r\n")


async def test_nothing_of_ours_goes_along(site: Site, fetcher: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    site.says(b"x", "Set-Cookie: a=b")
    for _ in range(2):
        await fetcher.fetch(local(site), "image_url")
    for asked in site.asked:
        names = {line.partition(b":")[0].lower() for line in asked.split(b"\r\n")[1:] if line}
        assert names <= {b"host", b"user-agent", b"accept", b"accept-encoding", b"connection"}
        assert b"accept-encoding: identity" in asked.lower()


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/a%2Fb?sig=x%2By+z%3D&u=https://b/", b"/a%2Fb?sig=x%2By+z%3D&u=https://b/"),  # signed URLs break if changed
        ("/\u00fc b?\u4f8b", b"/%C3%BC%20b?%E4%BE%8B"),
        ("/a\r\nX-Evil: 1", b"/aX-Evil:%201"),
        ("/a\x00b\x7f", b"/a%00b%7F"),
        ("/../../x", b"/../../x"),
    ],
)
async def test_what_is_asked_for(path: str, line: bytes, site: Site, fetcher: Fetch) -> None:
    site.says(b"x")
    await fetcher.fetch(local(site, path), "image_url")
    assert site.asked[0].split(b"\r\n")[0] == b"GET " + line + b" HTTP/1.1"
    assert b"\r\nX-Evil" not in site.asked[0]


# Rows of addresses and names that lead inside; the deny list itself is test_public_url's.
HOSTS_INSIDE = [
    "169.254.169.254", "2852039166", "0xA9FEA9FE", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "0177.0.0.1", "127.1",
    "0", "0.0.0.0", "127.0.0.1", "127.0.0.1.", "100.100.100.200", "168.63.129.16", "10.1.2.3", "224.0.0.1",
    "[::]", "[::1]", "[::ffff:169.254.169.254]", "[::ffff:0:169.254.169.254]", "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]", "[2001:0:a9fe:a9fe::]", "[fd00:ec2::254]", "[fe80::1%25eth0]", "[ff02::1]", "[::127.0.0.1]",
    "[2606:4700::1111%25eth0]",
    "127\u30020\u30020\u30021", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "localhost", "localhost.", "LOCALHOST", "x.localhost", "metadata.google.internal", "printer.local",
    "localhost.localdomain", "ip6-localhost", "localtest.me", "127.0.0.1.nip.io", "b\u00fccher.example",
]  # fmt: skip


@pytest.mark.parametrize("allow_loopback", [False, True])
@pytest.mark.parametrize("host", HOSTS_INSIDE)
async def test_a_host_inside(host: str, allow_loopback: bool, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    dialled = lead_to(site, monkeypatch)
    error = await refusal(
        GuardedFetcher(Anything(), allow_loopback=allow_loopback), f"https://{host}/latest/meta-data/"
    )
    assert error.code == "url_not_allowed"
    assert "10.0.0.1" not in error.message
    assert dialled == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://127.0.0.1:8080/",
        "http://localhost/",
        "http://[::1]/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "ftp://example.com/",
        "data:text/html,x",
        "javascript:alert(1)",
        "//example.com/",
        "",
        "https://",
        "https://u:p@example.com/",
        "https://u@example.com/",
        "https://example.com:22/",
        "https://example.com:8443/",
        "https://example.com:99999/",
        "https://[::1/",
        "https://exa mple.com/",
        "https://ex%61mple.com/",
        "https://example.com/" + "a" * (MAX_URL_LENGTH - 19),
        "https://xn--a.example/\ud800",
        "https://" + "\u00fc" * 70 + ".example/",
    ],
)
async def test_a_url_that_is_not_taken(url: str) -> None:
    names = Names(**{"example_com": [[ADDRESS]], "xn--a_example": [[ADDRESS]]})
    assert (await refusal(GuardedFetcher(names), url)).code == "url_not_allowed"


@pytest.mark.parametrize(
    "url",
    [
        "http://user@127.0.0.1:{port}/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.2:{port}/",
        "http://127.1:{port}/",
        "http://10.0.0.1:{port}/",
        "http://example.com:{port}/",
        "https://127.0.0.1:{port}/",
    ],
)
async def test_what_even_ones_own_machine_does_not_take(url: str, site: Site, fetcher: Fetch) -> None:
    assert (await refusal(fetcher, url.format(port=site.port))).code == "url_not_allowed"
    assert site.asked == []


async def test_localhost_must_be_this_machine() -> None:
    elsewhere = GuardedFetcher(Names(localhost=[["127.0.0.1", ADDRESS]]), allow_loopback=True)
    assert (await refusal(elsewhere, "http://localhost/")).code == "url_not_allowed"


@pytest.mark.parametrize(
    "inside", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fe80::1%eth0", "64:ff9b::a9fe:a9fe", "fd00:ec2::254"]
)
async def test_one_private_address_among_public_ones(inside: str) -> None:
    names = Names(files_example=[[ADDRESS, "2606:4700::1111", inside]])
    error = await refusal(GuardedFetcher(names), f"https://{HOST}/")
    assert error.code == "url_not_allowed"
    assert inside not in error.message


@pytest.mark.parametrize("names", [Names(), Names(files_example=[[]])], ids=["unknown", "no address"])
async def test_a_name_without_addresses(names: Names) -> None:
    error = await refusal(GuardedFetcher(names), f"https://{HOST}/")
    assert (error.code, "cannot be resolved" in error.message) == ("url_unreachable", True)


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[Site, ssl.SSLContext]]:
    """A site of HOST, by https, and what its visitors need in order to trust it."""
    server, client = certificate(tmp_path, HOST, "xn--bcher-kva.example", ADDRESS)
    async with running(server) as found:
        yield found, client


async def test_a_name_that_answers_otherwise_the_second_time(
    secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tls = secure
    site.says(b"picture")
    dialled = lead_to(site, monkeypatch)
    names = Names(files_example=[[ADDRESS, "2606:4700::1111"], ["127.0.0.1"], ["127.0.0.1"]])
    fetched = await GuardedFetcher(names, tls=tls).fetch(f"https://{HOST}./a.png", "image_url")
    assert fetched.data == b"picture"
    assert names.asked == [HOST]
    assert set(dialled) == {(ADDRESS, 443), ("2606:4700::1111", 443)}
    assert f"Host: {HOST}\r\n".encode() in site.asked[0]


async def test_names_beyond_ascii_and_addresses(
    secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tls = secure
    site.says(b"picture")
    dialled = lead_to(site, monkeypatch)
    names = Names(**{"xn--bcher-kva_example": [[ADDRESS]], ADDRESS: [[ADDRESS]]})
    for host in ("b\u00fccher.example", ADDRESS):
        assert (await GuardedFetcher(names, tls=tls).fetch(f"https://{host}:443/", "image_url")).data == b"picture"
    assert names.asked == ["xn--bcher-kva.example", ADDRESS]
    assert dialled == [(ADDRESS, 443)] * 2


async def test_an_ipv6_address_is_asked_in_brackets(
    site: Site, secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        dialled = lead_to(secure[0], patch)
        names = Names(**{"2600::1": [["2600::1"], ["2600::1"]]})
        assert (await refusal(GuardedFetcher(names), "https://[2600::1]/a.png")).code == "url_unreachable"
        with pytest.raises(NotPosted, match="tls"):
            await GuardedFetcher(names).post("https://[2600::1]/hook", b"{}", {})
        assert dialled == [("2600::1", 443)] * 2
    lead_to(site, monkeypatch)
    site.says(b"picture")
    own = GuardedFetcher(Names(**{"::1": [["::1"]]}), allow_loopback=True)
    assert (await own.fetch(f"http://[::1]:{site.port}/a.png", "image_url")).data == b"picture"
    assert f"Host: [::1]:{site.port}\r\n".encode() in site.asked[0]


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_of_another_name_or_of_nobody(
    trusted: bool, secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tls = secure
    lead_to(site, monkeypatch)
    names = Names(other_example=[[ADDRESS]], files_example=[[ADDRESS]])
    url = "https://other.example/" if trusted else f"https://{HOST}/"
    error = await refusal(GuardedFetcher(names, tls=tls if trusted else None), url)
    assert error.code == "url_unreachable"
    assert site.asked == []


async def test_an_ipv4_address_in_an_odd_spelling_is_not_connected_to(
    secure: tuple[Site, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    site, tls = secure
    dialled = lead_to(site, monkeypatch)
    spelt = str(int.from_bytes(bytes(map(int, ADDRESS.split(".")))))
    await refusal(GuardedFetcher(Names(**{spelt: [[ADDRESS]]}), tls=tls), f"https://{spelt}/")
    assert dialled == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
async def test_a_redirect(status: str, site: Site, fetcher: Fetch) -> None:
    site.says(b"", "Location: http://169.254.169.254/latest/meta-data/", status=status)
    error = await refusal(fetcher, local(site))
    assert error.code == "url_redirects"
    assert "Send the URL that it leads to" in error.message
    assert "169.254" not in error.message
    assert len(site.asked) == 1


@pytest.mark.parametrize("status", ["204 None", "206 Part", "401 Who", "404 Not Found", "500 Oh"])
async def test_another_status(status: str, site: Site, fetcher: Fetch) -> None:
    site.says(b"", status=status)
    error = await refusal(fetcher, local(site))
    assert (error.code, status[:3] in error.message) == ("url_unreachable", True)


async def test_silence(site: Site) -> None:
    site.pieces, site.endless, site.pause_s = [b""], True, 60
    error = await refusal(GuardedFetcher(Loopback(), allow_loopback=True, total_s=0.1), local(site))
    assert error.code == "url_timeout"


async def test_a_byte_now_and_then(site: Site) -> None:
    site.pieces, site.endless, site.pause_s = [b"HTTP/1.1 200 OK\r\n\r\n", b"x"], True, 0.01
    error = await refusal(GuardedFetcher(Loopback(), allow_loopback=True, total_s=0.3), local(site))
    assert error.code == "url_timeout"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", bytes(1000)),
        (b"Transfer-Encoding: chunked\r\n", b"3e8\r\n" + bytes(1000) + b"\r\n"),
        (b"Content-Length: 10001\r\n", b""),
        (b"Content-Length: 99999999999999\r\n", bytes(1000)),
    ],
)
async def test_more_than_the_limit(head: bytes, piece: bytes, site: Site, fetcher: Fetch) -> None:
    site.pieces, site.endless = [b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", piece], bool(piece)
    error = await refusal(fetcher, local(site), limit=10_000)
    assert (error.code, "10000 bytes" in error.message) == ("url_too_large", True)


async def test_the_limit_is_inside(site: Site, fetcher: Fetch) -> None:
    site.says(bytes(10_000))
    assert len((await fetcher.fetch(local(site), "image_url", 10_000)).data) == 10_000


async def test_a_bomb_is_not_unpacked(site: Site, fetcher: Fetch) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    site.says(bomb, "Content-Encoding: gzip")
    error = await refusal(fetcher, local(site))
    assert (error.code, "compressed" in error.message) == ("url_unreachable", True)
    site.says(bomb, "Content-Type: application/gzip", "Content-Encoding: identity")
    assert (await fetcher.fetch(local(site), "image_url")).data == bomb


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n12345",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"",
    ],
    ids=["cut", "cut chunk", "bad chunk", "more than its length", "bad length", "long header", "no http", "nothing"],
)
async def test_an_answer_that_is_none(answer: bytes, site: Site, fetcher: Fetch) -> None:
    site.pieces = [answer]
    assert (await refusal(fetcher, local(site))).code == "url_unreachable"


async def test_nobody_is_there(fetcher: Fetch) -> None:
    async with running() as gone:
        url = local(gone)
    assert (await refusal(fetcher, url)).code == "url_unreachable"


@given(st.text(max_size=40))
async def test_any_text_is_refused_in_the_same_way(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        error = await refusal(GuardedFetcher(Names(), allow_loopback=True), url)
        assert re.fullmatch("url_(not_allowed|unreachable)", error.code)


async def test_a_server_that_the_operator_has_chosen_may_be_anywhere(site: Site) -> None:
    site.says(b"x")
    chosen = GuardedFetcher(Loopback(), own=f"http://localhost:{site.port}/v1")
    assert chosen.is_own(local(site, host="LOCALHOST"))
    assert (await chosen.fetch(local(site, host="localhost"), "image_url")).data == b"x"


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost:{port}/a.png",
        "http://127.0.0.1:{port}/a.png",
        "http://localhost/a.png",
        "http://localhost:99999/a.png",
        "http://user@localhost:{port}/a.png",
        "http://localhost:{port}.files.example/a.png",
        "//localhost:{port}/a.png",
    ],
)
async def test_and_nobody_beside_it(url: str, site: Site) -> None:
    fetcher = GuardedFetcher(Loopback(), own=f"http://localhost:{site.port}/v1")
    assert (await refusal(fetcher, url.format(port=site.port))).code == "url_not_allowed"
    assert not fetcher.is_own(url.format(port=site.port))
    assert site.asked == []


async def test_an_answer_is_there_whatever_it_is_and_before_it_is_whole(site: Site) -> None:
    site.pieces, site.endless, site.pause_s = [b"HTTP/1.1 410 Gone\r\nX-A: b\r\n\r\n", b"x"], True, 60
    fetcher = GuardedFetcher(Loopback(), allow_loopback=True)
    async with fetcher.answer("POST", local(site), {"X-Sent": "1"}, b"{}") as response:
        assert (response.status, response.headers["x-a"]) == (410, "b")
    assert site.asked[0].startswith(b"POST /a.png HTTP/1.1\r\n")
    assert b"x-sent: 1\r\n" in site.asked[0].lower()
