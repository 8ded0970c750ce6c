"""A provider's adapter by the wire that its catalog row names, imported on first use."""

import re
from importlib import import_module

from aig.catalog.model import Provider
from aig.ports import Adapter

_WIRE = re.compile(r"[a-z][a-z0-9_]*")


class Registry:
    def __init__(self) -> None:
        self._loaded: dict[str, Adapter] = {}

    def get(self, provider: Provider) -> Adapter:
        """The adapter. Raises LookupError for a wire that has no module here."""
        wire = provider.wire
        if wire not in self._loaded:
            try:
                if not _WIRE.fullmatch(wire):
                    raise ModuleNotFoundError
                adapter: Adapter = import_module(f"aig_providers.{wire}").ADAPTER
            except (ModuleNotFoundError, AttributeError) as error:
                raise LookupError(f"{provider.name} names the wire {wire!r}, which no adapter here speaks") from error
            self._loaded[wire] = adapter
        return self._loaded[wire]
