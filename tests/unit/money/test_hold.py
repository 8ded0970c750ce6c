"""What is set aside, and what becomes of it."""

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage
from aig.money.hold import MIN_OUTPUT_TOKENS, Bid, Bounds, Hold, affordable, settle, worst_case
from aig.money.pricing import Prices, Rates, charge, price_of
from aig.money.units import Nano, Pico
from tests.unit.money.strategies import prices, tiers

SANDBOX = Prices({"input_tokens": Pico(1_000_000), "output_tokens": Pico(2_000_000)})

bounds = st.builds(
    Bounds,
    st.integers(0, 10**7),
    st.integers(1, 10**6),
    st.integers(1, 128),
)
candidates = st.lists(prices, min_size=1, max_size=3).map(tuple)


def bids(limits: Bounds, tables: tuple[Prices, ...], tier: str | None = None) -> list[Bid]:
    return [Bid(limits, table, tier) for table in tables]


def hold(amount: int) -> Hold:
    return Hold("req_1", "acct_1", "key_1", Nano(amount), "sandbox/echo", {"sandbox": SANDBOX}, 0, 960)


def cost(limits: Bounds, output_tokens: int, tables: tuple[Prices, ...]) -> int:
    """What the dearest candidate would charge if every token were of the dearest class of its side."""

    def exact(rates: Rates) -> int:
        read = limits.input_tokens * max(price_of(unit, rates) for unit in INPUT_UNITS)
        written = output_tokens * limits.samples * max(price_of(unit, rates) for unit in OUTPUT_UNITS)
        return read + written

    possible = [rates for table in tables for rates in table.possible_rates(limits.input_tokens, None)]
    return ceil(Fraction(max(exact(rates) for rates in possible) * 105, 100 * 1000))


def test_the_worst_case_in_figures() -> None:
    quote = worst_case(bids(Bounds(1000, 300, samples=2), (SANDBOX,)))
    assert quote.amount == (1000 * 1_000 + 600 * 2_000) * 105 // 100
    assert quote.output_tokens == 300


def test_a_dear_class_of_tokens_is_reckoned_with() -> None:
    dear: Rates = {"output_audio_tokens": Pico(50_000_000), "cached_input_tokens": Pico(100_000)}
    audio = Prices({**SANDBOX.rates, **dear})
    limits = Bounds(1000, 300)
    assert worst_case(bids(limits, (SANDBOX, audio))).amount == (1000 * 1_000 + 300 * 50_000) * 105 // 100
    text = Bounds(1000, 300, output_units=("output_tokens", "reasoning_tokens"))
    assert worst_case(bids(text, (SANDBOX, audio))).amount == (1000 * 1_000 + 300 * 2_000) * 105 // 100


