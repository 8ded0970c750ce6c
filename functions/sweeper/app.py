"""Voids the holds whose time has passed: their calls crashed between the hold and the settle."""

import asyncio
from typing import Any

from aig import wiring
from aig.sweep import sweep

container = wiring.container()


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Runs once a minute on a schedule; the answer says how many holds were given back."""
    return asyncio.run(_sweep())


async def _sweep() -> dict[str, int]:
    try:
        return {"voided": await sweep(container.wallets, container.telemetry, container.clock, container.ids)}
    finally:
        await container.close()
