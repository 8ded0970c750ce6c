"""A stream of JSON objects as server-sent events."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from aig.http.patient import PATIENCE_S, PatientWriter
from aig.patience import Patience

KEEP_ALIVE_S = 10.0
_DONE = b"data: [DONE]\n\n"
_COMMENT = b": keep-alive\n\n"


class EventStream(Response):
    """Sends each object as soon as it is there, a comment after ten silent seconds, `[DONE]` at the end.

    It does not watch for the client to go away: the objects are taken to their end, for the charge is in the last step.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        chunks: AsyncGenerator[dict[str, Any], None],
        headers: Mapping[str, str],
        *,
        keep_alive: float = KEEP_ALIVE_S,
        patience: float = PATIENCE_S,
    ) -> None:
        super().__init__(None, 200, {"cache-control": "no-cache", "x-accel-buffering": "no", **headers})
        del self.headers["content-length"]
        self._chunks = chunks
        self._keep_alive = keep_alive
        self._patience = patience

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        writer = PatientWriter(send, self._patience)

        async def keep_alive() -> None:
            with contextlib.closing(Patience()) as patience:
                while True:
                    wait = writer.sent_at + self._keep_alive - loop.time()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    else:
                        await writer.write(_COMMENT, patience)

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        comments = asyncio.create_task(keep_alive())
        with contextlib.closing(Patience()) as patience:
            try:
                async with contextlib.aclosing(self._chunks) as chunks:
                    async for chunk in chunks:
                        await writer.write(b"data: " + to_json(chunk, inf_nan_mode="null") + b"\n\n", patience)
            finally:
                comments.cancel()
            await writer.write(_DONE, patience, more=False)
