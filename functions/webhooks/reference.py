"""How endpoints, deliveries and attempts look to clients, with examples for the OpenAPI document."""

from typing import Any

from aig.deliveries import Attempt
from aig.webhooks.delivery import Delivery

ENDPOINT: dict[str, Any] = {
    "object": "webhook_endpoint",
    "id": "hook_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "url": "https://example.com/hooks",
    "events": ["job.completed", "job.failed"],
    "description": "production",
    "status": "active",
    "disabled_reason": None,
    "disabled_at": None,
    "failing_since": None,
    "key_id": "key_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "created_at": 1_795_000_000,
}
DELETED = {"object": "webhook_endpoint", "id": ENDPOINT["id"], "deleted": True}
DELIVERY: dict[str, Any] = {
    "object": "webhook_delivery",
    "id": "whd_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "event": "evt_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "type": "job.completed",
    "endpoint": ENDPOINT["id"],
    "url": "https://example.com/hooks",
    "status": "pending",
    "round": 1,
    "attempts_made": 1,
    "next_attempt_at": 1_795_000_031,
    "created_at": 1_795_000_000,
    "ended_at": None,
}
_ATTEMPT = {
    "round": 1,
    "attempt": 1,
    "started_at": 1_795_000_000,
    "url": "https://example.com/hooks",
    "state": "failed",
    "status_code": 500,
    "error": "status",
    "latency_ms": 87,
    "response": "no such table: orders",
}
WHOLE_DELIVERY: dict[str, Any] = {**DELIVERY, "attempts": [_ATTEMPT]}


def describe_delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "object": "webhook_delivery",
        "id": delivery.id,
        "event": delivery.event_id,
        "type": delivery.event_type,
        "endpoint": delivery.endpoint_id,
        "url": delivery.url,
        "status": delivery.status,
        "round": delivery.round,
        "attempts_made": delivery.attempts,
        "next_attempt_at": delivery.due_ms // 1000 if delivery.status == "pending" else None,
        "created_at": delivery.created_at,
        "ended_at": delivery.ended_at,
    }


def describe_attempt(attempt: Attempt) -> dict[str, Any]:
    state = "under_way" if not attempt.ended else "failed" if attempt.failure else "succeeded"
    return {
        "round": attempt.round,
        "attempt": attempt.number,
        "started_at": attempt.started_ms // 1000,
        "url": attempt.url,
        "state": state,
        "status_code": attempt.status,
        "error": attempt.failure,
        "latency_ms": attempt.latency_ms,
        "response": attempt.excerpt.decode(errors="replace"),
    }
