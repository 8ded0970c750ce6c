"""Equal requests at once make one call of a provider, from wherever they come and whatever becomes of who leads."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

import pytest

from aig import stream
from aig.caching import LEASE_S
from aig.call import Gateway, Receipt
from aig.catalog.model import Provider
from aig.errors import AIGError, UpstreamError
from aig.keys import Caller
from aig.modalities import embed_body
from aig.modalities.chat import ChatChunk, ChatRequest, ChatResult
from aig.modalities.embed import EmbedAdapter, EmbedResult
from aig.modalities.upstream import Upstream
from aig.pipeline import Answer, complete_chat, operate
from aig.ports import Adapter, StoreBusy
from aig_providers.registry import Registry
from tests.builders import a_key
from tests.concurrency import processes
from tests.concurrency.core import OPTIONS, Core, chat
from tests.concurrency.counted import Counted
from tests.concurrency.crash import Job
from tests.concurrency.fault_proxy import DENIED, LOST_REPLY, THROTTLED, Fault, Proxy, for_good
from tests.unit.clock import FixedClock

RICH: Final = 10**12
AT_ONCE: Final = 50
GUARD_S: Final = 60


class Directed:
    """The real adapters, but each call first asks `direct`, with its number from 1, whether it may go on."""

    def __init__(self, direct: Any) -> None:
        self.calls = 0
        self._direct = direct
        self._registry = Registry()

    def get(self, provider: Provider) -> Adapter:
        real = self._registry.get(provider)
        return cast("Adapter", _DirectedAdapter(_DirectedChat(self, real), real.embed))

    async def asked(self) -> None:
        self.calls += 1
        await self._direct(self.calls)


@dataclass(frozen=True, slots=True)
class _DirectedAdapter:
    chat: "_DirectedChat"
    embed: EmbedAdapter


@dataclass(frozen=True, slots=True)
class _DirectedChat:
    directed: Directed
    real: Adapter

    async def complete(self, upstream: Upstream, request: ChatRequest, max_output_tokens: int) -> ChatResult:
        await self.directed.asked()
        return await self.real.chat.complete(upstream, request, max_output_tokens)

    async def stream(
        self, upstream: Upstream, request: ChatRequest, max_output_tokens: int
    ) -> AsyncGenerator[ChatChunk, None]:
        await self.directed.asked()
        async for chunk in self.real.chat.stream(upstream, request, max_output_tokens):
            yield chunk


async def ask(gateway: Gateway, caller: Caller, *, streamed: bool = False, seed: int = 1) -> Receipt:
    request = chat(seed=seed, stream=streamed)
    if not streamed:
        return (await complete_chat(gateway, caller, request, OPTIONS)).receipt
    answer = await stream.run(gateway, caller, request, OPTIONS)
    chunks = [chunk async for chunk in answer.chunks]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    return answer.receipt


async def all_at_once(gateways: Sequence[Gateway], caller: Caller, **more: Any) -> Counter[str]:
    """How they ended: what the cache was said to do, or the error's code."""

    async def one(at: int) -> str:
        try:
            return (await ask(gateways[at % len(gateways)], caller, **more)).cache
        except AIGError as error:
            return error.code

    async with asyncio.timeout(GUARD_S):
        return Counter(await asyncio.gather(*[one(at) for at in range(AT_ONCE)]))


@pytest.mark.parametrize("environments", [1, 4])
@pytest.mark.parametrize("streamed", [False, True])
async def test_fifty_at_once_make_one_call(core: Core, environments: int, streamed: bool) -> None:
    tenant = await core.tenant(RICH, cap=RICH, rpm=1_000)
    gateways = core.gateways(upstream := Counted())[:environments]
    assert await all_at_once(gateways, tenant.caller, streamed=streamed) == {"miss": 1, "hit": AT_ONCE - 1}
    assert upstream.calls == 1
    books = await core.books(tenant)
    (full,) = [row for row in books.debits if not row["cache_hit"]]
    hits = [row for row in books.debits if row["cache_hit"]]
    assert len(hits) == AT_ONCE - 1
    assert {10 * row["amount"] for row in hits} == {full["amount"]}
    spent = sum(row["amount"] for row in books.debits)
    assert (books.available, books.held) == (RICH - spent, 0)
    assert books.phases() == {"posted": AT_ONCE}
    assert core.alarms.raised == []


