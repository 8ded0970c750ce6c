"""The reader of server-sent events."""

import re

from aig.errors import UpstreamError

MAX_LINE_BYTES = 8 * 1024 * 1024


class SseReader:
    """Bytes in, `data` payloads out: CR, LF and CRLF, multi-line data, comments, pieces cut anywhere."""

    _LINE_END = re.compile(rb"\r\n|\n|\r")

    def __init__(self) -> None:
        self._rest: list[bytes] = []  # of a line whose end has not come
        self._rest_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._begun = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The payloads that `piece` completes. Raises UpstreamError for a line without end."""
        split_crlf = bool(self._rest) and self._rest[-1].endswith(b"\r")
        self._rest.append(piece)
        self._rest_bytes += len(piece)
        ended = b"\n" in piece or b"\r" in piece or split_crlf
        lines = self._complete_lines(b"".join(self._rest)) if ended else []
        if self._rest_bytes > MAX_LINE_BYTES:
            raise UpstreamError("malformed")
        payloads: list[bytes] = []
        if lines and not self._begun:
            lines[0], self._begun = lines[0].removeprefix(b"\xef\xbb\xbf"), True
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._data_bytes += len(line)
                if self._data_bytes > MAX_LINE_BYTES:
                    raise UpstreamError("malformed")
            elif not line and self._data:
                payloads.append(b"\n".join(self._data))
                self._data, self._data_bytes = [], 0
        return payloads

    def _complete_lines(self, text: bytes) -> list[bytes]:
        # A CR at the very end may be the first half of a CRLF: wait for what follows.
        usable = text[:-1] if text.endswith(b"\r") else text
        *lines, tail = self._LINE_END.split(usable)
        rest = tail + text[len(usable) :]
        self._rest, self._rest_bytes = [rest] if rest else [], len(rest)
        return lines

    def end(self) -> list[bytes]:
        """The payload that a stream without a last blank line leaves."""
        return self.feed(b"\n\n")
