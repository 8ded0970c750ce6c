"""The hand-kept catalog is refused with the place of the mistake, before it is deployed."""

import copy
import datetime as dt
from typing import Any, ClassVar

import pytest

from aig.catalog.compile import compile_catalog
from aig.catalog.model import parse

PROVIDERS: dict[str, Any] = {"acme": {"title": "Acme", "wire": "openai_compatible", "base_url": "https://acme.example"}}
MODEL: dict[str, Any] = {
    "slug": "acme/one",
    "title": "One",
    "modality": "text",
    "capabilities": ["tools", "chat"],
    "context": 1000,
    "max_output": 1000,
    "released": dt.date(2026, 1, 1),
    "offer": [
        {
            "provider": "acme",
            "id": "one-v1",
            "usd_per_million": {"input_tokens": "0.05", "output_tokens": "1.00"},
            "source": "https://acme.example/pricing",
            "date": dt.date(2026, 1, 2),
        }
    ],
}


def changed(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy of `row` with the value at `path` replaced, or taken away if it is Ellipsis."""
    made = copy.deepcopy(row)
    node: Any = made
    for step in path[:-1]:
        node = node[step]
    if value is ...:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return made


def test_a_good_catalog_compiles_to_what_is_read_back() -> None:
    other = changed(changed(MODEL, ("slug",), "acme/another"), ("sandbox",), True)
    compiled = compile_catalog(PROVIDERS, [MODEL, other])
    assert [row["slug"] for row in compiled["models"]] == ["acme/another", "acme/one"]
    assert compiled["models"][1] == {
        "slug": "acme/one",
        "title": "One",
        "modality": "text",
        "capabilities": ["chat", "tools"],
        "context": 1000,
        "max_output": 1000,
        "released": "2026-01-01",
        "offers": [
            {
                "provider": "acme",
                "id": "one-v1",
                "prices": {"rates": {"input_tokens": 50_000, "output_tokens": 1_000_000}},
                "source": "https://acme.example/pricing",
                "date": "2026-01-02",
            }
        ],
    }
    catalog = parse(compiled)
    assert catalog.model("acme/one").offers[0].provider.base_url == "https://acme.example"
    assert catalog.model("acme/another").sandbox


def test_a_licence_is_carried() -> None:
    compiled = compile_catalog(PROVIDERS, [changed(MODEL, ("licence",), "MIT")])
    assert parse(compiled).model("acme/one").licence == "MIT"


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("Acme", (), None),
        ("../acme", (), None),
        ("", (), None),
        ("acme", ("wire",), ...),
        ("acme", ("wire",), "../wire"),
        ("acme", ("wire",), "os.path"),
        ("acme", ("title",), ...),
        ("acme", ("api_key",), "sk-123"),
        ("acme", ("timeouts",), {"read": 5.0}),
    ],
)
def test_a_bad_provider_row_is_named(name: str, path: tuple[Any, ...], value: Any) -> None:
    row = changed(PROVIDERS["acme"], path, value) if path else PROVIDERS["acme"]
    with pytest.raises(ValueError, match=f"\\[{name}\\]"):
        compile_catalog({name: row}, [])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("slug",), "one"),
        (("slug",), "acme/One"),
        (("slug",), "acme/../one"),
        (("slug",), ...),
        (("modality",), "smell"),
        (("capabilities",), ["chat", "flight"]),
        (("context",), 0),
        (("context",), 999),
        (("context",), 100_000_001),
        (("max_output",), 0),
        (("capabilities",), 5),
        (("context",), "1000"),
        (("offer",), []),
        (("offer", 0, "provider"), "nobody"),
        (("offer", 0, "id"), ""),
        (("offer", 0, "id"), 5),
        (("context",), 1000.0),
        (("offer", 0, "context"), 0),
        (("offer", 0, "context"), 1000),  # what it is for says that it is less
        (("offer", 0, "max_output"), "many"),
        (("image_tokens",), 0),
        (("image_tokens",), "many"),
        (("offer",), [MODEL["offer"][0], MODEL["offer"][0]]),  # two prices of one provider
        (("offer", 0, "source"), ""),
        (("offer", 0, "source"), ...),
        (("offer", 0, "date"), "yesterday"),
        (("offer", 0, "date"), ...),
        (("offer", 0, "usd_per_million", "input_tokens"), ...),
        (("offer", 0, "usd_per_million", "output_tokens"), ...),
        (("offer", 0, "usd_per_million", "smells"), "1.00"),
        (("offer", 0, "usd_per_million", "input_tokens"), "0.0000009"),  # finer than a pico-dollar
        (("offer", 0, "usd_per_million", "input_tokens"), "0.000999"),  # a price per thousand
        (("offer", 0, "usd_per_million", "input_tokens"), "2000.01"),
        (("offer", 0, "usd_per_million", "input_tokens"), "-1.00"),
        (("offer", 0, "usd_per_million", "input_tokens"), 0.05),  # a TOML float: no longer exact
    ],
)
def test_a_bad_model_row_is_named(path: tuple[Any, ...], value: Any) -> None:
    row = changed(MODEL, path, value)
    with pytest.raises(ValueError, match=r"acme/|model None|'one'"):
        compile_catalog(PROVIDERS, [row])


@pytest.mark.parametrize("field", ["modality", "context", "max_output", "capabilities", "title", "offer"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(KeyError, match=f"model 'acme/one': {field} is missing"):
        compile_catalog(PROVIDERS, [changed(MODEL, (field,), ...)])


@pytest.mark.parametrize(("text", "pico"), [("0.00", 0), ("0.034", 34_000), ("2.00", 2_000_000)])
def test_the_bounds_of_a_price_are_inside(text: str, pico: int) -> None:
    row = changed(MODEL, ("offer", 0, "usd_per_million", "input_tokens"), text)
    assert compile_catalog(PROVIDERS, [row])["models"][0]["offers"][0]["prices"]["rates"]["input_tokens"] == pico


def test_a_model_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"twice: \['acme/one'\]"):
        compile_catalog(PROVIDERS, [MODEL, changed(MODEL, ("title",), "Another")])


def with_offer(**fields: Any) -> dict[str, Any]:
    return changed(MODEL, ("offer", 0), {**MODEL["offer"][0], **fields})


LONG = [{"tokens": 200_000, "usd_per_million": {"input_tokens": "0.10", "output_tokens": "2.00"}}]


def test_steps_and_tiers_are_price_lists_of_their_own() -> None:
    row = with_offer(
        above=LONG, tiers={"flex": {"usd_per_million": {"input_tokens": "0.025", "output_tokens": "0.50"}}}
    )
    (offer,) = parse(compile_catalog(PROVIDERS, [row])).model("acme/one").offers
    assert offer.prices.above == ((200_000, {"input_tokens": 100_000, "output_tokens": 2_000_000}),)
    assert offer.prices.tiers["flex"].rates == {"input_tokens": 25_000, "output_tokens": 500_000}


PEAK = {"utc": ["01:00-04:00", "22:30-24:00"], "usd_per_million": {"input_tokens": "0.10", "output_tokens": "2.00"}}


def test_hours_are_price_lists_of_their_own() -> None:
    row = with_offer(hours=[{**PEAK, "days": [5, 1]}, {**PEAK, "above": LONG}])
    first, second = parse(compile_catalog(PROVIDERS, [row])).model("acme/one").offers[0].prices.hours
    assert (first.spans, first.days) == (((60, 240), (1350, 1440)), (1, 5))
    assert first.prices.rates == {"input_tokens": 100_000, "output_tokens": 2_000_000}
    assert (second.days, second.prices.above[0][0]) == ((1, 2, 3, 4, 5, 6, 7), 200_000)


@pytest.mark.parametrize(
    "change",
    [
        {"utc": []},
        {"utc": ["1-4"]},
        {"utc": ["04:00-01:00"]},
        {"utc": ["01:00-24:01"]},
        {"utc": ["01:60-04:00"]},
        {"utc": [100]},
        {"days": []},
        {"days": [0]},
        {"days": [8]},
        {"days": ["Mon"]},
        {"days": [True]},
        {"hours": []},
        {"usd_per_million": {"input_tokens": "0.10"}},
        {"usd_per_million": {"input_tokens": "0.26", "output_tokens": "2.00"}},  # more than five times the usual
        {"usd_per_million": {"input_tokens": "0.10", "cached_input_tokens": "0.01", "output_tokens": "2.00"}},
    ],
)
def test_bad_hours_are_named(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="acme/one"):
        compile_catalog(PROVIDERS, [with_offer(hours=[{**PEAK, **change}])])


@pytest.mark.parametrize(
    "fields",
    [
        {"above": [{"tokens": 0, "usd_per_million": {"input_tokens": "0.10", "output_tokens": "2.00"}}]},
        {"above": [{"usd_per_million": {"input_tokens": "0.10", "output_tokens": "2.00"}}]},
        {"above": [{**LONG[0], "more": 1}]},
        {"above": [{"tokens": 5, "usd_per_million": {"input_tokens": "0.10"}}]},
        {"tiers": {"flex": {"usd_per_million": {"input_tokens": "50.00", "output_tokens": "0.50"}}}},
        {"tiers": {"flex": {"usd_per_million": {"input_tokens": "0.009", "output_tokens": "0.50"}}}},
        {"price_change": "yes"},
        {"quirks": ["left_handed"]},
        {"max_batch": 0},
        {"max_batch": "96"},
        {"max_batch_tokens": True},
        {"price": "1.00"},
        {"usd_per_unit": {"input_tokens": "1.00"}},
        {"usd_per_million": {"images": "1.00", "input_tokens": "0.05", "output_tokens": "1.00"}},
        # A class out of proportion to what it is a class of.
        {"usd_per_million": {"input_tokens": "0.05", "cached_input_tokens": "0.06", "output_tokens": "1.00"}},
        {"usd_per_million": {"input_tokens": "0.05", "cache_write_tokens": "0.04", "output_tokens": "1.00"}},
        {"usd_per_million": {"input_tokens": "0.05", "cache_write_1h_tokens": "0.16", "output_tokens": "1.00"}},
        {"usd_per_million": {"input_tokens": "0.05", "input_audio_tokens": "5.01", "output_tokens": "1.00"}},
    ],
)
def test_a_bad_offer_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="acme/one"):
        compile_catalog(PROVIDERS, [with_offer(**fields)])


@pytest.mark.parametrize("factor", [1000, 0.001])
@pytest.mark.parametrize(("unit", "text"), [("input_tokens", "0.05"), ("output_tokens", "1.00")])
def test_a_price_a_thousand_times_off_is_refused(unit: str, text: str, factor: float) -> None:
    wrong = f"{float(text) * factor:.6f}"
    with pytest.raises(ValueError, match="acme/one"):
        compile_catalog(PROVIDERS, [changed(MODEL, ("offer", 0, "usd_per_million", unit), wrong)])


EMBEDDING = {
    **{name: MODEL[name] for name in ("title", "released")},
    "slug": "acme/embed",
    "modality": "embedding",
    "capabilities": ["embed"],
    "context": 8192,
    "dimensions": [1024, 256],
    "offer": [{**MODEL["offer"][0], "usd_per_million": {"input_tokens": "0.02"}, "max_batch": 96}],
}
IMAGE = {
    **{name: MODEL[name] for name in ("title", "released")},
    "slug": "acme/picture",
    "modality": "image",
    "capabilities": [],
    "offer": [{"provider": "acme", "id": "p", "usd_per_unit": {"images": "0.04"}, "source": "s", "date": "2026-01-02"}],
}


def test_other_modalities_have_other_sizes_and_units() -> None:
    catalog = parse(compile_catalog(PROVIDERS, [EMBEDDING, IMAGE]))
    embed, picture = catalog.model("acme/embed"), catalog.model("acme/picture")
    assert (embed.context, embed.max_output, embed.dimensions) == (8192, 0, (1024, 256))
    assert embed.offers[0].max_batch == 96
    assert picture.offers[0].prices.rates == {"images": 40_000_000_000}
    assert (embed.served, picture.served) == (True, False)


@pytest.mark.parametrize("text", ["20.00", "0.00002", "0.000020"])
def test_an_embedding_price_a_thousand_times_off_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="acme/embed"):
        compile_catalog(PROVIDERS, [changed(EMBEDDING, ("offer", 0, "usd_per_million", "input_tokens"), text)])


def test_a_model_that_is_only_listed_may_be_without_a_price() -> None:
    bare = changed(IMAGE, ("offer", 0, "usd_per_unit"), ...)
    assert compile_catalog(PROVIDERS, [bare])["models"][0]["offers"][0]["prices"] == {"rates": {}}


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"deprecated": dt.date(2025, 1, 1)}, "before it is released"),
        ({"deprecated": "soon"}, "deprecated must be a date"),
        ({"successor": "acme/none"}, "successor"),
        ({"quality": {"score": 101, "source": "s", "date": "2026-01-01"}}, "quality"),
        ({"quality": {"score": 50, "date": "2026-01-01"}}, "quality"),
        ({"quality": {"score": True, "source": "s", "date": "2026-01-01"}}, "quality"),
        ({"quality": {"score": 50, "source": "s"}}, "date"),
        ({"speed": 5}, "unknown fields"),
    ],
)
def test_what_is_told_of_a_model_is_checked(fields: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        compile_catalog(PROVIDERS, [{**MODEL, **fields}])


def test_what_is_told_of_a_model_is_carried() -> None:
    row = {
        **MODEL,
        "deprecated": dt.date(2027, 1, 1),
        "successor": "acme/one",
        "knowledge": "2025-08",
        "quality": {"score": 57, "source": "https://scores.example", "date": dt.date(2026, 4, 30)},
    }
    model = parse(compile_catalog(PROVIDERS, [row])).model("acme/one")
    assert (model.deprecated, model.successor, model.knowledge) == ("2027-01-01", "acme/one", "2025-08")
    assert model.quality is not None
    assert (model.quality.score, model.quality.date) == (57.0, "2026-04-30")


def test_what_a_model_can_be_called_for_must_count_what_it_is_billed_by() -> None:
    """Nothing would be held for it."""
    row = {**MODEL, "modality": "image", "offer": [{**MODEL["offer"][0], "usd_per_unit": {"images": "0.01"}}]}
    compile_catalog(PROVIDERS, [{**row, "capabilities": ["chat", "image"]}])
    with pytest.raises(ValueError, match="'acme/one' at acme: images is counted by nothing it can be called for"):
        compile_catalog(PROVIDERS, [{**row, "capabilities": ["transcribe"]}])


def test_only_what_is_for_tests_may_cost_what_tests_cost() -> None:
    offer = {**MODEL["offer"][0], "usd_per_unit": {"seconds": "0.01"}, "usd_per_million": {}}
    row = {**MODEL, "modality": "transcription", "capabilities": ["transcribe"], "offer": [offer]}
    compile_catalog(PROVIDERS, [{**row, "sandbox": True}])
    with pytest.raises(ValueError, match="seconds is out of bounds"):
        compile_catalog(PROVIDERS, [row])


class TestOffersThatAreAlike:
    """A price that one offer has and the next left out would make that look the cheaper."""

    PROVIDERS: ClassVar = {**PROVIDERS, "other": {**PROVIDERS["acme"], "title": "Other"}}

    def compiled(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        offer = MODEL["offer"][0]
        offers = [{**offer, **first}, {**offer, "provider": "other", **second}]
        compile_catalog(self.PROVIDERS, [{**MODEL, "offer": offers}])

    def test_another_provider_asks_more_than_twenty_times_as_much(self) -> None:
        self.compiled({}, {"usd_per_million": {"input_tokens": "0.99", "output_tokens": "19.00"}})
        self.compiled({"usd_per_million": {"input_tokens": "0.00", "output_tokens": "0.00"}}, {})  # a free one
        with pytest.raises(ValueError, match="output_tokens at other costs more than 20 times as much as at acme"):
            self.compiled({}, {"usd_per_million": {"input_tokens": "0.99", "output_tokens": "20.01"}})

    STEP: ClassVar = {"above": [{"tokens": 500, "usd_per_million": {"input_tokens": "0.10", "output_tokens": "2.00"}}]}
    HEARD: ClassVar = {
        "usd_per_million": {"input_tokens": "0.05", "input_audio_tokens": "0.10", "output_tokens": "1.00"}
    }

    def test_both_have_it(self) -> None:
        self.compiled(self.STEP, self.STEP)
        self.compiled(self.HEARD, self.HEARD)
        self.compiled(self.STEP, {"context": 500})  # it takes no prompt so long

    def test_one_has_it_not(self) -> None:
        with pytest.raises(ValueError, match=r"'acme/one' at other: has no price above \[500\] tokens"):
            self.compiled(self.STEP, {})
        with pytest.raises(ValueError, match=r"at acme: has no price for .*input_audio_tokens"):
            self.compiled({}, self.HEARD)
