"""An adapter is found by the wire of its catalog row."""

import pytest

from aig.catalog.model import OPERATIONS, Provider, builtin
from aig.modalities.upstream import Timeouts
from aig_providers import openai_compatible, sandbox
from aig_providers.registry import Registry


def provider(wire: str) -> Provider:
    return Provider("acme", "Acme", wire, None, None, "max_tokens", Timeouts())


def test_a_wire_is_a_module() -> None:
    registry = Registry()
    found: object = registry.get(provider("openai_compatible"))
    assert found is openai_compatible.ADAPTER
    another: object = registry.get(provider("sandbox"))
    assert another is sandbox.ADAPTER
    again: object = registry.get(provider("sandbox"))
    assert again is another


@pytest.mark.parametrize("wire", ["../os", "os.path", "", "Sandbox", "sandbox ", "no_such_wire", "wire"])
def test_what_is_no_wire(wire: str) -> None:
    with pytest.raises(LookupError):
        Registry().get(provider(wire))


def test_what_the_catalog_says_that_a_model_does_its_adapter_can() -> None:
    registry = Registry()
    for model in builtin().models.values():
        for operation in model.capabilities & OPERATIONS.keys():
            for offer in model.offers:
                assert hasattr(registry.get(offer.provider), operation), f"{model.slug} at {offer.provider.name}"


def test_what_reads_by_chat_sees_and_fills_schemas() -> None:
    by_chat = [
        one for one in builtin().models.values() if one.capabilities & {"ocr", "detect"} and one.modality == "text"
    ]
    assert len(by_chat) >= 8
    for model in by_chat:
        assert {"vision", "json_schema"} <= model.capabilities, model.slug
        assert min(offer.max_output or model.max_output for offer in model.offers) >= 8_192, model.slug
        assert not any("fixed_sampling" in offer.quirks for offer in model.offers), model.slug
