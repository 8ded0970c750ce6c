"""The metered call: route -> hold -> attempts -> settle -> record. Every run of a model passes through here.

Tenancy, the cache and usage reports join in `begin` and `settle`; a stream takes the same steps in aig.stream.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from aig.attempts import Start, attempt_each, record_success
from aig.call import Gateway, OpenCall, Options, Reach, Receipt
from aig.catalog.model import Provider
from aig.catalog.routing import Candidate, Situation, candidates
from aig.errors import InvalidRequest
from aig.holding import take_hold
from aig.keys import Caller
from aig.modalities import embed as embedding
from aig.modalities.chat import ChatRequest, ChatResult, estimate, output_text, usage_json
from aig.modalities.demand import Demand
from aig.modalities.embed import EmbedRequest, EmbedResult
from aig.modalities.public_url import is_public_address
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.money import hold as money
from aig.money import pricing
from aig.money.ledger import Debit
from aig.money.units import Nano, usd
from aig.ports import Adapter, Resolver

T = TypeVar("T")

MAX_IMAGE_HOSTS = 16
RESOLVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Answer:
    body: dict[str, Any]
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Settled(Generic[T]):
    """What a model answered, what that consumed, and what it cost."""

    result: T
    usage: Usage
    receipt: Receipt


async def run(
    gateway: Gateway,
    caller: Caller,
    demand: Demand,
    options: Options,
    start: Start[T],
    usage_of: Callable[[T], Usage],
) -> Settled[T]:
    """One unstreamed answer of any modality, settled. Raises AIGError; then nothing was charged."""
    call = await begin(gateway, caller, demand, options)
    try:
        attempted = await attempt_each(call, start)
        record_success(call, attempted)
        usage = usage_of(attempted.answer)
    except BaseException:
        await void(call)
        raise
    receipt = await settle(call, attempted.candidate, attempted.attempts, usage)
    return Settled(attempted.answer, usage, receipt)


async def complete_chat(gateway: Gateway, caller: Caller, request: ChatRequest, options: Options) -> Answer:
    """The provider's completion under our model's name, with usage and its cost. Raises AIGError."""

    async def start(adapter: Adapter, upstream: Upstream, max_output_tokens: int) -> ChatResult:
        return await adapter.chat.complete(upstream, request, max_output_tokens)

    def usage_of(result: ChatResult) -> Usage:
        return result.usage or estimate(request, len(output_text(result.body).encode()))

    done = await run(gateway, caller, request.demand, options, start, usage_of)
    usage = {**usage_json(done.usage), "cost": _cost(done.receipt)}
    return Answer({**done.result.body, "model": done.receipt.model, "usage": usage}, done.receipt)


async def embed(gateway: Gateway, caller: Caller, request: EmbedRequest, options: Options) -> Answer:
    """OpenAI's list of embeddings, in the order of the inputs, with usage and its cost. Raises AIGError."""

    async def start(adapter: Adapter, upstream: Upstream, _: int) -> EmbedResult:
        return await adapter.embed.embed(upstream, request)

    def usage_of(result: EmbedResult) -> Usage:
        return result.usage or request.estimate()

    done = await run(gateway, caller, request.demand, options, start, usage_of)
    body = embedding.answer_body(done.result, done.usage)
    body["usage"]["cost"] = _cost(done.receipt)
    return Answer({**body, "model": done.receipt.model}, done.receipt)


def _cost(receipt: Receipt) -> str:
    return usd(receipt.cost or 0)


async def reach(gateway: Gateway, provider: Provider) -> Reach:
    """The base URL and the key, or the names of what is missing of them. The secret's base URL wins."""
    base_url = await gateway.secrets.get(provider.base_url_variable) or provider.base_url
    api_key = await gateway.secrets.get(provider.key_name) if provider.key_name else None
    missing = [] if api_key or provider.key_name is None else [provider.key_name]
    missing += [] if base_url else [provider.base_url_variable]
    return Reach(base_url or "", api_key or None, tuple(missing))


async def begin(gateway: Gateway, caller: Caller, demand: Demand, options: Options) -> OpenCall:
    """Everything before the first upstream byte: the model, who may serve it, and the hold. Raises AIGError."""
    began_at = gateway.clock.monotonic()
    catalog = gateway.catalog
    models = [catalog.model(slug) for slug in demand.models] or catalog.models.values()
    providers = {offer.provider.name: offer.provider for model in models for offer in model.offers}
    await _check_image_hosts(gateway.resolver, demand)
    found = await asyncio.gather(*(reach(gateway, provider) for provider in providers.values()))
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
    chosen = candidates(catalog, demand, options.routing, situation)
    hold, output_tokens = await take_hold(gateway, caller, chosen, demand)
    return OpenCall(gateway, caller, options, demand, chosen, reaches, hold, output_tokens, began_at)


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


async def settle(call: OpenCall, candidate: Candidate, attempts: int, usage: Usage) -> Receipt:
    """Charge a delivered run. It is delivered also when the charge fails: then it costs nothing and is our loss."""
    gateway, hold = call.gateway, call.hold
    prices = hold.prices[candidate.key]
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
    charged = settlement.charged
    try:
        post = gateway.wallets.post(hold, settlement, debit, *losses)
        posted = await asyncio.shield(gateway.traffic.beside(post))
    except Exception:  # the answer is there: whatever became of its charge, it is delivered
        posted = False
    if not posted:
        gateway.telemetry.alarm("SettleFailed", request_id=hold.request_id, amount=str(settlement.charged))
        charged = Nano(0)
    receipt = Receipt(candidate.model.slug, candidate.offer.provider.name, attempts, charged)
    gateway.telemetry.request(
        outcome="posted" if posted else "not_posted",
        trace_id=call.options.trace_id,
        request_id=hold.request_id,
        account_id=hold.account_id,
        key_id=hold.key_id,
        model=receipt.model,
        provider=receipt.provider,
        attempts=attempts,
        cost=usd(charged),
    )
    return receipt


async def void(call: OpenCall, candidate: Candidate | None = None, usage: Usage | None = None) -> None:
    """Give the hold back; what the provider charges us for `usage` all the same becomes a loss row."""
    gateway = call.gateway
    losses = [*call.losses]
    if candidate is not None and usage is not None:
        cost = pricing.upstream_cost(usage, call.hold.prices[candidate.key])
        losses.append(call.loss(candidate, cost, "broken_stream"))
    try:
        await asyncio.shield(gateway.traffic.beside(gateway.wallets.void(call.hold, *losses)))
    except Exception:
        gateway.telemetry.alarm("VoidFailed", request_id=call.hold.request_id)  # the sweeper gives it back
