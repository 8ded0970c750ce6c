"""What events tell, and how they arrive: the `webhooks` section of the OpenAPI document."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aig.events import EventType
from aig.http.jobs_reference import COMPLETED, FAILED

_TEXT: dict[str, Any] = {"type": "string"}
_TEXT_OR_NONE: dict[str, Any] = {"type": ["string", "null"]}
_NUMBER: dict[str, Any] = {"type": "integer"}
_TIME: dict[str, Any] = {"type": "integer", "description": "Unix seconds."}
_TIME_OR_NONE: dict[str, Any] = {"type": ["integer", "null"], "description": "Unix seconds."}
_USD: dict[str, Any] = {"type": "string", "description": "USD as a decimal string."}
_USD_OR_NONE: dict[str, Any] = {"type": ["string", "null"], "description": "USD as a decimal string."}
_DAY_OR_NONE: dict[str, Any] = {"type": ["string", "null"], "description": "YYYY-MM-DD."}


@dataclass(frozen=True, slots=True)
class Told:
    """`data` is the schema of the event's own field of that name, all of its properties required."""

    summary: str
    properties: Mapping[str, Any]
    example: Mapping[str, Any]

    @property
    def data(self) -> dict[str, Any]:
        return _object(self.properties)


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


_WALLET = {"balance": _USD, "in_flight": _USD, "low_balance_threshold": _USD, "currency": {"const": "usd"}}
_FIGURES = {"requests": _NUMBER, "cost": _USD, "cache_hits": _NUMBER}
_MODEL = {"model": _TEXT, "title": _TEXT, "modality": _TEXT, "deprecated": _DAY_OR_NONE, "successor": _TEXT_OR_NONE}
_FILE = {
    "filename": _TEXT,
    "content_type": _TEXT,
    "bytes": _NUMBER,
    "sha256": _TEXT,
    "url": _TEXT_OR_NONE,
}
_JOB = {
    "id": _TEXT,
    "object": {"const": "job"},
    "type": _TEXT,
    "status": {"enum": ["completed", "failed"]},
    "model": _TEXT_OR_NONE,
    "provider": _TEXT_OR_NONE,
    "created": _TIME,
    "started_at": _TIME_OR_NONE,
    "ended_at": _TIME_OR_NONE,
    "expires_at": _TIME,
    "expired": {"type": "boolean", "description": "Whether its files are gone."},
    "progress": {"type": ["integer", "null"], "description": "Per cent, where the provider tells."},
    "result_url": _TEXT_OR_NONE,
    "result": {"type": ["object", "null"], "properties": {"files": {"type": "array", "items": _object(_FILE)}}},
    "error": {"type": ["object", "null"]},
    "usage": {"type": ["object", "null"], "properties": {"cost": _USD}},
    "tag": _TEXT_OR_NONE,
    "request_id": _TEXT,
}
_LOW = {"balance": "0.97", "in_flight": "0.00", "low_balance_threshold": "1.00", "currency": "usd"}
_LARGE = {
    "model": "example/large-2",
    "title": "Large 2",
    "modality": "text",
    "deprecated": None,
    "successor": None,
}

