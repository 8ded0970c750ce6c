"""The metered call: cache -> route -> hold -> attempts -> settle -> record. Every run of a model passes through here.

A stream takes the same steps in aig.stream.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from aig.attempts import Start, attempt_each, record_success
from aig.caching import Turn, take_turn
from aig.call import CacheTold, Gateway, OpenCall, Options, Reach, Receipt
from aig.catalog.model import Provider
from aig.catalog.routing import Candidate, Routing, Situation, candidates
from aig.errors import AIGError, BudgetExceeded, InvalidRequest
from aig.holding import take_hold
from aig.keys import Caller
from aig.modalities.cacheable import Cacheable
from aig.modalities.chat import ChatRequest, ChatResult, estimate, output_text, usage_json
from aig.modalities.demand import Demand
from aig.modalities.operation import Operation, Result
from aig.modalities.public_url import is_public_address
from aig.modalities.steering import named_models
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.money import hold as money
from aig.money import pricing
from aig.money.ledger import Debit, Loss
from aig.money.units import Nano, usd
from aig.ports import Adapter, Resolver

if TYPE_CHECKING:
    from aig.modalities.given import Given

T = TypeVar("T")
ResultT = TypeVar("ResultT", bound=Result)

MAX_IMAGE_HOSTS = 16
RESOLVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    body: dict[str, Any]
    receipt: Receipt


async def run(
    gateway: Gateway,
    caller: Caller,
    request: Cacheable,
    options: Options,
    start: Start[T],
    usage_of: Callable[[T], Usage],
    body_of: Callable[[T, Usage], dict[str, Any]],
) -> Answer:
    """One unstreamed answer of any modality, settled. Raises AIGError; then nothing was charged.

    `body_of` gives the answer with its `usage` in it, but without the cost and our model's name.
    """
    began_at = gateway.clock.monotonic()
    turn = await take_turn(gateway, caller, request, options)
    if turn.hit is not None:
        return _answer(turn.hit.answer.pieces[0], turn.hit.receipt)
    try:
        return await _run(
            turn, await begin(gateway, caller, request.demand, options, began_at), start, usage_of, body_of
        )
    finally:
        await turn.leave()


async def _run(
    turn: Turn,
    call: OpenCall,
    start: Start[T],
    usage_of: Callable[[T], Usage],
    body_of: Callable[[T, Usage], dict[str, Any]],
) -> Answer:
    try:
        attempted = await attempt_each(call, start)
        record_success(call, attempted)
        usage = call.priced(attempted.candidate, usage_of(attempted.answer))
        body = body_of(attempted.answer, usage)
    except BaseException as error:
        await void(call, error)
        raise
    recorded = {**body, "model": attempted.candidate.model.slug}
    receipt = await settle(call, attempted.candidate, attempted.attempts, usage, recorded, turn.told)
    await turn.keep(call, attempted.candidate, usage, [body])
    return _answer(body, receipt)


def _answer(body: dict[str, Any], receipt: Receipt) -> Answer:
    usage = {**body["usage"], "cost": usd(receipt.cost or 0)}
    return Answer({**body, "model": receipt.model, "usage": usage}, receipt)


async def complete_chat(gateway: Gateway, caller: Caller, request: ChatRequest, options: Options) -> Answer:
    """The provider's completion under our model's name, with usage and its cost. Raises AIGError."""

    async def start(adapter: Adapter, upstream: Upstream, max_output_tokens: int) -> ChatResult:
        return await adapter.chat.complete(upstream, request, max_output_tokens)

    def usage_of(result: ChatResult) -> Usage:
        return result.usage or estimate(request, len(output_text(result.body).encode()))

    def body_of(result: ChatResult, usage: Usage) -> dict[str, Any]:
        return {**result.body, "usage": usage_json(usage)}

    return await run(gateway, caller, request, options, start, usage_of, body_of)


async def operate(
    gateway: Gateway,
    caller: Caller,
    request: Operation[ResultT],
    options: Options,
    ask: Callable[[Adapter, Upstream], Awaitable[ResultT]],
) -> Answer:
    """The answer to a request of any modality but chat, with usage and its cost. Raises AIGError."""

    async def start(adapter: Adapter, upstream: Upstream, _: int) -> ResultT:
        return await ask(adapter, upstream)

    def usage_of(result: ResultT) -> Usage:
        return result.usage or request.estimate(result)

    return await run(gateway, caller, request, options, start, usage_of, request.answer)


async def reach(gateway: Gateway, provider: Provider) -> Reach:
    """The base URL and the key, or the names of what is missing of them. The secret's base URL wins."""
    base_url = await gateway.secrets.get(provider.base_url_variable) or provider.base_url
    api_key = await gateway.secrets.get(provider.key_name) if provider.key_name else None
    missing = [] if api_key or provider.key_name is None else [provider.key_name]
    missing += [] if base_url else [provider.base_url_variable]
    return Reach(base_url or "", api_key or None, tuple(missing))


