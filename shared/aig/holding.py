"""Setting money aside for a call: the worst case of whoever may serve it, or what wallet and caps still cover."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from aig import limits, notices
from aig.call import Gateway
from aig.catalog.routing import Candidate
from aig.errors import AIGError, BudgetExceeded, RateLimited
from aig.jobs.job import Placed
from aig.jobs.times import hold_s
from aig.keys import Caller
from aig.modalities.demand import Demand
from aig.money import hold as money
from aig.money.ledger import Debit, Wallet
from aig.money.units import Nano
from aig.ports import HoldRefused, Limit
from aig.records import Record

T = TypeVar("T")

DEFAULT_MAX_OUTPUT = 16_384
HOLD_TTL_S = 900 + 60  # the function's timeout and a minute: no live call can outlast its hold
IN_FLIGHT_RETRY_AFTER_S = 5


def wanted_output(candidate: Candidate, demand: Demand) -> int:
    """The output tokens that a run may take unless there is too little money for them."""
    wanted = DEFAULT_MAX_OUTPUT if demand.output_tokens is None else demand.output_tokens
    return min(wanted, candidate.max_output)


def _bid(candidate: Candidate, demand: Demand) -> money.Bid:
    model = candidate.model
    # Bytes bound the tokens of a prompt, and so does the context: a longer prompt is refused by every provider.
    input_tokens = min(demand.input_tokens + demand.images * model.image_tokens, candidate.context * demand.inputs)
    output_tokens = wanted_output(candidate, demand)
    bounds = money.Bounds(
        input_tokens,
        output_tokens,
        demand.samples,
        demand.input_units,
        demand.output_units,
        candidate.billed(demand.counts),
        least_output=money.MIN_OUTPUT_TOKENS if demand.may_be_short else output_tokens,
    )
    return money.Bid(bounds, candidate.offer.prices, demand.service_tier)


async def take_hold(
    gateway: Gateway,
    caller: Caller,
    candidates: Sequence[Candidate],
    demand: Demand,
    request_id: str | None = None,
    placed: Placed | None = None,
) -> tuple[money.Hold, int]:
    """A hold that covers whichever candidate serves, and the output tokens that it pays for. Raises AIGError.

    That of a job is written together with it, and lasts as long as the job may.
    """
    bids = [_bid(candidate, demand) for candidate in candidates]
    taking = _Taking(gateway, caller, candidates, demand, bids, request_id or gateway.ids.new("req"), placed)
    quote = money.worst_case(taking.bids)
    free = taking.may_be_free
    if free and (hold := await taking.free(lambda nothing: gateway.wallets.take(nothing, caller, placed))):
        return hold, quote.output_tokens
    try:
        try:
            return await taking.take(caller, quote)
        except HoldRefused as refused:
            return await taking.take(*await taking.smaller(refused))
    except HoldRefused as refused:  # others took the rest between the look and the second try
        raise taking.refusal(refused.limits, in_flight=True) from None
    except BudgetExceeded as error:
        if free and error.code == "insufficient_balance":
            raise taking.free_tier_used() from None
        raise


async def pay_at_once(
    gateway: Gateway,
    caller: Caller,
    candidate: Candidate,
    demand: Demand,
    price: Nano,
    request_id: str,
    rows: Callable[[money.Hold, Nano], tuple[Debit, Record | None]],
) -> Nano:
    """All limits and the charge in one step, for what is there already; what was charged. Raises AIGError.

    `rows` are those of a hold and a charge: nothing, where the free tier covers it.
    """
    taking = _Taking(gateway, caller, (candidate,), demand, (), request_id)

    async def charge(hold: money.Hold, limited: Caller = caller) -> Nano:
        settlement = money.settle(hold, price)
        await gateway.wallets.charge(hold, limited, settlement, *rows(hold, settlement.charged))
        return settlement.charged

    free = taking.may_be_free
    if free and (charged := await taking.free(charge)) is not None:
        return charged
    quote = money.Quote(price, 0)
    try:
        try:
            return await charge(taking.hold(caller, quote))
        except HoldRefused as refused:
            room = await taking.room(refused)
            if room.now < price:
                raise await taking.refused_for(room, in_flight=room.later >= price) from None
            return await charge(taking.hold(room.caller, quote), room.caller)
    except HoldRefused as refused:
        raise taking.refusal(refused.limits, in_flight=True) from None
    except BudgetExceeded as error:
        if free and error.code == "insufficient_balance":
            raise taking.free_tier_used() from None
        raise


@dataclass(frozen=True, slots=True)
class _Room:
    """What wallet and caps leave, in nano-USD: `now`, and `later` if all that others hold comes back.

    `binding` is the limit that leaves the least.
    """

    caller: Caller
    wallet: Wallet
    now: int
    later: int
    binding: Limit = "balance"


@dataclass(frozen=True, slots=True)
class _Taking:
    """The tries to take a hold for one call."""

    gateway: Gateway
    caller: Caller
    candidates: Sequence[Candidate]
    demand: Demand
    bids: Sequence[money.Bid]
    request_id: str
    placed: Placed | None = None

    async def take(self, caller: Caller, quote: money.Quote) -> tuple[money.Hold, int]:
        """Raises HoldRefused."""
        hold = await self.gateway.wallets.take(self.hold(caller, quote), caller, self.placed)
        return hold, quote.output_tokens

    def hold(self, caller: Caller, quote: money.Quote) -> money.Hold:
        now = int(self.gateway.clock.now())
        spends = {one.owner: f"{one.owner}#{limits.period(now, one.reset).name}" for one in caller.limits}
        return money.Hold(
            request_id=self.request_id,
            account_id=caller.account_id,
            key_id=caller.key_id,
            amount=quote.amount,
            model=self.candidates[0].model.slug,
            prices={candidate.key: candidate.offer.prices for candidate in self.candidates},
            created_at=now,
            expires_at=now + (hold_s(self.placed.job.order.kind) if self.placed else HOLD_TTL_S),
            parent_id=caller.parent_id,
            spends=tuple(spends.values()),
            capped=tuple(spends[one.owner] for one in caller.limits if one.cap is not None),
        )

    @property
    def may_be_free(self) -> bool:
        """Whether the free tier has the models that are asked for."""
        tier = self.gateway.free_tier
        return tier is not None and tier.covers(self.demand.models, self.gateway.clock.now())

    async def free(self, take: Callable[[money.Hold], Awaitable[T]]) -> T | None:
        """What is taken with a hold of nothing, while the day has free requests left. Raises AIGError."""
        nothing = self.hold(replace(self.caller, limits=()), money.Quote(Nano(0), 0))
        hold = replace(nothing, free=True)
        used_up = f"free#{self.caller.payer_id}#{limits.period(hold.created_at, 'daily').name}"
        if used_up in self.gateway.told:
            return None
        try:
            return await take(hold)
        except HoldRefused as refused:
            if "rate" in refused.limits:
                raise self.refusal(refused.limits) from None
            self.gateway.told.add(used_up)
            return None

    async def smaller(self, refused: HoldRefused) -> tuple[Caller, money.Quote]:
        """What can be afforded after a refusal: an answer cut short beats none. Raises AIGError if not even that."""
        room = await self.room(refused)
        quote = money.affordable(self.bids, room.now)
        if quote is None:
            raise await self.refused_for(room, in_flight=money.affordable(self.bids, room.later) is not None)
        return room.caller, quote

    async def room(self, refused: HoldRefused) -> "_Room":
        """What wallet and caps leave. Raises RateLimited, where that is what they refused for.

        The caps are looked up anew: one that was raised a moment ago counts at once.
        """
        if "rate" in refused.limits:
            raise self.refusal(refused.limits)
        wallets, caller, now = self.gateway.wallets, self.caller, self.gateway.clock.now()
        see = wallets.wallet if "balance" in refused.limits else wallets.look  # a no is said of one moment only
        wallet = await see(caller.payer_id)
        room = _Room(caller, wallet, int(wallet.available), int(wallet.available + wallet.held))
        if refused.limits & {"cap", "sub_account_cap"}:
            caller = replace(caller, limits=await self.gateway.keys.limits(caller))
            room = replace(room, caller=caller)
        for one in caller.limits:
            if one.cap is None:
                continue
            spend = await wallets.spend(caller.account_id, one, now)
            left = max(0, one.cap - spend.spent)
            if left < room.later:
                limit: Limit = "sub_account_cap" if one.owner == caller.account_id else "cap"
                room = replace(room, later=left, binding=limit)
            room = replace(room, now=min(room.now, left - spend.held))
        return room

    async def refused_for(self, room: "_Room", *, in_flight: bool) -> AIGError:
        """What the client is told; who pays is told too, if it is for good."""
        if room.binding == "sub_account_cap" and not in_flight:
            await notices.spend_exceeded(self.gateway, room.caller, room.caller.limits[-1])
        elif room.binding == "balance" and not in_flight:
            await notices.balance_exhausted(self.gateway, room.caller.payer_id, room.wallet)
        return self.refusal({room.binding}, in_flight=in_flight)

    def refusal(self, refused: set[Limit] | frozenset[Limit], *, in_flight: bool = False) -> AIGError:
        now = self.gateway.clock.now()
        if "rate" in refused:
            error = RateLimited(
                "This key has made all the requests that it may make in this minute. Wait for the time in Retry-After.",
                retry_after=limits.retry_after(now),
            )
            error.rpm = min((one.rpm for one in self.caller.limits if one.rpm is not None), default=None)
            return error
        if in_flight:
            return BudgetExceeded(
                "Other requests and jobs in flight hold the rest of what may be spent. Send this one again later.",
                code="in_flight_holds",
                retry_after=IN_FLIGHT_RETRY_AFTER_S,
            )
        if "sub_account_cap" in refused:
            return BudgetExceeded(
                "The sub-account's spend cap does not cover this request. Have the cap raised, or wait for its reset.",
                code="spend_cap_reached",
            )
        if "cap" in refused:
            return BudgetExceeded(
                "The key's spend cap does not cover this request. Raise the cap, or wait for its reset.",
                code="spend_cap_reached",
            )
        if self.caller.parent_id is not None:  # whose balance is not a sub-account's business
            return BudgetExceeded("The account's balance does not cover this request. Tell whoever gave you the key.")
        return BudgetExceeded(f"The wallet does not cover this request. Top it up, or send {self.demand.smaller}.")

    def free_tier_used(self) -> AIGError:
        now = int(self.gateway.clock.now())
        tomorrow = limits.period(now, "daily").ends_at
        assert tomorrow is not None
        return RateLimited(
            "The day's free requests are used up, and the wallet does not cover this one. Top it up, or wait for the "
            "time in Retry-After.",
            code="free_tier_exhausted",
            retry_after=tomorrow - now,
        )
