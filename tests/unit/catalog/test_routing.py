"""Which offers a request may go to, in which order."""

from collections.abc import Mapping
from typing import Any

import pytest

from aig.catalog.model import Model, Offer, Provider
from aig.catalog.routing import order_offers, require
from aig.errors import InvalidRequest, ProviderUnavailable
from aig.modalities.upstream import Timeouts
from aig.money.units import Pico


def offer(name: str, read: int, written: int) -> Offer:
    provider = Provider(name, name, "openai_compatible", f"https://{name}.example", None, "max_tokens", Timeouts())
    return Offer(provider, "m", {"input_tokens": Pico(read), "output_tokens": Pico(written)}, "test", "2026-01-01")


def model(*offers: Offer, capabilities: tuple[str, ...] = ("chat",), modality: str = "text") -> Model:
    return Model("v/m", "M", modality, frozenset(capabilities), 1000, 100, "2026-01-01", None, False, offers)


# Reading counts three times as much as writing: 40, 35 and 37.
DEAR, CHEAP, MIDDLE = offer("dear", 10, 10), offer("cheap", 5, 20), offer("middle", 9, 10)
THREE = model(DEAR, CHEAP, MIDDLE)
ALL = ("dear", "cheap", "middle")


@pytest.mark.parametrize(
    ("available", "preferences", "names"),
    [
        (ALL, None, ["cheap", "middle", "dear"]),
        (ALL, {}, ["cheap", "middle", "dear"]),
        (("dear", "middle"), None, ["middle", "dear"]),
        (("dear", "another"), None, ["dear"]),
        (ALL, {"only": ["dear"]}, ["dear"]),
        (ALL, {"only": ["dear", "middle", "unknown"]}, ["middle", "dear"]),
        (ALL, {"ignore": ["cheap"]}, ["middle", "dear"]),
        (ALL, {"order": ["dear"]}, ["dear", "cheap", "middle"]),
        (ALL, {"order": ["dear", "middle"]}, ["dear", "middle", "cheap"]),
        (ALL, {"order": ["unknown", "middle"]}, ["middle", "cheap", "dear"]),
        (ALL, {"order": ["dear", "cheap"], "only": ["cheap", "middle"], "ignore": ["middle"]}, ["cheap"]),
    ],
)
def test_order(available: tuple[str, ...], preferences: Mapping[str, Any] | None, names: list[str]) -> None:
    assert [found.provider.name for found in order_offers(THREE, available, preferences)] == names


@pytest.mark.parametrize("available", [(), ("another",)])
@pytest.mark.parametrize("preferences", [None, {"only": ["dear"]}])
def test_nobody_is_set_up(available: tuple[str, ...], preferences: Mapping[str, Any] | None) -> None:
    with pytest.raises(ProviderUnavailable, match="v/m"):
        order_offers(THREE, available, preferences)


@pytest.mark.parametrize(
    ("available", "preferences"),
    [
        (ALL, {"only": []}),
        (ALL, {"only": ["unknown"]}),
        (ALL, {"ignore": list(ALL)}),
        (("dear",), {"ignore": ["dear"]}),
    ],
)
def test_the_client_left_nobody(available: tuple[str, ...], preferences: Mapping[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="v/m") as raised:
        order_offers(THREE, available, preferences)
    assert raised.value.param == "provider"


def test_offers_of_one_price_keep_the_catalog_order() -> None:
    same = model(offer("b", 1, 1), offer("a", 1, 1))
    assert [found.provider.name for found in order_offers(same, ("a", "b"))] == ["b", "a"]


@pytest.mark.parametrize(
    ("can", "wants"),
    [
        (("chat",), ()),
        (("chat",), ("chat",)),
        (("chat", "tools", "vision"), ("chat", "vision")),
    ],
)
def test_a_model_that_can(can: tuple[str, ...], wants: tuple[str, ...]) -> None:
    require(model(capabilities=can), wants)


@pytest.mark.parametrize(
    ("wants", "param"),
    [
        (("chat", "tools"), "tools"),
        (("chat", "json_schema"), "response_format"),
        (("chat", "vision"), "messages"),
        (("chat", "audio"), "messages"),
        (("chat", "files"), "messages"),
    ],
)
def test_a_model_that_cannot(wants: tuple[str, ...], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        require(model(), wants)
    assert (raised.value.code, raised.value.param) == ("unsupported_parameter", param)
    assert f"capability={wants[1]}" in raised.value.message


def test_all_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidRequest, match="does not support json_schema, tools"):
        require(model(), ("chat", "tools", "json_schema"))


def test_a_model_of_another_modality_does_not_chat() -> None:
    with pytest.raises(InvalidRequest) as raised:
        require(model(capabilities=("image",), modality="image"), ("chat", "tools"))
    assert (raised.value.code, raised.value.param) == ("wrong_modality", "model")
    assert "modality image" in raised.value.message
