"""A provider that answers at once: OpenAI's wire, whole or as a stream of separate writes; two others as streams."""

import asyncio

from bench import conversation, raw_http

_COMPLETION = raw_http.reply(conversation.completion())
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _pieces(*events: bytes) -> list[bytes]:
    return [*(b"%x\r\n%b\r\n" % (len(event), event) for event in events), _END]


# By what is in the path of that wire only.
_OTHER_WIRES = {
    b"/v1/messages": _pieces(*conversation.anthropic_events()),
    b":streamgeneratecontent": _pieces(*conversation.google_events()),
}
_OPENAI = _pieces(*conversation.events(), conversation.DONE)


def answer(head: bytes, body: bytes, transport: asyncio.Transport) -> None:
    """One write for a completion; for a stream one write an event, each in a turn of the loop of its own."""
    request_line = head[: head.index(b"\r\n")]
    stream = next((stream for path, stream in _OTHER_WIRES.items() if path in request_line), None)
    if stream is None and b'"stream":true' not in body:
        transport.write(_COMPLETION)
        return
    loop = asyncio.get_running_loop()
    pieces = iter(stream or _OPENAI)
    transport.write(_STREAM_HEAD)

    def write_next() -> None:
        piece = next(pieces, None)
        if piece is not None and not transport.is_closing():
            transport.write(piece)
            loop.call_soon(write_next)

    loop.call_soon(write_next)


if __name__ == "__main__":
    raw_http.serve(answer)
