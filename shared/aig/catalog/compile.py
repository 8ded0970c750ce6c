"""From the hand-kept TOML to the one JSON that is deployed. Pure: text in, data out, ValueError with the place."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from aig.modalities.upstream import Timeouts
from aig.modalities.usage import UNITS
from aig.money.units import price_per_million

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}/[a-z0-9][a-z0-9._-]{0,95}")
_WIRE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
# No token costs more than this many dollars a million: a price typed per token instead of per million trips it, and
# one typed per thousand falls below a thousandth of a cent per million.
MAX_USD_PER_MILLION = 2_000
MIN_PICO = 1_000
CAPABILITIES = frozenset({"chat", "stream", "tools", "json_schema", "vision", "audio", "files", "reasoning"})
MODALITIES = frozenset({"text"})


def _provider(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    if not _NAME.fullmatch(name) or not _WIRE.fullmatch(row.get("wire", "")):
        raise ValueError(f"providers.toml [{name}]: a name or wire that is not a lower-case slug")
    unknown = set(row) - {"title", "wire", "base_url", "key", "max_tokens_field", "timeouts"}
    if unknown or "title" not in row:
        raise ValueError(f"providers.toml [{name}]: title missing, or unknown fields {sorted(unknown)}")
    try:
        Timeouts(**row.get("timeouts", {}))
    except TypeError as error:
        raise ValueError(f"providers.toml [{name}]: {error}") from None
    return dict(row)


def _prices(place: str, table: Mapping[str, str]) -> dict[str, int]:
    prices = {}
    for unit, text in table.items():
        if unit not in UNITS:
            raise ValueError(f"{place}: {unit} is not a unit; known are {sorted(UNITS)}")
        try:
            pico = price_per_million(text)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{place}: {unit} must be dollars in quotes: {error}") from None
        if pico and not MIN_PICO <= pico <= MAX_USD_PER_MILLION * 10**6:
            raise ValueError(f"{place}: {unit} at ${text} a million is out of bounds; prices are per million units")
        prices[unit] = int(pico)
    if not {"input_tokens", "output_tokens"} <= set(prices):
        raise ValueError(f"{place}: needs a price for input_tokens and for output_tokens")
    return prices


def _offer(place: str, row: Mapping[str, Any], providers: Mapping[str, Any]) -> dict[str, Any]:
    if row["provider"] not in providers:
        raise ValueError(f"{place}: provider {row['provider']!r} is not in providers.toml")
    if not isinstance(row.get("id"), str) or not row["id"]:
        raise ValueError(f"{place}: an offer needs the provider's own id of the model, in quotes")
    if not row.get("source") or not _DATE.fullmatch(str(row.get("date", ""))):
        raise ValueError(f"{place}: a price needs a source and a date (YYYY-MM-DD)")
    return {
        "provider": row["provider"],
        "id": row["id"],
        "prices": _prices(place, row["usd_per_million"]),
        "source": row["source"],
        "date": str(row["date"]),
    }


def _model(row: Mapping[str, Any], providers: Mapping[str, Any]) -> dict[str, Any]:
    place = f"model {row.get('slug')!r}"
    if not _SLUG.fullmatch(row.get("slug", "")):
        raise ValueError(f"{place}: the slug must be vendor/name")
    unknown = set(row["capabilities"]) - CAPABILITIES
    if unknown or row["modality"] not in MODALITIES:
        raise ValueError(f"{place}: unknown modality or capabilities {sorted(unknown)}")
    if type(row["context"]) is not int or type(row["max_output"]) is not int:
        raise ValueError(f"{place}: context and max_output are whole numbers of tokens")
    if not 0 < row["max_output"] <= row["context"] <= 100_000_000:
        raise ValueError(f"{place}: needs 0 < max_output <= context")
    compiled = {key: row[key] for key in ("slug", "title", "modality", "context", "max_output")}
    compiled |= {key: row[key] for key in ("licence", "sandbox") if key in row}
    compiled["released"] = str(row["released"])
    compiled["capabilities"] = sorted(row["capabilities"])
    compiled["offers"] = [_offer(place, offer, providers) for offer in row["offer"]]
    providers_used = [offer["provider"] for offer in compiled["offers"]]
    if not providers_used:
        raise ValueError(f"{place}: has no offer")
    if len(set(providers_used)) < len(providers_used):
        raise ValueError(f"{place}: a provider has two offers; a hold keeps one price for each provider")
    return compiled


def _named(row: Mapping[str, Any], providers: Mapping[str, Any]) -> dict[str, Any]:
    """`_model`, with the row's name on what a missing field or one of the wrong type raises."""
    try:
        return _model(row, providers)
    except KeyError as error:
        raise KeyError(f"model {row.get('slug')!r}: {error.args[0]} is missing") from None
    except TypeError as error:
        raise ValueError(f"model {row.get('slug')!r}: a field is of the wrong type: {error}") from None


def compile_catalog(providers: Mapping[str, Mapping[str, Any]], models: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The deployed form. Raises ValueError (or KeyError for a missing field) that names the row."""
    known = {name: _provider(name, row) for name, row in sorted(providers.items())}
    compiled = sorted((_named(row, known) for row in models), key=lambda model: str(model["slug"]))
    slugs = [model["slug"] for model in compiled]
    twice = {slug for slug in slugs if slugs.count(slug) > 1}
    if twice:
        raise ValueError(f"models listed twice: {sorted(twice)}")
    return {"providers": known, "models": compiled}
