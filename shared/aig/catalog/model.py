"""A model, and the offers of providers to serve it. Frozen; `parse` reads the compiled catalog."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from aig.errors import ModelNotFound
from aig.modalities.upstream import Timeouts
from aig.money.pricing import Prices

CATALOG_FILE = "catalog.json"


@dataclass(frozen=True, slots=True)
class Provider:
    """A row of providers.toml. `wire` names the adapter module; `base_url` may come from the environment only."""

    name: str
    title: str
    wire: str
    base_url: str | None
    key_name: str | None
    max_tokens_field: str
    timeouts: Timeouts

    @property
    def base_url_variable(self) -> str:
        return f"AIG_{self.name.upper().replace('-', '_')}_BASE_URL"


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider's way to serve a model: its own id for it, and prices with where and when they were read."""

    provider: Provider
    model_id: str
    prices: Prices
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Model:
    """`slug` is `vendor/name`; `context` and `max_output` are tokens; `capabilities` what a request may ask of it."""

    slug: str
    title: str
    modality: str
    capabilities: frozenset[str]
    context: int
    max_output: int
    released: str
    licence: str | None
    sandbox: bool
    offers: tuple[Offer, ...]

    @property
    def vendor(self) -> str:
        return self.slug.partition("/")[0]


class Catalog:
    def __init__(self, providers: Mapping[str, Provider], models: Mapping[str, Model]) -> None:
        self.providers = providers
        self.models = models

    def model(self, slug: str) -> Model:
        """The model with exactly this slug. Raises ModelNotFound, which names the nearest slugs."""
        found = self.models.get(slug)
        if found is None:
            raise ModelNotFound(self._not_found(slug), param="model")
        return found

    def _not_found(self, slug: str) -> str:
        shown = slug[:100].encode("ascii", "backslashreplace").decode()
        suffix = [known for known in self.models if known.endswith(f"/{slug}")]
        near = suffix or get_close_matches(slug[:100], self.models, n=3, cutoff=0.4)
        hint = f"Did you mean {', '.join(near)}?" if near else "GET /v1/models lists them all."
        return f"There is no model {shown!r}. {hint}"


def parse(data: Mapping[str, Any]) -> Catalog:
    """A catalog from its compiled JSON form."""
    providers = {
        name: Provider(
            name=name,
            title=row["title"],
            wire=row["wire"],
            base_url=row.get("base_url"),
            key_name=row.get("key"),
            max_tokens_field=row.get("max_tokens_field", "max_tokens"),
            timeouts=Timeouts(**row.get("timeouts", {})),
        )
        for name, row in data["providers"].items()
    }
    models = {
        row["slug"]: Model(
            slug=row["slug"],
            title=row["title"],
            modality=row["modality"],
            capabilities=frozenset(row["capabilities"]),
            context=row["context"],
            max_output=row["max_output"],
            released=row["released"],
            licence=row.get("licence"),
            sandbox=row.get("sandbox", False),
            offers=tuple(
                Offer(providers[o["provider"]], o["id"], o["prices"], o["source"], o["date"]) for o in row["offers"]
            ),
        )
        for row in data["models"]
    }
    return Catalog(providers, models)


@cache
def builtin() -> Catalog:
    """The catalog that this package was built with."""
    return parse(json.loads(resources.files("aig.catalog").joinpath(CATALOG_FILE).read_text()))
