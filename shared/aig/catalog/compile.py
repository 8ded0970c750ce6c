"""From the hand-kept TOML to the one JSON that is deployed. Pure: text in, data out, ValueError with the place."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aig.modalities.upstream import QUIRKS, Timeouts
from aig.modalities.usage import COUNT_UNITS, INPUT_UNITS, OUTPUT_UNITS, TOKEN_UNITS, Unit
from aig.money.pricing import price_of
from aig.money.units import Pico, price_per_million, price_per_unit

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}/[a-z0-9][a-z0-9._-]{0,95}")
_WIRE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
CAPABILITIES = frozenset(
    {"chat", "stream", "tools", "json_schema", "vision", "audio", "files", "reasoning"}
    | {"embed", "token_ids", "dimensions", "input_type"}
)
MODALITIES = frozenset(
    {"text", "embedding", "image", "speech", "transcription", "moderation", "translation", "classification"}
    | {"detection", "ocr", "rerank", "video", "music", "three_d", "turn_detection"}
)
# Dollars that the price of a unit lies between, for the market as it is. Both ends of a range are less than a factor of
# a thousand from nearly every price within it, so that one typed per thousand, or per token, falls out.
_PER_MILLION: Mapping[str, tuple[str, str]] = {"text": ("0.004", "600"), "embedding": ("0.002", "1.50")}
_ANY_PER_MILLION = ("0.001", "2000")
_LEAST_CACHED = "0.0005"
_PER_UNIT: Mapping[str, tuple[str, str]] = {
    "seconds": ("0.000001", "2"),
    "images": ("0.0001", "2"),
    "tiles": ("0.000001", "0.1"),
    "steps": ("0.000001", "0.1"),
    "pages": ("0.0001", "0.5"),
    "search_units": ("0.000001", "0.1"),
    "credits": ("0.0001", "1"),
    "tracks": ("0.001", "10"),
    "assets": ("0.01", "20"),
}
_NEEDED: Mapping[str, tuple[Unit, ...]] = {"text": ("input_tokens", "output_tokens"), "embedding": ("input_tokens",)}
_PROVIDER_FIELDS = frozenset({"title", "wire", "base_url", "key", "max_tokens_field", "timeouts", "quirks"})
_MODEL_FIELDS = frozenset(
    {"slug", "title", "modality", "capabilities", "context", "max_output", "released", "knowledge", "licence"}
    | {"deprecated", "successor", "quality", "dimensions", "image_tokens", "sandbox", "offer"}
)
_OFFER_FIELDS = frozenset(
    {"provider", "id", "usd_per_million", "usd_per_unit", "above", "tiers", "source", "date", "quirks"}
    | {"max_batch", "max_batch_tokens", "context", "max_output"}
)


def _quirks(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(row.get("quirks", ())) - QUIRKS.keys()
    if unknown:
        raise ValueError(f"{place}: unknown quirks {sorted(unknown)}; known are {sorted(QUIRKS)}")
    return {"quirks": sorted(row["quirks"])} if row.get("quirks") else {}


def _provider(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    place = f"providers.toml [{name}]"
    if not _NAME.fullmatch(name) or not _WIRE.fullmatch(row.get("wire", "")):
        raise ValueError(f"{place}: a name or wire that is not a lower-case slug")
    unknown = set(row) - _PROVIDER_FIELDS
    if unknown or "title" not in row:
        raise ValueError(f"{place}: title missing, or unknown fields {sorted(unknown)}")
    try:
        Timeouts(**row.get("timeouts", {}))
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from None
    return {**row, **_quirks(place, row)}


def _price(place: str, modality: str, unit: str, text: str) -> Pico:
    """One price, within the bounds of its unit. A price of nothing is allowed: there are free models."""
    counted = unit in _PER_UNIT
    least, most = _PER_UNIT[unit] if counted else _PER_MILLION.get(modality, _ANY_PER_MILLION)
    if unit.startswith("cached_"):
        least = _LEAST_CACHED
    parse = price_per_unit if counted else price_per_million
    try:
        pico = parse(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {unit} must be dollars in quotes: {error}") from None
    if pico and not parse(least) <= pico <= parse(most):
        per = "one" if counted else "a million"
        raise ValueError(f"{place}: {unit} at ${text} {per} is out of bounds: ${least} to ${most} for {per}")
    return pico


def _rates(place: str, modality: str, row: Mapping[str, Any]) -> dict[str, int]:
    """The price of each unit; none where nobody publishes one, of a model that is listed only.

    Classes of tokens must be in proportion to what they are classes of.
    """
    rates: dict[Unit, Pico] = {}
    for field, allowed in (
        ("usd_per_million", TOKEN_UNITS | {"characters"}),
        ("usd_per_unit", COUNT_UNITS - {"characters"}),
    ):
        for unit, text in row.get(field, {}).items():
            if unit not in allowed:
                raise ValueError(f"{place}: {unit} is not a unit of {field}; known are {sorted(allowed)}")
            rates[unit] = _price(place, modality, unit, text)
    for unit in _NEEDED.get(modality, ()):
        if unit not in rates:
            raise ValueError(f"{place}: needs a price for {unit}")
    _check_proportions(place, modality, rates)
    return {unit: int(pico) for unit, pico in rates.items()}


def _check_proportions(place: str, modality: str, rates: Mapping[Unit, Pico]) -> None:
    if modality != "text":
        return
    read, written = rates["input_tokens"], rates["output_tokens"]
    for unit in INPUT_UNITS + OUTPUT_UNITS:
        price = price_of(unit, rates)
        base = read if unit in INPUT_UNITS else written
        limit = 1 if unit == "cached_input_tokens" else 3 if unit.startswith("cache_write") else 100
        if price > base * limit:
            raise ValueError(f"{place}: {unit} costs more than {limit} times what a plain token costs")
        if unit.startswith("cache_write") and unit in rates and price < read:
            raise ValueError(f"{place}: {unit} costs less than a plain token")
    if read and not read <= written * 2 <= read * 60:
        raise ValueError(f"{place}: output costs less than half of input, or more than thirty times as much")


def _prices(place: str, modality: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A list of prices as `Prices.to_json` writes it."""
    unknown = {"tokens", "usd_per_million", "usd_per_unit"}
    prices: dict[str, Any] = {"rates": _rates(place, modality, row)}
    steps = []
    for step in row.get("above", ()):
        if set(step) - unknown or type(step.get("tokens")) is not int or step["tokens"] <= 0:
            raise ValueError(f"{place}: above needs tokens and usd_per_million, and nothing else")
        steps.append([step["tokens"], _rates(f"{place} above {step['tokens']}", modality, step)])
    if steps:
        prices["above"] = sorted(steps, key=lambda step: step[0])
    tiers = {name: _prices(f"{place} tier {name}", modality, tier) for name, tier in row.get("tiers", {}).items()}
    if tiers:
        prices["tiers"] = tiers
    return prices


