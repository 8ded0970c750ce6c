"""What tenants are told of: each event is an outbox row, written together with what it tells of. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

EventType = Literal[
    "balance.low",
    "balance.exhausted",
    "key.rotated",
    "subaccount.created",
    "subaccount.spend.exceeded",
    "usage.threshold.exceeded",
    "usage.daily.summary",
    "job.completed",
    "job.failed",
    "model.added",
    "model.deprecated",
    "webhook.endpoint.disabled",
    "webhook.test",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
KEPT_S = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Event:
    """`account_id` is whom it is told to; `data` is JSON, its amounts decimal strings of USD; times in unix seconds.

    `webhook_url` is where it is told besides the account's endpoints, and `key_id` whose secret signs it there: one
    without the other is a ValueError, for it could never be sent.
    """

    id: str
    type: EventType
    account_id: str
    data: Mapping[str, Any]
    created_at: int
    webhook_url: str | None = None
    key_id: str | None = None

    def __post_init__(self) -> None:
        if self.webhook_url is not None and self.key_id is None:
            raise ValueError("an event with a URL of its own says whose secret signs")