async def test_fifty_embeddings_at_once_make_one_answer(core: Core) -> None:
    tenant = await core.tenant(RICH)
    gateways = core.gateways(Counted())
    request = embed_body.parse({"model": "sandbox/embed", "input": ["one", "two"]})

    def ask(adapter: Adapter, upstream: Upstream) -> Awaitable[EmbedResult]:
        return adapter.embed.embed(upstream, request)

    answers: list[Answer] = await asyncio.gather(
        *[operate(gateways[at % 4], tenant.caller, request, OPTIONS, ask) for at in range(AT_ONCE)]
    )
    assert Counter(answer.receipt.cache for answer in answers) == {"miss": 1, "hit": AT_ONCE - 1}
    assert all(answer.body["data"] == answers[0].body["data"] for answer in answers)


async def test_tenants_do_not_wait_for_each_other(core: Core) -> None:
    tenants = [await core.tenant(RICH) for _ in range(4)]
    gateways = core.gateways(upstream := Counted())
    receipts = await asyncio.gather(*[ask(gateways[0], tenant.caller) for tenant in tenants])
    assert [receipt.cache for receipt in receipts] == ["miss"] * 4
    assert upstream.calls == 4


async def test_a_cap_for_20_hits_lets_20_of_50_through(core: Core) -> None:
    tenant = await core.tenant(RICH)
    gateways = core.gateways(upstream := Counted())
    price = ((await ask(gateways[0], tenant.caller)).cost or 0) // 10
    capped = await core.caller((await a_key(core.container(), tenant.id, cap=20 * price + price - 1)).key)
    assert await all_at_once(gateways, capped) == {"hit": 20, "spend_cap_reached": AT_ONCE - 20}
    assert upstream.calls == 1
    assert (await core.books(tenant)).used(capped.key_id) == 20 * price


async def test_a_rate_of_10_lets_10_of_50_hits_through(core: Core) -> None:
    tenant = await core.tenant(RICH)
    gateways = core.gateways(upstream := Counted(), clock=FixedClock(1_795_305_600))
    await ask(gateways[0], tenant.caller)
    limited = await core.caller((await a_key(core.container(), tenant.id, rpm=10)).key)
    assert await all_at_once(gateways, limited) == {"hit": 10, "rate_limit_exceeded": AT_ONCE - 10}
    assert upstream.calls == 1


@pytest.mark.parametrize("environments", [1, 4])
async def test_who_leads_and_fails_is_followed_by_the_next(core: Core, environments: int) -> None:
    async def direct(number: int) -> None:
        if number == 1:
            raise UpstreamError("rejected", status=400, code="bad")

    tenant = await core.tenant(RICH)
    gateways = core.gateways(upstream := Directed(direct))[:environments]
    assert await all_at_once(gateways, tenant.caller) == {"bad": 1, "miss": 1, "hit": AT_ONCE - 2}
    assert upstream.calls == 2
    assert (await core.books(tenant)).phases() == {"void": 1, "posted": AT_ONCE - 1}


async def test_nobody_is_given_the_error_of_another(core: Core) -> None:
    async def direct(number: int) -> None:
        raise UpstreamError("rejected", status=400, code="bad")

    tenant = await core.tenant(RICH)
    gateways = core.gateways(upstream := Directed(direct))[:1]
    assert await all_at_once(gateways, tenant.caller) == {"bad": AT_ONCE}
    assert upstream.calls == AT_ONCE
    assert (await core.books(tenant)).debits == []


async def test_who_leads_and_is_cancelled_is_followed_by_the_next(core: Core) -> None:
    arrived = asyncio.Event()

    async def direct(number: int) -> None:
        arrived.set()
        if number == 1:
            await asyncio.Event().wait()

    tenant = await core.tenant(RICH)
    (gateway, elsewhere, *_) = core.gateways(upstream := Directed(direct))
    async with asyncio.timeout(GUARD_S):
        leader = asyncio.create_task(ask(gateway, tenant.caller))
        await arrived.wait()
        others = [asyncio.create_task(ask(at, tenant.caller)) for at in (gateway, gateway, elsewhere, elsewhere)]
        leader.cancel()
        receipts = await asyncio.gather(*others)
    assert Counter(receipt.cache for receipt in receipts) == {"miss": 1, "hit": 3}
    assert upstream.calls == 2
    assert (await core.books(tenant)).phases() == {"void": 1, "posted": 4}