EVENTS: Mapping[EventType, Told] = {
    "job.completed": Told("A job has come to its end, and its files are there", _JOB, COMPLETED),
    "job.failed": Told("A job has failed, and costs nothing", _JOB, FAILED),
    "balance.low": Told("The balance is below the account's threshold; once until money comes in", _WALLET, _LOW),
    "balance.exhausted": Told(
        "A call was refused for want of balance; once until money comes in",
        _WALLET,
        {**_LOW, "balance": "0.00"},
    ),
    "usage.threshold.exceeded": Told(
        "The day's or the month's use has passed what the account has set",
        {"period": {"enum": ["daily", "monthly"]}, "from": _TIME, "threshold": _USD, "cost": _USD, "requests": _NUMBER},
        {"period": "monthly", "from": 1_793_491_200, "threshold": "100.00", "cost": "100.02", "requests": 81_213},
    ),
    "usage.daily.summary": Told(
        "What was used yesterday (UTC), and by which models and tags the most",
        {
            "date": _TEXT,
            **_FIGURES,
            "by_model": {"type": "array", "items": _object({"model": _TEXT_OR_NONE, **_FIGURES})},
            "by_tag": {"type": "array", "items": _object({"tag": _TEXT_OR_NONE, **_FIGURES})},
        },
        {
            "date": "2026-11-18",
            "requests": 12,
            "cost": "0.000123",
            "cache_hits": 3,
            "by_model": [{"model": "sandbox/echo", "requests": 12, "cost": "0.000123", "cache_hits": 3}],
            "by_tag": [{"tag": None, "requests": 12, "cost": "0.000123", "cache_hits": 3}],
        },
    ),
    "subaccount.created": Told(
        "A sub-account was made",
        {"sub_account": _TEXT, "name": _TEXT, "spend_cap": _USD_OR_NONE},
        {"sub_account": "sub_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "name": "Customer 17", "spend_cap": "25.00"},
    ),
    "subaccount.spend.exceeded": Told(
        "A sub-account's call was refused for its cap; once for each period and cap",
        {"sub_account": _TEXT, "spend_cap": _USD, "spend_cap_reset": _TEXT, "resets_at": _TIME_OR_NONE},
        {
            "sub_account": "sub_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
            "spend_cap": "25.00",
            "spend_cap_reset": "monthly",
            "resets_at": 1_796_083_200,
        },
    ),
    "model.added": Told("A model came into the catalog", _MODEL, _LARGE),
    "model.deprecated": Told(
        "A model got a day on which it is switched off, or went",
        _MODEL,
        {**_LARGE, "model": "example/large-1", "deprecated": "2027-03-31", "successor": "example/large-2"},
    ),
    "key.rotated": Told(
        "A key has another secret",
        {"key_id": _TEXT, "name": _TEXT, "former_secret_expires_at": _TIME},
        {"key_id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C", "name": "default", "former_secret_expires_at": 1_795_086_400},
    ),
    "webhook.endpoint.disabled": Told(
        "An endpoint was switched off, for it is gone or has failed for five days",
        {"endpoint": _TEXT, "url": _TEXT, "reason": {"enum": ["gone", "failing"]}, "failing_since": _TIME_OR_NONE},
        {
            "endpoint": "hook_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
            "url": "https://example.com/hooks",
            "reason": "failing",
            "failing_since": 1_794_568_000,
        },
    ),
    "webhook.test": Told(
        "Somebody has asked for a test of an endpoint, which alone is told",
        {"endpoint": _TEXT, "message": _TEXT},
        {
            "endpoint": "hook_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
            "message": "If you can read this, the endpoint works.",
        },
    ),
}
_HEADERS: Mapping[str, tuple[str, Any]] = {
    "x-aig-signature": (
        "`t=<unix seconds>,v1=<hex>`: HMAC-SHA-256 over `<t>.<raw body>`; two `v1` for a day behind a rotation.",
        _TEXT,
    ),
    "x-aig-event-type": ("The event's type.", _TEXT),
    "x-aig-delivery-id": ("The same at every attempt: what was done for it need not be done again.", _TEXT),
    "x-aig-attempt": ("Counts from 1.", _NUMBER),
}


def webhooks_section() -> dict[str, Any]:
    """One entry for each type of event."""
    return {event_type: {"post": _operation(event_type, told)} for event_type, told in EVENTS.items()}


def _operation(event_type: EventType, told: Told) -> dict[str, Any]:
    payload = {
        "id": _TEXT,
        "object": {"const": "event"},
        "type": {"const": event_type},
        "created": _TIME,
        "data": told.data,
    }
    example = {
        "id": "evt_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
        "object": "event",
        "type": event_type,
        "created": 1_795_000_009,
        "data": told.example,
    }
    return {
        "operationId": "on" + "".join(part.capitalize() for part in event_type.split(".")),
        "summary": told.summary,
        "tags": ["webhooks"],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": schema}
            for name, (text, schema) in _HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _object(payload), "example": example}},
        },
        "responses": {
            "2XX": {"description": "Taken. Anything else, or nothing within 15 seconds, is tried again."},
            "410": {"description": "There is nobody here any more: the endpoint is switched off."},
        },
    }
