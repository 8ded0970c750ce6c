"""Rows 111 and 116 to 124: what providers do, and what the caller sees and pays of it."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pytest

from aig.wiring import Container
from tests.apps import App, catalog_with, events, said
from tests.builders import PROMPT, PROVIDER_KEY, an_account, debits_of, losses_of, wallet_of
from tests.integration.bad_inputs.case import B, G, R, Refusal, U
from tests.logs import Log
from tests.upstream import DONE, FakeUpstream, Piece, Script, chunk, completion, stream, usage_chunk

TEN_DOLLARS: Final = 10 * 10**9
GPT: Final = "openai/gpt-4.1-mini"
SECRETS: Final = f"Incorrect API key provided: {PROVIDER_KEY}. You said: {PROMPT}. org-12345"


def _error(status: int, code: str | None = None, param: str | None = None, **headers: str) -> Script:
    """An error of OpenAI's API that tells what nobody else should know."""
    body = {"error": {"message": SECRETS, "type": "invalid_request_error", "code": code, "param": param}}
    return Script(status, [json.dumps(body).encode()], headers)


@dataclass(frozen=True)
class Case:
    """A provider's answer, and what becomes of it. `alarm`: the operator is told that our key was refused."""

    row: int
    what: str
    script: Script
    expected: Refusal
    code: str
    headers: dict[str, str] = field(default_factory=dict)
    alarm: bool = False


_WHOLE = completion("Paris")
UNAVAILABLE: Final = "provider_unavailable"

CASES = [
    *[Case(111, f"{status} tells secrets", _error(status), U, UNAVAILABLE) for status in (500, 503, 529)],
    Case(111, "400 tells secrets", _error(400), B, "invalid_value"),
    Case(111, "400 tells secrets in its code", _error(400, PROVIDER_KEY, PROVIDER_KEY), B, "invalid_value"),
    Case(116, "500", Script(500, [b"oops"]), U, UNAVAILABLE),
    Case(117, "HTML", Script(200, [b"<html>Welcome</html>"], {"content-type": "text/html"}), U, UNAVAILABLE),
    Case(118, "empty", Script(200), U, UNAVAILABLE),
    Case(118, "truncated", Script(200, [_WHOLE[:-20]]), U, UNAVAILABLE),
    Case(118, "cut", Script(200, [_WHOLE[:-20]], {"content-length": str(len(_WHOLE))}, cut=True), U, UNAVAILABLE),
    Case(118, "no choices", Script(200, [b'{"choices": []}']), U, UNAVAILABLE),
    Case(118, "not an object", Script(200, [b"[1]"]), U, UNAVAILABLE),
    Case(118, "a redirect", Script(302, headers={"location": "http://169.254.169.254/"}), U, UNAVAILABLE),
    *[Case(119, f"{s}", _error(s), U, UNAVAILABLE, alarm=True) for s in (401, 402)],
    Case(119, "403 of our key", _error(403, "account_deactivated"), U, UNAVAILABLE, alarm=True),
    Case(119, "403 of the prompt", _error(403, "content_policy_violation"), B, "content_policy_violation"),
    Case(119, "429 quota", _error(429, "insufficient_quota"), U, UNAVAILABLE, alarm=True),
    Case(120, "429", _error(429), R, "upstream_rate_limited", {"retry-after": "1"}),
    Case(120, "429, 25 s", _error(429, **{"retry-after": "24.5"}), R, "upstream_rate_limited", {"retry-after": "25"}),
    Case(121, "too long", _error(400, "context_length_exceeded", "messages"), B, "context_length_exceeded"),
]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.row}-{case.what}")
async def test_a_provider_that_fails_costs_nothing_and_tells_nothing(
    openai_chat: App, upstream: FakeUpstream, container: Container, logged: Log, case: Case, streamed: bool
) -> None:
    account = await an_account(container)
    upstream.script = case.script
    response = await openai_chat.ask(account, model=GPT, stream=streamed)
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == case.expected
    assert set(error) == {"message", "type", "code", "param", "request_id"}
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["code"] == case.code
    assert case.headers.items() <= dict(response.headers).items()
    for secret in (PROVIDER_KEY, PROMPT, "org-12345", "api.openai.com", upstream.base_url):
        assert secret not in response.text
    asked_once = case.expected == B or case.alarm or "25 s" in case.what  # nothing that asking again could mend
    assert len(upstream.asked) == (1 if asked_once else 3)
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    assert await debits_of(container, account) == []
    assert bool(logged.lines("ProviderKeyRefused")) == case.alarm


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_122_a_silent_provider_is_a_504(
    openai_chat: App, upstream: FakeUpstream, container: Container, streamed: bool
) -> None:
    account = await an_account(container)
    openai_chat.replace(catalog=catalog_with({"openai": {"first_byte": 0.2, "total": 0.2}}))
    upstream.script = Script(200, [asyncio.Event()])
    response = await openai_chat.ask(account, model=GPT, stream=streamed)
    assert (response.status_code, response.json()["error"]["type"]) == G
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)


_STREAM_ERROR = b'data: {"error": {"message": "' + SECRETS.encode() + b'", "type": "server_error"}}\n\n'


