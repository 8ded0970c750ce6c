"""What a run costs the customer, and us."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.usage import INPUT_UNITS, Unit, Usage
from aig.money.pricing import Hours, Prices, Rates, charge, price_of, upstream_cost
from aig.money.units import Pico
from tests.unit.money.strategies import counts, prices, rates, tiers, usages

SANDBOX = Prices({"input_tokens": Pico(1_000_000), "output_tokens": Pico(2_000_000)})


def exact(usage: Usage, table: Prices) -> Fraction:
    """The list price in nano-USD, as a fraction."""
    chosen = table.tiers.get(usage.service_tier or "", table)
    reached = sorted(step for step in chosen.above if usage.total(INPUT_UNITS) > step[0])
    rates = reached[-1][1] if reached else chosen.rates
    return Fraction(sum(count * price_of(unit, rates) for unit, count in usage.units.items()), 1000)


@pytest.mark.parametrize(
    ("units", "cache_hit", "nano"),
    [
        ({}, False, 0),
        ({"input_tokens": 0, "output_tokens": 0}, False, 0),
        ({"input_tokens": 1, "output_tokens": 2}, False, 5_250),  # $1 and $2 a million, plus five per cent
        ({"input_tokens": 1_000_000}, False, 1_050_000_000),
        ({"input_tokens": 1, "output_tokens": 2}, True, 525),
        ({"cached_input_tokens": 1, "reasoning_tokens": 2}, False, 5_250),  # priced as the class they belong to
    ],
)
def test_charge(units: dict[Unit, int], cache_hit: bool, nano: int) -> None:
    assert charge(Usage(units), SANDBOX, cache_hit=cache_hit) == nano


@pytest.mark.parametrize(
    ("pico", "nano", "hit"),
    [(1, 1, 1), (952, 1, 1), (953, 2, 1), (9_523, 10, 1), (9_524, 11, 2), (1_000_000, 1050, 105)],
)
def test_charge_is_rounded_up_once(pico: int, nano: int, hit: int) -> None:
    table = Prices({"input_tokens": Pico(pico), "output_tokens": Pico(0)})
    assert charge(Usage({"input_tokens": 1}), table) == nano
    assert charge(Usage({"input_tokens": 1}), table, cache_hit=True) == hit


@given(usages, prices)
def test_charge_is_the_exact_price_and_fee_rounded_up(usage: Usage, table: Prices) -> None:
    assert charge(usage, table) == ceil(exact(usage, table) * Fraction(105, 100))


@given(usages, prices)
def test_upstream_cost_is_the_exact_price_rounded_up(usage: Usage, table: Prices) -> None:
    assert upstream_cost(usage, table) == ceil(exact(usage, table))


@given(usages, prices)
def test_a_cache_hit_costs_a_tenth(usage: Usage, table: Prices) -> None:
    hit = charge(usage, table, cache_hit=True)
    assert hit == ceil(exact(usage, table) * Fraction(105, 1000))
    assert abs(hit - Fraction(charge(usage, table), 10)) < 1


@given(usages, rates, st.sampled_from(["input_tokens", "cached_input_tokens", "reasoning_tokens"]), counts)
def test_more_usage_never_costs_less(usage: Usage, plain: Rates, unit: Unit, more: int) -> None:
    table = Prices(plain)
    larger = Usage({**usage.units, unit: usage.units.get(unit, 0) + more})
    assert charge(larger, table) >= charge(usage, table)
    assert charge(larger, table, cache_hit=True) >= charge(usage, table, cache_hit=True)
    assert upstream_cost(larger, table) >= upstream_cost(usage, table)


@given(usages, prices)
def test_amounts_are_integers_and_the_fee_is_ours(usage: Usage, table: Prices) -> None:
    paid, cost = charge(usage, table), upstream_cost(usage, table)
    assert type(paid) is int
    assert type(cost) is int
    assert type(charge(usage, table, cache_hit=True)) is int
    assert paid >= cost


@pytest.mark.parametrize(
    ("unit", "pico"),
    [
        ("input_tokens", 1),
        ("cached_input_tokens", 1),
        ("cache_write_tokens", 1),
        ("cache_write_1h_tokens", 1),
        ("input_audio_tokens", 1),
        ("cached_input_audio_tokens", 1),
        ("input_image_tokens", 1),
        ("output_tokens", 2),
        ("reasoning_tokens", 2),
        ("output_audio_tokens", 2),
        ("output_image_tokens", 2),
    ],
)
def test_a_class_without_a_price_costs_what_its_parent_costs(unit: Unit, pico: int) -> None:
    assert price_of(unit, {"input_tokens": Pico(1), "output_tokens": Pico(2)}) == pico
    assert price_of(unit, {"input_tokens": Pico(1), "output_tokens": Pico(2), unit: Pico(9)}) == 9


def test_a_unit_that_nothing_prices_is_an_error_not_free() -> None:
    with pytest.raises(KeyError):
        charge(Usage({"reasoning_tokens": 1}), Prices({"input_tokens": Pico(1)}))
    with pytest.raises(KeyError):
        charge(Usage({"output_tokens": 1}), Prices({"input_tokens": Pico(1)}))


TIERED = Prices(
    {"input_tokens": Pico(2_500_000), "output_tokens": Pico(15_000_000)},
    above=((272_000, {"input_tokens": Pico(5_000_000), "output_tokens": Pico(22_500_000)}),),
    tiers={"flex": Prices({"input_tokens": Pico(1_250_000), "output_tokens": Pico(7_500_000)})},
)


@pytest.mark.parametrize(
    ("units", "tier", "usd"),
    [
        ({"input_tokens": 272_000, "output_tokens": 1000}, None, "0.695"),
        # One token more and the whole request, its output too, is at the rates of long prompts.
        ({"input_tokens": 272_001, "output_tokens": 1000}, None, "1.382505"),
        ({"input_tokens": 200_000, "cached_input_tokens": 72_001, "output_tokens": 1000}, None, "1.382505"),
        ({"input_tokens": 1000, "output_tokens": 1000}, "flex", "0.00875"),
        ({"input_tokens": 300_000, "output_tokens": 1000}, "flex", "0.3825"),  # which has no step of its own
        ({"input_tokens": 1000, "output_tokens": 1000}, "scale", "0.0175"),  # a tier without a price is the usual
    ],
)
def test_long_prompts_and_service_tiers(units: dict[Unit, int], tier: str | None, usd: str) -> None:
    assert upstream_cost(Usage(units, service_tier=tier), TIERED) == Fraction(usd) * 10**9


def at(hour: int, minute: int = 0, day: int = 25) -> int:
    """Unix seconds in November 2026, whose 25th is a Wednesday."""
    return int(datetime(2026, 11, day, hour, minute, tzinfo=UTC).timestamp())


PEAK = Prices({"input_tokens": Pico(4)}, above=((10, {"input_tokens": Pico(8)}),))
BY_HOUR = replace(TIERED, hours=(Hours(((60, 240), (360, 600)), (1, 2, 3, 4, 5), PEAK),))


@pytest.mark.parametrize(
    ("now", "peak"),
    [
        (at(0, 59), False),
        (at(1), True),
        (at(3, 59), True),
        (at(4), False),
        (at(5), False),
        (at(6), True),
        (at(9, 59) + 59, True),
        (at(10), False),
        (at(23, 59), False),
        (at(2, day=27), True),  # Friday
        (at(2, day=28), False),  # Saturday
        (at(2, day=29), False),
        (at(2, day=30), True),  # Monday
        (2 * 3600, True),  # the first of January 1970 was a Thursday
    ],
)
def test_prices_by_the_hour(now: int, peak: bool) -> None:
    assert BY_HOUR.at(now) == (PEAK if peak else TIERED)
    assert BY_HOUR.at(now).at(now + 3 * 3600) == BY_HOUR.at(now)  # decided once


def test_prices_without_hours_are_the_same_at_all_times() -> None:
    assert TIERED.at(0) is TIERED


@given(prices)
def test_a_price_list_survives_its_json(table: Prices) -> None:
    assert Prices.from_json(json.loads(json.dumps(table.to_json()))) == table


@given(prices, st.integers(0, 10**7), tiers)
def test_what_a_run_costs_is_among_what_it_may_cost(table: Prices, tokens: int, tier: str | None) -> None:
    assert table.rates_for(tokens, tier) in table.possible_rates(tokens, tier)
    assert table.rates_for(tokens, None) in table.possible_rates(tokens, tier)
