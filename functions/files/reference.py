"""The file routes' part of the OpenAPI document."""

from aig.http.reference import operation, query
from aig.modalities.media.limits import MAX_AUDIO_BYTES

UPLOADS = operation(
    "createUpload",
    "Get a URL to PUT a file to that is too large for a request",
    "files",
    request={
        "schema": {
            "type": "object",
            "required": ["bytes"],
            "additionalProperties": False,
            "properties": {"bytes": {"type": "integer", "minimum": 1, "maximum": MAX_AUDIO_BYTES}},
        },
        "example": {"bytes": 8_000_000},
    },
    answer={
        "id": "upload_01KAP6V3J8Q0ZB5N7E2XWY4T9C",
        "object": "upload",
        "bytes": 8_000_000,
        "created_at": 1_795_000_000,
        "expires_at": 1_795_000_900,
        "method": "PUT",
        "url": "https://bucket.s3.us-east-1.amazonaws.com/uploads/…",
    },
    errors=(400, 401, 403, 413, 415, 503),
)
MEDIA = operation(
    "openLink",
    "Follow a signed link to a file",
    "files",
    answer=None,
    public=True,
    status=302,
    errors=(403, 404, 503),
)
RESULT = operation(
    "openResultLink",
    "Follow a signed link to a file of a job",
    "files",
    answer=None,
    public=True,
    status=302,
    errors=(403, 404, 503),
)
FILE = operation(
    "retrieveJobFile",
    "A file of a job's: redirects to where it can be fetched, Range included, for some minutes",
    "files",
    answer=None,
    status=302,
    errors=(401, 403, 404, 503),
)
SIGNED = operation(
    "signJobFile",
    "A link to a file of a job's that needs no key",
    "files",
    answer={
        "url": "http://127.0.0.1:8787/media/acct_01KAP6V3J8Q0ZB5N7E2XWY4T9C/job_01KAP6V3J8Q0ZB5N7E2XWY4T9D/video.mp4"
        "?exp=…&kid=…&sig=…",
        "expires_at": 1_795_003_600,
    },
    errors=(400, 401, 403, 404, 503),
    parameters=(query("expires_in", "Seconds from now: 1 to 604800, 3600 if left out."),),
)
