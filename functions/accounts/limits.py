"""Limits in requests and answers: how clients write what keys and sub-accounts may do and have done."""

from collections.abc import Mapping
from typing import Any

from aig import limits
from aig.aws.table import Value
from aig.limits import Limits, Reset
from aig.money.ledger import Spend
from aig.money.units import parse_usd, usd

EXAMPLE = {
    "spend_cap": "25.00",
    "spend_cap_reset": "monthly",
    "resets_at": 1_796_083_200,
    "spent": "0.02",
    "in_flight": "0.00",
    "remaining": "24.98",
    "rpm": None,
    "allowed_models": [],
}


def limits_of(owner: str, body: Mapping[str, Any], reset: Reset) -> Limits:
    """The limits that a checked body asks for; `reset` where it does not say."""
    cap = body.get("spend_cap")
    return Limits(
        owner=owner,
        rpm=body.get("rpm"),
        cap=None if cap is None else parse_usd(cap),
        reset=body.get("spend_cap_reset", reset),
        allowed_models=tuple(body.get("allowed_models", ())),
    )


def changes_of(body: Mapping[str, Any], now: float) -> dict[str, Value | None]:
    """The attributes that a checked PATCH body changes, None for those that it takes away."""
    changes: dict[str, Value | None] = {
        name: body[name] for name in ("rpm", "default_tag", "expires_at") if name in body
    }
    if "name" in body:
        changes["title"] = body["name"]
    if "spend_cap" in body:
        changes["cap"] = None if body["spend_cap"] is None else parse_usd(body["spend_cap"])
        changes["cap_changed_at"] = int(now)
    if "spend_cap_reset" in body:
        changes["reset"] = body["spend_cap_reset"]
    if "allowed_models" in body:
        changes["allowed_models"] = tuple(body["allowed_models"])
    if "scopes" in body:
        changes["scopes"] = tuple(sorted(set(body["scopes"])))
    return changes


def describe(owner: Limits, spend: Spend, now: float) -> dict[str, Any]:
    """An owner's limits, and what it has spent in the current period."""
    return {
        "spend_cap": None if owner.cap is None else usd(owner.cap),
        "spend_cap_reset": owner.reset,
        "resets_at": limits.period(now, owner.reset).ends_at,
        "spent": usd(spend.spent),
        "in_flight": None if spend.room is None else usd(spend.held),
        "remaining": None if spend.room is None else usd(spend.room),
        "rpm": owner.rpm,
        "allowed_models": list(owner.allowed_models),
    }
