"""Sending a body piece by piece to a client that may have gone away, of which nobody in the cloud would tell us."""

import asyncio
import math

from starlette.types import Send

from aig.patience import Patience

PATIENCE_S = 30.0


class PatientWriter:
    """A client that takes nothing for `patience` seconds is sent no more; what writes to it goes on all the same.

    Nor is one that has been waited for `in_all` seconds, all writes together.

    Each task that writes brings a Patience of its own.
    """

    def __init__(self, send: Send, patience: float = PATIENCE_S, in_all: float = math.inf) -> None:
        self._send = send
        self._patience = patience
        self._left = in_all
        self._reading = True
        self._loop = asyncio.get_running_loop()
        self.sent_at = self._loop.time()

    async def write(self, data: bytes, patience: Patience, *, more: bool = True) -> None:
        self.sent_at = began_at = self._loop.time()
        if not self._reading:
            return
        try:
            with patience.until(began_at + min(self._patience, self._left)):
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
        except TimeoutError:
            self._reading = False
        self._left -= self._loop.time() - began_at
