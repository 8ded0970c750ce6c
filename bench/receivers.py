"""Receivers of webhooks on one port: `/quick/N` answers 200 at once, `/hang/N` accepts and never answers.

`python -m bench.receivers FILE` prints `ready URL` and writes a line of JSON to FILE for each request, as soon as it is
there in full: when, of which event, at which path, in which attempt.
"""

import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Final, TextIO

_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


async def _serve(out: TextIO, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        path = request.split(" ")[1]
        note = {"at": time.time(), "event": body["id"], "path": path, "attempt": int(headers["x-aig-attempt"])}
        out.write(json.dumps(note) + "\n")
        out.flush()
        if path.startswith("/hang/"):
            await reader.read()
        else:
            writer.write(_ANSWER)
            await writer.drain()
    writer.close()


async def serve(path: Path) -> None:
    """Until it is ended."""
    with path.open("w", encoding="utf-8") as out:
        server = await asyncio.start_server(lambda r, w: _serve(out, r, w), "127.0.0.1", 0, backlog=1024)
        print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
