"""Audio as the body of an answer, sent as it comes."""

import contextlib
from collections.abc import AsyncGenerator, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from aig.errors import AIGError
from aig.http.errors import BrokenOff
from aig.http.patient import PatientWriter
from aig.patience import Patience

# What is left of the time that speech may take is the provider's: nobody gets speech for nothing by reading it slowly.
READING_S = 600.0
PART_BYTES = 16 * 1024  # what a client may take as long over as the writer is patient


class AudioStream(Response):
    """Takes the pieces to their end whether or not the client does, for the charge is in the last step.

    Audio has no room for an error: one that breaks off raises BrokenOff, and the body stays without its end.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        media_type: str,
        headers: Mapping[str, str],
        *,
        reading: float = READING_S,
    ) -> None:
        super().__init__(None, 200, {"cache-control": "no-cache", **headers}, media_type)
        del self.headers["content-length"]
        self._pieces = pieces
        self._reading = reading

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with contextlib.aclosing(self._pieces) as pieces:
            # Begun before anything can go wrong here: a generator that never began would not see its closing.
            first = await anext(pieces, b"")
            writer = PatientWriter(send, in_all=self._reading)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            with contextlib.closing(Patience()) as patience:
                try:
                    await _write(writer, patience, first)
                    async for piece in pieces:
                        await _write(writer, patience, piece)
                except AIGError as error:
                    raise BrokenOff(error.code) from None
                await writer.write(b"", patience, more=False)


async def _write(writer: PatientWriter, patience: Patience, piece: bytes) -> None:
    for at in range(0, len(piece), PART_BYTES):
        await writer.write(piece[at : at + PART_BYTES], patience)
