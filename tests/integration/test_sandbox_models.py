"""Every `sandbox/*` model, streamed and not: the answer, and the wallet to the nano-dollar."""

import asyncio
import time
from typing import Any, Final

import httpx
import pytest

from aig.catalog import model as catalog
from aig.wiring import Container
from tests.apps import App, catalog_with, events, said
from tests.builders import PROMPT, Account, a_key, an_account, debits_of, holds_of, losses_of, wallet_of
from tests.logs import Log

TEN_DOLLARS: Final = 10 * 10**9
ONE_WORD: Final = 5_250
PROMPT_BYTES: Final = len(f'[{{"role":"user","content":"{PROMPT}"}}]')

U: Final = (502, "provider_error", "provider_unavailable")
FAILURES: Final = {
    "sandbox/fail-429": (429, "rate_limit_error", "upstream_rate_limited"),
    "sandbox/fail-500": U,
    "sandbox/fail-503": U,
    "sandbox/fail-529": U,
    "sandbox/fail-401": U,
    "sandbox/fail-reset": U,
    "sandbox/fail-malformed": U,
    "sandbox/fail-empty": U,
    "sandbox/fail-timeout": (504, "timeout_error", "upstream_timeout"),
}
TESTED_BELOW: Final = {
    *("sandbox/echo", "sandbox/fail-once-429", "sandbox/fail-once-500", "sandbox/cut", "sandbox/stall"),
    *("sandbox/slow", "sandbox/no-usage", "sandbox/zero-usage"),
}
# At endpoints of their own.
TESTED_ELSEWHERE: Final = {
    *("sandbox/classify", "sandbox/detect", "sandbox/embed", "sandbox/image", "sandbox/moderate", "sandbox/ocr"),
    *("sandbox/rerank", "sandbox/speech", "sandbox/transcribe", "sandbox/translate"),
    *("sandbox/video", "sandbox/music", "sandbox/3d", "sandbox/video-fail"),
}
STREAMED: Final = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture
def impatient(chat: App) -> App:
    """The chat function with little patience for its providers."""
    chat.replace(catalog=catalog_with({"sandbox": {"first_byte": 0.2, "idle": 0.2, "total": 0.3}}))
    return chat


async def untouched(container: Container, account: Account) -> bool:
    """Whether nothing was charged and nothing is held."""
    wallet = await wallet_of(container, account)
    holds = await holds_of(container, account)
    assert await debits_of(container, account) == []
    assert {hold["phase"] for hold in holds} <= {"void"}
    return (wallet.available, wallet.held) == (TEN_DOLLARS, 0)


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["type"], error["code"]


def test_all_sandbox_models_are_tested() -> None:
    known = {slug for slug, model in catalog.builtin().models.items() if model.sandbox}
    assert known == set(FAILURES) | TESTED_BELOW | TESTED_ELSEWHERE


@STREAMED
@pytest.mark.parametrize("model", FAILURES)
async def test_a_failure_is_ours_to_tell_and_costs_nothing(
    impatient: App, container: Container, logged: Log, model: str, stream: bool
) -> None:
    account = await an_account(container)
    response = await impatient.ask(account, model=model, stream=stream)
    assert refusal(response) == FAILURES[model]
    assert response.headers.get("retry-after") == ("1" if model == "sandbox/fail-429" else None)
    assert response.headers["x-aig-attempts"] in ("1", "3")  # as often as another attempt may help
    assert await untouched(container, account)
    assert await losses_of(container, account) == []
    assert logged.lines("ProviderKeyRefused") == []  # a tenant's test wakes nobody
    assert "ProviderKeyRefused" not in logged.metrics()


@STREAMED
@pytest.mark.parametrize("model", ["sandbox/fail-once-429", "sandbox/fail-once-500"])
async def test_the_first_attempt_of_each_key_and_session_fails_and_the_second_answers(
    chat: App, container: Container, model: str, stream: bool
) -> None:
    first = await an_account(container)
    second = await a_key(container, first.id)

    async def ask(account: Account, **headers: str) -> httpx.Response:
        return await chat.ask(account, model=model, stream=stream, headers=headers)

    seen = [
        (await ask(first)).headers["x-aig-attempts"],
        (await ask(first)).headers["x-aig-attempts"],
        (await ask(first, **{"x-sandbox-id": "another"})).headers["x-aig-attempts"],
        (await ask(first, **{"x-sandbox-id": "another"})).headers["x-aig-attempts"],
        (await ask(second)).headers["x-aig-attempts"],
    ]
    assert seen == ["2", "1", "2", "1", "2"]
    response = await ask(second)
    text = said(events(response)) if stream else response.json()["choices"][0]["message"]["content"]
    assert text == f"echo: {PROMPT}"
    assert (await wallet_of(container, first)).available == TEN_DOLLARS - 6 * ONE_WORD


