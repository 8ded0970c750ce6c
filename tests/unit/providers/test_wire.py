"""Bytes from a provider: events out of any cutting, and statuses as what they mean for the next step."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.errors import UpstreamError, UpstreamKind
from aig.modalities.upstream import Timeouts
from aig_providers import sse, wire
from aig_providers.sse import SseReader
from aig_providers.wire import finish, read_all, retry_after, sse_payloads, status_error, told_error, within


@dataclass
class Script:
    """A reply whose pieces, and trouble between them, the test has written down."""

    pieces: Sequence[bytes | Exception]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    silent_at_end: bool = False

    async def read_some(self) -> bytes:
        if not self.pieces:
            if self.silent_at_end:
                await asyncio.Event().wait()
            return b""
        piece, *self.pieces = self.pieces
        if isinstance(piece, Exception):
            raise piece
        return piece


def read(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The payloads of a stream that comes cut at these positions."""
    reader, payloads, start = SseReader(), list[bytes](), 0
    for cut in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        payloads += reader.feed(stream[start:cut])
        start = cut
    return payloads + reader.end()


ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
cuts = st.lists(st.integers(0, 10_000), max_size=8)
data_lines = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20).map(str.encode)
noise = st.sampled_from([b": keep-alive", b":", b"event: message", b"id: 7", b"retry: 10", b"dat", b"datax: 1"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """An event stream with one kind of line end, and the payloads that are in it."""
    end = draw(ends)
    stream, payloads = b"", []
    for lines in draw(st.lists(st.lists(data_lines, min_size=1, max_size=3), max_size=4)):
        for line in lines:
            if draw(st.booleans()):
                stream += draw(noise) + end
            stream += (b"data: " if draw(st.booleans()) or line.startswith(b" ") else b"data:") + line + end
        stream += end * draw(st.integers(1, 3))
        payloads.append(b"\n".join(lines))
    return stream, payloads


@given(streams(), cuts)
def test_payloads_are_whole_however_the_stream_is_cut(made: tuple[bytes, list[bytes]], at: list[int]) -> None:
    stream, payloads = made
    assert read(stream, at) == payloads


@given(streams())
def test_payloads_are_whole_byte_by_byte(made: tuple[bytes, list[bytes]]) -> None:
    stream, payloads = made
    assert read(stream, list(range(len(stream)))) == payloads


@given(
    st.lists(st.sampled_from([b"data:", b" ", b"a", b"\r", b"\n", b"\r\n", b":", b"\xf0\x9f\x98\x80", b"\xff"])), cuts
)
def test_any_bytes_mean_the_same_cut_and_uncut(pieces: list[bytes], at: list[int]) -> None:
    stream = b"".join(pieces)
    assert read(stream, at) == read(stream, [])


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"", []),
        (b"\n\n\n", []),
        (b"data: a\n\n", [b"a"]),
        (b"data:a\r\n\r\n", [b"a"]),
        (b"data: a\r\r", [b"a"]),
        (b"data:  a \n\n", [b" a "]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data:\n\n", [b""]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b": comment\n\ndata: a\n\n: more\n\n", [b"a"]),
        (b"event: error\ndata: a\n\n", [b"a"]),
        (b"data: a", [b"a"]),  # the stream ends without its blank line
        (b"data: a\n", [b"a"]),
        (b"data: a\r", [b"a"]),
        (b"data: a\n\r\n", [b"a"]),
    ],
)
def test_payloads(stream: bytes, payloads: list[bytes]) -> None:
    assert read(stream, []) == payloads


def test_a_payload_is_there_as_soon_as_its_blank_line_is() -> None:
    reader = SseReader()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\ndata: b") == [b"a"]
    assert reader.feed(b"\r\n\r\n") == [b"b"]
    assert reader.feed(b"data: c\r\r") == []  # the second may be half of a CRLF
    assert reader.feed(b"data: d") == [b"c"]


