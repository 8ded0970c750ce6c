"""What went wrong with budgets and bills in another gateway, LiteLLM, each by the number of its issue or pull request.

The races among them are in tests/concurrency/test_known_budget_bugs.py. That every route holds money, which #26672,
#23714, #11083 and PR #9658 are about, is in test_billable_routes.py; that a price typed per token is refused (#20615),
in tests/unit/catalog/test_compile.py.
"""

import asyncio
import json
from typing import Any

import pytest

from aig.catalog.model import builtin
from aig.modalities.usage import Usage
from aig.money.hold import Bid, Bounds, worst_case
from aig.money.pricing import charge
from aig.wiring import Container
from tests.apps import App, events, serving
from tests.builders import an_account, debits_of, wallet_of
from tests.integration.test_settling import GPT, TEN_DOLLARS, TEN_IN_FIVE_OUT, sent_request, settled
from tests.upstream import DONE, FakeUpstream, Script, chunk, completion, stream, usage_chunk


@pytest.mark.parametrize("left_after", [0, 1, 3], ids=["before the first", "after one", "after three"])
async def test_14457_13245_35958_a_client_that_hangs_up_pays_for_all_that_was_generated(
    openai_chat: App, upstream: FakeUpstream, container: Container, left_after: int
) -> None:
    """Also PR #33736, #37558, #36008, #39893: nothing, or a part, was billed."""
    account, go_on = await an_account(container), asyncio.Event()
    words = ["one", " two", " three", " four", " five"]
    pieces = stream(*words, before_last=lambda: [go_on])
    upstream.script = Script(200, pieces if left_after else [go_on, *pieces])
    async with asyncio.timeout(30), serving(openai_chat.module.app) as port:
        reader, writer = await sent_request(port, account, stream=True)
        if left_after:
            await reader.readuntil(json.dumps(words[left_after - 1]).encode())
        else:
            await upstream.arrived.wait()
        writer.transport.abort()
        go_on.set()
        await settled(container, account)
    (debit,) = await debits_of(container, account)
    assert (debit["amount"], debit["estimated"]) == (TEN_IN_FIVE_OUT, False)


async def test_37992_a_usage_of_zero_is_zero_and_no_usage_is_estimated(chat: App, container: Container) -> None:
    account = await an_account(container)
    zero = await chat.ask(account, model="sandbox/zero-usage")
    absent = await chat.ask(account, model="sandbox/no-usage")
    assert (zero.json()["usage"]["cost"], zero.headers["x-aig-cost"]) == ("0.00", "0.00")
    assert absent.json()["usage"]["estimated"]
    assert absent.headers["x-aig-cost"] != "0.00"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "stream"])
async def test_11789_9812_40006_5443_cached_tokens_cost_their_own_price_and_once(
    openai_chat: App, upstream: FakeUpstream, container: Container, streamed: bool
) -> None:
    account = await an_account(container)
    if streamed:
        told = usage_chunk(1000, 10, cached=800)
        upstream.script = Script(200, [chunk("one"), chunk(finish_reason="stop"), told, DONE])
    else:
        upstream.script = Script(200, [completion("one", prompt_tokens=1000, completion_tokens=10, cached=800)])
    answer = await openai_chat.ask(account, model=GPT, stream=streamed)
    assert answer.status_code == 200
    if streamed:
        events(answer)
    (debit,) = await debits_of(container, account)
    # 200 fresh at 0.40, 800 cached at 0.10 and 10 written at 1.60 USD a million, and five per cent.
    assert debit["amount"] == (200 * 400 + 800 * 100 + 10 * 1600) * 105 // 100


async def test_42663_the_last_usage_of_a_stream_counts(
    openai_chat: App, upstream: FakeUpstream, container: Container
) -> None:
    """What is told at the start of a stream leaves out what tools and reasoning add."""
    account = await an_account(container)
    pieces = [usage_chunk(10, 0), chunk("one"), chunk(finish_reason="stop"), usage_chunk(10, 5), DONE]
    upstream.script = Script(200, pieces)
    events(await openai_chat.ask(account, model=GPT, stream=True))
    assert [debit["amount"] for debit in await debits_of(container, account)] == [TEN_IN_FIVE_OUT]


def _offer(slug: str, provider: str) -> Any:
    return next(offer for offer in builtin().model(slug).offers if offer.provider.name == provider)


def test_pr_31724_an_hours_cache_write_is_dearer_than_five_minutes() -> None:
    prices = _offer("anthropic/claude-opus-4.7", "anthropic").prices
    short = charge(Usage({"cache_write_tokens": 1_000_000}), prices)
    long = charge(Usage({"cache_write_1h_tokens": 1_000_000}), prices)
    assert long * 5 == short * 8  # 2 x and 1.25 x of the input


def test_pr_40002_a_hold_covers_the_tier_and_the_length_that_a_call_may_turn_out_to_have() -> None:
    prices = _offer("openai/gpt-5.4", "openai").prices
    hold = worst_case([Bid(Bounds(300_000, 1000), prices, "priority")]).amount
    for tier in (None, "priority", "flex"):
        for prompt in (1000, 272_000, 272_001, 300_000):
            assert charge(Usage({"input_tokens": prompt, "output_tokens": 1000}, service_tier=tier), prices) <= hold


async def test_27639_40050_a_failed_call_leaves_nothing_held(chat: App, container: Container) -> None:
    account = await an_account(container)
    for model in ("fail-500", "fail-429", "fail-malformed", "fail-empty", "fail-reset", "cut"):
        for streamed in (False, True):
            await chat.ask(account, model=f"sandbox/{model}", stream=streamed)
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)
