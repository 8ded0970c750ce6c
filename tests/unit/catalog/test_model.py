"""The catalog as it is deployed, and how a model in it is found."""

import json
import re
from importlib import resources
from importlib.util import find_spec
from typing import Any

import pytest

from aig import wiring
from aig.catalog.model import CATALOG_FILE, OPERATIONS, Catalog, builtin, parse
from aig.errors import ModelNotFound
from aig.modalities.upstream import Timeouts
from aig.money.pricing import Prices
from aig.money.units import Pico
from aig_providers.registry import Registry

DATA: dict[str, Any] = {
    "providers": {
        "bare-one": {"title": "Bare", "wire": "openai_compatible"},
        "full": {
            "title": "Full",
            "wire": "openai_compatible",
            "base_url": "https://full.example/v1",
            "key": "FULL_API_KEY",
            "max_tokens_field": "max_completion_tokens",
            "timeouts": {"first_byte": 9.0},
        },
    },
    "models": [
        {
            "slug": "vendor/one",
            "title": "One",
            "modality": "text",
            "capabilities": ["chat", "tools"],
            "context": 1000,
            "max_output": 100,
            "released": "2026-01-01",
            "offers": [
                {
                    "provider": "full",
                    "id": "one-v1",
                    "prices": {"rates": {"input_tokens": 1, "output_tokens": 2}},
                    "source": "https://full.example/pricing",
                    "date": "2026-01-02",
                }
            ],
        },
        {
            "slug": "vendor/two",
            "title": "Two",
            "modality": "text",
            "capabilities": [],
            "context": 1000,
            "max_output": 100,
            "released": "2026-01-01",
            "licence": "Apache-2.0",
            "sandbox": True,
            "offers": [],
        },
    ],
}


@pytest.fixture
def catalog() -> Catalog:
    return parse(DATA)


def test_a_provider_row_with_all_and_with_no_options(catalog: Catalog) -> None:
    full, bare = catalog.providers["full"], catalog.providers["bare-one"]
    assert (full.base_url, full.key_name, full.max_tokens_field) == (
        "https://full.example/v1",
        "FULL_API_KEY",
        "max_completion_tokens",
    )
    assert full.timeouts == Timeouts(first_byte=9.0)
    assert (bare.base_url, bare.key_name, bare.max_tokens_field, bare.timeouts) == (
        None,
        None,
        "max_tokens",
        Timeouts(),
    )


def test_the_variable_that_overrides_a_base_url(catalog: Catalog) -> None:
    assert catalog.providers["bare-one"].base_url_variable == "AIG_BARE_ONE_BASE_URL"


def test_what_a_provider_has_not_is_not_there(catalog: Catalog) -> None:
    assert catalog.providers["bare-one"].models_variable == "AIG_BARE_ONE_MODELS"
    assert "vendor/one" in catalog.narrowed({"AIG_FULL_MODELS": ["one-v1"]}).models
    assert "vendor/one" not in catalog.narrowed({"AIG_FULL_MODELS": ["another"]}).models
    assert "vendor/one" in catalog.narrowed({"AIG_BARE_ONE_MODELS": ["another"]}).models


def test_the_environment_says_what_is_there() -> None:
    whole = wiring.container({}).gateway(Registry()).catalog
    some = wiring.container({"AIG_LOCAL_MODELS": "minilm-l6-v2,piper-joe"}).gateway(Registry()).catalog
    assert {slug for slug in some.models if slug.startswith("local/")} == {"local/minilm-l6-v2", "local/piper-joe"}
    assert some.models.keys() == whole.models.keys() - {slug for slug in whole.models if slug.startswith("local/")} | {
        "local/minilm-l6-v2",
        "local/piper-joe",
    }


def test_a_model_row(catalog: Catalog) -> None:
    model = catalog.model("vendor/one")
    assert (model.slug, model.vendor, model.title, model.context, model.max_output) == (
        "vendor/one",
        "vendor",
        "One",
        1000,
        100,
    )
    assert model.capabilities == {"chat", "tools"}
    assert (model.licence, model.sandbox) == (None, False)
    (offer,) = model.offers
    assert (offer.provider, offer.model_id) == (catalog.providers["full"], "one-v1")
    assert (offer.prices, offer.source, offer.date) == (
        Prices({"input_tokens": Pico(1), "output_tokens": Pico(2)}),
        "https://full.example/pricing",
        "2026-01-02",
    )
    other = catalog.model("vendor/two")
    assert (other.licence, other.sandbox) == ("Apache-2.0", True)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("two", "Did you mean vendor/two?"),  # the slug without its vendor
        ("vendor/tow", "Did you mean vendor/two"),
        ("vendor/one ", "Did you mean vendor/one"),
        ("Vendor/One", "Did you mean vendor/one"),
        ("eval:unknown", "GET /v1/models lists them all."),
        ("", "GET /v1/models lists them all."),
    ],
)
def test_a_model_that_is_not_there_is_a_404_that_names_the_nearest(catalog: Catalog, asked: str, hint: str) -> None:
    with pytest.raises(ModelNotFound) as raised:
        catalog.model(asked)
    assert hint in raised.value.message
    assert raised.value.param == "model"


@pytest.mark.parametrize("asked", ["x" * 10_000, "a\0b", "\u0430" * 200, "vendor/../one", "\U0001f600"])
def test_what_a_client_sent_is_shown_short_and_in_ascii(catalog: Catalog, asked: str) -> None:
    with pytest.raises(ModelNotFound) as raised:
        catalog.model(asked)
    assert raised.value.message.isascii()
    assert len(raised.value.message) < 1200
    assert raised.value.message.isprintable()