async def admit(
    gateway: Gateway,
    caller: Caller,
    body: Mapping[str, Any],
    capabilities: frozenset[str],
    files: "Sequence[Given]",
    routing: Routing = "auto",
    *,
    kept: bool = False,
) -> None:
    """Before files are fetched for a call: whether anybody could serve it, and there is money at all. Raises AIGError.

    What is with the request already costs nothing to look at: the call itself will tell, unless it is `kept` before.
    """
    if not kept and not any(file.elsewhere for file in files):
        return
    models = named_models(body)
    demand = Demand(models, capabilities, 0, 0, preferences=body.get("provider") or {})
    chosen, _ = await choose(gateway, caller, demand, routing)
    free = gateway.free_tier is not None and gateway.free_tier.covers(models, gateway.clock.now())
    if free or not any(any(candidate.offer.prices.rates.values()) for candidate in chosen):
        return
    if (await gateway.wallets.look(caller.payer_id)).available <= 0:
        raise BudgetExceeded("There is no money left for this request: its files are not fetched. Have it topped up.")


async def begin(gateway: Gateway, caller: Caller, demand: Demand, options: Options, began_at: float) -> OpenCall:
    """Everything before the first upstream byte: the model, who may serve it, and the hold. Raises AIGError."""
    await _check_image_hosts(gateway.resolver, demand)
    chosen, reaches = await choose(gateway, caller, demand, options.routing)
    hold, output_tokens = await take_hold(gateway, caller, chosen, demand, options.request_id)
    rate = gateway.rates.hit(caller.limits, gateway.clock.now())
    return OpenCall(gateway, caller, options, demand, chosen, reaches, hold, output_tokens, began_at, rate)


async def choose(
    gateway: Gateway, caller: Caller, demand: Demand, routing: Routing
) -> tuple[Sequence[Candidate], Mapping[str, Reach]]:
    """Whom to try, best first, and where they are. Raises AIGError."""
    catalog = gateway.catalog
    models = [catalog.model(slug) for slug in demand.models] or catalog.models.values()
    providers = {offer.provider.name: offer.provider for model in models for offer in model.offers}
    found = [await reach(gateway, provider) for provider in providers.values()]
    everyone = dict(zip(providers, found, strict=True))
    reaches = {name: found for name, found in everyone.items() if not found.missing}
    await gateway.traffic.look(reaches)
    now = gateway.clock.now()
    situation = Situation(
        may_use=caller.may_use,
        missing={name: found.missing for name, found in everyone.items()},
        standing=gateway.traffic.standing,
        now=now,
        today=datetime.fromtimestamp(now, UTC).date().isoformat(),
    )
    return candidates(catalog, demand, routing, situation), reaches


async def _check_image_hosts(resolver: Resolver, demand: Demand) -> None:
    """A name that resolves into a private network is refused: a provider may be a server inside of ours."""
    hosts = sorted(demand.image_hosts)
    if not hosts:
        return
    if len(hosts) > MAX_IMAGE_HOSTS:
        raise InvalidRequest(
            f"The images are on more than {MAX_IMAGE_HOSTS} hosts. Send them inline.", param="messages"
        )
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.gather(*(resolver.addresses(host) for host in hosts))
    except (OSError, TimeoutError, UnicodeError):
        raise InvalidRequest(
            f"An image host cannot be resolved: one of {', '.join(hosts)[:300]}. Correct the URL.", param="messages"
        ) from None
    for host, addresses in zip(hosts, found, strict=True):
        if not all(is_public_address(address) for address in addresses):
            raise InvalidRequest(f"The image host {host[:100]!r} is not public.", param="messages")