def test_a_line_without_end_is_given_up() -> None:
    reader = SseReader()
    piece = b"data: " + b"x" * (sse.MAX_LINE_BYTES // 2 - 6)
    assert reader.feed(piece) == []
    assert reader.feed(b"x" * (sse.MAX_LINE_BYTES // 2)) == []
    with pytest.raises(UpstreamError, match="malformed"):
        reader.feed(b"x")


def test_an_event_without_end_is_given_up() -> None:
    reader, line = SseReader(), b"data: " + b"x" * (1 << 20) + b"\n"

    def endless() -> None:
        for _ in range(wire.MAX_BODY_BYTES // len(line) + 2):
            reader.feed(line)

    with pytest.raises(UpstreamError, match="malformed"):
        endless()


async def test_a_stream_of_pieces_is_read_to_its_end() -> None:
    reply = Script([b"data: a\n", b"\ndata: b\n\nda", b"ta: c"])
    assert [payload async for payload in sse_payloads(reply, Timeouts())] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("reply", "timeouts", "kind", "seen"),
    [
        (Script([], silent_at_end=True), Timeouts(first_byte=0.01, idle=60), "timeout", []),
        (Script([b"data: a\n\n"], silent_at_end=True), Timeouts(first_byte=60, idle=0.01), "timeout", [b"a"]),
        (Script([b"data: a\n\n", ConnectionResetError()]), Timeouts(), "connect", [b"a"]),
    ],
    ids=["no first byte", "silence", "reset"],
)
async def test_trouble_in_a_stream(reply: Script, timeouts: Timeouts, kind: str, seen: list[bytes]) -> None:
    payloads = []

    async def take() -> None:
        async for payload in sse_payloads(reply, timeouts):
            payloads.append(payload)

    with pytest.raises(UpstreamError) as raised:
        await take()
    assert (raised.value.kind, payloads) == (kind, seen)


async def test_within_gives_the_result_or_the_reason() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def broken() -> None:
        raise ConnectionResetError

    async def refused() -> None:
        raise UpstreamError("rejected")

    assert await within(60, asyncio.sleep(0, "result")) == "result"
    for seconds, work, kind in ((0.01, forever(), "timeout"), (60, broken(), "connect"), (60, refused(), "rejected")):
        with pytest.raises(UpstreamError) as raised:
            await within(seconds, work)
        assert raised.value.kind == kind


async def test_read_all_joins_the_pieces() -> None:
    assert await read_all(Script([b"a", b"b", b"c"])) == b"abc"
    assert await read_all(Script([])) == b""


async def test_read_all_gives_up_on_a_body_that_is_no_answer() -> None:
    piece = bytes(wire.MAX_BODY_BYTES // 4)
    assert len(await read_all(Script([piece] * 4))) == wire.MAX_BODY_BYTES
    with pytest.raises(UpstreamError, match="malformed"):
        await read_all(Script([piece] * 4 + [b"x"]))


@pytest.mark.parametrize(
    "reply",
    [Script([]), Script([b"\n"]), Script([b"\n"], silent_at_end=True), Script([ConnectionResetError()])],
    ids=["at its end", "a last newline", "a server that does not end", "reset"],
)
async def test_finish_never_fails_and_never_waits_long(reply: Script) -> None:
    async with asyncio.timeout(30):
        await finish(reply)
    assert not reply.pieces


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "1"}, 1.0),
        ({"retry-after": "0"}, 0.0),
        ({"RETRY-AFTER": "2.5"}, 2.5),
        ({"Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": "7", "Retry-After-Ms": "250"}, 0.25),
        ({"Retry-After": "7", "Retry-After-Ms": "soon"}, 7.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "1e9"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "1" * 400}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": " 1"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def error_body(**fields: Any) -> bytes:
    return json.dumps({"error": {"message": "in the provider's words", **fields}}).encode()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, "unavailable"),
        (400, "rejected"),
        (401, "auth"),
        (402, "auth"),
        (403, "rejected"),
        (404, "rejected"),
        (408, "unavailable"),
        (409, "rejected"),
        (413, "rejected"),
        (422, "rejected"),
        (425, "unavailable"),
        (429, "rate_limited"),
        (500, "unavailable"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "unavailable"),
        (529, "unavailable"),
        (204, "unavailable"),
    ],
)
def test_what_a_status_means(status: int, kind: UpstreamKind) -> None:
    error = status_error(status, {}, error_body())
    assert (error.kind, error.status, error.code, error.param, error.retry_after) == (kind, status, None, None, None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"type": "permission_error"}}, "auth"),
        ({"error": {"code": "unsupported_country_region_territory"}}, "auth"),
        ({"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}, "rejected"),
        ({"code": "The caller does not have permission", "error": "Content violates usage guidelines"}, "rejected"),
        ([], "rejected"),
        ("text", "unavailable"),
    ],
)
def test_a_403_refuses_our_key_only_where_its_body_says_so(body: Any, kind: str) -> None:
    """Else one flagged prompt would shut a model for everybody."""
    assert status_error(403, {}, json.dumps(body).encode()).kind == kind


