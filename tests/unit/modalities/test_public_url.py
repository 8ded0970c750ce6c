"""No URL of a client's leads a server into a network, however its address is spelt."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.public_url import is_public_address, public_host

# The list of the webhook service Svix, with what it lacks: one address at each end of every network.
DENIED = [
    "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
    "127.255.255.255", "168.63.129.16", "169.254.0.0", "169.254.169.254", "169.254.255.255", "172.16.0.0",
    "172.31.255.255", "192.0.0.0", "192.0.0.192", "192.0.0.255", "192.0.2.1", "192.88.99.1", "192.168.0.0",
    "192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::a9fe:a9fe", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1",
    "::ffff:0:169.254.169.254", "::ffff:0:7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b::1", "64:ff9b:1::1", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", "100::1", "2001::1",
    "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db8::1", "2002:a9fe:a9fe::", "2002::1", "3fff::1",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "5f00::1", "fc00::1", "fd00:ec2::254", "fdff::1", "fe80::1",
    "fe80::1%eth0", "febf::1", "fec0::1", "feff::1", "ff00::1", "ff02::1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "168.63.129.15", "168.63.129.17",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.1", "192.88.98.1", "192.167.255.255",
    "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "::ffff:8.8.8.8", "64:ff9b:2::1", "2001:1::1", "2001:4860:4860::8888", "2001:db7::1", "2003::1", "2606:4700::1111",
    "3ffe::1", "4000::1", "5eff::1", "5f01::1",
]  # fmt: skip


@pytest.mark.parametrize("address", DENIED)
def test_an_address_inside_a_network(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_outside(address: str) -> None:
    assert is_public_address(address)


def _url(address: str) -> str:
    return f"https://[{address}]/a.png" if ":" in address else f"https://{address}/a.png"


@pytest.mark.parametrize("address", DENIED)
def test_a_url_with_such_an_address(address: str) -> None:
    with pytest.raises(ValueError, match="not public"):
        public_host(_url(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_url_with_a_public_address(address: str) -> None:
    assert public_host(_url(address)) == address


@given(st.ip_addresses(v=4))
def test_every_mapping_of_a_denied_address_is_denied(address: ipaddress.IPv4Address) -> None:
    public, number = is_public_address(str(address)), int(address)
    assert is_public_address(f"::ffff:{address}") is public
    spellings = [str(number), hex(number), f"{number:#o}".replace("0o", "0"), ".".join(map(hex, address.packed))]
    for spelling in spellings:
        if public:
            assert public_host(f"https://{spelling}/") == spelling
        else:
            with pytest.raises(ValueError, match="not public"):
                public_host(f"https://{spelling}/")
    with pytest.raises(ValueError, match="not public"):
        public_host(f"https://[64:ff9b::{address}]/")


@pytest.mark.parametrize(
    "host",
    [
        "2852039166",  # 169.254.169.254 as one integer
        "0xA9FEA9FE",
        "0xa9.0xfe.0xa9.0xfe",
        "025177524776",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.16689662",
        "0177.0.0.1",
        "127.1",
        "0x7f.1",
        "0",
        "127.0.0.1.",
        "127.0.0.1..",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[fd00:ec2::254]",
        "[fe80::1%25eth0]",
        "127\u30020\u30020\u30021",  # ideographic full stops
        "127\uff0e0\uff0e0\uff0e1",  # full-width full stops
        "127\uff610\uff610\uff611",  # half-width ideographic full stops
        "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",  # circled digits
        "\uff11\uff12\uff17.0.0.1",  # full-width digits
        "\U0001d7cf\U0001d7d0\U0001d7d5.0.0.1",  # mathematical bold digits
        "10.0.0\n.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "\u24dbocalhost",
        "\uff4cocalhost",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "metadata.google.internal.",
    ],
)
def test_every_spelling_of_a_host_inside(host: str) -> None:
    with pytest.raises(ValueError, match="not public"):
        public_host(f"https://{host}/latest/meta-data/")


@pytest.mark.parametrize(
    "host",
    [
        # WHATWG's parser, which JavaScript and curl-like clients use, ends the host at a backslash: 10.0.0.1.
        "10.0.0.1\\x.example.com",
        "10.0.0.1\\.example.com",
        # It also decodes percent signs in a host, and drops what Unicode calls ignorable.
        "127%2e0%2e0%2e1",
        "%31%30.0.0.1",
        "127.0.0\u00ad.1",
        "127.0.0.\u200b1",
        "127.0.0.1\u2060",
        "example.com|10.0.0.1",
        "example.com^10.0.0.1",
        "<10.0.0.1>",
        "exa{mple}.com",
    ],
)
def test_characters_that_two_parsers_read_differently_are_refused(host: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 refused, in whatever words
        public_host(f"https://{host}/a.png")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/a.png", "only https"),
        ("http://169.254.169.254/latest/meta-data/", "only https"),
        ("file:///etc/passwd", "only https"),
        ("gopher://example.com/", "only https"),
        ("ftp://example.com/", "only https"),
        ("javascript:alert(1)", "only https"),
        ("//example.com/a.png", "only https"),
        ("example.com/a.png", "only https"),
        ("", "only https"),
        ("https://user:password@example.com/", "user name or password"),
        ("https://user@example.com/", "user name or password"),
        ("https://@example.com/", "user name or password"),
        ("https://example.com\\@10.0.0.1/", "user name or password"),
        ("https://example.com:22/", "only port 443"),
        ("https://example.com:80/", "only port 443"),
        ("https://example.com:0/", "only port 443"),
        ("https://[2606:4700::1111%25eth0]/", "network interface"),
        ("https://example.com:65536/", "not a valid URL"),
        ("https://example.com:x/", "not a valid URL"),
        ("https://[::1/", "not a valid URL"),
        ("https://[not an address]/", "not a valid URL"),
        ("https://example.com/" + "a" * 4096, "longer than 4096"),
        ("https://", "no host"),
        ("https:///a.png", "no host"),
        ("https://./a.png", "no host"),
        ("https://:443/a.png", "no host"),
        ("https://exa mple.com/", "no host"),
        ("https://127.0.0.1 x/", "no host"),
    ],
)
def test_other_urls_that_are_refused(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        public_host(url)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.com/a.png", "example.com"),
        ("HTTPS://Example.COM:443/a.png?x=1#y", "example.com"),
        ("https://example.com.", "example.com"),
        ("https://a_b.example.com/", "a_b.example.com"),
        ("https://b\u00fccher.example/", "b\u00fccher.example"),
        ("https://\u4f8b\u3048.example/", "\u4f8b\u3048.example"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        ("https://internal.example.com/", "internal.example.com"),
        ("https://notlocal/", "notlocal"),
        ("https://10.0.0.1.example.com/", "10.0.0.1.example.com"),  # a name: judged by what it resolves to
        ("https://example.com/@10.0.0.1", "example.com"),
        ("https://example.com/?u=https://10.0.0.1/", "example.com"),
    ],
)
def test_the_host_of_a_good_url(url: str, host: str) -> None:
    assert public_host(url) == host


@given(st.text(max_size=30))
def test_any_text_is_a_host_or_a_refusal(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/a.png"):
        try:
            host = public_host(url)
        except ValueError:
            continue
        assert host
        assert host == host.lower()
