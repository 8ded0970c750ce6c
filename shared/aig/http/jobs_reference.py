"""What the routes of jobs say of jobs in the OpenAPI document."""

from typing import Any

_FILE = (
    "http://127.0.0.1:8787/media/acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C/job_01KAP6V3J8Q0ZB5N7E2XWY4T9D/video.mp4"
    "?exp=…&kid=…&sig=…"
)
QUEUED: dict[str, Any] = {
    "id": "job_01KAP6V3J8Q0ZB5N7E2XWY4T9D",
    "object": "job",
    "type": "video.generation",
    "status": "queued",
    "model": "sandbox/video",
    "provider": None,
    "created": 1_795_000_000,
    "started_at": None,
    "ended_at": None,
    "expires_at": 1_795_604_800,
    "expired": False,
    "progress": None,
    "result_url": None,
    "result": None,
    "error": None,
    "usage": None,
    "tag": None,
    "request_id": "req_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
    "webhook_url": "https://example.com/hooks/videos",
}
COMPLETED: dict[str, Any] = {
    **QUEUED,
    "status": "completed",
    "provider": "sandbox",
    "started_at": 1_795_000_001,
    "ended_at": 1_795_000_005,
    "progress": 100,
    "result_url": _FILE,
    "result": {
        "files": [
            {
                "filename": "video.mp4",
                "content_type": "video/mp4",
                "bytes": 48_213,
                "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
                "url": _FILE,
            }
        ]
    },
    "usage": {"assets": 1, "cost": "0.0105"},
}
FAILED: dict[str, Any] = {
    **QUEUED,
    "status": "failed",
    "provider": "sandbox",
    "started_at": 1_795_000_001,
    "ended_at": 1_795_000_005,
    "error": {
        "type": "provider_error",
        "code": "provider_failed",
        "message": "The provider could not finish the job. Nothing was charged. Send it again, or use another model.",
        "param": None,
    },
    "usage": {"cost": "0.00"},
}
