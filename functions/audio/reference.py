"""The audio routes' part of the OpenAPI document."""

from typing import Any

from aig.http.reference import METERED_ERRORS, METERED_HEADERS, operation
from aig.modalities import speak_body, transcribe_body
from aig.modalities.speak import MEDIA_TYPES

_TEXTS = ("text/plain", "application/x-subrip", "text/vtt")


def _form() -> dict[str, Any]:
    schema = transcribe_body.body_schema()
    beside = {name: field for name, field in schema["properties"].items() if name not in ("url", "upload_id")}
    file = {"type": "string", "format": "binary"}
    return {**schema, "properties": {"file": file, **beside}, "required": ["file"]}


def _heard(operation_id: str, summary: str, text: str) -> dict[str, Any]:
    return operation(
        operation_id,
        summary,
        "audio",
        request={
            "schema": transcribe_body.body_schema(),
            "example": {"model": "sandbox/transcribe", "url": "https://example.com/speech.mp3"},
        },
        form={"schema": _form()},
        answer={
            "text": text,
            "model": "sandbox/transcribe",
            "usage": {"type": "duration", "seconds": 3, "cost": "0.0315"},
        },
        also=_TEXTS,
        errors=METERED_ERRORS,
        parameters=METERED_HEADERS,
    )


TRANSCRIPTIONS = _heard("createTranscription", "Write down what is said in a recording", "Olá mundo")
TRANSLATIONS = _heard("createAudioTranslation", "Write down in English what is said in a recording", "Hello world")
SPEECH = operation(
    "createSpeech",
    "Say a text aloud",
    "audio",
    request={
        "schema": speak_body.body_schema(),
        "example": {"model": "sandbox/speech", "input": "Hello", "response_format": "wav"},
    },
    answer=None,
    also=tuple(dict.fromkeys(MEDIA_TYPES.values())),
    errors=METERED_ERRORS,
    parameters=METERED_HEADERS,
)
