"""Limits as attributes of the item of their owner, a key or a sub-account."""

from collections.abc import Mapping
from typing import Any

from aig.aws.table import Value
from aig.limits import Limits


def limit_attributes(limits: Limits) -> dict[str, Value | None]:
    return {"rpm": limits.rpm, "cap": limits.cap, "reset": limits.reset, "allowed_models": limits.allowed_models}


def load_limits(item: Mapping[str, Any]) -> Limits:
    """The owner is what stands behind the sort key's first #."""
    return Limits(
        owner=item["sk"].partition("#")[2],
        rpm=item.get("rpm"),
        cap=item.get("cap"),
        reset=item.get("reset", "never"),
        allowed_models=tuple(item.get("allowed_models", ())),
    )
