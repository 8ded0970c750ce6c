"""Setting money aside for a call: the worst case of whoever may serve it, or what the wallet still covers."""

from collections.abc import Callable, Sequence

from aig import limits
from aig.call import Gateway
from aig.catalog.routing import Candidate
from aig.errors import AIGError, BudgetExceeded, RateLimited
from aig.keys import Caller
from aig.modalities.demand import Demand
from aig.money import hold as money
from aig.money.ledger import Debit
from aig.money.units import Nano
from aig.ports import HoldRefused

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
    bounds = money.Bounds(input_tokens, output_tokens, demand.samples, demand.input_units, demand.output_units)
    return money.Bid(bounds, candidate.offer.prices, demand.service_tier)


async def take_hold(
    gateway: Gateway, caller: Caller, candidates: Sequence[Candidate], demand: Demand
) -> tuple[money.Hold, int]:
    """A hold that covers whichever candidate serves, and the output tokens that it pays for. Raises AIGError."""
    bids = [_bid(candidate, demand) for candidate in candidates]
    now = int(gateway.clock.now())

    def hold_of(quote: money.Quote) -> money.Hold:
        return money.Hold(
            request_id=gateway.ids.new("req"),
            account_id=caller.account_id,
            key_id=caller.key_id,
            amount=quote.amount,
            model=candidates[0].model.slug,
            prices={candidate.key: candidate.offer.prices for candidate in candidates},
            created_at=now,
            expires_at=now + HOLD_TTL_S,
            capped=caller.capped,
        )

    quote = money.worst_case(bids)
    try:
        try:
            hold = hold_of(quote)
            await gateway.wallets.take(hold, caller)
        except HoldRefused as refused:
            quote = await _smaller_quote(gateway, caller, bids, refused)
            hold = hold_of(quote)
            await gateway.wallets.take(hold, caller)
    except HoldRefused as refused:  # others took the rest between the look and the second try
        raise _refusal(gateway, refused, in_flight=True) from None
    return hold, quote.output_tokens


async def _smaller_quote(
    gateway: Gateway, caller: Caller, bids: Sequence[money.Bid], refused: HoldRefused
) -> money.Quote:
    """What can be afforded after a refusal: an answer cut short beats none. Raises AIGError if not even that."""
    if "rate" in refused.limits:
        raise _refusal(gateway, refused)
    room, room_later = await _rooms(gateway, caller)
    quote = money.affordable(bids, room)
    if quote is None:
        in_flight = money.affordable(bids, room_later) is not None
        raise _refusal(gateway, refused, in_flight=in_flight)
    return quote


async def _rooms(gateway: Gateway, caller: Caller) -> tuple[int, int]:
    """What wallet and cap leave, and what they will leave if all that others hold comes back."""
    wallet = await gateway.wallets.wallet(caller.account_id)
    room, room_later = int(wallet.available), wallet.available + wallet.held
    if caller.capped:
        spend = await gateway.wallets.key_spend(caller.account_id, caller.key_id)
        if spend.room is not None:
            room, room_later = min(room, spend.room), min(room_later, spend.room + (spend.held or 0))
    return room, room_later


async def pay_at_once(
    gateway: Gateway, caller: Caller, candidate: Candidate, price: Nano, debit_of: Callable[[str], Debit]
) -> str:
    """All limits and the charge in one step, for what is there already; the request's id. Raises AIGError.

    `debit_of` gives the row of the ledger for that id.
    """
    now = int(gateway.clock.now())
    hold = money.Hold(
        request_id=gateway.ids.new("req"),
        account_id=caller.account_id,
        key_id=caller.key_id,
        amount=price,
        model=candidate.model.slug,
        prices={candidate.key: candidate.offer.prices},
        created_at=now,
        expires_at=now + HOLD_TTL_S,
        capped=caller.capped,
    )
    try:
        await gateway.wallets.charge(hold, caller, money.settle(hold, price), debit_of(hold.request_id))
    except HoldRefused as refused:
        later = 0 if "rate" in refused.limits else (await _rooms(gateway, caller))[1]
        raise _refusal(gateway, refused, in_flight=later >= price) from None
    return hold.request_id


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