async def test_a_leader_that_is_killed_is_followed_when_its_lease_has_run_out(core: Core) -> None:
    tenant = await core.tenant(RICH)
    job = json.dumps(asdict(Job(core.endpoint, core.table, tenant.account.key, "during the run", False, True)))
    async with asyncio.timeout(GUARD_S):
        process = await processes.start("tests.concurrency.crash", job)
        await process.communicate()
        assert process.returncode == -signal.SIGKILL

        clock = FixedClock(time.time())
        (gateway, elsewhere, *_) = core.gateways(upstream := Counted(), clock=clock)
        waiting = [asyncio.create_task(ask(at, tenant.caller)) for at in (gateway, elsewhere)]
        done, _ = await asyncio.wait(waiting, timeout=1)
        assert (done, upstream.calls) == (set(), 0)  # it may be alive
        clock.time += LEASE_S
        receipts = await asyncio.gather(*waiting)
    assert Counter(receipt.cache for receipt in receipts) == {"miss": 1, "hit": 1}
    assert upstream.calls == 1
    assert await core.sweep() == 1
    assert (await core.books(tenant)).phases() == {"void": 1, "posted": 2}


async def test_a_stream_that_nobody_reads_holds_up_nobody_for_longer_than_a_lease(core: Core) -> None:
    tenant, clock = await core.tenant(RICH), FixedClock(time.time())
    (gateway, *_) = core.gateways(upstream := Counted(), clock=clock)
    await stream.run(gateway, tenant.caller, chat(seed=1, stream=True), OPTIONS)
    clock.time += LEASE_S
    assert (await ask(gateway, tenant.caller, streamed=True)).cache == "miss"
    assert upstream.calls == 2
    await core.sweep()


async def test_a_long_stream_keeps_its_lease(core: Core) -> None:
    tenant, clock = await core.tenant(RICH), FixedClock(time.time())
    (gateway, elsewhere, *_) = core.gateways(upstream := Counted(), clock=clock)
    async with asyncio.timeout(GUARD_S):
        leading = await stream.run(gateway, tenant.caller, chat(seed=1, stream=True), OPTIONS)
        waiting = [asyncio.create_task(ask(at, tenant.caller, streamed=True)) for at in (gateway, elsewhere)]
        steps = iter([0.0, 0.6 * LEASE_S, 0.6 * LEASE_S, 0.6 * LEASE_S])
        async for _ in leading.chunks:
            await asyncio.wait(waiting, timeout=0.1)
            clock.time += next(steps, 0.0)
        receipts = await asyncio.gather(*waiting)
    assert [receipt.cache for receipt in receipts] == ["hit", "hit"]
    assert upstream.calls == 1


@pytest.mark.parametrize("fault", [LOST_REPLY, THROTTLED], ids=lambda fault: fault.name)
async def test_a_hit_whose_charge_gets_no_reply_is_delivered_if_it_was_charged(
    core: Core, proxy: Proxy, fault: Fault
) -> None:
    tenant = await core.tenant(RICH, cap=RICH)
    gateway = core.container(proxy.endpoint).gateway(upstream := Counted())
    cost = (await ask(gateway, tenant.caller)).cost or 0
    proxy.expect(for_good(fault, "TransactWriteItems"))
    if fault is LOST_REPLY:
        assert (await ask(gateway, tenant.caller)).cost == cost // 10
    else:
        with pytest.raises(StoreBusy):
            await ask(gateway, tenant.caller)
    assert upstream.calls == 1
    assert len((await core.books(tenant)).debits) == (2 if fault is LOST_REPLY else 1)


@pytest.mark.parametrize("operation", ["GetItem", "PutItem"])
async def test_a_cache_that_refuses_is_done_without(core: Core, proxy: Proxy, operation: str) -> None:
    tenant = await core.tenant(RICH)
    gateway = core.container(proxy.endpoint).gateway(upstream := Counted())
    proxy.expect(for_good(DENIED, operation))
    assert await all_at_once([gateway], tenant.caller) == {"miss": 1, "hit": AT_ONCE - 1}  # by word of mouth
    assert [(await ask(gateway, tenant.caller)).cache for _ in range(2)] == ["miss", "miss"]
    assert upstream.calls == 3
    assert set(core.alarms.raised) == {"CacheFailed"}
    await core.audit()