def _date(place: str, row: Mapping[str, Any], name: str) -> str:
    text = str(row.get(name, ""))
    if not _DATE.fullmatch(text):
        raise ValueError(f"{place}: {name} must be a date (YYYY-MM-DD)")
    return text


def _offer(place: str, modality: str, row: Mapping[str, Any], providers: Mapping[str, Any]) -> dict[str, Any]:
    if row["provider"] not in providers:
        raise ValueError(f"{place}: provider {row['provider']!r} is not in providers.toml")
    place = f"{place} at {row['provider']}"
    unknown = set(row) - _OFFER_FIELDS
    if unknown:
        raise ValueError(f"{place}: unknown fields {sorted(unknown)}")
    if not isinstance(row.get("id"), str) or not row["id"]:
        raise ValueError(f"{place}: an offer needs the provider's own id of the model, in quotes")
    if not row.get("source") or not _DATE.fullmatch(str(row.get("date", ""))):
        raise ValueError(f"{place}: a price needs a source and a date (YYYY-MM-DD)")
    offer = {
        "provider": row["provider"],
        "id": row["id"],
        "prices": _prices(place, modality, row),
        "source": row["source"],
        "date": str(row["date"]),
        **_quirks(place, row),
    }
    for name in ("max_batch", "max_batch_tokens", "context", "max_output"):
        if name in row:
            if type(row[name]) is not int or row[name] < 1:
                raise ValueError(f"{place}: {name} is a whole number from 1")
            offer[name] = row[name]
    return offer


def _check_sizes(place: str, row: Mapping[str, Any]) -> None:
    """Text has a context and a longest answer, an embedding model the longest of one input."""
    sizes = {name: row[name] for name in ("context", "max_output", "image_tokens") if name in row}
    needed = {"text": {"context", "max_output"}, "embedding": {"context"}}.get(row["modality"], set[str]())
    if needed - sizes.keys():
        raise KeyError(sorted(needed - sizes.keys())[0])
    if any(type(size) is not int for size in sizes.values()):
        raise ValueError(f"{place}: context, max_output and image_tokens are whole numbers")
    if row["modality"] == "text" and not 0 < row["max_output"] <= row["context"] <= 100_000_000:
        raise ValueError(f"{place}: needs 0 < max_output <= context")
    if any(size <= 0 for size in sizes.values()):
        raise ValueError(f"{place}: context, max_output and image_tokens are more than 0")


