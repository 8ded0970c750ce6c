"""The first phase of a charge: how much to set aside, and what becomes of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, Usage
from aig.money.pricing import Prices, charge, price_of
from aig.money.units import Nano

MIN_OUTPUT_TOKENS = 256


@dataclass(frozen=True, slots=True)
class Bounds:
    """Upper bounds of a run: its input, and output tokens for each of `samples` answers."""

    input_tokens: int
    output_tokens: int
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Quote:
    """`amount` covers the bounded input and `output_tokens` for each sample, at the dearest price that may serve."""

    amount: Nano
    output_tokens: int


def _dearest(prices: Prices) -> Prices:
    """Input and output at the price of their dearest class: which class a token will be of, nobody knows before."""
    return {
        "input_tokens": max(price_of(unit, prices) for unit in INPUT_UNITS),
        "output_tokens": max(price_of(unit, prices) for unit in OUTPUT_UNITS),
    }


def _amount(bounds: Bounds, output_tokens: int, candidates: tuple[Prices, ...]) -> Nano:
    usage = Usage({"input_tokens": bounds.input_tokens, "output_tokens": output_tokens * bounds.samples})
    return max(charge(usage, _dearest(prices)) for prices in candidates)


def worst_case(bounds: Bounds, candidates: tuple[Prices, ...]) -> Quote:
    """The hold that no honest run can exceed, whichever candidate serves it."""
    return Quote(_amount(bounds, bounds.output_tokens, candidates), bounds.output_tokens)


def affordable(bounds: Bounds, candidates: tuple[Prices, ...], room: int) -> Quote | None:
    """The largest quote within `room` nano-USD, or None if not even a short answer fits.

    Worth running: the whole input and at least 256 output tokens (or all that were asked for, if fewer).
    """
    low, high = min(MIN_OUTPUT_TOKENS, bounds.output_tokens), bounds.output_tokens
    if _amount(bounds, low, candidates) > room:
        return None
    while low < high:  # the price is monotonic in the tokens: bisect
        middle = (low + high + 1) // 2
        if _amount(bounds, middle, candidates) <= room:
            low = middle
        else:
            high = middle - 1
    return Quote(_amount(bounds, low, candidates), low)


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one request. `prices` is the snapshot it will be settled by; `expires_at` unix seconds."""

    request_id: str
    account_id: str
    key_id: str
    amount: Nano
    model: str
    prices: Mapping[str, Prices]  # by provider
    created_at: int
    expires_at: int
    capped: bool = False  # whether the key's spend cap took part


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a hold resolves: `charged` to the customer, `released` back, `shortfall` borne by the platform."""

    charged: Nano
    released: Nano
    shortfall: Nano


def settle(hold: Hold, price: Nano) -> Settlement:
    """A customer never pays more than was held: a cap is a hard line, and an excess is the platform's loss."""
    charged = min(price, hold.amount)
    return Settlement(Nano(charged), Nano(hold.amount - charged), Nano(price - charged))
