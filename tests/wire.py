"""HTTP/1.1 by hand, for requests that no client library would send."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An answer; header names are lower case, and of two headers with one name the last is here."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


async def exchange(port: int, *pieces: bytes, half_close: bool = False) -> Reply | None:
    """The first answer to these bytes, or None if the server closes the connection without one.

    `half_close` ends our side behind the last byte, as a client that dies does.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(20):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if half_close:
                writer.write_eof()
            return await _reply(reader)
    except (ConnectionError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()


async def _reply(reader: asyncio.StreamReader) -> Reply:
    while (head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")).startswith("HTTP/1.1 100 "):
        pass
    status_line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
    else:
        body = await reader.read()
    return Reply(int(status_line.split(" ")[1]), headers, body)


def request(method: str, path: str, *headers: str, body: bytes | None = None, length: int | None = None) -> bytes:
    """A request's bytes. `length` is what Content-Length says, true or not; by default it is true."""
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *headers]
    if body is not None or length is not None:
        lines.append(f"Content-Length: {len(body or b'') if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
