"""From units and prices to what the customer pays and what the provider charges us."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aig.modalities.usage import INPUT_UNITS, Unit, Usage
from aig.money.units import Nano, Pico

FEE_PERCENT = 105  # upstream cost plus five per cent
CACHE_HIT_PERCENT = 10
_PICO_PER_NANO = 1000

Rates = Mapping[Unit, Pico]


MINUTES_A_DAY = 24 * 60
_THURSDAY = 4  # the day that unix time begins with


@dataclass(frozen=True, slots=True)
class Hours:
    """When a list of its own holds: from a minute of the day to another, UTC, on these days (1 is Monday)."""

    spans: tuple[tuple[int, int], ...]
    days: tuple[int, ...]
    prices: "Prices"

    def hold_at(self, now: int) -> bool:
        """Whether they do at a time in unix seconds."""
        day, minute = divmod(now // 60, MINUTES_A_DAY)
        return (day + _THURSDAY - 1) % 7 + 1 in self.days and any(start <= minute < end for start, end in self.spans)


@dataclass(frozen=True, slots=True)
class Prices:
    """A price list: pico-USD per unit; what a long prompt, a service tier, or an hour of the day costs instead.

    `above` holds (tokens, rates): a prompt of more tokens has the whole of its request priced by those. `tiers` names
    the service tiers that have a list of their own, `hours` the times. The JSON form is what the catalog keeps, and a
    hold: that of the moment it was taken at, without hours.
    """

    rates: Rates
    above: tuple[tuple[int, Rates], ...] = ()
    tiers: Mapping[str, "Prices"] = field(default_factory=dict)
    hours: tuple[Hours, ...] = ()

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> "Prices":
        return cls(
            rates=table["rates"],
            above=tuple((tokens, rates) for tokens, rates in table.get("above", ())),
            tiers={name: cls.from_json(tier) for name, tier in table.get("tiers", {}).items()},
            hours=tuple(
                Hours(
                    tuple((start, end) for start, end in row["spans"]),
                    tuple(row["days"]),
                    cls.from_json(row["prices"]),
                )
                for row in table.get("hours", ())
            ),
        )

    def at(self, now: int) -> "Prices":
        """The list that holds at a time in unix seconds, all that depends on the time decided."""
        if not self.hours:
            return self
        return next((row.prices for row in self.hours if row.hold_at(now)), replace(self, hours=()))

    def to_json(self) -> dict[str, Any]:
        table: dict[str, Any] = {"rates": dict(self.rates)}
        if self.above:
            table["above"] = [[tokens, dict(rates)] for tokens, rates in self.above]
        if self.tiers:
            table["tiers"] = {name: tier.to_json() for name, tier in self.tiers.items()}
        if self.hours:
            table["hours"] = [
                {"spans": [list(span) for span in row.spans], "days": list(row.days), "prices": row.prices.to_json()}
                for row in self.hours
            ]
        return table

    def rates_for(self, prompt_tokens: int, service_tier: str | None) -> Rates:
        """The rates of a run with so long a prompt, cached tokens included. An unknown tier costs the usual."""
        if service_tier is not None and service_tier in self.tiers:
            return self.tiers[service_tier].rates_for(prompt_tokens, None)
        reached = [(tokens, rates) for tokens, rates in self.above if prompt_tokens > tokens]
        return max(reached, key=lambda step: step[0])[1] if reached else self.rates

    def possible_rates(self, prompt_tokens: int, service_tier: str | None) -> list[Rates]:
        """All rates that a run with at most so long a prompt may turn out to have, asked for that tier."""
        rates = [self.rates, *(step for tokens, step in self.above if prompt_tokens > tokens)]
        if service_tier is not None and service_tier in self.tiers:
            rates += self.tiers[service_tier].possible_rates(prompt_tokens, None)
        return rates


# A class of tokens that the price list does not name costs what the class it belongs to costs.
_FALLBACK: Mapping[Unit, Unit] = {
    "cached_input_tokens": "input_tokens",
    "cache_write_tokens": "input_tokens",
    "cache_write_1h_tokens": "cache_write_tokens",
    "input_audio_tokens": "input_tokens",
    "cached_input_audio_tokens": "cached_input_tokens",
    "input_image_tokens": "input_tokens",
    "reasoning_tokens": "output_tokens",
    "output_audio_tokens": "output_tokens",
    "output_image_tokens": "output_tokens",
}


def price_of(unit: Unit, rates: Rates) -> Pico:
    """The price of one unit. Raises KeyError for a unit that there is no price for."""
    while unit not in rates:
        unit = _FALLBACK[unit]
    return rates[unit]


def has_price(unit: Unit, rates: Rates) -> bool:
    while unit not in rates:
        if unit not in _FALLBACK:
            return False
        unit = _FALLBACK[unit]
    return True


def _list_price(usage: Usage, prices: Prices) -> int:
    rates = prices.rates_for(usage.total(INPUT_UNITS), usage.service_tier)
    return sum(count * price_of(unit, rates) for unit, count in usage.units.items() if count)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def charge(usage: Usage, prices: Prices, *, cache_hit: bool = False) -> Nano:
    """What the customer pays: list price plus the fee, a tenth of it for a cache hit, rounded up once."""
    return with_fee(_list_price(usage, prices), CACHE_HIT_PERCENT if cache_hit else 100)


def with_fee(list_price: int, share_percent: int = 100) -> Nano:
    """What the customer pays for a list price in pico-USD, or for a share of it, rounded up once."""
    return Nano(_ceil_div(list_price * FEE_PERCENT * share_percent, 100 * 100 * _PICO_PER_NANO))


def upstream_cost(usage: Usage, prices: Prices) -> Nano:
    """What the provider charges us, rounded up."""
    return Nano(_ceil_div(_list_price(usage, prices), _PICO_PER_NANO))
