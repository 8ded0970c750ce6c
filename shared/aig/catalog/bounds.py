"""What a price may be: a typed one that is a thousand times off must not be deployed. Pure; ValueError with the place.

Three witnesses. Bounds for each modality and unit: both ends of a range are less than a factor of a thousand apart, so
that no price within it is within it still when it is typed per thousand, or per token. The other prices of the row and
of the model's other offers, which are in proportion. And the catalog that was compiled before.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from aig.modalities.usage import COUNT_UNITS, INPUT_UNITS, OUTPUT_UNITS, Unit
from aig.money.pricing import price_of
from aig.money.units import Pico, price_per_million, price_per_unit

PER_UNIT = COUNT_UNITS - {"characters"}  # the other units are priced by the million
Range = tuple[str, str]  # dollars, for a million or for one, the least and the most

_TEXT: Mapping[str, Range] = {
    "input_tokens": ("0.015", "14.50"),
    "cached_input_tokens": ("0.002", "1.90"),
    "cache_write_tokens": ("0.02", "19.00"),
    "cache_write_1h_tokens": ("0.03", "29.00"),
    "input_audio_tokens": ("0.10", "95.00"),
    "cached_input_audio_tokens": ("0.01", "9.50"),
    "input_image_tokens": ("0.015", "14.50"),
    "output_tokens": ("0.06", "59.00"),
    "reasoning_tokens": ("0.06", "59.00"),
    "output_audio_tokens": ("0.50", "450.00"),
    "output_image_tokens": ("1.00", "900.00"),
}
# What we ask for models of our own, which are smaller than any on the market.
_OWN: Mapping[str, Range] = {"input_tokens": ("0.01", "9.90"), "output_tokens": ("0.02", "19.00")}
# What tests cost, whatever the modality.
_SANDBOX_COUNT: Range = ("0.001", "0.90")
_SANDBOX: Mapping[str, Range] = {
    "characters": ("1.00", "500.00"),
    "images": _SANDBOX_COUNT,
    "pages": _SANDBOX_COUNT,
    "search_units": _SANDBOX_COUNT,
    "seconds": _SANDBOX_COUNT,
    "assets": _SANDBOX_COUNT,
}
_SECONDS_HEARD: Range = ("0.000001", "0.0009")
BOUNDS: Mapping[str, Mapping[str, Range]] = {
    "text": _TEXT,
    "own": _OWN,
    "sandbox": _SANDBOX,
    "embedding": {"input_tokens": ("0.002", "1.50")},
    "rerank": {"input_tokens": ("0.002", "1.50"), "search_units": ("0.0002", "0.10")},
    "classification": {"input_tokens": ("0.002", "1.50")},
    "moderation": {
        "input_tokens": ("0.01", "5.00"),
        "output_tokens": ("0.005", "4.50"),
        "images": ("0.00001", "0.009"),
    },
    "translation": {
        "input_tokens": ("0.02", "15.00"),
        "output_tokens": ("0.02", "15.00"),
        "characters": ("1.00", "500.00"),
    },
    "image": {
        "input_tokens": ("0.05", "45.00"),
        "cached_input_tokens": ("0.02", "15.00"),
        "input_image_tokens": ("0.10", "90.00"),
        "output_tokens": ("0.30", "250.00"),
        "output_image_tokens": ("1.00", "900.00"),
        "images": ("0.001", "0.90"),
        "steps": ("0.000005", "0.004"),
        "tiles": ("0.00001", "0.009"),
    },
    "detection": {"images": ("0.00001", "0.009")},
    "ocr": {"pages": ("0.0002", "0.15")},
    "speech": {
        "characters": ("1.00", "900.00"),
        "input_tokens": ("0.05", "45.00"),
        "output_audio_tokens": ("0.50", "450.00"),
        "seconds": ("0.0000012", "0.001"),
    },
    "transcription": {
        "input_tokens": ("0.10", "95.00"),
        "input_audio_tokens": ("0.10", "95.00"),
        "output_tokens": ("0.30", "250.00"),
        "seconds": _SECONDS_HEARD,
    },
    "turn_detection": {"seconds": _SECONDS_HEARD},
    "video": {"seconds": ("0.005", "4.50"), "credits": ("0.001", "0.90"), "assets": ("0.02", "19.00")},
    "music": {"tracks": ("0.005", "4.50"), "seconds": ("0.0001", "0.09"), "assets": ("0.005", "4.50")},
    "three_d": {"assets": ("0.02", "19.00"), "credits": ("0.001", "0.90")},
}
# What a long prompt, a tier or an hour costs instead of the usual; what another provider asks for the same; and what
# it may have changed to since the last compilation.
_INSTEAD, _ELSEWHERE, _SINCE = 5, 20, 20


def read_price(place: str, unit: str, text: str) -> Pico:
    """A price as it is typed: dollars, in quotes."""
    try:
        return price_per_unit(text) if unit in PER_UNIT else price_per_million(text)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {unit} must be dollars in quotes: {error}") from None


def check_bounds(place: str, modality: str, source: str, rates: Mapping[Unit, Pico], *, sandbox: bool) -> None:
    """A price of nothing is allowed: there are free models."""
    own = modality == "text" and not source.startswith("https://")
    bounds = {**BOUNDS.get(modality, {}), **(BOUNDS["own"] if own else {}), **(_SANDBOX if sandbox else {})}
    for unit, pico in rates.items():
        if unit not in bounds:
            raise ValueError(f"{place}: {unit} of modality {modality} has no bounds; aig/catalog/bounds.py wants some")
        least, most = bounds[unit]
        if pico and not read_price(place, unit, least) <= pico <= read_price(place, unit, most):
            per = "one" if unit in PER_UNIT else "a million"
            raise ValueError(f"{place}: {unit} is out of bounds: ${least} to ${most} for {per}")


def check_proportions(place: str, modality: str, rates: Mapping[Unit, Pico]) -> None:
    """Classes of tokens are in proportion to what they are classes of, and what is written to what is read."""
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


def check_instead(place: str, usual: Mapping[Unit, Pico], instead: Mapping[Unit, Pico]) -> None:
    """The rates of a long prompt, a tier or an hour beside the usual."""
    for unit in instead:
        if unit not in usual:
            raise ValueError(f"{place}: {unit} has a price here, and none that is the usual")
        if not _near(usual[unit], instead[unit], _INSTEAD):
            raise ValueError(f"{place}: {unit} is more than {_INSTEAD} times off what it usually costs")


def check_elsewhere(place: str, offers: list[Mapping[str, Any]]) -> None:
    """The offers of one model beside each other: free ones aside."""
    for unit in {unit for offer in offers for unit in offer["prices"]["rates"]}:
        priced = [(price, offer["provider"]) for offer in offers if (price := offer["prices"]["rates"].get(unit))]
        if priced and not _near(min(priced)[0], max(priced)[0], _ELSEWHERE):
            raise ValueError(
                f"{place}: {unit} at {max(priced)[1]} costs more than {_ELSEWHERE} times as much as at {min(priced)[1]}"
            )


def check_since(place: str, before: Mapping[str, Any], offer: Mapping[str, Any], *, agreed: bool) -> None:
    """An offer beside what it was when the catalog was last compiled. A large change must be said to be meant.

    `agreed` is the row's `price_change = true`: for a price that was read on another day than the one before.
    """
    if agreed and before["date"] != offer["date"]:
        return
    prices = dict(_flat(offer["prices"]))
    for name, price in _flat(before["prices"]):
        if name in prices and not _near(price, prices[name], _SINCE):
            raise ValueError(
                f"{place}: {name} has changed by more than a factor of {_SINCE} since the catalog was last compiled. "
                "If that is so, say price_change = true beside the price, with the day it was read at."
            )


def _near(one: int, other: int, factor: int) -> bool:
    return one <= other * factor and other <= one * factor


def _flat(prices: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, int]]:
    """Every rate of a price list, by where in it it is."""
    for unit, price in prices["rates"].items():
        yield f"{path}{unit}", price
    for tokens, rates in prices.get("above", ()):
        yield from _flat({"rates": rates}, f"{path}above {tokens} tokens: ")
    for name, tier in prices.get("tiers", {}).items():
        yield from _flat(tier, f"{path}tier {name}: ")
    for at, row in enumerate(prices.get("hours", ())):
        yield from _flat(row["prices"], f"{path}hours {at + 1}: ")
