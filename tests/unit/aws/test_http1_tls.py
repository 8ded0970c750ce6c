"""The same connections over TLS, with a certificate made here."""

import asyncio
import datetime as dt
import gc
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aig.aws import http1
from tests.unit.aws.peers import NEVER_S, connected, echo, request, serving


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate for 127.0.0.1 that vouches for itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(hosts, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(autouse=True)
def _context_of_this_test() -> Iterator[None]:
    """The context is read once for a process; a test that changes what is trusted must not leave its own behind."""
    http1._tls_context.cache_clear()
    yield
    http1._tls_context.cache_clear()


async def test_tls_with_a_certificate_that_the_system_trusts(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with connected(echo, tls=server_side(certificate)) as (client, server):
        for body in (b"small", b"x" * 300_000, b"small"):
            assert await client.exchange(request(body)) == (200, body)
        assert server.connections == 1


async def test_tls_with_a_certificate_that_nobody_vouches_for_is_unreachable(certificate: Path) -> None:
    async with connected(echo, tls=server_side(certificate)) as (client, _):
        with pytest.raises(http1.UnreachableError, match="SSLCertVerificationError"):
            await client.exchange(request(b"?"))


def test_tls_connections_leave_nothing_behind_when_their_loop_ends(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the sweeper does every minute: a loop of its own, one call, close. Warnings of open sockets are errors."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def run_once() -> None:
        async with serving(echo, server_side(certificate)) as server:
            client = http1.Client(server.url, NEVER_S, NEVER_S)
            assert await client.exchange(request(b"?")) == (200, b"?")
            await client.close()

    for _ in range(2):
        asyncio.run(run_once())
        gc.collect()
