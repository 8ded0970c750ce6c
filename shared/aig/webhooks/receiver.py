"""Where webhooks may go: what can be said of a URL before anybody looks its host up. Pure."""

import hashlib
import unicodedata
from urllib.parse import SplitResult, urlsplit

from aig.errors import InvalidRequest
from aig.modalities.public_url import public_host

MAX_URL_LENGTH = 2048
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def checked_url(text: str, own_host: str, *, allow_loopback: bool = False, param: str = "webhook_url") -> str:
    """The URL as it was given. Raises InvalidRequest, naming `param`, for one that no webhook may go to.

    `own_host` is the host of this gateway as the client sees it, a port included or not. `allow_loopback` lets http
    through to this machine: on one's own machine only.
    """
    try:
        if allow_loopback and _is_loopback(text):
            return text
        _check(text, own_host)
    except ValueError as error:
        raise InvalidRequest(
            f"{param} cannot be used: {error}. Send an https URL that the internet can reach.", param=param
        ) from None
    return text


def _check(text: str, own_host: str) -> None:
    if len(text) > MAX_URL_LENGTH:
        raise ValueError(f"it is longer than {MAX_URL_LENGTH} characters")
    if not text.isprintable() or any(char.isspace() for char in text):
        raise ValueError("it holds spaces or control characters")
    host = public_host(text)
    if "#" in text:
        raise ValueError("it must not have a fragment")
    if not host.isascii():
        # A name that looks like another is registered in no time; its ASCII form shows what it is.
        raise ValueError("its host must be in ASCII; write an international name in its xn-- form")
    if host == _host(own_host):
        raise ValueError("it leads back to this gateway")


def _host(text: str) -> str:
    """A host without its port, as `public_host` writes it."""
    name = unicodedata.normalize("NFKC", urlsplit(f"//{text}").hostname or "")
    return name.rstrip(".").lower()


def _split(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_loopback(text: str) -> bool:
    parts = _split(text)
    if parts is None or len(text) > MAX_URL_LENGTH or not text.isprintable() or " " in text:
        return False
    return parts.scheme == "http" and parts.hostname in _LOOPBACK and "@" not in parts.netloc and "#" not in text


def receiver_of(url: str, endpoint_id: str | None) -> str:
    """Who shares what is known of being slow: an endpoint by itself, and other URLs by their hosts."""
    if endpoint_id is not None:
        return endpoint_id
    parts = _split(url)
    return "host_" + hashlib.sha256((parts.netloc.lower() if parts else url).encode()).hexdigest()[:24]
