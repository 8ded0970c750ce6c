"""A hold covers what any served model of the catalog may charge for a request as clients send them."""

from typing import Any

import pytest

from aig.catalog.model import Offer, builtin
from aig.modalities import chat_body
from aig.modalities.usage import INPUT_UNITS, OUTPUT_UNITS, Unit, Usage
from aig.money.hold import Bid, Bounds, worst_case
from aig.money.pricing import charge

PLAIN: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
MARKED: dict[str, Any] = {
    **PLAIN,
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}],
}
MARKED_1H: dict[str, Any] = {
    **PLAIN,
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        }
    ],
}
SPOKEN: dict[str, Any] = {**PLAIN, "modalities": ["text", "audio"]}
OFFERS = [offer for model in builtin().models.values() if model.modality == "text" for offer in model.offers]


def outcomes(offer: Offer, body: dict[str, Any], units: list[Unit], tier: str | None) -> list[tuple[int, int]]:
    """What a run costs that is as long as may be, for each pair of classes; and what is held for the request."""
    demand = chat_body.parse({**body, "service_tier": tier}).demand
    assert demand.output_tokens is not None
    bounds = Bounds(demand.input_tokens, demand.output_tokens, 1, demand.input_units, demand.output_units)
    held = worst_case([Bid(bounds, offer.prices, demand.service_tier)]).amount
    runs = [
        Usage({read: demand.input_tokens, written: demand.output_tokens}, service_tier=tier)
        for read in units
        if read in INPUT_UNITS
        for written in units
        if written in OUTPUT_UNITS
    ]
    return [(charge(run, offer.prices), held) for run in runs]


@pytest.mark.parametrize(
    ("body", "units"),
    [
        # Caches that work by themselves charge for what they keep without having been asked to.
        (PLAIN, ["input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"]),
        (MARKED, ["cache_write_tokens", "output_tokens"]),
        (MARKED_1H, ["cache_write_tokens", "cache_write_1h_tokens", "output_tokens"]),
        (SPOKEN, ["input_tokens", "output_tokens", "output_audio_tokens"]),
    ],
    ids=["plain", "marked", "marked-1h", "spoken"],
)
@pytest.mark.parametrize("tier", [None, "flex", "priority"])
def test_no_class_that_a_request_may_lead_to_is_dearer_than_its_hold(
    body: dict[str, Any], units: list[Unit], tier: str | None
) -> None:
    offers = [offer for offer in OFFERS if tier is None or tier in offer.prices.tiers]
    assert offers
    found = [(offer.model_id, pair) for offer in offers for pair in outcomes(offer, body, units, tier)]
    assert [(name, pair) for name, pair in found if pair[0] > pair[1]] == []
