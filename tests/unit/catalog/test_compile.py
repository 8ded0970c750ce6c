"""The hand-kept catalog is refused with the place of the mistake, before it is deployed."""

import copy
import datetime as dt
from typing import Any

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
                "prices": {"input_tokens": 50_000, "output_tokens": 1_000_000},
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


@pytest.mark.parametrize("field", ["modality", "context", "capabilities", "title", "released", "offer"])
def test_a_missing_field_is_named(field: str) -> None:
    with pytest.raises(KeyError, match=f"model 'acme/one': {field} is missing"):
        compile_catalog(PROVIDERS, [changed(MODEL, (field,), ...)])


@pytest.mark.parametrize(("text", "pico"), [("0.00", 0), ("0.001", 1_000), ("2000.00", 2_000_000_000)])
def test_the_bounds_of_a_price_are_inside(text: str, pico: int) -> None:
    row = changed(MODEL, ("offer", 0, "usd_per_million", "input_tokens"), text)
    assert compile_catalog(PROVIDERS, [row])["models"][0]["offers"][0]["prices"]["input_tokens"] == pico


def test_a_model_listed_twice_is_refused() -> None:
    with pytest.raises(ValueError, match=r"twice: \['acme/one'\]"):
        compile_catalog(PROVIDERS, [MODEL, changed(MODEL, ("title",), "Another")])