@pytest.mark.parametrize(
    "script",
    [
        Script(200, [chunk("one"), chunk(" two")], cut=True),
        Script(200, [chunk("one"), chunk(" two")]),
        Script(200, [chunk("one"), chunk(" two"), usage_chunk()]),
        Script(200, [chunk("one"), chunk(" two"), DONE]),
        Script(200, [chunk("one"), chunk(" two"), _STREAM_ERROR]),
        Script(200, [chunk("one"), chunk(" two"), b"data: <html>\n\n"]),
        Script(200, [chunk("one"), chunk(" two"), b"data: " + b"x" * 9_000_000]),
    ],
    ids=["reset", "ended", "ended-after-usage", "done-unfinished", "error-event", "not-json", "endless-line"],
)
async def test_123_a_stream_that_breaks_says_so_and_costs_nothing(
    openai_chat: App, upstream: FakeUpstream, container: Container, script: Script
) -> None:
    account = await an_account(container)
    upstream.script = script
    response = await openai_chat.ask(account, model=GPT, stream=True, stream_options={"include_usage": True})
    assert response.status_code == 200
    *pieces, last = events(response)
    assert said(pieces) == "one two"
    assert last["choices"][0]["finish_reason"] == "error"
    assert set(last["error"]) == {"message", "type", "code", "param", "request_id"}
    assert last["error"]["request_id"] == response.headers["x-request-id"]
    for secret in (PROVIDER_KEY, PROMPT, "org-12345"):
        assert secret not in response.text
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
    assert await debits_of(container, account) == []
    assert [loss["reason"] for loss in await losses_of(container, account)] == ["broken_stream"]


def _pieces(whole: Sequence[Piece], size: int) -> list[Piece]:
    """The same bytes, cut anywhere."""
    joined = b"".join(piece for piece in whole if isinstance(piece, bytes))
    return [joined[start : start + size] for start in range(0, len(joined), size)]


_LONG_WORD: Final = "é" * 500_000
_WORDS: Final = ("naïve", " 東京", " 🗼")


def _utf_8(pieces: Sequence[Piece]) -> list[Piece]:
    """The same events without JSON's escapes, so that characters take several bytes."""
    plain: list[Piece] = []
    for piece in pieces:
        assert isinstance(piece, bytes)
        prefix, _, payload = piece.partition(b" ")
        if payload.startswith(b"{"):
            piece = prefix + b" " + json.dumps(json.loads(payload), ensure_ascii=False).encode() + b"\n\n"  # noqa: PLW2901
        plain.append(piece)
    return plain


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (stream(_LONG_WORD), _LONG_WORD),
        (_pieces(_utf_8(stream(*_WORDS)), 1), "".join(_WORDS)),
        (_pieces(_utf_8(stream(*_WORDS)), 7), "".join(_WORDS)),
        ([piece.replace(b"\n", b"\r") for piece in stream(*_WORDS) if isinstance(piece, bytes)], "".join(_WORDS)),
        ([piece.replace(b"\n", b"\r\n") for piece in stream(*_WORDS) if isinstance(piece, bytes)], "".join(_WORDS)),
        ([b": hello\n\nevent: message\nid: 7\nretry: 1\n", *stream(*_WORDS)], "".join(_WORDS)),
        (stream(*_WORDS)[:-1], "".join(_WORDS)),
    ],
    ids=["1-MB-line", "byte-by-byte", "seven-bytes", "bare-CR", "CRLF", "comments-and-fields", "no-DONE"],
)
async def test_124_odd_streams_are_relayed(
    openai_chat: App, upstream: FakeUpstream, container: Container, pieces: Sequence[Piece], text: str
) -> None:
    account = await an_account(container)
    upstream.script = Script(200, pieces, {"content-type": "text/event-stream"})
    response = await openai_chat.ask(account, model=GPT, stream=True)
    assert said(events(response)) == text
    (debit,) = await debits_of(container, account)
    # Ten tokens in at 0.40 USD a million, five out at 1.60, and five per cent.
    assert (debit["amount"], debit["estimated"]) == (12_600, False)


async def test_124_invalid_utf_8_is_no_500(openai_chat: App, upstream: FakeUpstream, container: Container) -> None:
    account = await an_account(container)
    upstream.script = Script(200, [chunk("one"), chunk("two").replace(b"two", b"t\xff\xfe"), *stream(" three")])
    response = await openai_chat.ask(account, model=GPT, stream=True)
    assert response.status_code == 200
    assert said(events(response)).startswith("one")
    assert (await wallet_of(container, account)).held == 0


async def test_what_is_sent_to_a_provider(openai_chat: App, upstream: FakeUpstream, container: Container) -> None:
    """Its own model id, its key and its field for the limit; the caller's fields, but none of the caller's secrets."""
    account = await an_account(container)
    upstream.script = Script(200, [completion("Paris")])
    await openai_chat.ask(
        account, model=GPT, max_tokens=7, temperature=0.5, verbosity="low", provider={"only": ["openai"]},
        headers={"x-aig-tag": "secret-tag", "cookie": "a=b"},
    )  # fmt: skip
    (asked,) = upstream.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert asked.body == {
        "model": "gpt-4.1-mini",
        "messages": [{"role": "user", "content": PROMPT}],
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "verbosity": "low",
    }
    assert account.key not in str(asked)
    assert "secret-tag" not in str(asked)
    assert "cookie" not in asked.headers
