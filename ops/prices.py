"""Where the catalog's prices differ from a public data set, so that a person can look: nothing is changed by it."""

import json
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from aig.catalog.model import Catalog, Model, Offer
from aig.modalities.usage import Unit
from aig.money.units import usd

DEFAULT = "https://models.dev/api.json"
TIMEOUT_S = 60

Table = Mapping[str, Mapping[Unit, Decimal]]  # the provider's id of a model -> dollars a million by unit

_MODELS_DEV: Mapping[str, Unit] = {
    "input": "input_tokens",
    "cache_read": "cached_input_tokens",
    "cache_write": "cache_write_tokens",
    "output": "output_tokens",
    "input_audio": "input_audio_tokens",
    "output_audio": "output_audio_tokens",
}
_LITELLM: Mapping[str, Unit] = {
    "input_cost_per_token": "input_tokens",
    "cache_read_input_token_cost": "cached_input_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "output_cost_per_token": "output_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
}
# What the data sets call our providers, where it is another name than ours.
_NAMES: Mapping[str, tuple[str, ...]] = {
    "google": ("gemini",),
    "together": ("together_ai", "togetherai"),
    "fireworks": ("fireworks_ai", "fireworks-ai"),
    "moonshot": ("moonshotai",),
    "cloudflare": ("cloudflare-workers-ai",),
    "bedrock": ("bedrock_converse", "amazon-bedrock"),
}


@dataclass(frozen=True)
class Difference:
    """A price of ours and theirs, in dollars a million."""

    model: str
    provider: str
    unit: str
    ours: Decimal
    theirs: Decimal


def read(source: str) -> Any:
    """The data set at a URL or in a file. Raises ValueError for what is neither."""
    if source.startswith("https://"):
        with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer:  # noqa: S310 (https only, said by the operator)
            return json.load(answer)
    if not Path(source).is_file():
        raise ValueError(f"{source} is neither an https URL nor a file")
    return json.loads(Path(source).read_text(encoding="utf-8"))


def tables(data: Any) -> Mapping[str, Table]:
    """Prices by provider, from the form of models.dev or of litellm, whichever it is. Raises ValueError for another."""
    if not isinstance(data, Mapping):
        raise ValueError("the data set is no object")
    found: dict[str, dict[str, Mapping[Unit, Decimal]]] = {}
    for provider, name, row in _rows(data):
        units, scale = (_MODELS_DEV, 1) if "cost" in row else (_LITELLM, 1_000_000)
        costs = row.get("cost", row)
        prices = {
            unit: Decimal(str(costs[key])) * scale
            for key, unit in units.items()
            if isinstance(costs.get(key), int | float)
        }
        if prices:
            found.setdefault(provider, {})[name] = prices
    if not found:
        raise ValueError("the data set has neither the form of models.dev nor that of litellm")
    return found


def _rows(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Provider, the provider's id of the model, and its row."""
    for key, row in data.items():
        if not isinstance(row, Mapping):
            continue
        if isinstance(row.get("models"), Mapping):  # models.dev: providers, and their models
            yield from ((key, name, model) for name, model in row["models"].items())
        elif "litellm_provider" in row:
            provider = row["litellm_provider"]
            yield provider, key.removeprefix(f"{provider}/"), row
        elif "/models/" in key:  # models.dev's files, one a model
            provider, _, name = key.partition("/models/")
            yield provider, name, row


def _theirs(data: Mapping[str, Table], offer: Offer) -> Mapping[Unit, Decimal] | None:
    for name in (offer.provider.name, *_NAMES.get(offer.provider.name, ())):
        if prices := data.get(name, {}).get(offer.model_id):
            return prices
    return None


def compare(catalog: Catalog, data: Mapping[str, Table]) -> tuple[list[Difference], list[str]]:
    """The differences, and the offers of models that are served which the data set does not have."""
    differences: list[Difference] = []
    unknown: list[str] = []
    for model, offer in _offers(catalog):
        theirs = _theirs(data, offer)
        if theirs is None:
            unknown.append(f"{model.slug} at {offer.provider.name}")
            continue
        for unit, price in offer.prices.rates.items():
            ours = Decimal(usd(price * 1000))
            # Data sets know one price of a model whose prices go by the hour: the dear one, or the cheap.
            dear = {Decimal(usd(row.prices.rates.get(unit, price) * 1000)) for row in offer.prices.hours}
            if unit in theirs and theirs[unit].quantize(Decimal("0.000001")) not in {ours, *dear}:
                differences.append(Difference(model.slug, offer.provider.name, unit, ours, theirs[unit].normalize()))
    return differences, unknown


def _offers(catalog: Catalog) -> Iterator[tuple[Model, Offer]]:
    for model in catalog.models.values():
        if model.served and not model.sandbox:
            yield from ((model, offer) for offer in model.offers if offer.provider.name != "local")


def report(catalog: Catalog, source: str) -> str:
    """A table for people."""
    differences, unknown = compare(catalog, tables(read(source)))
    lines = [f"{'model':36}{'provider':12}{'unit':24}{'ours':>12}{'theirs':>12}{'ratio':>8}"]
    for found in differences:
        ratio = f"{found.theirs / found.ours:.2f}" if found.ours else "-"
        lines.append(
            f"{found.model:36}{found.provider:12}{found.unit:24}{found.ours:>12f}{found.theirs:>12f}{ratio:>8}"
        )
    lines += ["", f"{len(differences)} prices differ, in dollars a million.", f"Not in the data set: {len(unknown)}"]
    return "\n".join([*lines, *(f"  {name}" for name in unknown)])
