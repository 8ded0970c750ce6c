"""Jobs in any state, with nothing behind them."""

from dataclasses import replace
from typing import Any, Final

from aig.jobs.job import Job, Order
from aig.modalities.job import JobKind

CREATED: Final = 1_795_000_000


def a_job(kind: JobKind = "video", *, order: dict[str, Any] | None = None, **state: Any) -> Job:
    """A queued one unless `state` says otherwise; `order` replaces fields of its order."""
    made = Order(
        id="job_1",
        kind=kind,
        account_id="acct_1",
        key_id="key_1",
        request_id="req_1",
        trace_id="trace",
        model="maker/film",
        candidates=("maker/maker/film", "spare/maker/film"),
        created_at=CREATED,
        media_url="https://media.example",
    )
    return replace(Job(replace(made, **(order or {})), "queued", deadline_at=CREATED + 60), **state)
