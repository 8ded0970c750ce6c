"""What a video model is asked for, and what a client is told that asks for something else."""

from typing import Any

import pytest

from aig.catalog.model import builtin
from aig.errors import UpstreamError
from aig_providers.video_settings import Makes, Settings, known, nearest, settings
from tests.unit.providers.videos import MODELS, SQUARE, TALL, WIDE, asked

PLAIN = Makes((8, 4, 6), ("16:9", "9:16"), ("720p", "1080p"))
FULL = Makes(
    (5, 4, *range(6, 16)), ("16:9",), (), ("16:9", "9:16", "1:1"),
    negative_prompt=True, seed=True, sound="by choice",
)  # fmt: skip


def test_what_nobody_has_said_is_as_usual() -> None:
    assert settings(PLAIN, asked()) == Settings(8, "16:9", "720p")
    assert settings(FULL, asked()) == Settings(5, "16:9", None)


def test_what_is_said_is_kept() -> None:
    made = settings(PLAIN, asked(seconds=4, aspect_ratio="9:16", resolution="1080p", sound=False))
    assert made == Settings(4, "9:16", "1080p")
    assert made.kept == {"seconds": 4, "resolution": "1080p"}
    settings(FULL, asked(negative_prompt="dogs", seed=0, sound=True))


def test_a_video_that_begins_with_a_picture_has_its_ratio() -> None:
    assert settings(PLAIN, asked(picture=TALL)).ratio is None  # the provider sees it
    assert settings(FULL, asked(picture=TALL)).ratio == "9:16"
    assert settings(FULL, asked(picture=SQUARE)).ratio == "1:1"
    assert settings(FULL, asked(picture=SQUARE, aspect_ratio="16:9")).ratio == "16:9"


def test_the_nearest_ratio_cuts_least_off() -> None:
    assert nearest(WIDE, ("9:16", "1:1", "21:9", "16:9")) == "16:9"
    assert nearest(TALL, ("16:9", "1:1")) == "1:1"


@pytest.mark.parametrize(
    ("makes", "fields", "param", "told"),
    [
        (PLAIN, {"seconds": 5}, "duration", "duration must be 4, 6 or 8 here."),
        (FULL, {"seconds": 16}, "duration", "duration must be from 4 to 15 here."),
        (PLAIN, {"aspect_ratio": "1:1"}, "aspect_ratio", "aspect_ratio must be 16:9 or 9:16 here."),
        (PLAIN, {"picture": WIDE, "aspect_ratio": "16:9"}, "aspect_ratio", "Leave aspect_ratio out."),
        (PLAIN, {"resolution": "4k"}, "resolution", "resolution must be 720p or 1080p here."),
        (FULL, {"resolution": "720p"}, "resolution", "Leave resolution out."),
        (PLAIN, {"negative_prompt": "dogs"}, "negative_prompt", "in the prompt"),
        (PLAIN, {"seed": 0}, "seed", "Leave seed out."),
        (PLAIN, {"sound": True}, "audio", "silent videos"),
        (Makes((5,), (), (), sound="always"), {"sound": False}, "audio", "no silent videos"),
        (Makes((5,), (), (), pictures=False), {"picture": WIDE}, "image_url", "Leave the picture out."),
        (Makes((5,), (), (), prompts=False), {}, "prompt", "Send image_url"),
        (Makes((5,), (), (), longest_prompt=3), {"prompt": "a\N{CAT}bc"}, "prompt", "3 characters"),
    ],
)
def test_what_a_model_cannot_do(makes: Makes, fields: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(UpstreamError) as raised:
        settings(makes, asked(**fields))
    error = raised.value
    assert (error.kind, error.code, error.param, error.unasked) == ("rejected", "unsupported_value", param, True)
    assert told in (error.message or "")


def test_a_long_prompt_is_counted_as_javascript_does() -> None:
    makes = Makes((5,), (), (), longest_prompt=4)
    settings(makes, asked(prompt="a\N{CAT}b"))


def test_a_model_that_the_adapter_does_not_know() -> None:
    with pytest.raises(UpstreamError) as raised:
        known({"one": PLAIN}, "two")
    assert (raised.value.kind, raised.value.code) == ("rejected", "model_not_found")


OFFERS = [
    (model, offer)
    for model in builtin().models.values()
    for offer in model.offers
    if "video" in model.capabilities and offer.provider.name in MODELS
]


@pytest.mark.parametrize(("model", "offer"), OFFERS, ids=[model.slug for model, _ in OFFERS])
def test_the_catalog_says_what_the_adapter_does(model: Any, offer: Any) -> None:
    """What is held for a video covers the one that the adapter asks for where nobody says how long it should be."""
    makes = MODELS[offer.provider.name][offer.model_id]
    assert (model.usual_seconds, model.most_seconds) == (makes.seconds[0], max(makes.seconds))
    assert ("from_text" in model.capabilities) == makes.prompts
    assert ("from_picture" in model.capabilities) == makes.pictures
    assert set(offer.prices.tiers) <= set(makes.resolutions[1:])
    assert len(makes.seconds) == len(set(makes.seconds))


def test_each_model_of_the_adapters_is_in_the_catalog() -> None:
    offered = {(offer.provider.name, offer.model_id) for _, offer in OFFERS}
    assert offered == {(provider, model_id) for provider, models in MODELS.items() for model_id in models}
