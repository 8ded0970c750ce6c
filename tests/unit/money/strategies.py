"""Prices and usage as hypothesis makes them: what every money test draws from."""

from hypothesis import strategies as st

from aig.modalities.usage import TOKEN_UNITS, Unit, Usage
from aig.money.pricing import MINUTES_A_DAY, Hours, Prices, Rates
from aig.money.units import Pico

MAX_PICO = 2_000 * 10**6  # the dearest price that the catalog takes

counts = st.integers(0, 10**9)
pico = st.integers(0, MAX_PICO).map(Pico)


def _rates(table: dict[Unit, Pico], extra: tuple[Pico, Pico]) -> Rates:
    return {"input_tokens": extra[0], "output_tokens": extra[1], **table}


_units: st.SearchStrategy[Unit] = st.sampled_from(sorted(TOKEN_UNITS))
rates: st.SearchStrategy[Rates] = st.builds(_rates, st.dictionaries(_units, pico), st.tuples(pico, pico))
_steps = st.lists(st.tuples(st.integers(1, 10**7), rates), max_size=2, unique_by=lambda step: step[0]).map(tuple)
_lists: st.SearchStrategy[Prices] = st.builds(Prices, rates, _steps)
_tiers = st.dictionaries(st.sampled_from(["flex", "priority"]), _lists, max_size=2)
_span = st.tuples(st.integers(0, MINUTES_A_DAY // 2), st.integers(MINUTES_A_DAY // 2 + 1, MINUTES_A_DAY))
_days = st.sets(st.integers(1, 7), min_size=1).map(sorted).map(tuple)
_hours = st.lists(st.builds(Hours, st.tuples(_span), _days, _lists), max_size=2).map(tuple)
prices: st.SearchStrategy[Prices] = st.builds(Prices, rates, _steps, _tiers, _hours)
tiers = st.sampled_from([None, "flex", "priority", "scale"])
usages: st.SearchStrategy[Usage] = st.builds(Usage, st.dictionaries(_units, counts), service_tier=tiers)
