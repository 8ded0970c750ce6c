"""Our prices beside a public data set's, in either of its forms."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from aig.catalog.model import Catalog, builtin, parse
from local.template import ROOT
from ops.__main__ import main
from ops.prices import compare, read, report, tables

PUBLIC = ROOT.parent / "shared" / "catalog"


def catalog() -> Catalog:
    offer = {
        "provider": "google",
        "id": "gemini-x",
        "prices": {"rates": {"input_tokens": 300_000, "cached_input_tokens": 30_000, "output_tokens": 2_500_000}},
        "source": "s",
        "date": "2026-01-01",
    }
    model = {
        "slug": "google/x",
        "title": "X",
        "modality": "text",
        "capabilities": ["chat"],
        "context": 9,
        "max_output": 9,
    }
    return parse(
        {
            "providers": {"google": {"title": "G", "wire": "google"}},
            "models": [
                {**model, "offers": [offer]},
                {**model, "slug": "google/y", "offers": [{**offer, "id": "gemini-y"}]},
                {**model, "slug": "google/z", "capabilities": [], "offers": [offer]},
            ],
        }
    )


MODELS_DEV = {"google": {"models": {"gemini-x": {"cost": {"input": 0.3, "output": 3, "cache_read": 0.03}}}}}
LITELLM = {
    "sample_spec": {"litellm_provider": "one of", "input_cost_per_token": "0.0"},
    "gemini/gemini-x": {
        "litellm_provider": "gemini",
        "input_cost_per_token": 3e-07,
        "cache_read_input_token_cost": 3e-08,
        "output_cost_per_token": 3e-06,
    },
}


@pytest.mark.parametrize(
    "data", [MODELS_DEV, LITELLM, {"google/models/gemini-x": MODELS_DEV["google"]["models"]["gemini-x"]}]
)
def test_what_differs_and_what_is_not_there(data: Any) -> None:
    differences, unknown = compare(catalog(), tables(data))
    (found,) = differences
    assert (found.model, found.provider, found.unit) == ("google/x", "google", "output_tokens")
    assert (found.ours, found.theirs) == (Decimal("2.50"), Decimal(3))
    assert unknown == ["google/y at google"]


def test_the_table(tmp_path: Path) -> None:
    source = tmp_path / "data.json"
    source.write_text(json.dumps(MODELS_DEV))
    text = report(catalog(), str(source))
    assert "google/x" in text
    assert "1.20" in text  # three dollars are 1.2 times two and a half
    assert "1 prices differ" in text


@pytest.mark.parametrize("data", [[], {}, {"a": 1}, {"a": {"b": 1}}])
def test_another_form_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="data set"):
        tables(data)


def test_a_source_that_is_none_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="neither an https URL nor a file"):
        read("http://plain.example")
    assert main(["prices", "--source", "/nowhere.json"]) == 1
    assert "neither" in capsys.readouterr().err


@pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"there is no {PUBLIC.name} data beside the repository")
def test_our_prices_are_those_of_the_data_they_were_taken_from() -> None:
    differences, unknown = compare(builtin(), tables(read(str(PUBLIC / "litellm_selected_providers.json"))))
    assert differences == []
    # What that extract leaves out, and what has no price but ours.
    elsewhere = ("openrouter", "fireworks", "cerebras", "cloudflare-native", "local")
    assert len([offer for offer in unknown if not offer.endswith(elsewhere)]) < 25


@pytest.mark.skipif(not PUBLIC.is_dir(), reason=f"there is no {PUBLIC.name} data beside the repository")
def test_our_peak_is_where_their_cheap_hours_are_not() -> None:
    """Every hour of a week, of each model that has any."""
    data = read(str(PUBLIC / "litellm_selected_providers.json"))
    names = {"input_tokens": "input_cost_per_token", "output_tokens": "output_cost_per_token"}
    names["cached_input_tokens"] = "cache_read_input_token_cost"
    for slug in ("deepseek/deepseek-v4-pro", "deepseek/deepseek-v4-flash"):
        row, (offer, *_) = data[slug], builtin().models[slug].offers
        for hour in range(7 * 24):
            now = datetime(2026, 11, 23, tzinfo=UTC) + timedelta(hours=hour, minutes=30)
            cheap = any(_covers(window, now) for window in row["off_peak_pricing"]["windows"])
            theirs = {**row, **(row["off_peak_pricing"] if cheap else {})}
            rates = offer.at(now.timestamp()).prices.rates
            assert {unit: Decimal(price) / 10**12 for unit, price in rates.items()} == {
                unit: Decimal(str(theirs[name])) for unit, name in names.items()
            }, now


def _covers(window: Any, now: datetime) -> bool:
    hours = window["hours_utc"]
    spans = [
        [int(end.partition(":")[0]) for end in span.split("-")]
        for span in ([hours] if isinstance(hours, str) else hours)
    ]
    return now.isoweekday() in window["weekdays"] and any(start <= now.hour < (end or 24) for start, end in spans)


def test_a_price_of_another_hour_is_no_difference() -> None:
    """Data sets know one price of a model: the dear one, or the cheap."""
    prices = builtin().models["deepseek/deepseek-v4-pro"].offers[0].prices
    for rates in (prices.rates, prices.hours[0].prices.rates):
        cost = {"input": rates["input_tokens"] / 10**6, "output": rates["output_tokens"] / 10**6}
        differences, _ = compare(builtin(), tables({"deepseek": {"models": {"deepseek-v4-pro": {"cost": cost}}}}))
        assert differences == []


def test_a_name_that_looks_like_a_path_is_a_name() -> None:
    row = {"litellm_provider": "fireworks_ai", "input_cost_per_token": 3e-06}
    assert tables({"fireworks_ai/accounts/fireworks/models/m": row})["fireworks_ai"] == {
        "accounts/fireworks/models/m": {"input_tokens": Decimal(3)}
    }
