"""From the hand-kept TOML to the one JSON that is deployed. Pure: text in, data out, ValueError with the place."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aig.catalog.bounds import (
    PER_UNIT,
    check_bounds,
    check_elsewhere,
    check_instead,
    check_proportions,
    check_since,
    read_price,
)
from aig.catalog.model import COUNTED, OPERATIONS
from aig.modalities.upstream import QUIRKS, Timeouts
from aig.modalities.usage import COUNT_UNITS, TOKEN_UNITS, Unit
from aig.money.pricing import MINUTES_A_DAY
from aig.money.units import Pico

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}/[a-z0-9][a-z0-9._-]{0,95}")
_WIRE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SPAN = re.compile(r"(\d{2}):([0-5]\d)-(\d{2}):([0-5]\d)")
CAPABILITIES = frozenset(
    {"chat", "stream", "tools", "json_schema", "vision", "audio", "files", "reasoning"}
    | {"embed", "token_ids", "dimensions", "input_type"}
    | {"image", "edit", "mask", "speak", "transcribe", "words", "segments", "into_english"}
    | {"moderate", "texts", "translate", "detect_language", "classify", "labels", "detect", "ocr", "rerank"}
    | {"video", "music", "three_d", "from_text", "from_picture", "lyrics"}
)
MODALITIES = frozenset(
    {"text", "embedding", "image", "speech", "transcription", "moderation", "translation", "classification"}
    | {"detection", "ocr", "rerank", "video", "music", "three_d", "turn_detection"}
)
_AS_THEY_ARE = (
    *("context", "max_output", "licence", "sandbox", "successor", "knowledge", "dimensions", "image_tokens"),
    "unavailable",
    "most_seconds",
    "usual_seconds",
)
_NEEDED: Mapping[str, tuple[Unit, ...]] = {"text": ("input_tokens", "output_tokens"), "embedding": ("input_tokens",)}
_PROVIDER_FIELDS = frozenset(
    {"title", "wire", "base_url", "key", "max_tokens_field", "timeouts", "quirks", "concurrency"}
)
_MODEL_FIELDS = frozenset(
    {"slug", "title", "modality", "capabilities", "context", "max_output", "released", "knowledge", "licence"}
    | {
        "deprecated",
        "successor",
        "quality",
        "dimensions",
        "image_tokens",
        "sandbox",
        "unavailable",
        "most_seconds",
        "usual_seconds",
        "offer",
    }
)
_OFFER_FIELDS = frozenset(
    {"provider", "id", "usd_per_million", "usd_per_unit", "above", "tiers", "hours", "source", "date", "quirks"}
    | {"max_batch", "max_batch_tokens", "context", "max_output", "price_change", "credits"}
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
    if type(row.get("concurrency", 1)) is not int or row.get("concurrency", 1) < 1:
        raise ValueError(f"{place}: concurrency is a whole number from 1")
    try:
        Timeouts(**row.get("timeouts", {}))
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from None
    return {**row, **_quirks(place, row)}


def _rates(place: str, modality: str, row: Mapping[str, Any]) -> dict[Unit, Pico]:
    """The price of each unit; none where nobody publishes one, of a model that is listed only."""
    rates: dict[Unit, Pico] = {}
    for field, allowed in (
        ("usd_per_million", TOKEN_UNITS | {"characters"}),
        ("usd_per_unit", PER_UNIT),
    ):
        for unit, text in row.get(field, {}).items():
            if unit not in allowed:
                raise ValueError(f"{place}: {unit} is not a unit of {field}; known are {sorted(allowed)}")
            rates[unit] = read_price(place, unit, text)
    for unit in _NEEDED.get(modality, ()):
        if unit not in rates:
            raise ValueError(f"{place}: needs a price for {unit}")
    check_proportions(place, modality, rates)
    return rates


def _prices(place: str, modality: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A list of prices as `Prices.to_json` writes it."""
    unknown = {"tokens", "usd_per_million", "usd_per_unit"}
    rates = _rates(place, modality, row)
    prices: dict[str, Any] = {"rates": rates}
    steps = []
    for step in row.get("above", ()):
        if set(step) - unknown or type(step.get("tokens")) is not int or step["tokens"] <= 0:
            raise ValueError(f"{place}: above needs tokens and usd_per_million, and nothing else")
        steps.append([step["tokens"], _rates(f"{place} above {step['tokens']}", modality, step)])
        check_instead(f"{place} above {step['tokens']}", rates, steps[-1][1])
    if steps:
        prices["above"] = sorted(steps, key=lambda step: step[0])
    tiers = {name: _prices(f"{place} tier {name}", modality, tier) for name, tier in row.get("tiers", {}).items()}
    for name, tier in tiers.items():
        check_instead(f"{place} tier {name}", rates, tier["rates"])
    if tiers:
        prices["tiers"] = tiers
    hours = [_hours(f"{place} hours", modality, entry) for entry in row.get("hours", ())]
    for entry in hours:
        check_instead(f"{place} hours", rates, entry["prices"]["rates"])
    if hours:
        prices["hours"] = hours
    return prices


