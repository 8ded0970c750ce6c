"""A limit that covers k requests lets k through, however many come at once and from wherever."""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine
from dataclasses import asdict, replace
from typing import Any, TypeVar

import pytest

from aig.errors import BudgetExceeded
from aig.money.units import Nano
from aig.pipeline import complete_chat
from ops.books import violations
from tests.concurrency import processes
from tests.concurrency.core import OPTIONS, Core, Tenant, chat
from tests.concurrency.counted import Counted
from tests.concurrency.movements import a_hold
from tests.concurrency.spender import Job, spend
from tests.unit.clock import FixedClock

T = TypeVar("T")

RICH = 10**12
PROCESSES = 2
LOOK_EVERY_S = 0.1


async def price_of_one(core: Core) -> int:
    """What one of `spend`'s requests costs, and holds."""
    tenant = await core.tenant(RICH)
    answer = await complete_chat(core.container().gateway(Counted(to_the_limit=True)), tenant.caller, chat(), OPTIONS)
    (hold,) = (await core.books(tenant)).holds.values()
    assert hold["amount"] == hold["charged"] == answer.receipt.cost
    return int(hold["amount"])


async def watched(core: Core, work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; all books are audited again and again until it is there."""
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        task = group.create_task(work)
        while not task.done():
            assert violations(await core.rows()) == []
            await asyncio.wait([task], timeout=LOOK_EVERY_S)
    return task.result()


async def in_processes(core: Core, tenant: Tenant, *, tasks: int, requests: int) -> tuple[int, Counter[str]]:
    """`spend` in several processes that begin together: the calls of the provider, and how the requests ended."""
    job = json.dumps(asdict(Job(core.endpoint, core.table, tenant.account.key, tasks // PROCESSES, requests)))
    started = [await processes.start("tests.concurrency.spender", job) for _ in range(PROCESSES)]
    calls, outcomes = 0, Counter[str]()
    try:
        for process in started:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
        for said, _ in await asyncio.gather(*[process.communicate(b"go\n") for process in started]):
            its_calls, its_outcomes = json.loads(said)
            calls += its_calls
            outcomes.update(its_outcomes)
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return calls, outcomes


async def test_a_cap_for_100_lets_100_of_1280_through(core: Core) -> None:
    price = await price_of_one(core)
    tenant = await core.tenant(RICH, cap=100 * price + price - 1)
    gateways = core.gateways(upstream := Counted(to_the_limit=True))
    outcomes = await watched(core, spend(gateways, tenant.caller, tasks=64, requests=20))
    assert upstream.calls == 100
    assert outcomes.keys() <= {"answered", "spend_cap_reached", "in_flight_holds"}
    assert (outcomes["answered"], outcomes.total()) == (100, 1280)
    books = await core.books(tenant)
    assert (books.available, books.held) == (RICH - 100 * price, 0)
    assert books.used(tenant.caller.key_id) == 100 * price


async def test_a_wallet_for_40_lets_40_of_320_through_from_two_processes(core: Core) -> None:
    price = await price_of_one(core)
    tenant = await core.tenant(40 * price)
    calls, outcomes = await watched(core, in_processes(core, tenant, tasks=64, requests=5))
    assert calls == 40
    assert outcomes.keys() <= {"answered", "insufficient_balance", "in_flight_holds"}
    assert (outcomes["answered"], outcomes.total()) == (40, 320)
    books = await core.books(tenant)
    assert (books.available, books.held) == (0, 0)


async def test_a_rate_of_10_lets_10_of_128_through_in_its_minute(core: Core) -> None:
    tenant = await core.tenant(RICH, rpm=10)
    gateways = core.gateways(upstream := Counted(), clock=FixedClock(1_795_305_600))
    outcomes = await watched(core, spend(gateways, tenant.caller, tasks=64, requests=2))
    assert upstream.calls == 10
    assert outcomes == {"answered": 10, "rate_limit_exceeded": 118}


async def test_a_cap_whose_holds_come_back_is_never_crossed(core: Core) -> None:
    """Holds of many times the charge, cut to what is left: calls get in each other's way, not past the cap."""
    tenant = await core.tenant(RICH, cap=9_000_000)
    gateways = core.gateways(upstream := Counted())
    outcomes = await watched(core, spend(gateways, tenant.caller, tasks=16, requests=10, max_tokens=2000))
    books = await core.books(tenant)
    assert outcomes["answered"] == upstream.calls == len(books.debits) > 0
    assert outcomes.keys() <= {"answered", "spend_cap_reached", "in_flight_holds"}
    assert books.held == 0


@pytest.mark.parametrize("limit", ["wallet", "cap"])
async def test_who_waits_for_holds_of_others_is_told_to_wait(core: Core, limit: str) -> None:
    """What is in flight may come back: a refusal because of it is for now, and says for how long."""
    price = await price_of_one(core)
    tenant = await core.tenant(2 * price - 1) if limit == "wallet" else await core.tenant(RICH, cap=2 * price - 1)
    ports = core.container()
    await ports.wallets.take(replace(a_hold(tenant, 0), amount=Nano(price)), tenant.caller)
    with pytest.raises(BudgetExceeded) as refused:
        await complete_chat(ports.gateway(Counted()), tenant.caller, chat(), OPTIONS)
    assert refused.value.code == "in_flight_holds"
    assert refused.value.retry_after
