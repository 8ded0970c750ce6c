"""From units and prices to what the customer pays and what the provider charges us."""

from collections.abc import Mapping

from aig.modalities.usage import Unit, Usage
from aig.money.units import Nano, Pico

Prices = Mapping[Unit, Pico]

FEE_PERCENT = 105  # upstream cost plus five per cent
CACHE_HIT_PERCENT = 10
_PICO_PER_NANO = 1000

# A class of tokens that the price list does not name costs what the class it belongs to costs.
_FALLBACK: Mapping[Unit, Unit] = {
    "cached_input_tokens": "input_tokens",
    "input_audio_tokens": "input_tokens",
    "reasoning_tokens": "output_tokens",
    "output_audio_tokens": "output_tokens",
}


def price_of(unit: Unit, prices: Prices) -> Pico:
    """The price of one unit. Raises KeyError for a unit that the offer has no price for."""
    if unit in prices:
        return prices[unit]
    return prices[_FALLBACK[unit]]


def _list_price(units: Mapping[Unit, int], prices: Prices) -> int:
    return sum(count * price_of(unit, prices) for unit, count in units.items() if count)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def charge(usage: Usage, prices: Prices, *, cache_hit: bool = False) -> Nano:
    """What the customer pays: list price plus the fee, a tenth of it for a cache hit, rounded up once."""
    share = CACHE_HIT_PERCENT if cache_hit else 100
    return Nano(_ceil_div(_list_price(usage.units, prices) * FEE_PERCENT * share, 100 * 100 * _PICO_PER_NANO))


def upstream_cost(usage: Usage, prices: Prices) -> Nano:
    """What the provider charges us, rounded up."""
    return Nano(_ceil_div(_list_price(usage.units, prices), _PICO_PER_NANO))
