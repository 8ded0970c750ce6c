"""A web site on loopback that says what a test tells it to say, and a network in which public addresses lead there."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohappyeyeballs
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = "files.example"
ADDRESS = "93.184.216.34"
_start_connection = aiohappyeyeballs.start_connection


@dataclass
class Site:
    """Answers every request with `pieces`; with `endless` the last of them comes again and again, so fast or slow."""

    pieces: Sequence[bytes] = ()
    endless: bool = False
    pause_s: float = 0.0
    port: int = 0
    asked: list[bytes] = field(default_factory=list)

    def says(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        """One whole answer, with its true length unless the headers tell another."""
        lengths = (
            () if any(line.lower().startswith(("content-length", "transfer-")) for line in headers) else (len(body),)
        )
        lines = [f"HTTP/1.1 {status}", *headers, *(f"Content-Length: {length}" for length in lengths)]
        self.pieces = ["\r\n".join([*lines, "", ""]).encode() + body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in self.pieces:
                writer.write(piece)
                await writer.drain()
            while self.endless:
                await asyncio.sleep(self.pause_s)
                writer.write(self.pieces[-1])
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def running(tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """A site that is gone at the end of the block."""
    site, visits = Site(), set[asyncio.Task[None]]()

    def visited(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.create_task(site.serve(reader, writer))
        visits.add(visit)
        visit.add_done_callback(visits.discard)

    server = await asyncio.start_server(visited, "127.0.0.1", 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()
        for visit in tuple(visits):
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        await server.wait_closed()


def lead_to(site: Site, patch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Lets every connection end at the site; where each was meant to go."""
    dialled: list[tuple[str, int]] = []

    async def start_connection(addr_infos: Sequence[Any], **more: Any) -> Any:
        dialled.extend((info[4][0], info[4][1]) for info in addr_infos)
        family, kind, protocol, name, _ = addr_infos[0]
        assert family
        loopback = (socket.AF_INET, kind, protocol, name, ("127.0.0.1", site.port))
        return await _start_connection(addr_infos=[loopback], **more)

    patch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    return dialled


def certificate(folder: Path, *names: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of these names needs, and what a client needs that is to trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    alternatives = [x509.DNSName(name) if not name[0].isdigit() else _address(name) for name in names]
    built = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = built.public_bytes(serialization.Encoding.PEM)
    file = folder / "server.pem"
    file.write_bytes(
        pem
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())


def _address(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_address(text))
