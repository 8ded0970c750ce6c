"""A model, and the offers of providers to serve it. Frozen; `parse` reads the compiled catalog."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

from aig.errors import ModelNotFound
from aig.modalities.upstream import Timeouts
from aig.modalities.usage import Unit
from aig.money.pricing import Prices

CATALOG_FILE = "catalog.json"
MODELS_VARIABLE = "_MODELS"  # what the names of these variables end in


CONCURRENCY = 20
IMAGE_TOKENS = 16_384  # at most, of a picture; a model that counts more says so in its row

# What a model can be called for, by the modality whose models mostly do it. Some of them do more than one of these.
OPERATIONS: Mapping[str, str] = {
    "chat": "text",
    "embed": "embedding",
    "image": "image",
    "transcribe": "transcription",
    "speak": "speech",
    "moderate": "moderation",
    "translate": "translation",
    "classify": "classification",
    "detect": "detection",
    "ocr": "ocr",
    "rerank": "rerank",
    "video": "video",
    "music": "music",
    "three_d": "three_d",
}
# The units, beside tokens, that an operation's demand bounds: by others it cannot be billed, for nothing would be held.
COUNTED: Mapping[str, frozenset[Unit]] = {
    "image": frozenset({"images", "tiles", "steps"}),
    "transcribe": frozenset({"seconds"}),
    "speak": frozenset({"characters", "seconds"}),
    "moderate": frozenset({"images"}),
    "translate": frozenset({"characters"}),
    "detect": frozenset({"images"}),
    "ocr": frozenset({"pages", "images"}),
    "rerank": frozenset({"search_units"}),
    "video": frozenset({"seconds", "credits", "assets"}),
    "music": frozenset({"seconds", "credits", "tracks", "assets"}),
    "three_d": frozenset({"credits", "assets"}),
}


@dataclass(frozen=True, slots=True)
class Provider:
    """A row of providers.toml. `wire` names the adapter module; `base_url` may come from the environment only.

    `concurrency` is how many jobs, of all tenants, may be at work there at a time.
    """

    name: str
    title: str
    wire: str
    base_url: str | None
    key_name: str | None
    max_tokens_field: str
    timeouts: Timeouts
    quirks: frozenset[str] = frozenset()
    concurrency: int = CONCURRENCY

    @property
    def base_url_variable(self) -> str:
        return f"{self._variables}_BASE_URL"

    @property
    def models_variable(self) -> str:
        """Names those of its models that are there, by its own ids, with commas between; without it all are."""
        return f"{self._variables}{MODELS_VARIABLE}"

    @property
    def _variables(self) -> str:
        return f"AIG_{self.name.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class Offer:
    """One provider's way to serve a model: its own id for it, and prices with where and when they were read.

    `max_batch` inputs, and `max_batch_tokens` in all of them, go into one request for embeddings. `context` and
    `max_output` are there where this provider allows less than the model can.
    """

    provider: Provider
    model_id: str
    prices: Prices
    source: str
    date: str
    quirks: frozenset[str] = frozenset()
    max_batch: int = 1
    max_batch_tokens: int | None = None
    context: int | None = None
    max_output: int | None = None
    credits: Mapping[Unit, int] = field(default_factory=dict)  # what one of a unit costs, if they are what is priced

    def at(self, now: float) -> "Offer":
        """As it is at a time in unix seconds: with the prices of that hour."""
        return replace(self, prices=self.prices.at(int(now))) if self.prices.hours else self


@dataclass(frozen=True, slots=True)
class Quality:
    """A public score between 0 and 100, and whose it is."""

    score: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Model:
    """`slug` is `vendor/name`; `capabilities` what a request may ask of it; dates are YYYY-MM-DD.

    `context` and `max_output` are tokens, 0 where the modality has none. An embedding model's `context` bounds each of
    its inputs, and its `dimensions` begin with what it embeds to unless asked otherwise.
    """

    slug: str
    title: str
    modality: str
    capabilities: frozenset[str]
    context: int
    max_output: int
    released: str | None
    licence: str | None
    sandbox: bool
    offers: tuple[Offer, ...]
    knowledge: str | None = None
    deprecated: str | None = None  # the day it is switched off
    successor: str | None = None
    quality: Quality | None = None
    dimensions: tuple[int, ...] = ()
    image_tokens: int = IMAGE_TOKENS  # the most that a picture may count as
    most_seconds: int | None = None  # of a video or of music
    usual_seconds: int | None = None  # the same, of one whose length is not said
    unavailable: str | None = None  # why it is listed only

    @property
    def served(self) -> bool:
        """Whether there is an endpoint that it can be called at. Others are listed, and marked as not available."""
        return not self.capabilities.isdisjoint(OPERATIONS)

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

    def narrowed(self, there: Mapping[str, Collection[str]]) -> "Catalog":
        """Without what a provider has not: `there` has the ids of the models that it serves, by its variable."""
        if not there:
            return self
        models: dict[str, Model] = {}
        for model in self.models.values():
            offers = tuple(
                offer
                for offer in model.offers
                if offer.model_id in there.get(offer.provider.models_variable, (offer.model_id,))
            )
            if offers:
                models[model.slug] = replace(model, offers=offers)
        return Catalog(self.providers, models)

    def _not_found(self, slug: str) -> str:
        shown = slug[:100].encode("ascii", "backslashreplace").decode()
        suffix = [known for known in self.models if known.endswith(f"/{slug}")]
        near = suffix or get_close_matches(slug[:100], self.models, n=3, cutoff=0.4)
        hint = f"Did you mean {', '.join(near)}?" if near else "GET /v1/models lists them all."
        return f"There is no model {shown!r}. {hint}"


def _offer(row: Mapping[str, Any], providers: Mapping[str, Provider]) -> Offer:
    return Offer(
        provider=providers[row["provider"]],
        model_id=row["id"],
        prices=Prices.from_json(row["prices"]),
        source=row["source"],
        date=row["date"],
        quirks=frozenset(row.get("quirks", ())),
        max_batch=row.get("max_batch", 1),
        max_batch_tokens=row.get("max_batch_tokens"),
        context=row.get("context"),
        max_output=row.get("max_output"),
        credits=row.get("credits", {}),
    )


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
            quirks=frozenset(row.get("quirks", ())),
            concurrency=row.get("concurrency", CONCURRENCY),
        )
        for name, row in data["providers"].items()
    }
    models = {
        row["slug"]: Model(
            slug=row["slug"],
            title=row["title"],
            modality=row["modality"],
            capabilities=frozenset(row["capabilities"]),
            context=row.get("context", 0),
            max_output=row.get("max_output", 0),
            released=row.get("released"),
            licence=row.get("licence"),
            sandbox=row.get("sandbox", False),
            offers=tuple(_offer(offer, providers) for offer in row["offers"]),
            knowledge=row.get("knowledge"),
            deprecated=row.get("deprecated"),
            successor=row.get("successor"),
            quality=Quality(**row["quality"]) if "quality" in row else None,
            dimensions=tuple(row.get("dimensions", ())),
            image_tokens=row.get("image_tokens", IMAGE_TOKENS),
            most_seconds=row.get("most_seconds"),
            usual_seconds=row.get("usual_seconds"),
            unavailable=row.get("unavailable"),
        )
        for row in data["models"]
    }
    return Catalog(providers, models)


@cache
def builtin() -> Catalog:
    """The catalog that this package was built with."""
    return parse(json.loads(resources.files("aig.catalog").joinpath(CATALOG_FILE).read_text()))
