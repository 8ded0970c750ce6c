"""Orders and jobs that nobody has stored."""

from typing import Any

from aig.jobs.job import Job, Order

NOW = 1_795_521_600


def an_order(**fields: Any) -> Order:
    given: dict[str, Any] = {
        "id": "job_1",
        "kind": "video",
        "account_id": "acct_1",
        "key_id": "key_1",
        "request_id": "req_1",
        "trace_id": "trace",
        "model": "maker/film",
        "candidates": ("maker/maker/film", "spare/maker/film"),
        "created_at": NOW,
        "media_url": "https://gateway.example",
    }
    return Order(**{**given, **fields})


def a_job(order: Order | None = None, **fields: Any) -> Job:
    given: dict[str, Any] = {"status": "queued", "deadline_at": NOW + 60}
    return Job(order or an_order(), **{**given, **fields})