def dates_in(name: str) -> list[str]:
    """Days and months that a provider's id of a model ends in: 20251101, 2025-11-01, 03-2025, 2512."""
    day = re.findall(r"(?<!\d)(20\d\d)-?(0[1-9]|1[0-2])-?([0-3]\d)(?!\d)", name)
    month = re.findall(r"(?<!\d)(0[1-9]|1[0-2])-(20\d\d)(?!\d)", name)
    short = re.findall(r"(?<!\d)(2[3-9])(0[1-9]|1[0-2])(?!\d)", name)
    return ["-".join(found) for found in day] + [f"{y}-{m}" for m, y in month] + [f"20{y}-{m}" for y, m in short]


@pytest.mark.parametrize(
    ("name", "dates"),
    [
        ("claude-opus-4-5-20251101-v1:0", ["2025-11-01"]),
        ("gpt-5.4-mini-2026-03-17", ["2026-03-17"]),
        ("command-r-08-2024", ["2024-08"]),
        ("mistral-large-2512", ["2025-12"]),
        ("gemini-2.5-flash", []),
        ("gpt-oss-120b", []),
        ("veo-3.1", []),
    ],
)
def test_a_date_in_a_name_is_found(name: str, dates: list[str]) -> None:
    assert dates_in(name) == dates


NEEDED = {"text": {"input_tokens", "output_tokens"}, "embedding": {"input_tokens"}}


class TestTheBuiltInCatalog:
    def test_it_is_what_the_file_says(self) -> None:
        data = json.loads(resources.files("aig.catalog").joinpath(CATALOG_FILE).read_text())
        assert builtin().models.keys() == {row["slug"] for row in data["models"]}
        assert builtin().providers.keys() == data["providers"].keys()
        assert builtin() is builtin()

    def test_every_provider_of_a_served_model_has_an_adapter(self) -> None:
        served = {offer.provider for model in builtin().models.values() if model.served for offer in model.offers}
        assert len(served) >= 14
        for provider in served:
            assert find_spec(f"aig_providers.{provider.wire}"), provider.name

    def test_every_model_that_is_served_can_be_priced_and_bounded(self) -> None:
        for model in builtin().models.values():
            assert model.offers, model.slug
            if model.modality == "text":
                assert 0 < model.max_output <= model.context, model.slug
            for offer in model.offers if model.served else ():
                assert offer.prices.rates, model.slug
                assert NEEDED.get(model.modality, set()) <= offer.prices.rates.keys(), model.slug
                if {"output_tokens", "output_audio_tokens", "output_image_tokens"} & offer.prices.rates.keys():
                    assert (model.max_output > 0 and model.context > 0) or model.sandbox, model.slug
                assert all(type(price) is int and price >= 0 for price in offer.prices.rates.values()), model.slug

    def test_no_model_was_released_before_the_date_in_its_name(self) -> None:
        seen = 0
        for model in builtin().models.values():
            names = [model.slug, *(offer.model_id for offer in model.offers)]
            for date in [date for name in names for date in dates_in(name)]:
                seen += 1
                assert (model.released or "9999")[: len(date)] >= date, (model.slug, date)
                assert (model.deprecated or "9999")[: len(date)] >= date, (model.slug, date)
            assert (model.knowledge or "")[:7] <= (model.released or "9999")[:7], model.slug
        assert seen >= 15

    def test_scores_are_of_one_index_and_there_are_many(self) -> None:
        scored = [model for model in builtin().models.values() if model.quality]
        assert {model.quality.source.partition(" (")[0] for model in scored if model.quality} == {
            "https://artificialanalysis.ai Intelligence Index"
        }
        assert {model.modality for model in scored} == {"text"}
        assert len(scored) >= 55
        # Each of the vendors whose models a request without a name is likely to get.
        assert {model.vendor for model in scored} >= {
            "alibaba", "anthropic", "deepseek", "google", "minimax", "moonshot", "openai", "xai", "zai",
        }  # fmt: skip

    def test_the_sandbox_is_marked_and_complete(self) -> None:
        marked = {slug for slug, model in builtin().models.items() if model.sandbox}
        assert marked == {slug for slug in builtin().models if slug.startswith("sandbox/")}
        faults = ("429", "500", "503", "529", "401", "timeout", "reset", "malformed", "empty", "once-429", "once-500")
        troubles = {f"sandbox/fail-{fault}" for fault in faults}
        troubles |= {f"sandbox/{name}" for name in ("cut", "stall", "slow", "no-usage", "zero-usage")}
        operations = OPERATIONS.keys() - {"chat", "speak", "three_d"} | {"echo", "speech", "3d", "video-fail"}
        assert marked == troubles | {f"sandbox/{name}" for name in operations}
        for slug in troubles | {"sandbox/echo"}:
            (offer,) = builtin().models[slug].offers
            words = {"input_tokens": Pico(1_000_000), "output_tokens": Pico(2_000_000)}
            assert offer.prices.rates.items() >= words.items(), slug
        for slug in troubles:  # so that they can fail at every endpoint, and what they do not fail at is paid for
            assert builtin().models[slug].capabilities >= OPERATIONS.keys(), slug
            (offer,) = builtin().models[slug].offers
            for operation in operations - {"echo", "embed", "classify", "moderate"}:
                (own,) = builtin().models[f"sandbox/{operation}"].offers
                assert own.prices.rates.items() <= offer.prices.rates.items(), (slug, operation)