@pytest.mark.parametrize(
    ("error", "kind", "status", "code"),
    [
        ({"code": 503, "message": "overloaded"}, "unavailable", 503, None),
        ({"code": 429}, "rate_limited", 429, None),
        ({"code": "rate_limit_exceeded"}, "rate_limited", None, None),
        ({"status_code": 400, "code": "tool_use_failed"}, "rejected", 400, "tool_use_failed"),
        ({"code": "context_length_exceeded", "param": "messages"}, "rejected", 400, "context_length_exceeded"),
        ({"type": "invalid_request_error"}, "rejected", 400, None),
        ({"code": "insufficient_quota"}, "auth", None, None),
        ({"type": "insufficient_quota", "code": 429}, "auth", 429, None),
        ({"code": 200}, "unavailable", None, None),
        ({"code": True}, "unavailable", None, None),
        ("prose", "unavailable", None, None),
        (None, "unavailable", None, None),
        ({}, "unavailable", None, None),
        *[({"code": odd}, "unavailable", None, None) for odd in ({}, {"n": 1}, [1], 1.5)],
        *[({"type": odd, "code": odd}, "unavailable", None, None) for odd in (dict[str, int](), [["x"]])],
        ({"type": {}, "code": 429}, "rate_limited", 429, None),
    ],
)
def test_an_error_without_a_status(error: Any, kind: str, status: int | None, code: str | None) -> None:
    told = told_error(error)
    assert (told.kind, told.status, told.code) == (kind, status, code)


@pytest.mark.parametrize("code", ["insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached"])
def test_an_account_of_ours_without_credit_is_no_rate_limit(code: str) -> None:
    error = status_error(429, {"Retry-After": "1"}, error_body(code=code))
    assert (error.kind, error.retry_after) == ("auth", None)


@pytest.mark.parametrize("message", ["The voices are joe and alloy.", "x" * 501, "two\nlines", 5, None])
def test_a_message_is_kept_of_a_server_of_ours_only(message: Any) -> None:
    body = json.dumps({"error": {"code": "invalid_value", "message": message}}).encode()
    assert status_error(400, {}, body).message is None
    told = status_error(400, {}, body, tells_clients=True)
    assert told.message == (message if message == "The voices are joe and alloy." else None)
    assert told.code == "invalid_value"
    for other in (b"<html>", b"[]", b'{"error": "text"}'):
        assert status_error(400, {}, other, tells_clients=True).message is None


SENT = json.dumps(
    {
        "model": "m",
        "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": ["a", "b"]}],
        "tools": [{"function": {"name": "f"}}],
    }
).encode()


