"""What a key and a wallet allow: scopes, models, rates, caps, balances, and who shares them."""

import asyncio
import json
import time
from typing import Any, Final

import httpx
import pytest

from aig.money.units import Nano, parse_usd
from aig.wiring import Container
from tests.apps import App, events
from tests.builders import Account, a_key, an_account, debits_of, holds_of, wallet_of
from tests.unit.clock import FixedClock
from tests.upstream import FakeUpstream, Script, completion

ONE_WORD: Final = 5_250
NOON: Final = 1_795_348_800.0  # a full minute


def refusal(response: httpx.Response) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["type"], error["code"]


async def key_of(accounts: App, account: Account) -> dict[str, Any]:
    """What GET /v1/key tells the key's owner."""
    response = await accounts.client.get("/v1/key", headers=account.authorization)
    assert response.status_code == 200
    body: dict[str, Any] = response.json()
    return body


async def nothing_happened(container: Container, account: Account, balance: str) -> None:
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (parse_usd(balance), 0)
    assert await debits_of(container, account) == []


async def test_a_key_without_the_scope_is_refused(chat: App, accounts: App, container: Container) -> None:
    reader = await an_account(container, scopes=["usage:read"])
    runner = await a_key(container, reader.id, scopes=["inference"])
    assert refusal(await chat.ask(reader)) == (403, "permission_error", "insufficient_scope")
    wallet = await accounts.client.get("/v1/wallet", headers=runner.authorization)
    assert refusal(wallet) == (403, "permission_error", "insufficient_scope")
    assert (await chat.ask(runner)).status_code == 200
    assert (await key_of(accounts, runner))["scopes"] == ["inference"]


async def test_a_key_may_use_its_models_only(chat: App, container: Container) -> None:
    account = await an_account(container, allowed_models=["sandbox/fail-*", "openai/*"])
    assert refusal(await chat.ask(account)) == (403, "permission_error", "model_not_allowed")
    assert (await chat.ask(account, model="sandbox/fail-500")).status_code == 502
    await nothing_happened(container, account, "10.00")


async def test_a_revoked_key_is_refused_by_whoever_has_not_just_seen_it(chat: App, container: Container) -> None:
    account = await an_account(container)
    other = await a_key(container, account.id)
    await container.keys.revoke_key(account.id, account.key_id)
    assert refusal(await chat.ask(account)) == (401, "authentication_error", "invalid_api_key")
    assert (await chat.ask(other)).status_code == 200


async def test_a_key_expires_on_the_second(chat: App, container: Container) -> None:
    account = await an_account(container, expires_at=int(time.time()))
    other = await a_key(container, account.id, expires_at=int(time.time()) + 600)
    assert refusal(await chat.ask(account)) == (401, "authentication_error", "invalid_api_key")
    assert (await chat.ask(other)).status_code == 200


async def test_the_rate_of_a_key_is_counted_by_the_minute(chat: App, container: Container) -> None:
    account = await an_account(container, rpm=2)
    unlimited = await a_key(container, account.id)
    clock = FixedClock(NOON + 18)
    chat.replace(clock=clock)
    assert [(await chat.ask(account)).status_code for _ in range(2)] == [200, 200]
    refused = await chat.ask(account)
    assert refusal(refused) == (429, "rate_limit_error", "rate_limit_exceeded")
    assert refused.headers["retry-after"] == "42"
    assert (await chat.ask(unlimited)).status_code == 200
    clock.time += 42
    assert (await chat.ask(account)).status_code == 200
    assert len(await holds_of(container, account)) == 4
    assert (await wallet_of(container, account)).held == 0


async def test_an_empty_wallet_refuses(chat: App, container: Container) -> None:
    account = await an_account(container, "0")
    response = await chat.ask(account)
    assert refusal(response) == (402, "budget_exceeded", "insufficient_balance")
    assert "retry-after" not in response.headers
    assert await holds_of(container, account) == []


async def test_a_cap_refuses_what_it_does_not_cover(chat: App, accounts: App, container: Container) -> None:
    account = await an_account(container, cap=Nano(1_000_000))
    response = await chat.ask(account)
    assert refusal(response) == (402, "budget_exceeded", "spend_cap_reached")
    assert "retry-after" not in response.headers
    await nothing_happened(container, account, "10.00")
    assert await holds_of(container, account) == []
    key = await key_of(accounts, account)
    assert (key["spent"], key["remaining"]) == ("0.00", "0.001")


