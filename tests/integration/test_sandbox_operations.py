"""The sandbox's other modalities through the metered call: failover, and the wallet to the nano-dollar."""

from dataclasses import replace
from typing import Any, Final

import pytest

from aig import pipeline
from aig.call import Options
from aig.errors import AIGError
from aig.keys import Caller
from aig.wiring import Container
from aig_providers.registry import Registry
from tests.builders import Account, an_account, debits_of, losses_of, wallet_of
from tests.unit.providers.operations import WHOLE, ask

TEN_DOLLARS: Final = 10 * 10**9
# In nano-dollars, with the fee of five per cent.
PRICES: Final = {
    "classify": 3 * 1_050,
    "detect": 10_500_000,
    "embed": 2 * 105,
    "image": 2 * 10_500_000,
    "moderate": 2 * 1_050,
    "ocr": 2 * 10_500_000,
    "rerank": 10_500_000,
    "transcribe": 4 * 10_500_000,
    "translate": 5 * 10_500,
}
each_operation = pytest.mark.parametrize("operation", WHOLE)


async def called(container: Container, account: Account, operation: str, *models: str) -> pipeline.Answer:
    gateway = container.gateway(Registry())
    caller = Caller(account.id, account.key_id, "name", "hint", frozenset({"inference"}))
    named: Any = {"model": models[0]} if operation == "embed" else {"models": models}
    request: Any = replace(WHOLE[operation], **named)
    options = Options("trace", cache="skip", session=f"{account.key_id}/")
    return await pipeline.operate(
        gateway, caller, request, options, lambda adapter, at: ask(adapter, operation, at, request)
    )


@each_operation
async def test_each_costs_what_its_row_says(container: Container, operation: str) -> None:
    account = await an_account(container)
    answer = await called(container, account, operation, f"sandbox/{operation}")
    assert answer.body["model"] == f"sandbox/{operation}"
    assert "estimated" not in answer.body["usage"]
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - PRICES[operation]
    (debit,) = await debits_of(container, account)
    assert (debit["amount"], debit["estimated"]) == (PRICES[operation], False)
    assert (await wallet_of(container, account)).held == 0


@pytest.mark.parametrize("operation", [name for name in WHOLE if name != "embed"])  # which is asked of one model
async def test_another_model_answers_where_one_fails(container: Container, operation: str) -> None:
    account = await an_account(container)
    answer = await called(container, account, operation, "sandbox/fail-500", f"sandbox/{operation}")
    assert (answer.receipt.model, answer.receipt.attempts) == (f"sandbox/{operation}", 2)
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - PRICES[operation]
    assert await losses_of(container, account) == []


@each_operation
async def test_a_failure_costs_nothing(container: Container, operation: str) -> None:
    account = await an_account(container)
    with pytest.raises(AIGError) as raised:
        await called(container, account, operation, "sandbox/fail-malformed")
    assert raised.value.code == "provider_unavailable"
    wallet = await wallet_of(container, account)
    assert (wallet.available, wallet.held) == (TEN_DOLLARS, 0)


@each_operation
async def test_the_second_attempt_of_fail_once_answers_and_is_paid_for(container: Container, operation: str) -> None:
    account = await an_account(container)
    answer = await called(container, account, operation, "sandbox/fail-once-500")
    assert (answer.receipt.model, answer.receipt.attempts) == ("sandbox/fail-once-500", 2)
    price = 2 * 1_050 if operation == "embed" else PRICES[operation]
    assert (await wallet_of(container, account)).available == TEN_DOLLARS - price