def _quality(place: str, row: Mapping[str, Any]) -> dict[str, Any]:
    score = row.get("score")
    if not isinstance(score, int | float) or isinstance(score, bool) or not 0 < score <= 100 or not row.get("source"):
        raise ValueError(f"{place}: quality needs a score from 0 to 100 and its source")
    return {"score": float(score), "source": row["source"], "date": _date(place, row, "date")}


def _model(row: Mapping[str, Any], providers: Mapping[str, Any]) -> dict[str, Any]:
    place = f"model {row.get('slug')!r}"
    if not _SLUG.fullmatch(row.get("slug", "")):
        raise ValueError(f"{place}: the slug must be vendor/name")
    if set(row) - _MODEL_FIELDS:
        raise ValueError(f"{place}: unknown fields {sorted(set(row) - _MODEL_FIELDS)}")
    unknown = set(row["capabilities"]) - CAPABILITIES
    if unknown or row["modality"] not in MODALITIES:
        raise ValueError(f"{place}: unknown modality or capabilities {sorted(unknown)}")
    _check_sizes(place, row)
    compiled: dict[str, Any] = {key: row[key] for key in ("slug", "title", "modality")}
    names = ("context", "max_output", "licence", "sandbox", "successor", "knowledge", "dimensions", "image_tokens")
    compiled |= {key: row[key] for key in names if key in row}
    compiled |= {key: _date(place, row, key) for key in ("released", "deprecated") if key in row}
    if compiled.get("deprecated", "9999") < compiled.get("released", ""):
        raise ValueError(f"{place}: is switched off before it is released")
    if "quality" in row:
        compiled["quality"] = _quality(place, row["quality"])
    compiled["capabilities"] = sorted(row["capabilities"])
    compiled["offers"] = [_offer(place, row["modality"], offer, providers) for offer in row["offer"]]
    for offer in compiled["offers"]:
        if any(offer.get(name, 0) >= row.get(name, 1) for name in ("context", "max_output") if name in offer):
            raise ValueError(f"{place} at {offer['provider']}: context and max_output are for an offer that has less")
    _check_alike(place, compiled)
    providers_used = [offer["provider"] for offer in compiled["offers"]]
    if not providers_used:
        raise ValueError(f"{place}: has no offer")
    if len(set(providers_used)) < len(providers_used):
        raise ValueError(f"{place}: a provider has two offers; a hold keeps one price for each provider")
    return compiled


def _check_alike(place: str, model: Mapping[str, Any]) -> None:
    """What costs more at one provider hardly costs as little at the next: a price that was left out looks cheap."""
    steps = {tokens for offer in model["offers"] for tokens, _ in offer["prices"].get("above", ())}
    heard = {unit for offer in model["offers"] for unit in offer["prices"]["rates"] if "audio" in unit}
    for offer in model["offers"]:
        reach = offer.get("context", model.get("context", 0))
        own = {tokens for tokens, _ in offer["prices"].get("above", ())}
        if (missing := {step for step in steps - own if step < reach}) or heard - offer["prices"]["rates"].keys():
            lacks = f"above {sorted(missing)} tokens" if missing else f"for {sorted(heard)}"
            raise ValueError(f"{place} at {offer['provider']}: has no price {lacks}, as another offer of the model has")


def _named(row: Mapping[str, Any], providers: Mapping[str, Any]) -> dict[str, Any]:
    """`_model`, with the row's name on what a missing field or one of the wrong type raises."""
    try:
        return _model(row, providers)
    except KeyError as error:
        raise KeyError(f"model {row.get('slug')!r}: {error.args[0]} is missing") from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"model {row.get('slug')!r}: a field is of the wrong type: {error}") from None


def compile_catalog(providers: Mapping[str, Mapping[str, Any]], models: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The deployed form. Raises ValueError (or KeyError for a missing field) that names the row."""
    known = {name: _provider(name, row) for name, row in sorted(providers.items())}
    compiled = sorted((_named(row, known) for row in models), key=lambda model: str(model["slug"]))
    slugs = [model["slug"] for model in compiled]
    twice = {slug for slug in slugs if slugs.count(slug) > 1}
    if twice:
        raise ValueError(f"models listed twice: {sorted(twice)}")
    for model in compiled:
        if model.get("successor", slugs[0]) not in slugs:
            raise ValueError(f"model {model['slug']!r}: its successor {model['successor']!r} is not in the catalog")
    return {"providers": known, "models": compiled}