@pytest.mark.parametrize("limit", ["cap", "balance"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_answer_is_cut_to_what_can_be_afforded(
    chat: App, accounts: App, container: Container, limit: str, stream: bool
) -> None:
    room = 9_000_000
    account = await (
        an_account(container, cap=Nano(room)) if limit == "cap" else an_account(container, balance="0.009")
    )
    response = await chat.ask(account, "a " * 3_000, stream=stream)
    choice = (events(response)[-1] if stream else response.json())["choices"][0]
    assert choice["finish_reason"] == "length"
    (debit,) = await debits_of(container, account)
    units = json.loads(debit["units"])
    # The input's bytes and 528 of overhead are held as tokens; the rest buys words.
    bound = len(f'{{"messages":[{{"role":"user","content":"{"a " * 3_000}"}}]}}') + 528
    assert units == {**units, "input_tokens": 3_000, "output_tokens": (room - bound * 1_050) // 2_100}
    assert debit["amount"] <= room
    key = await key_of(accounts, account)
    assert parse_usd(key["spent"]) == debit["amount"]
    if limit == "cap":
        assert parse_usd(key["remaining"]) == room - debit["amount"]
    assert (await wallet_of(container, account)).held == 0


async def test_a_cap_is_never_crossed(chat: App, accounts: App, container: Container) -> None:
    account = await an_account(container, cap=Nano(9_000_000))
    seen = []
    while (response := await chat.ask(account, "a " * 1_000)).status_code == 200:
        seen.append(parse_usd(response.json()["usage"]["cost"]))
        assert len(seen) < 20
    assert refusal(response) == (402, "budget_exceeded", "spend_cap_reached")
    key = await key_of(accounts, account)
    assert parse_usd(key["spent"]) == sum(seen) <= 9_000_000
    assert parse_usd(key["remaining"]) == 9_000_000 - sum(seen)


async def test_a_cap_that_fits_a_short_answer_serves_it(chat: App, container: Container) -> None:
    account = await an_account(container, cap=Nano(1_000_000))
    response = await chat.ask(account, max_tokens=10)
    assert response.status_code == 200
    assert (await wallet_of(container, account)).available == 10 * 10**9 - ONE_WORD


async def test_holds_in_flight_are_waited_for(openai_chat: App, upstream: FakeUpstream, container: Container) -> None:
    # A hold is 16,384 tokens at 1.60 USD a million and five per cent, and what the prompt may cost: 0.0278 USD.
    account = await an_account(container, "0.0280")
    go_on = asyncio.Event()
    upstream.script = Script(200, [go_on, completion("Paris")])
    first = asyncio.create_task(openai_chat.ask(account, model="openai/gpt-4.1-mini"))
    async with asyncio.timeout(20):
        await upstream.arrived.wait()
        held = await wallet_of(container, account)
        refused = await openai_chat.ask(account, model="openai/gpt-4.1-mini")
        go_on.set()
        assert (await first).status_code == 200
    assert refusal(refused) == (402, "budget_exceeded", "in_flight_holds")
    assert int(refused.headers["retry-after"]) >= 1
    assert held.held > 27_000_000
    assert (await openai_chat.ask(account, model="openai/gpt-4.1-mini")).status_code == 200
    assert len(upstream.asked) == 2


async def test_two_keys_share_a_wallet_and_nothing_else(chat: App, accounts: App, container: Container) -> None:
    first = await an_account(container)
    second = await a_key(container, first.id, title="second", rpm=60)
    stranger = await an_account(container, "5.00")
    await chat.ask(first)
    await chat.ask(second)
    await chat.ask(second)

    async def wallet(account: Account) -> Any:
        return (await accounts.client.get("/v1/wallet", headers=account.authorization)).json()

    assert await wallet(first) == await wallet(second)
    assert await wallet(first) == {
        "object": "wallet",
        "balance": "9.99998425",
        "in_flight": "0.00",
        "currency": "usd",
        "low_balance_threshold": "1.00",
    }
    assert (await wallet(stranger))["balance"] == "5.00"
    keys = [await key_of(accounts, key) for key in (first, second, stranger)]
    assert [key["spent"] for key in keys] == ["0.00000525", "0.0000105", "0.00"]
    assert [key["name"] for key in keys] == ["default", "second", "default"]
    assert [key["rpm"] for key in keys] == [None, 60, None]
    assert all(key["hint"].startswith("sk-aig-") and len(key["hint"]) < 20 for key in keys)
