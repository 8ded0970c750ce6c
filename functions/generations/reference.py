"""The generation routes' part of the OpenAPI document."""

from typing import Any

from aig.http import idempotency
from aig.http.jobs_reference import QUEUED
from aig.http.reference import METERED_ERRORS, METERED_HEADERS, header, operation
from aig.modalities import music_body, three_d_body, video_body

_ERRORS = tuple(sorted({*METERED_ERRORS, 409} - {504}))
_HEADERS = (
    *(one for one in METERED_HEADERS if one["name"] != "x-cache"),
    idempotency.PARAMETER,
    header(
        "x-sandbox-duration",
        "How many seconds a job of a sandbox model takes.",
        {"type": "string", "pattern": "^[0-9]{1,4}$", "default": "3"},
    ),
)


def _generation(operation_id: str, summary: str, schema: dict[str, Any], answer: Any, **example: Any) -> dict[str, Any]:
    return operation(
        operation_id,
        summary,
        "jobs",
        status=202,
        request={"schema": schema, "example": example},
        answer=answer,
        errors=_ERRORS,
        parameters=_HEADERS,
    )


VIDEOS = _generation(
    "createVideo",
    "Have a video made from a prompt, or from a prompt and its first picture",
    video_body.body_schema(),
    QUEUED,
    model="sandbox/video",
    prompt="a paper boat on a quiet lake",
    duration=5,
    aspect_ratio="16:9",
    webhook_url="https://example.com/hooks/videos",
)
MUSIC = _generation(
    "createMusic",
    "Have music made from a description",
    music_body.body_schema(),
    {**QUEUED, "type": "audio.music", "model": "sandbox/music"},
    model="sandbox/music",
    prompt="a calm piano in the rain",
    duration=20,
)
THREE_D = _generation(
    "createThreeD",
    "Have a 3D model made from a prompt or a picture",
    three_d_body.body_schema(),
    {**QUEUED, "type": "3d.generation", "model": "sandbox/3d"},
    model="sandbox/3d",
    prompt="a small wooden chair",
)
