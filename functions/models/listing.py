"""How a model is shown: as JSON for programs, and as Markdown for agents that read llms.txt."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from aig.catalog.model import Catalog, Model, Offer
from aig.catalog.routing import needed
from aig.modalities.usage import COUNT_UNITS
from aig.money.pricing import Prices, Rates
from aig.money.units import usd

_CATALOG_DATE = 1_795_305_600  # OpenAI's clients expect `created`; the day the catalog format began stands in for all
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_PER_UNIT = COUNT_UNITS - {"characters"}
LLMS_FILE = Path(__file__).with_name("llms.md")

EXAMPLE = {
    "id": "sandbox/echo",
    "object": "model",
    "created": _CATALOG_DATE,
    "owned_by": "sandbox",
    "title": "Echo",
    "modality": "text",
    "capabilities": ["chat", "stream"],
    "context_window": 131072,
    "max_output_tokens": 16384,
    "dimensions": [],
    "released": "2026-11-22",
    "knowledge": None,
    "licence": None,
    "deprecated": None,
    "successor": None,
    "quality": None,
    "sandbox": True,
    "available": True,
    "unavailable_reason": None,
    "note": None,
    "offers": [
        {
            "provider": "sandbox",
            "available": True,
            "missing": None,
            "usd_per_million": {"input_tokens": "1.00", "output_tokens": "2.00"},
            "source": "set by us",
            "date": "2026-11-22",
        }
    ],
}


Missing = Mapping[str, Collection[str]]  # provider -> the names of what the operator would set; empty if it is set up


def is_available(model: Model, missing: Missing) -> bool:
    """Whether it can be called here."""
    return model.served and any(not missing[offer.provider.name] for offer in model.offers)


def _reason(model: Model, missing: Missing) -> str | None:
    if not model.served:
        return "not_served_yet"
    return None if is_available(model, missing) else "not_configured"


def describe(model: Model, missing: Missing) -> dict[str, Any]:
    """OpenAI's model object, with all that the catalog knows."""
    quality = model.quality
    return {
        "id": model.slug,
        "object": "model",
        "created": _CATALOG_DATE,
        "owned_by": model.vendor,
        "title": model.title,
        "modality": model.modality,
        "capabilities": sorted(model.capabilities),
        "context_window": model.context or None,
        "max_output_tokens": model.max_output or None,
        "dimensions": list(model.dimensions),
        "released": model.released,
        "knowledge": model.knowledge,
        "licence": model.licence,
        "deprecated": model.deprecated,
        "successor": model.successor,
        "quality": {"score": quality.score, "source": quality.source, "date": quality.date} if quality else None,
        "sandbox": model.sandbox,
        "available": is_available(model, missing),
        "unavailable_reason": _reason(model, missing),
        "note": model.unavailable,
        "offers": [_offer(model, offer, missing) for offer in model.offers],
    }


def _offer(model: Model, offer: Offer, missing: Missing) -> dict[str, Any]:
    provider, lacks = offer.provider, missing[offer.provider.name]
    return {
        "provider": provider.name,
        "available": not lacks and model.served,
        "missing": " and ".join(lacks) or None,
        **({"context_window": offer.context} if offer.context else {}),  # where it is less than the model's
        **({"max_output_tokens": offer.max_output} if offer.max_output else {}),
        **_prices(offer.prices),
        "source": offer.source,
        "date": offer.date,
    }


def _prices(prices: Prices) -> dict[str, Any]:
    shown = _rates(prices.rates)
    if prices.above:
        shown["above"] = [{"tokens": tokens, **_rates(rates)} for tokens, rates in prices.above]
    if prices.tiers:
        shown["service_tiers"] = {name: _prices(tier) for name, tier in prices.tiers.items()}
    if prices.hours:
        shown["hours"] = [
            {"utc": [_span(span) for span in row.spans], "days": list(row.days), **_prices(row.prices)}
            for row in prices.hours
        ]
    return shown


