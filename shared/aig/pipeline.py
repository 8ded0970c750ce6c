"""The metered call: route -> hold -> attempts -> settle -> record. Every run of a model passes through here.

Tenancy, the cache and usage reports join in `begin` and `settle`; a stream takes the same steps in aig.stream.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from aig import limits
from aig.catalog.model import Catalog, Model, Offer, Provider
from aig.catalog.routing import order_offers, require
from aig.clock import Clock
from aig.errors import (
    AIGError,
    BudgetExceeded,
    Forbidden,
    InvalidRequest,
    ProviderUnavailable,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from aig.ids import Ids
from aig.keys import Caller
from aig.modalities.chat import DEFAULT_MAX_OUTPUT, ChatRequest, ChatResult, estimate, output_text, usage_json
from aig.modalities.chat_body import image_hosts
from aig.modalities.public_url import is_public_address
from aig.modalities.upstream import Upstream
from aig.modalities.usage import Usage
from aig.money import hold as money
from aig.money import pricing
from aig.money.ledger import Debit, Loss, LossReason
from aig.money.units import Nano, usd
from aig.ports import Adapter, Adapters, HoldRefused, Once, Resolver, Secrets, Telemetry, Wallets
from aig.traffic import Traffic

T = TypeVar("T")

MAX_ATTEMPTS = 3
HOLD_TTL_S = 900 + 60  # the chat function's timeout and a minute: no live call can outlast its hold
# API Gateway cuts an answer that is silent for 300 s, Lambda a function after 900 s: we must be done before.
ANSWER_S = 280.0  # until the first chunk of a stream or the whole of another answer, all attempts together
STREAM_S = 840.0  # until the end of a stream
MAX_IMAGE_HOSTS = 16
RESOLVE_S = 5.0
LONGEST_RETRY_AFTER_S = 3600
IN_FLIGHT_RETRY_AFTER_S = 5


@dataclass(frozen=True, slots=True)
class Gateway:
    """All that a metered call needs, built once per container by aig.wiring."""

    catalog: Catalog
    adapters: Adapters
    secrets: Secrets
    base_urls: Mapping[str, str]  # overrides, by provider
    wallets: Wallets
    traffic: Traffic
    once: Once
    resolver: Resolver
    telemetry: Telemetry
    clock: Clock
    ids: Ids


@dataclass(frozen=True, slots=True)
class Options:
    """What a request's headers say. `trace_id` is the x-request-id that the client sees."""

    trace_id: str
    tag: str | None = None
    cache: Literal["auto", "force", "skip"] = "auto"
    routing: Literal["auto", "cost", "speed", "quality"] = "auto"
    session: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the answer's headers tell. `cost` is None until the call is settled."""

    model: str
    provider: str
    attempts: int
    cost: Nano | None = None
    cache: Literal["hit", "miss", "skip"] = "skip"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a provider is and the key it wants, if it is set up."""

    base_url: str
    api_key: str | None


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call whose hold is taken: it must be settled or voided."""

    gateway: Gateway
    caller: Caller
    options: Options
    request: ChatRequest
    model: Model
    offers: Sequence[Offer]
    reaches: Mapping[str, Reach]
    hold: money.Hold
    max_output_tokens: int
    began_at: float  # by the monotonic clock

    @contextlib.asynccontextmanager
    async def until(self, seconds: float) -> AsyncIterator[None]:
        """Bounds what is done within it to `seconds` after the call began. Raises UpstreamError of kind timeout."""
        left = self.began_at + seconds - self.gateway.clock.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                yield
        except TimeoutError:
            raise UpstreamError("timeout") from None


@dataclass(frozen=True, slots=True)
class Answer:
    body: dict[str, Any]
    receipt: Receipt


async def run(gateway: Gateway, caller: Caller, request: ChatRequest, options: Options) -> Answer:
    """One unstreamed answer, settled. Raises AIGError; then nothing was charged."""
    call = await begin(gateway, caller, request, options)

    async def complete(adapter: Adapter, upstream: Upstream) -> ChatResult:
        return await adapter.chat.complete(upstream, request, call.max_output_tokens)

    try:
        offer, attempts, result = await attempt_each(call, complete)
        usage = result.usage or estimate(request, len(output_text(result.body).encode()))
    except BaseException:
        await void(call)
        raise
    receipt = await settle(call, offer, attempts, usage)
    return Answer(finished_body(result.body, call.model, usage, receipt), receipt)


def finished_body(body: dict[str, Any], model: Model, usage: Usage, receipt: Receipt) -> dict[str, Any]:
    """The provider's object under our model's name, with usage and its cost."""
    cost = usd(receipt.cost or 0)
    return {**body, "model": model.slug, "usage": {**usage_json(usage), "cost": cost}}


async def reach(gateway: Gateway, provider: Provider) -> Reach | None:
    """None for a provider without a base URL or without the key it wants."""
    base_url = gateway.base_urls.get(provider.name) or provider.base_url
    if base_url is None:
        return None
    if provider.key_name is None:
        return Reach(base_url, None)
    api_key = await gateway.secrets.get(provider.key_name)
    return Reach(base_url, api_key) if api_key else None


