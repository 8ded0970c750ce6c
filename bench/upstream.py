"""A provider that answers at once: OpenAI's wire, whole or as a stream of separate writes."""

import asyncio

from bench import conversation, raw_http

_COMPLETION = raw_http.reply(conversation.completion())
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECES = [b"%x\r\n%b\r\n" % (len(event), event) for event in (*conversation.events(), conversation.DONE)]
_END = b"0\r\n\r\n"


def answer(_: bytes, body: bytes, transport: asyncio.Transport) -> None:
    """One write for a completion; for a stream one write an event, each in a turn of the loop of its own."""
    if b'"stream":true' not in body:
        transport.write(_COMPLETION)
        return
    loop = asyncio.get_running_loop()
    pieces = iter((*_PIECES, _END))
    transport.write(_STREAM_HEAD)

    def write_next() -> None:
        piece = next(pieces, None)
        if piece is not None and not transport.is_closing():
            transport.write(piece)
            loop.call_soon(write_next)

    loop.call_soon(write_next)


if __name__ == "__main__":
    raw_http.serve(answer)