def test_what_writes_nothing_needs_no_price_for_it() -> None:
    quote = worst_case([Bid(Bounds(1000, 0), Prices({"input_tokens": Pico(1_000_000)}))])
    assert (quote.amount, quote.output_tokens) == (1000 * 1_000 * 105 // 100, 0)


def test_what_a_request_cannot_be_billed_in_is_not_held() -> None:
    """Of a model that several endpoints call."""
    prices = Prices({**SANDBOX.rates, "images": Pico(10**10), "seconds": Pico(10**10)})
    assert worst_case([Bid(Bounds(1000, 0), prices)]).amount == 1000 * 1_000 * 105 // 100
    pictures = Bounds(0, 0, counts={"images": 2, "tiles": 8})
    assert worst_case([Bid(pictures, prices)]).amount == 2 * 10**7 * 105 // 100


def test_each_candidate_is_bounded_by_its_own_model() -> None:
    short, long = Bid(Bounds(1000, 100), SANDBOX), Bid(Bounds(1000, 300), SANDBOX)
    quote = worst_case([short, long])
    assert quote == worst_case([long])
    assert quote.output_tokens == 300


@st.composite
def runs(draw: st.DrawFn, limits: Bounds) -> Usage:
    """Any usage within the bounds, its tokens of any classes."""
    units: dict[Unit, int] = {}
    for side, most in ((INPUT_UNITS, limits.input_tokens), (OUTPUT_UNITS, limits.output_tokens * limits.samples)):
        left = most
        for unit in side:
            units[unit] = draw(st.integers(0, left))
            left -= units[unit]
    return Usage(units)


@given(bounds, candidates, tiers, st.booleans(), st.data())
def test_no_run_within_the_bounds_costs_more_than_the_hold(
    limits: Bounds, tables: tuple[Prices, ...], tier: str | None, downgraded: bool, data: st.DataObject
) -> None:
    """Whichever candidate serves, at the tier that was asked for or at the usual one."""
    quote = worst_case(bids(limits, tables, tier))
    usage = replace(data.draw(runs(limits)), service_tier=None if downgraded else tier)
    price = charge(usage, data.draw(st.sampled_from(tables)))
    assert price <= quote.amount
    assert settle(hold(quote.amount), price).shortfall == 0


@given(bounds, candidates)
def test_the_hold_is_not_larger_than_the_dearest_run(limits: Bounds, tables: tuple[Prices, ...]) -> None:
    assert worst_case(bids(limits, tables)).amount == cost(limits, limits.output_tokens, tables)


@given(bounds, candidates, st.integers(-(10**9), 10**15))
def test_the_affordable_quote_fits_and_is_the_largest_that_does(
    limits: Bounds, tables: tuple[Prices, ...], room: int
) -> None:
    least = min(MIN_OUTPUT_TOKENS, limits.output_tokens)
    quote = affordable(bids(limits, tables), room)
    if quote is None:
        assert cost(limits, least, tables) > room
        return
    assert quote.amount <= room
    assert quote.amount == cost(limits, quote.output_tokens, tables)
    assert least <= quote.output_tokens <= limits.output_tokens
    if quote.output_tokens < limits.output_tokens:
        assert cost(limits, quote.output_tokens + 1, tables) > room


@given(bounds, candidates, st.integers(0, 10**15), st.integers(0, 10**15))
def test_more_room_never_affords_less(limits: Bounds, tables: tuple[Prices, ...], room: int, more: int) -> None:
    poor, rich = affordable(bids(limits, tables), room), affordable(bids(limits, tables), room + more)
    if poor is not None:
        assert rich is not None
        assert rich.output_tokens >= poor.output_tokens


@given(bounds, candidates)
def test_room_for_the_worst_case_affords_all_of_it(limits: Bounds, tables: tuple[Prices, ...]) -> None:
    quote = worst_case(bids(limits, tables))
    assert affordable(bids(limits, tables), quote.amount) == quote


@pytest.mark.parametrize(
    ("asked", "room_for", "tokens"),
    [
        (1000, 255, None),  # a stump of an answer is not worth its input
        (1000, 256, 256),
        (1000, 700, 700),
        (100, 99, None),  # all that was asked for, or nothing, when that is little
        (100, 100, 100),
        (256, 256, 256),
    ],
)
def test_at_least_256_tokens_or_all_that_were_asked_for(asked: int, room_for: int, tokens: int | None) -> None:
    limits = Bounds(50, asked)
    quote = affordable(bids(limits, (SANDBOX,)), cost(limits, room_for, (SANDBOX,)))
    assert (quote.output_tokens if quote else None) == tokens


@given(st.integers(0, 10**18), st.integers(0, 10**18))
def test_a_settlement_never_charges_more_than_was_held(amount: int, price: int) -> None:
    settlement = settle(hold(amount), Nano(price))
    assert settlement.charged + settlement.released == amount
    assert settlement.charged + settlement.shortfall == price
    assert 0 <= settlement.charged <= amount
    assert settlement.released >= 0
    assert settlement.shortfall >= 0
    assert settlement.released == 0 or settlement.shortfall == 0