@pytest.mark.parametrize(
    ("status", "seconds"), [(429, 3.0), (503, 3.0), (529, 3.0), (408, 3.0), (400, None), (401, None)]
)
def test_retry_after_counts_where_a_retry_may_help(status: int, seconds: float | None) -> None:
    assert status_error(status, {"Retry-After": "3"}, b"{}").retry_after == seconds


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (error_body(code="context_length_exceeded", param="messages"), "context_length_exceeded", "messages"),
        (
            error_body(code="unsupported_value", param="messages.[1].content[1]"),
            "unsupported_value",
            "messages.[1].content[1]",
        ),
        (error_body(code="unsupported_value", param="tools[0]"), "unsupported_value", "tools[0]"),
        (error_body(code=None, param=None), None, None),
        (error_body(code=400, param=["a"]), None, None),
        (error_body(code="Sentence with the key sk-123.", param="x" * 65), None, None),
        (error_body(code="line\n", param="<script>"), None, None),
        (b'{"error": "a text"}', None, None),
        (b'{"error": null}', None, None),
        (b'{"error": ["a"]}', None, None),
        (b'{"detail": [{"loc": ["body"]}]}', None, None),
        (b"[]", None, None),
        (b"null", None, None),
        (b'"text"', None, None),
        (b"<html>Bad Gateway</html>", None, None),
        (b"", None, None),
        (b"\xff\xfe", None, None),
        (b"[" * 100_000, None, None),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_slugs_are_kept_and_words_are_not(body: bytes, code: str | None, param: str | None) -> None:
    error = status_error(400, {}, body, SENT)
    assert (error.kind, error.code, error.param) == ("rejected", code, param)
    assert "words" not in str(error)


@pytest.mark.parametrize("odd", [{}, [], {"a": 1}])
def test_a_body_whose_type_is_no_word_still_names_its_field(odd: Any) -> None:
    body = json.dumps({"error": {"type": odd, "code": odd, "param": "messages"}}).encode()
    error = status_error(400, {}, body, SENT)
    assert (error.kind, error.code, error.param) == ("rejected", None, "messages")


@pytest.mark.parametrize(
    "param",
    [
        *("org_SECRETacct", "skprovider42", "messages[2]", "messages[0].org_1", "messages[00000000000000000000]"),
        *(".", "", "messages content", "tools.1", "messages.-1", "model.x", "messages[0]." * 100, "m" * 300),
    ],
)
def test_a_field_that_was_not_sent_is_not_named(param: str) -> None:
    assert status_error(400, {}, error_body(param=param), SENT).param is None
    assert status_error(400, {}, error_body(param=param)).param is None


@pytest.mark.parametrize(
    "param",
    ["model", "messages", "messages[1].content", "messages.1.content", "messages.[1]", "tools[0].function.name"],
)
def test_a_field_that_was_sent_is_named(param: str) -> None:
    assert status_error(400, {}, error_body(param=param), SENT).param == param
    assert status_error(400, {}, error_body(param=param), b"no JSON").param is None


@pytest.mark.parametrize("code", ["org_4fzq8k", "acme_internal", "sk_live"])
def test_a_code_that_is_not_known_is_dropped(code: str) -> None:
    assert status_error(400, {}, error_body(code=code)).code is None
    assert status_error(400, {}, error_body(code="unsupported_parameter")).code == "unsupported_parameter"


async def test_payloads_wait_for_nobody() -> None:
    """The first event is handed on while the second has not been sent."""
    release = asyncio.Event()

    class Gated:
        status, headers = 200, dict[str, str]()
        sent = 0

        async def read_some(self) -> bytes:
            self.sent += 1
            if self.sent == 2:
                await release.wait()
            return b"data: %d\n\n" % self.sent if self.sent < 3 else b""

    payloads: AsyncIterator[bytes] = sse_payloads(Gated(), Timeouts())
    async with asyncio.timeout(30):
        assert await anext(payloads) == b"1"
        release.set()
        assert await anext(payloads) == b"2"
        assert await anext(payloads, None) is None
