"""Prices and usage as hypothesis makes them: what every money test draws from."""

from hypothesis import strategies as st

from aig.modalities.usage import UNITS, Unit, Usage
from aig.money.pricing import Prices
from aig.money.units import Pico

MAX_PICO = 2_000 * 10**6  # the dearest price that the catalog takes

counts = st.integers(0, 10**9)
pico = st.integers(0, MAX_PICO).map(Pico)


def _prices(table: dict[Unit, Pico], extra: tuple[Pico, Pico]) -> Prices:
    return {"input_tokens": extra[0], "output_tokens": extra[1], **table}


_units: st.SearchStrategy[Unit] = st.sampled_from(sorted(UNITS))
prices: st.SearchStrategy[Prices] = st.builds(_prices, st.dictionaries(_units, pico), st.tuples(pico, pico))
usages: st.SearchStrategy[Usage] = st.builds(Usage, st.dictionaries(_units, counts))