@dataclass(frozen=True, slots=True)
class Bill:
    """What a delivered run is charged with: `receipt` is what its client is told, `usage` what has a price of it."""

    settlement: money.Settlement
    debit: Debit
    losses: Sequence[Loss]
    usage: Usage
    receipt: Receipt


def bill(call: OpenCall, candidate: Candidate, attempts: int, usage: Usage, cache: CacheTold = "skip") -> Bill:
    gateway, hold = call.gateway, call.hold
    prices, usage = hold.prices[candidate.key], call.priced(candidate, usage)
    settlement = money.settle(hold, pricing.charge(usage, prices))
    debit = Debit(
        id=gateway.ids.new("txn"),
        request_id=hold.request_id,
        model=candidate.model.slug,
        provider=candidate.offer.provider.name,
        amount=settlement.charged,
        upstream_cost=pricing.upstream_cost(usage, prices),
        usage=usage,
        created_at=int(gateway.clock.now()),
        tag=call.options.tag or call.caller.default_tag,
    )
    losses = [*call.losses]
    if settlement.shortfall:
        losses.append(call.loss(candidate, settlement.shortfall, "over_hold"))
    provider = candidate.offer.provider.name
    receipt = Receipt(candidate.model.slug, provider, attempts, settlement.charged, cache, call.rate)
    return Bill(settlement, debit, losses, usage, receipt)


async def settle(
    call: OpenCall, candidate: Candidate, attempts: int, usage: Usage, answer: Mapping[str, Any], cache: CacheTold
) -> Receipt:
    """Charge a delivered run, and keep its record.

    It is delivered also when the charge fails: then it costs nothing and is our loss.
    """
    gateway, hold = call.gateway, call.hold
    billed = bill(call, candidate, attempts, usage, cache)
    receipt = billed.receipt
    try:
        record = call.record(receipt, billed.usage, answer, None)
        post = gateway.wallets.post(hold, billed.settlement, billed.debit, *billed.losses, record=record)
        posted = await asyncio.shield(gateway.traffic.beside(post))
    except Exception:  # the answer is there: whatever became of its charge, it is delivered
        posted = False
    if not posted:
        gateway.telemetry.alarm("SettleFailed", request_id=hold.request_id, amount=str(billed.settlement.charged))
        receipt = replace(receipt, cost=Nano(0))
    tell_end(call, receipt, "posted" if posted else "not_posted")
    return receipt


def tell_end(call: OpenCall, receipt: Receipt, outcome: str) -> None:
    """The operator's line of a call that was answered."""
    hold = call.hold
    call.gateway.telemetry.request(
        outcome=outcome,
        trace_id=call.options.trace_id,
        request_id=hold.request_id,
        account_id=hold.account_id,
        key_id=hold.key_id,
        model=receipt.model,
        provider=receipt.provider,
        attempts=receipt.attempts,
        cost=usd(receipt.cost or 0),
    )


async def void(
    call: OpenCall, error: BaseException, candidate: Candidate | None = None, usage: Usage | None = None
) -> None:
    """Give the hold back; what the provider charges us for `usage` all the same becomes a loss row."""
    gateway = call.gateway
    record = call.record(None, None, None, error.code if isinstance(error, AIGError) else "internal_error")
    losses = [*call.losses]
    if candidate is not None and usage is not None:
        cost = pricing.upstream_cost(call.priced(candidate, usage), call.hold.prices[candidate.key])
        losses.append(call.loss(candidate, cost, "broken_stream"))
    try:
        await asyncio.shield(gateway.traffic.beside(gateway.wallets.void(call.hold, *losses, record=record)))
    except Exception:
        gateway.telemetry.alarm("VoidFailed", request_id=call.hold.request_id)  # the sweeper gives it back