def _hours(place: str, modality: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """`utc` has spans such as 01:00-04:00, `days` numbers from 1 for Monday to 7; without them every day."""
    if set(row) - {"utc", "days", "usd_per_million", "above", "tiers"} or not row.get("utc"):
        raise ValueError(f"{place}: hours need utc and usd_per_million; days, above and tiers may be there")
    days = row.get("days", [1, 2, 3, 4, 5, 6, 7])
    if not days or any(type(day) is not int or not 1 <= day <= 7 for day in days):
        raise ValueError(f"{place}: days are numbers from 1 (Monday) to 7")
    prices = _prices(place, modality, {name: row[name] for name in row if name not in ("utc", "days")})
    return {"spans": [_span(place, text) for text in row["utc"]], "days": sorted(set(days)), "prices": prices}


def _span(place: str, text: Any) -> list[int]:
    """`01:00-04:00` as minutes of the day, 24:00 the last."""
    match = _SPAN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{place}: utc has spans of hours such as 01:00-04:00, not {text!r}")
    start, end = (int(match[at]) * 60 + int(match[at + 1]) for at in (1, 3))
    if not start < end <= MINUTES_A_DAY:
        raise ValueError(f"{place}: {text} does not end after it begins, within a day")
    return [start, end]


def _date(place: str, row: Mapping[str, Any], name: str) -> str:
    text = str(row.get(name, ""))
    if not _DATE.fullmatch(text):
        raise ValueError(f"{place}: {name} must be a date (YYYY-MM-DD)")
    return text


def _offer(
    place: str, modality: str, row: Mapping[str, Any], providers: Mapping[str, Any], *, sandbox: bool
) -> dict[str, Any]:
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
    if row.get("price_change", True) is not True:
        raise ValueError(f"{place}: price_change is true, or is left out")
    prices = _prices(place, modality, row)
    check_bounds(place, modality, row["source"], prices["rates"], sandbox=sandbox)
    offer = {
        "provider": row["provider"],
        "id": row["id"],
        "prices": prices,
        "source": row["source"],
        "date": str(row["date"]),
        **_quirks(place, row),
    }
    for name in ("max_batch", "max_batch_tokens", "context", "max_output"):
        if name in row:
            if type(row[name]) is not int or row[name] < 1:
                raise ValueError(f"{place}: {name} is a whole number from 1")
            offer[name] = row[name]
    if "credits" in row:
        offer["credits"] = _credits(place, row["credits"], prices["rates"])
    return offer


def _credits(place: str, row: Mapping[str, Any], rates: Mapping[Unit, Pico]) -> dict[str, int]:
    """What one of a unit costs in credits: it bounds those of a job, which only its end tells."""
    if "credits" not in rates or not row or any(type(count) is not int or count < 1 for count in row.values()):
        raise ValueError(f"{place}: credits are whole numbers from 1, by unit, of an offer that is priced in them")
    if unknown := sorted(row.keys() - COUNT_UNITS):
        raise ValueError(f"{place}: {unknown[0]} is no unit that could cost credits")
    return dict(row)


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
    most, usual = row.get("most_seconds", 1), row.get("usual_seconds", 1)
    if type(most) is not int or type(usual) is not int or not 1 <= usual <= most:
        raise ValueError(f"{place}: most_seconds is a whole number from 1, and usual_seconds one up to it")


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
    compiled |= {key: row[key] for key in _AS_THEY_ARE if key in row}
    compiled |= {key: _date(place, row, key) for key in ("released", "deprecated") if key in row}
    if compiled.get("deprecated", "9999") < compiled.get("released", ""):
        raise ValueError(f"{place}: is switched off before it is released")
    if "quality" in row:
        compiled["quality"] = _quality(place, row["quality"])
    compiled["capabilities"] = sorted(row["capabilities"])
    sandbox = row.get("sandbox", False)
    compiled["offers"] = [_offer(place, row["modality"], offer, providers, sandbox=sandbox) for offer in row["offer"]]
    for offer in compiled["offers"]:
        if any(offer.get(name, 0) >= row.get(name, 1) for name in ("context", "max_output") if name in offer):
            raise ValueError(f"{place} at {offer['provider']}: context and max_output are for an offer that has less")
    if OPERATIONS.keys() & set(row["capabilities"]):
        _check_callable(place, compiled)
    _check_alike(place, compiled)
    check_elsewhere(place, compiled["offers"])
    providers_used = [offer["provider"] for offer in compiled["offers"]]
    if not providers_used:
        raise ValueError(f"{place}: has no offer")
    if len(set(providers_used)) < len(providers_used):
        raise ValueError(f"{place}: a provider has two offers; a hold keeps one price for each provider")
    return compiled


def _check_callable(place: str, model: Mapping[str, Any]) -> None:
    """What can be called must cost something that is known, even if that is nothing, and that can be held before."""
    counted = frozenset[Unit]().union(*(COUNTED.get(name, ()) for name in model["capabilities"]))
    if "unavailable" in model:
        raise ValueError(f"{place}: has a capability that it can be called for, and is marked as unavailable")
    for offer in model["offers"]:
        if not offer["prices"]["rates"]:
            raise ValueError(f"{place} at {offer['provider']}: can be called, and has no price")
        if "credits" in offer["prices"]["rates"] and "credits" not in offer:
            raise ValueError(f"{place} at {offer['provider']}: is priced in credits, and does not say what costs them")
        by_second = "seconds" in offer["prices"]["rates"].keys() | offer.get("credits", {}).keys()
        if by_second and {"video", "music"} & set(model["capabilities"]) and "most_seconds" not in model:
            raise ValueError(f"{place}: is priced by the second, and does not say most_seconds")
        if unheld := sorted(COUNT_UNITS & offer["prices"]["rates"].keys() - counted):
            raise ValueError(f"{place} at {offer['provider']}: {unheld[0]} is counted by nothing it can be called for")


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


def _check_changes(rows: Iterable[Mapping[str, Any]], compiled: Iterable[Mapping[str, Any]], before: Any) -> None:
    """Prices beside those of the same offers in the catalog as it was compiled before."""
    earlier = {(model["slug"], offer["provider"]): offer for model in before["models"] for offer in model["offers"]}
    agreed = {(row["slug"], offer["provider"]) for row in rows for offer in row["offer"] if offer.get("price_change")}
    for model in compiled:
        for offer in model["offers"]:
            key = model["slug"], offer["provider"]
            if key in earlier:
                place = f"model {key[0]!r} at {key[1]}"
                check_since(place, earlier[key], offer, agreed=key in agreed)


def compile_catalog(
    providers: Mapping[str, Mapping[str, Any]], models: Iterable[Mapping[str, Any]], before: Any = None
) -> dict[str, Any]:
    """The deployed form. Raises ValueError (or KeyError for a missing field) that names the row.

    `before` is the deployed form as it was: prices that differ too much from it are refused.
    """
    rows = list(models)
    known = {name: _provider(name, row) for name, row in sorted(providers.items())}
    compiled = sorted((_named(row, known) for row in rows), key=lambda model: str(model["slug"]))
    if before is not None:
        _check_changes(rows, compiled, before)
    slugs = [model["slug"] for model in compiled]
    twice = {slug for slug in slugs if slugs.count(slug) > 1}
    if twice:
        raise ValueError(f"models listed twice: {sorted(twice)}")
    for model in compiled:
        if model.get("successor", slugs[0]) not in slugs:
            raise ValueError(f"model {model['slug']!r}: its successor {model['successor']!r} is not in the catalog")
    return {"providers": known, "models": compiled}
