"""Sending a body piece by piece to a client that may have gone away, of which nobody in the cloud would tell us."""

import asyncio

from starlette.types import Send

PATIENCE_S = 30.0


class PatientWriter:
    """A client that takes nothing for `patience` seconds is sent no more; what writes to it goes on all the same."""

    def __init__(self, send: Send, patience: float = PATIENCE_S) -> None:
        self._send = send
        self._patience = patience
        self._reading = True
        self.sent_at = asyncio.get_running_loop().time()

    async def write(self, data: bytes, *, more: bool = True) -> None:
        self.sent_at = asyncio.get_running_loop().time()
        if not self._reading:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            self._reading = False
