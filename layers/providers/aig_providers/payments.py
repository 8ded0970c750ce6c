"""The payment providers that there are, each imported on first use."""

from collections.abc import Sequence
from importlib import import_module

from aig.payments import PaymentAdapter

NAMES = ("stripe",)
DEFAULT = NAMES[0]


class Payments:
    def names(self) -> Sequence[str]:
        return NAMES

    def get(self, name: str) -> PaymentAdapter | None:
        """The adapter, None for a provider that there is none of."""
        if name not in NAMES:
            return None
        adapter: PaymentAdapter = import_module(f"aig_providers.{name}").ADAPTER
        return adapter
