"""The file routes' part of the OpenAPI document."""

from aig.http.reference import operation
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