async def begin(gateway: Gateway, caller: Caller, request: ChatRequest, options: Options) -> OpenCall:
    """Everything before the first upstream byte: the model, who may serve it, and the hold. Raises AIGError."""
    began_at = gateway.clock.monotonic()
    model = gateway.catalog.model(request.model)
    if not caller.may_use(model.slug):
        raise Forbidden(
            f"This key may not use {model.slug}. Use another model, or ask for a key that allows it.",
            code="model_not_allowed",
        )
    require(model, request.capabilities)
    await _check_image_hosts(gateway.resolver, request)
    found = {offer.provider.name: await reach(gateway, offer.provider) for offer in model.offers}
    reaches = {name: value for name, value in found.items() if value is not None}
    offers = order_offers(model, reaches, request.body.get("provider"))[:MAX_ATTEMPTS]
    hold, quote = await _take_hold(gateway, caller, model, offers, _bounds(request, model))
    return OpenCall(gateway, caller, options, request, model, offers, reaches, hold, quote.output_tokens, began_at)


async def _check_image_hosts(resolver: Resolver, request: ChatRequest) -> None:
    """A name that resolves into a private network is refused: a provider may be a server inside of ours."""
    hosts = sorted(image_hosts(request)) if "vision" in request.capabilities else []
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


def _bounds(request: ChatRequest, model: Model) -> money.Bounds:
    # Bytes bound the tokens of a prompt, and so does the context: a longer prompt is refused by every provider.
    input_tokens = min(request.max_input_tokens, model.context)
    output_tokens = min(request.max_tokens or DEFAULT_MAX_OUTPUT, model.max_output)
    return money.Bounds(input_tokens, output_tokens, request.samples)


async def _take_hold(
    gateway: Gateway, caller: Caller, model: Model, offers: Sequence[Offer], bounds: money.Bounds
) -> tuple[money.Hold, money.Quote]:
    candidates = tuple(offer.prices for offer in offers)
    now = int(gateway.clock.now())

    def hold_of(quote: money.Quote) -> money.Hold:
        return money.Hold(
            request_id=gateway.ids.new("req"),
            account_id=caller.account_id,
            key_id=caller.key_id,
            amount=quote.amount,
            model=model.slug,
            prices={offer.provider.name: offer.prices for offer in offers},
            created_at=now,
            expires_at=now + HOLD_TTL_S,
            capped=caller.capped,
        )

    quote = money.worst_case(bounds, candidates)
    try:
        try:
            hold = hold_of(quote)
            await gateway.wallets.take(hold, caller)
        except HoldRefused as refused:
            quote = await _smaller_quote(gateway, caller, bounds, candidates, refused)
            hold = hold_of(quote)
            await gateway.wallets.take(hold, caller)
    except HoldRefused as refused:  # others took the rest between the look and the second try
        raise _refusal(gateway, refused, in_flight=True) from None
    return hold, quote


async def _smaller_quote(
    gateway: Gateway, caller: Caller, bounds: money.Bounds, candidates: tuple[pricing.Prices, ...], refused: HoldRefused
) -> money.Quote:
    """What can be afforded after a refusal: an answer cut short beats none. Raises AIGError if not even that."""
    if "rate" in refused.limits:
        raise _refusal(gateway, refused)
    wallet = await gateway.wallets.wallet(caller.account_id)
    room, room_later = int(wallet.available), wallet.available + wallet.held
    if caller.capped:
        spend = await gateway.wallets.key_spend(caller.account_id, caller.key_id)
        if spend.room is not None:
            room, room_later = min(room, spend.room), min(room_later, spend.room + (spend.held or 0))
    quote = money.affordable(bounds, candidates, room)
    if quote is None:
        in_flight = money.affordable(bounds, candidates, room_later) is not None
        raise _refusal(gateway, refused, in_flight=in_flight)
    return quote


def _refusal(gateway: Gateway, refused: HoldRefused, *, in_flight: bool = False) -> AIGError:
    if "rate" in refused.limits:
        return RateLimited(
            "This key has made all the requests that it may make in this minute. Wait for the time in Retry-After.",
            retry_after=limits.retry_after(gateway.clock.now()),
        )
    if in_flight:
        return BudgetExceeded(
            "Other requests in flight hold the rest of the balance. Send this one again when they are done.",
            code="in_flight_holds",
            retry_after=IN_FLIGHT_RETRY_AFTER_S,
        )
    if "cap" in refused.limits:
        return BudgetExceeded(
            "The key's spend cap does not cover this request. Raise the cap.", code="spend_cap_reached"
        )
    return BudgetExceeded("The wallet does not cover this request. Top it up, or send a smaller max_tokens.")


async def attempt_each(call: OpenCall, start: Callable[[Adapter, Upstream], Awaitable[T]]) -> tuple[Offer, int, T]:
    """The first offer that answers, the number of attempts it took, and its answer. Raises AIGError."""
    gateway, failures = call.gateway, list[UpstreamError]()
    for attempts, offer in enumerate(call.offers, 1):
        provider = offer.provider
        upstream = _upstream(call, offer)
        started = gateway.clock.monotonic()
        try:
            async with call.until(ANSWER_S):
                answer = await start(gateway.adapters.get(provider), upstream)
        except UpstreamError as error:
            record_failure(call, offer, error)
            failures.append(error)
            if not error.retryable:
                break
        else:
            gateway.traffic.record(provider.name, call.model.slug, (gateway.clock.monotonic() - started) * 1000, None)
            return offer, attempts, answer
    raise _client_error(failures)


