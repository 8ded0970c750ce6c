"""An adapter is found by the wire of its catalog row."""

import pytest

from aig.catalog.model import Provider
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