def broken(response: httpx.Response, kind: str, code: str) -> None:
    """Checks a stream that has said three things and then told of its end, in the shape that clients raise on."""
    assert response.status_code == 200
    *pieces, last = events(response)
    assert len(pieces) == 3
    assert said(pieces) == f"echo: {PROMPT}"
    assert last["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
    error = last["error"]
    assert (error["type"], error["code"], error["param"]) == (kind, code, None)
    assert error["request_id"] == response.headers["x-request-id"]
    assert error["message"]
    assert last["id"] == pieces[0]["id"]


BROKEN: Final = [
    ("sandbox/cut", "provider_error", "provider_unavailable"),
    ("sandbox/stall", "timeout_error", "upstream_timeout"),
]


@pytest.mark.parametrize(("model", "kind", "code"), BROKEN)
async def test_a_broken_stream_is_the_platforms_loss(
    impatient: App, container: Container, model: str, kind: str, code: str
) -> None:
    account = await an_account(container)
    broken(await impatient.ask(account, model=model, stream=True), kind, code)
    assert await untouched(container, account)
    (loss,) = await losses_of(container, account)
    (hold,) = await holds_of(container, account)
    assert (loss["reason"], loss["model"], loss["provider"]) == ("broken_stream", model, "sandbox")
    assert loss["request_id"] == hold["sk"].partition("#")[2]
    # Nobody told the usage: four bytes a token, at 1.00 USD per million in and 2.00 out, without our fee.
    prompt, output = PROMPT_BYTES, len(f"echo: {PROMPT}")
    assert loss["amount"] == -(-prompt // 4) * 1_000 + -(-output // 4) * 2_000


@pytest.mark.parametrize(("model", "kind", "code"), BROKEN)
async def test_a_whole_answer_that_breaks_costs_nothing(
    impatient: App, container: Container, model: str, kind: str, code: str
) -> None:
    account = await an_account(container)
    response = await impatient.ask(account, model=model)
    assert refusal(response) == ({"provider_error": 502, "timeout_error": 504}[kind], kind, code)
    assert await untouched(container, account)


async def test_slow_is_slow_and_costs_what_echo_costs(chat: App, container: Container) -> None:
    account = await an_account(container)
    begun = time.monotonic()

    async def timed(stream: bool) -> tuple[float, Any]:
        response = await chat.ask(account, model="sandbox/slow", stream=stream)
        took = time.monotonic() - begun
        return took, said(events(response)) if stream else response.json()["choices"][0]["message"]["content"]

    async with asyncio.timeout(30):
        (whole, text), (streamed, pieces) = await asyncio.gather(timed(False), timed(True))
    assert text == pieces == f"echo: {PROMPT}"
    assert whole >= 2.0
    # Start, two words, end, usage, [DONE].
    assert streamed >= 2.0 + 5 * 0.2
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - 2 * ONE_WORD


@STREAMED
async def test_missing_usage_is_estimated_and_says_so(chat: App, container: Container, stream: bool) -> None:
    account = await an_account(container)
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    response = await chat.ask(account, model="sandbox/no-usage", **options)
    usage = events(response)[-1]["usage"] if stream else response.json()["usage"]
    prompt = -(-PROMPT_BYTES // 4)
    output = -(-len(f"echo: {PROMPT}") // 4)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt, output)
    assert usage["estimated"] is True
    charged = (prompt * 1_000 + output * 2_000) * 105 // 100
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - charged
    (debit,) = await debits_of(container, account)
    assert (debit["amount"], debit["estimated"]) == (charged, True)


@STREAMED
async def test_usage_of_zero_is_free(chat: App, container: Container, stream: bool) -> None:
    account = await an_account(container)
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    response = await chat.ask(account, model="sandbox/zero-usage", **options)
    usage = events(response)[-1]["usage"] if stream else response.json()["usage"]
    assert (usage["total_tokens"], usage["cost"]) == (0, "0.00")
    assert "estimated" not in usage
    assert (await wallet_of(container, account)).available == TEN_DOLLARS
    (debit,) = await debits_of(container, account)
    assert (debit["amount"], debit["estimated"]) == (0, False)
