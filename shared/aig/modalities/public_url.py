"""Which URLs a user may hand us: https, no credentials, the standard port, and never an address inside a network.

Literal forms are judged here; a name is judged by the addresses it resolves to, with `is_public_address`.
The deny list is that of Svix (its resolver's `is_allowed`), with site-local, v4-compatible, v4-translated and Teredo
added, and the one public address that is the metadata server of whoever runs on Azure.
"""

import ipaddress
import socket
import unicodedata
from urllib.parse import urlsplit

MAX_LENGTH = 4096
_DENIED_V4 = [
    ipaddress.ip_network(net)
    for net in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
]  # fmt: skip
_DENIED_V6 = [
    ipaddress.ip_network(net)
    for net in (
        "::/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32",
        "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
]  # fmt: skip


def is_public_address(text: str) -> bool:
    """Whether an IP address lies outside every network that a server must not be led into."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    denied = _DENIED_V4 if address.version == 4 else _DENIED_V6
    return not any(address in net for net in denied)


def _literal_address(host: str) -> str | None:
    """The address a host stands for when it is one, in any spelling a C library takes (octal, hex, one integer)."""
    try:
        return str(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def public_host(url: str) -> str:
    """The host of a URL that may be fetched. Raises ValueError, with what to change, for any other URL."""
    if len(url) > MAX_LENGTH:  # normalising a host takes time that grows with the square of its length
        raise ValueError(f"it is longer than {MAX_LENGTH} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is not a valid URL") from None
    if parts.scheme != "https":
        raise ValueError("only https:// URLs are accepted")
    if parts.username is not None or parts.password is not None:
        raise ValueError("it must not carry a user name or password")
    if port not in (None, 443):
        raise ValueError("only port 443 is accepted")
    # NFKC first: clients map full-width dots and circled digits to ASCII, so a guard has to look after that mapping.
    host = unicodedata.normalize("NFKC", parts.hostname or "").replace("\u3002", ".").rstrip(".").lower()
    if not host or any(char.isspace() for char in host):
        raise ValueError("it has no host")
    if ":" not in host and not all(char.isalnum() or char in "-._" for char in host):
        # Browsers and C libraries disagree on anything else: some decode it, some drop it, some end the host at it.
        raise ValueError("its host must be letters, digits, dots and hyphens")
    address = _literal_address(host)
    if address is not None and not is_public_address(address):
        raise ValueError("its address is not public")
    if address is None and (host == "localhost" or host.endswith((".localhost", ".local", ".internal"))):
        raise ValueError("its host is not public")
    if "%" in host:
        raise ValueError("its address must not name a network interface")
    return host
