"""A price that was typed a thousand times too high or too low is refused: tried with every offer of the catalog."""

import copy
import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from aig.catalog.bounds import BOUNDS
from aig.catalog.compile import MODALITIES, compile_catalog
from aig.modalities.usage import UNITS
from ops.catalog import rows

PROVIDERS, MODELS = rows()
THOUSAND, THOUSANDTH = Decimal(1000), Decimal("0.001")
REFUSED = "out of bounds|times|decimal|costs less than a plain token"


def price_tables(offer: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Every table of prices in an offer: those of long prompts, tiers and hours too."""
    for name in ("usd_per_million", "usd_per_unit"):
        if name in offer:
            yield offer[name]
    for nested in (*offer.get("above", ()), *offer.get("tiers", {}).values(), *offer.get("hours", ())):
        yield from price_tables(nested)


def prices_of(offer: dict[str, Any]) -> list[tuple[dict[str, str], str]]:
    return [(table, unit) for table in price_tables(offer) for unit in table if Decimal(table[unit])]


def alone(model: dict[str, Any]) -> dict[str, Any]:
    """A copy that may be compiled without the model that is to follow it."""
    return copy.deepcopy({name: value for name, value in model.items() if name != "successor"})


PRICED = [(model, at) for model in MODELS for at, offer in enumerate(model["offer"]) if prices_of(offer)]
every_offer = pytest.mark.parametrize(
    ("model", "at"), PRICED, ids=[f"{model['slug']} at {model['offer'][at]['provider']}" for model, at in PRICED]
)


def test_every_offer_that_has_a_price_is_tried() -> None:
    without = {model["slug"] for model in MODELS for offer in model["offer"] if not prices_of(offer)}
    assert len(PRICED) > 250
    # Free ones, and those of modalities that are listed without a price, because nobody publishes one.
    assert not {model["slug"] for model in MODELS if model["modality"] in ("text", "embedding")} & without


def test_no_range_is_so_wide_that_a_thousandth_of_a_price_in_it_is_in_it() -> None:
    assert BOUNDS.keys() - {"own", "sandbox"} == MODALITIES
    for modality, ranges in BOUNDS.items():
        for unit, (least, most) in ranges.items():
            assert unit in UNITS
            assert 1 < Decimal(most) / Decimal(least) < 1000, (modality, unit)


@pytest.mark.parametrize("factor", [THOUSAND, THOUSANDTH])
@every_offer
def test_the_whole_row_of_an_offer(model: dict[str, Any], at: int, factor: Decimal) -> None:
    """As a row that was never compiled before."""
    compile_catalog(PROVIDERS, [alone(model)])
    wrong = alone(model)
    for table, unit in prices_of(wrong["offer"][at]):
        table[unit] = f"{Decimal(table[unit]) * factor:f}"
    with pytest.raises(ValueError, match=REFUSED) as raised:
        compile_catalog(PROVIDERS, [wrong])
    assert model["slug"] in str(raised.value)


@every_offer
def test_each_price_of_an_offer_by_itself(model: dict[str, Any], at: int) -> None:
    for number in range(len(prices_of(model["offer"][at]))):
        for factor in (THOUSAND, THOUSANDTH):
            wrong = alone(model)
            table, unit = prices_of(wrong["offer"][at])[number]
            table[unit] = f"{Decimal(table[unit]) * factor:f}"
            with pytest.raises(ValueError, match=REFUSED):
                compile_catalog(PROVIDERS, [wrong])


def test_all_offers_of_a_model_at_once() -> None:
    for model in MODELS:
        wrong = alone(model)
        for offer in wrong["offer"]:
            for table, unit in prices_of(offer):
                table[unit] = f"{Decimal(table[unit]) * THOUSAND:f}"
        if wrong["offer"] != model["offer"]:
            with pytest.raises(ValueError, match=REFUSED):
                compile_catalog(PROVIDERS, [wrong])


def test_a_unit_without_bounds_is_refused() -> None:
    model = next(
        alone(model) for model in MODELS if model["modality"] == "image" and "usd_per_unit" in model["offer"][0]
    )
    model["offer"][0]["usd_per_unit"]["pages"] = "0.01"
    with pytest.raises(ValueError, match="pages of modality image has no bounds"):
        compile_catalog(PROVIDERS, [model])


class TestSinceTheLastCompilation:
    """A price within the bounds that is far from what it was: either a slip, or said to be meant."""

    def row(self, factor: str = "1", **offer: Any) -> dict[str, Any]:
        def rates(share: str) -> dict[str, str]:
            return {
                unit: f"{Decimal(usd) * Decimal(factor) * Decimal(share):f}"
                for unit, usd in (("input_tokens", "0.10"), ("output_tokens", "0.50"))
            }

        return {
            "slug": "acme/one", "title": "One", "modality": "text", "capabilities": ["chat"], "context": 9_000,
            "max_output": 1000,
            "offer": [
                {
                    "provider": "openai", "id": "one", "source": "https://acme.example", "date": dt.date(2026, 1, 1),
                    "usd_per_million": rates("1"),
                    "above": [{"tokens": 5000, "usd_per_million": rates("2")}],
                    "tiers": {"flex": {"usd_per_million": rates("0.5")}},
                    "hours": [{"utc": ["00:00-01:00"], "usd_per_million": rates("2")}],
                    **offer,
                }
            ],
        }  # fmt: skip

    def compiled(self, row: dict[str, Any]) -> dict[str, Any]:
        return compile_catalog(PROVIDERS, [row], compile_catalog(PROVIDERS, [self.row()]))

    @pytest.mark.parametrize("factor", ["1", "0.3", "20"])
    def test_prices_move(self, factor: str) -> None:
        assert self.compiled(self.row(factor))

    def test_by_more_than_a_factor_of_twenty(self) -> None:
        with pytest.raises(ValueError, match=r"'acme/one' at openai: input_tokens has changed .*price_change = true"):
            self.compiled(self.row("20.1"))

    @pytest.mark.parametrize("units", [("input_tokens",), ("input_tokens", "output_tokens")])
    def test_to_nothing(self, units: tuple[str, ...]) -> None:
        free = self.row(above=[], tiers={}, hours=[])
        for unit in units:
            free["offer"][0]["usd_per_million"][unit] = "0"
        with pytest.raises(ValueError, match="input_tokens has changed"):
            self.compiled(free)

    def test_it_is_meant(self) -> None:
        assert self.compiled(self.row("20.1", price_change=True, date=dt.date(2026, 2, 1)))

    def test_what_was_meant_before_is_not_meant_for_ever(self) -> None:
        with pytest.raises(ValueError, match="input_tokens has changed"):
            self.compiled(self.row("20.1", price_change=True))

    @pytest.mark.parametrize("name", ["above 5000 tokens", "tier flex", "hours 1"])
    def test_of_long_prompts_tiers_and_hours_too(self, name: str) -> None:
        before = compile_catalog(PROVIDERS, [self.row()])
        prices = before["models"][0]["offers"][0]["prices"]
        nested: Any = {
            "above 5000 tokens": lambda: prices["above"][0][1],
            "tier flex": lambda: prices["tiers"]["flex"]["rates"],
            "hours 1": lambda: prices["hours"][0]["prices"]["rates"],
        }[name]()
        nested["output_tokens"] *= 25
        with pytest.raises(ValueError, match=re.escape(f"{name}: output_tokens has changed")):
            compile_catalog(PROVIDERS, [self.row()], before)

    def test_what_was_not_there_before_is_not_compared(self) -> None:
        other = {**self.row(), "slug": "acme/two"}
        assert self.compiled(other)


def test_what_is_committed_is_what_the_prices_are_compared_with(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ops import catalog

    text = catalog.TARGET.read_text()
    name, other = '"cached_input_tokens": 22000', '"cached_input_tokens": 622000'
    assert name in text
    committed = tmp_path / "catalog.json"
    committed.write_text(text.replace(name, other, 1))
    monkeypatch.setattr(catalog, "TARGET", committed)
    monkeypatch.setattr("sys.argv", ["catalog"])
    assert catalog.main() == 1
    assert "cached_input_tokens has changed by more than a factor of 20" in capsys.readouterr().err
    assert committed.read_text() != text
    committed.unlink()
    assert catalog.main() == 0
    assert committed.read_text() == text