def _upstream(call: OpenCall, offer: Offer) -> Upstream:
    found = call.reaches[offer.provider.name]
    return Upstream(
        provider=offer.provider.name,
        model_id=offer.model_id,
        base_url=found.base_url,
        api_key=found.api_key,
        timeouts=offer.provider.timeouts,
        max_tokens_field=offer.provider.max_tokens_field,
        session=f"{call.caller.key_id}/{call.options.session}",
        first_time=call.gateway.once.first_time,
    )


def record_failure(call: OpenCall, offer: Offer, error: UpstreamError) -> None:
    """A request that the provider refuses says nothing of the provider's health; all else does."""
    call.gateway.telemetry.request(
        outcome="attempt_failed",
        trace_id=call.options.trace_id,
        request_id=call.hold.request_id,
        model=call.model.slug,
        provider=offer.provider.name,
        error=error.kind,
        status=error.status,
        code=error.code,
    )
    if error.kind == "rejected":
        return
    call.gateway.traffic.record(offer.provider.name, call.model.slug, None, error.kind)
    if error.kind == "auth":
        call.gateway.telemetry.alarm("ProviderKeyRefused", provider=offer.provider.name, status=error.status)


def _client_error(failures: Sequence[UpstreamError]) -> AIGError:
    """One error of ours for all that went wrong upstream, in our words only."""
    last = failures[-1]
    if last.kind == "rejected":
        named = f" It names the field {last.param}." if last.param else ""
        return InvalidRequest(
            f"The provider refused the request (code {last.code or 'unknown'}).{named} Change the request.",
            code=last.code,
            param=last.param,
        )
    if all(failure.kind == "rate_limited" for failure in failures):
        wait = min((failure.retry_after for failure in failures if failure.retry_after is not None), default=1.0)
        return RateLimited(
            "Every provider of this model is rate limiting. Wait for the time in Retry-After, or use another model.",
            code="upstream_rate_limited",
            retry_after=min(max(1, -int(-wait // 1)), LONGEST_RETRY_AFTER_S),
        )
    if last.kind == "timeout":
        return UpstreamTimeout("The provider did not answer in time. Send the request again with a smaller max_tokens.")
    return ProviderUnavailable(
        "No provider of this model could answer. Send the request again; GET /v1/health/providers says how they are."
    )


async def settle(call: OpenCall, offer: Offer, attempts: int, usage: Usage) -> Receipt:
    """Charge a delivered run. It is delivered also when the charge fails: then it costs nothing and is our loss."""
    gateway, hold = call.gateway, call.hold
    prices = hold.prices[offer.provider.name]
    settlement = money.settle(hold, pricing.charge(usage, prices))
    debit = Debit(
        id=gateway.ids.new("txn"),
        request_id=hold.request_id,
        model=call.model.slug,
        provider=offer.provider.name,
        amount=settlement.charged,
        upstream_cost=pricing.upstream_cost(usage, prices),
        usage=usage,
        created_at=int(gateway.clock.now()),
        tag=call.options.tag or call.caller.default_tag,
    )
    loss = _loss(call, offer, settlement.shortfall, "over_hold") if settlement.shortfall else None
    charged = settlement.charged
    try:
        post = gateway.wallets.post(hold, settlement, debit, loss)
        posted = await asyncio.shield(gateway.traffic.beside(post))
    except Exception:  # the answer is there: whatever became of its charge, it is delivered
        posted = False
    if not posted:
        gateway.telemetry.alarm("SettleFailed", request_id=hold.request_id, amount=str(settlement.charged))
        charged = Nano(0)
    receipt = Receipt(call.model.slug, offer.provider.name, attempts, charged)
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


def _loss(call: OpenCall, offer: Offer, amount: Nano, reason: LossReason) -> Loss:
    return Loss(
        id=call.gateway.ids.new("txn"),
        request_id=call.hold.request_id,
        account_id=call.hold.account_id,
        model=call.model.slug,
        provider=offer.provider.name,
        amount=amount,
        reason=reason,
        created_at=int(call.gateway.clock.now()),
    )


async def void(call: OpenCall, offer: Offer | None = None, usage: Usage | None = None) -> None:
    """Give the hold back; what the provider charges us for `usage` all the same becomes a loss row."""
    gateway = call.gateway
    loss = None
    if offer is not None and usage is not None:
        cost = pricing.upstream_cost(usage, call.hold.prices[offer.provider.name])
        loss = _loss(call, offer, cost, "broken_stream")
    try:
        await asyncio.shield(gateway.traffic.beside(gateway.wallets.void(call.hold, loss)))
    except Exception:
        gateway.telemetry.alarm("VoidFailed", request_id=call.hold.request_id)  # the sweeper gives it back