def _rates(rates: Rates) -> dict[str, Any]:
    """Dollars as text: for a million tokens or characters, for one of anything else."""
    # pico-USD per unit is nano-USD per thousand units: a million units cost a thousand times as many nanos
    per_million = {unit: usd(price * 1000) for unit, price in rates.items() if unit not in _PER_UNIT}
    per_unit = {unit: _usd_of_pico(price) for unit, price in rates.items() if unit in _PER_UNIT}
    return {"usd_per_million": per_million, **({"usd_per_unit": per_unit} if per_unit else {})}


def _span(span: tuple[int, int]) -> str:
    return "-".join(f"{minute // 60:02d}:{minute % 60:02d}" for minute in span)


def _usd_of_pico(price: int) -> str:
    whole, fraction = divmod(price, 10**12)
    return f"{whole}.{f'{fraction:012d}'.rstrip('0').ljust(2, '0')}"


def _price_line(model: Model, missing: Missing) -> str:
    """The price at the provider that is asked first, as far as that can be said before a request."""
    offers = [offer for offer in model.offers if not missing[offer.provider.name]] or list(model.offers)
    cheapest = min(offers, key=lambda offer: sum(offer.prices.rates.values()))
    line = _rates_line(cheapest.prices.rates)
    for row in cheapest.prices.hours:
        spans = " and ".join(_span(span) for span in row.spans)
        days = "" if len(row.days) == len(_DAYS) else f" on {', '.join(_DAYS[day - 1] for day in row.days)}"
        line += f" ({_rates_line(row.prices.rates)} at {spans} UTC{days})"
    return line


def _rates_line(of: Rates) -> str:
    rates = _rates(of)
    parts = [f"${price}/M {unit.replace('_', ' ')}" for unit, price in sorted(rates["usd_per_million"].items())]
    parts += [f"${price} per {unit.removesuffix('s')}" for unit, price in sorted(rates.get("usd_per_unit", {}).items())]
    return ", ".join(parts) or "price not published"


def _by_modality(catalog: Catalog) -> Mapping[str, list[Model]]:
    grouped: dict[str, list[Model]] = defaultdict(list)
    for model in catalog.models.values():
        grouped[model.modality].append(model)
    return grouped


def llms(catalog: Catalog, missing: Missing, base_url: str) -> str:
    """/llms.txt: enough for an agent to set up a client."""
    lines = [LLMS_FILE.read_text(encoding="utf-8").replace("{base_url}", base_url)]
    for modality, models in _by_modality(catalog).items():
        usable = [model for model in models if is_available(model, missing)]
        if usable:
            lines += [f"### {modality}", "", *(_line(model, missing) for model in usable), ""]
    return "\n".join(lines)


def llms_full(catalog: Catalog, missing: Missing, base_url: str) -> str:
    """/llms-full.txt: every model of the catalog."""
    lines = ["# Models", "", f"> Of the AIgateway at `{base_url}`. Prices are the providers'; 5 % come on top.", ""]
    for modality, models in _by_modality(catalog).items():
        lines += [f"## {modality}", ""]
        for model in models:
            reason = _reason(model, missing)
            needs = needed(missing[offer.provider.name] for offer in model.offers)
            state = {"not_served_yet": model.unavailable or "not served yet", "not_configured": f"needs {needs}"}
            lines.append(_line(model, missing) + (f" ({state[reason]})" if reason else ""))
            if model.deprecated:
                lines.append(f"  - switched off on {model.deprecated}; then {model.successor or 'choose another'}")
        lines.append("")
    return "\n".join(lines)


def _line(model: Model, missing: Missing) -> str:
    facts = [model.title, _price_line(model, missing)]
    if model.context:
        facts.append(f"{model.context} tokens of context")
    facts += [", ".join(sorted(model.capabilities))] if model.capabilities else []
    return f"- `{model.slug}`: {'; '.join(facts)}"
