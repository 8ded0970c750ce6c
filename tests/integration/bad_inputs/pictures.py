"""Rows 75 to 93: pictures, by URL and inline. The gateway fetches none: a provider does, from public hosts only."""

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from tests.integration.bad_inputs.case import OK, B, Case, image

# What names resolve to, for the gateway under test; all others do not resolve.
ADDRESSES: Final[Mapping[str, Sequence[str]]] = {
    "pictures.example": ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"],
    "rebinding.example": ["93.184.216.34"],
    "redirecting.example": ["93.184.216.34"],
    "endless.example": ["93.184.216.34"],
    "localtest.me": ["127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "half-private.example": ["93.184.216.34", "10.0.0.1"],
    "nat64.example": ["64:ff9b::a9fe:a9fe"],
    "mapped.example": ["::ffff:10.0.0.1"],
}

HOSTS: Final = {
    75: ("169.254.169.254/latest/meta-data/",),
    76: ("2852039166/",),
    77: ("0xA9FEA9FE/", "0xa9.0xfe.0xa9.0xfe/"),
    78: ("[::ffff:169.254.169.254]/", "[::ffff:a9fe:a9fe]/"),
    79: ("[64:ff9b::a9fe:a9fe]/",),
    80: ("[2002:a9fe:a9fe::]/",),
    81: ("[fd00:ec2::254]/", "[fe80::1%25eth0]/", "[::1]/", "[::]/", "[::127.0.0.1]/", "[fec0::1]/", "[5f00::1]/"),
    82: ("127。0。0。1/", "127.1/", "localhost/", "localhost./", "a.localhost/", "db.internal/", "printer.local/"),
    83: ("①②⑦.⓪.⓪.①/", "\uff11\uff12\uff17.0.0.1/"),
    84: ("0177.0.0.1/", "10.0.0.1/", "100.64.0.1/", "192.168.0.1/", "0.0.0.0/", "224.0.0.1/", "192.0.0.192/"),
}


def _png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\x00\x00\x00"


def _inline(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _url(row: int, *urls: str, says: str = "") -> list[Case]:
    return [Case(row, url[:40], B, image(url), says=says) for url in urls]


LITERALS = [
    *[case for row, hosts in HOSTS.items() for host in hosts for case in _url(row, f"http://{host}")],
    # Nothing is wrong with these but where they lead.
    *[
        case
        for row, hosts in HOSTS.items()
        for host in hosts
        for case in _url(row, f"https://{host}", says="not public")
    ],
]

NAMES = [
    *_url(85, "https://localtest.me/a.png", "https://LOCALTEST.ME./a.png", "https://metadata.example/a.png"),
    *_url(85, "https://half-private.example/a.png", "https://nat64.example/a.png", "https://mapped.example/a.png"),
    *_url(85, "https://nowhere.example/a.png"),
    # What a provider will find behind a public name is the provider's to guard: the gateway connects to nothing.
    Case(86, "a name that may rebind", OK, image("https://rebinding.example/a.png"), reached=True),
    Case(87, "a redirect into a private net", OK, image("https://redirecting.example/a.png"), reached=True),
    Case(91, "an endless picture", OK, image("https://endless.example/a.png"), reached=True),
    Case(91, "a good picture", OK, image("https://pictures.example/a.png"), reached=True),
    *_url(88, "file:///etc/passwd", "gopher://pictures.example/", "ftp://pictures.example/a.png", "data:text/html,hi"),
    *_url(88, "http://pictures.example/a.png", "//pictures.example/a.png", "a.png", "", "https://", "javascript:1"),
    *_url(89, "https://u:p@pictures.example/", "https://u@pictures.example/"),
    *_url(90, "https://pictures.example:22/", "https://pictures.example:8443/", "https://pictures.example:99999/"),
]

INLINE = [
    Case(92, "HTML as PNG", B, image(_inline(b"<html>"))),
    Case(92, "SVG", B, image(_inline(b"<svg/>", "image/svg+xml"))),
    Case(92, "SVG as PNG", B, image(_inline(b"<svg xmlns='http://www.w3.org/2000/svg'/>"))),
    Case(92, "50,000 x 50,000", B, image(_inline(_png(50_000, 50_000)))),
    Case(92, "a header cut off", B, image(_inline(_png(1, 1)[:20]))),
    Case(92, "a good header", OK, image(_inline(_png(1, 1))), reached=True),
    Case(93, "broken padding", B, image(_inline(_png(1, 1)).rstrip("=") + "=" * 3)),
    Case(93, "no base64", B, image("data:image/png;base64,!!!!")),
    Case(93, "not said to be base64", B, image("data:image/png,abcd")),
]
