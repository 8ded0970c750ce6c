"""Our prices beside those of `genai-prices`, a public package: every offer that it knows, and every kind of call.

What it knows and has another price of is listed with the reason. Prices that go by the hour are compared at each.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price

from aig.catalog.model import Model, Offer, builtin
from aig.modalities.usage import Unit, Usage
from aig.money.pricing import upstream_cost

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
K = 1000
_PROVIDERS = {"moonshot": "moonshotai", "xai": "x-ai", "bedrock": "aws", "voyage": "voyageai"}
_CLOUDFLARE = "they round to three places"
_THEIRS_IS_OLDER = "theirs is what the provider asked before"
# Offers that they know, and price otherwise: why ours is another.
OTHERWISE: Mapping[tuple[str, str], str] = {
    ("alibaba/qwen3-30b-a3b", "cloudflare"): _CLOUDFLARE,
    ("meta/llama-3.2-11b-vision-instruct", "cloudflare"): _CLOUDFLARE,
    ("meta/llama-3.2-3b-instruct", "cloudflare"): _CLOUDFLARE,
    ("zai/glm-4.7-flash", "cloudflare"): _CLOUDFLARE,
    ("alibaba/qwen3.7-max", "together"): _THEIRS_IS_OLDER,
    ("meta/llama-3.3-70b-instruct", "together"): _THEIRS_IS_OLDER,
    ("xai/grok-code-fast-1", "xai"): "the id leads to another model since, at that one's price",
    ("mistral/magistral-medium", "mistral"): "the id leads to Mistral Medium 3.5 since, at that one's price",
    ("mistral/mistral-large-4", "mistral"): "the model's page, and litellm, still have the prices of 2026-10-20",
    ("openai/gpt-4.1-nano", "openrouter"): "they round to two places",
}

# At a reseller they know no price of these, and take that of a plain token, or of the other cache.
UNTOLD = {"openrouter": {"cache write for an hour", "audio in", "audio read from a cache"}}
# Kinds of call: our units, and how they count the same, where a total includes its parts.
KINDS: Mapping[str, tuple[dict[Unit, int], dict[str, int]]] = {
    "input": ({"input_tokens": K}, {"input_tokens": K}),
    "output": ({"output_tokens": K}, {"output_tokens": K}),
    "cache read": (
        {"input_tokens": K, "cached_input_tokens": 4 * K},
        {"input_tokens": 5 * K, "cache_read_tokens": 4 * K},
    ),
    "cache write": (
        {"input_tokens": K, "cache_write_tokens": 2 * K},
        {"input_tokens": 3 * K, "cache_write_tokens": 2 * K},
    ),
    "cache write for an hour": (
        {"input_tokens": K, "cache_write_1h_tokens": 2 * K},
        {"input_tokens": 3 * K, "cache_write_tokens": 2 * K, "cache_write_1h_tokens": 2 * K},
    ),
    "audio in": (
        {"input_tokens": K, "input_audio_tokens": 2 * K},
        {"input_tokens": 3 * K, "input_audio_tokens": 2 * K},
    ),
    "audio read from a cache": (
        {"input_tokens": K, "cached_input_audio_tokens": 2 * K},
        {
            "input_tokens": 3 * K,
            "input_audio_tokens": 2 * K,
            "cache_read_tokens": 2 * K,
            "cache_audio_read_tokens": 2 * K,
        },
    ),
    "audio out": (
        {"output_tokens": K, "output_audio_tokens": 2 * K},
        {"output_tokens": 3 * K, "output_audio_tokens": 2 * K},
    ),
    "images in": (
        {"input_tokens": K, "input_image_tokens": 2 * K},
        {"input_tokens": 3 * K, "input_image_tokens": 2 * K},
    ),
    "images out": (
        {"output_tokens": K, "output_image_tokens": 2 * K},
        {"output_tokens": 3 * K, "output_image_tokens": 2 * K},
    ),
    "a long prompt": (
        {"input_tokens": 300 * K, "output_tokens": K},
        {"input_tokens": 300 * K, "output_tokens": K},
    ),
    "a long prompt, mostly cached": (
        {"input_tokens": 10 * K, "cached_input_tokens": 290 * K},
        {"input_tokens": 300 * K, "cache_read_tokens": 290 * K},
    ),
    "pages": ({"pages": 7}, {"input_document_pages": 7}),
    "characters": ({"characters": K}, {"input_characters": K}),
}


def theirs(offer: Offer, counts: Mapping[str, int], now: datetime) -> Decimal:
    """Dollars. Raises LookupError for a model that they do not know."""
    provider = _PROVIDERS.get(offer.provider.name, offer.provider.name)
    usage = TheirUsage(**counts)
    return calc_price(usage, offer.model_id, provider_id=provider, genai_request_timestamp=now).total_price


def ours(offer: Offer, units: Mapping[Unit, int], now: datetime) -> Decimal:
    return Decimal(upstream_cost(Usage(units), offer.at(now.timestamp()).prices)) / 10**9


def _known() -> Iterator[tuple[Model, Offer]]:
    for model in builtin().models.values():
        for offer in model.offers if not model.sandbox else ():
            try:
                theirs(offer, {"input_tokens": 1}, NOON)
            except LookupError:
                continue
            if offer.prices.rates:
                yield model, offer


def kinds(model: Model, offer: Offer) -> Iterator[str]:
    """Those whose units all have a price of their own here, and whose prompt the model takes."""
    for name, (units, counts) in KINDS.items():
        long = counts.get("input_tokens", 0) > (offer.context or model.context or 0) > 0
        told = name not in UNTOLD.get(offer.provider.name, ())
        if told and not long and units.keys() <= offer.prices.rates.keys():
            yield name


def differing(model: Model, offer: Offer, now: datetime = NOON) -> list[tuple[str, Decimal, Decimal]]:
    """The kinds of call that cost otherwise there, to the nano-dollar that ours is rounded up to."""
    found = []
    for name in kinds(model, offer):
        units, counts = KINDS[name]
        mine, yours = ours(offer, units, now), theirs(offer, counts, now)
        if not 0 <= mine - yours < Decimal("0.000000001"):
            found.append((name, mine, yours))
    return found


KNOWN = list(_known())
AGREED = [(model, offer) for model, offer in KNOWN if (model.slug, offer.provider.name) not in OTHERWISE]
BY_HOUR = [(model, offer) for model, offer in AGREED if offer.prices.hours]


def test_they_know_most_of_what_we_serve() -> None:
    assert len(AGREED) >= 200
    told = {name for model, offer in AGREED for name in kinds(model, offer)}
    assert told >= KINDS.keys() - {"pages", "characters"}


@pytest.mark.parametrize(
    ("model", "offer"), AGREED, ids=[f"{model.slug} at {offer.provider.name}" for model, offer in AGREED]
)
def test_our_price_is_theirs(model: Model, offer: Offer) -> None:
    assert differing(model, offer) == []


@pytest.mark.parametrize(("model", "offer"), BY_HOUR, ids=[model.slug for model, _ in BY_HOUR])
def test_at_every_hour_of_a_working_day(model: Model, offer: Offer) -> None:
    midnight = NOON.replace(hour=0)
    seen = set()
    for half in range(48):
        now = midnight + timedelta(minutes=30 * half)
        assert differing(model, offer, now) == [], now
        assert differing(model, offer, now - timedelta(seconds=1)) == [], now
        seen.add(ours(offer, {"input_tokens": K}, now))
    assert len(seen) == 2


def test_at_weekends_there_is_no_peak_which_they_cannot_say() -> None:
    for _, offer in BY_HOUR:
        saturday = datetime(2026, 11, 28, 2, tzinfo=UTC)
        assert ours(offer, {"input_tokens": K}, saturday) == ours(offer, {"input_tokens": K}, NOON)
        assert theirs(offer, {"input_tokens": K}, saturday) > theirs(offer, {"input_tokens": K}, NOON)


def test_what_is_priced_otherwise_is_so_still() -> None:
    """A row that has come to agree leaves the list."""
    rows = {(model.slug, offer.provider.name): (model, offer) for model, offer in KNOWN}
    assert OTHERWISE.keys() <= rows.keys()
    assert {key for key in OTHERWISE if not differing(*rows[key])} == set()
