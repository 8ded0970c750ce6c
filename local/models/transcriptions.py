"""Transcriptions on the wire: parse and check a form, have the recording heard, render what was said."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from aig.modalities import transcript
from aig.modalities.transcript import Segment
from local.models import fields
from local.models.errors import BadRequestError
from local.models.slots import Slots

PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations")

MAX_BYTES = 25 * 1024 * 1024
"""OpenAI's limit."""

_FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
_ENGLISH = ("en", "english")


@dataclass(frozen=True, slots=True)
class TranscriptionRequest:
    """A checked request. `temperature` None lets the model raise it from 0 where it is not sure of what it hears."""

    model: str
    recording: bytes
    response_format: str
    prompt: str | None
    temperature: float | None
    granularities: frozenset[str]


class TranscriptionEngine(Protocol):
    """A loaded model that understands English speech."""

    def transcribe(self, request: TranscriptionRequest) -> Iterator[float | Segment]:
        """First the length of the recording in seconds, then what was said, each segment when it is understood.

        Raises `BadRequestError` for a recording that cannot be decoded or is too long.
        """
        ...


async def answer(request: Request, slots: Slots) -> Response:
    """What was said, when all of it is known."""
    async with request.form(max_files=1) as form:
        model = fields.model(form)
        slots.find("transcribe", model)
        if request.url.path.endswith("/translations"):
            raise BadRequestError(
                f"{model} understands English only and so has nothing to translate: use /v1/audio/transcriptions.",
                param="model",
                code="unsupported_value",
            )
        wanted = await parse(form)

    def work(engine: TranscriptionEngine) -> Iterator[float | Segment]:
        return engine.transcribe(wanted)

    heard = await slots.ask(request, "transcribe", model, work)
    seconds = next(piece for piece in heard if isinstance(piece, float))
    return render(wanted, seconds, [piece for piece in heard if isinstance(piece, Segment)])


async def parse(form: FormData) -> TranscriptionRequest:
    """Check a form. Raises `BadRequestError` naming the field."""
    _english(form)
    response_format = _text(form, "response_format") or "json"
    if response_format not in _FORMATS:
        raise BadRequestError(f"`response_format` must be one of {', '.join(_FORMATS)}.", param="response_format")
    return TranscriptionRequest(
        model=fields.model(form),
        recording=await _recording(form),
        response_format=response_format,
        prompt=_text(form, "prompt"),
        temperature=_temperature(form),
        granularities=_granularities(form, response_format),
    )


async def _recording(form: FormData) -> bytes:
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise BadRequestError(
            "`file` is required: send the recording as a file of the form.",
            param="file",
            code="missing_required_parameter",
        )
    if (file.size or 0) > MAX_BYTES:
        raise BadRequestError(
            f"`file` is larger than {MAX_BYTES // 1024**2} MiB. Send it as mp3 or ogg, or in parts.",
            param="file",
            code="file_too_large",
        )
    return await file.read()


def _english(form: FormData) -> None:
    language = _text(form, "language")
    if language is not None and language.lower().split("-")[0] not in _ENGLISH:
        raise BadRequestError("`language` must be en: this model understands no other.", param="language")


def _text(form: FormData, name: str) -> str | None:
    """A field of the form; an empty one counts as absent."""
    value = form.get(name)
    return value if isinstance(value, str) and value else None


def _temperature(form: FormData) -> float | None:
    value = _text(form, "temperature")
    if value is None:
        return None
    try:
        temperature = float(value)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature <= 1:
        raise BadRequestError("`temperature` must be a number from 0 to 1.", param="temperature")
    return temperature


def _granularities(form: FormData, response_format: str) -> frozenset[str]:
    name = "timestamp_granularities[]"
    given = frozenset(str(value) for value in form.getlist(name))
    if not given <= {"word", "segment"}:
        raise BadRequestError(f"`{name}` may be word and segment.", param=name)
    if given and response_format != "verbose_json":
        raise BadRequestError(f"`{name}` needs `response_format` verbose_json.", param=name)
    return given or frozenset({"segment"})


def render(request: TranscriptionRequest, seconds: float, segments: list[Segment]) -> Response:
    """The answer in the form that was asked for."""
    match request.response_format:
        case "text":
            return PlainTextResponse(transcript.text(segments) + "\n")
        case "srt":
            return PlainTextResponse(transcript.srt(segments), media_type="application/x-subrip")
        case "vtt":
            return PlainTextResponse(transcript.vtt(segments), media_type="text/vtt")
        case "verbose_json":
            return JSONResponse(_verbose(request, seconds, segments))
    return JSONResponse({"text": transcript.text(segments), "usage": _usage(seconds)})


def _verbose(request: TranscriptionRequest, seconds: float, segments: list[Segment]) -> dict[str, Any]:
    """OpenAI's verbose_json; `duration` and `usage.seconds` are those of the recording, silence included."""
    body: dict[str, Any] = {
        "task": "transcribe",
        "language": "en",
        "duration": seconds,
        "text": transcript.text(segments),
    }
    if "segment" in request.granularities:
        body["segments"] = [_segment(index, segment) for index, segment in enumerate(segments)]
    if "word" in request.granularities:
        body["words"] = [
            {"word": word.word.strip(), "start": word.start, "end": word.end}
            for segment in segments
            for word in segment.words
        ]
    return {**body, "usage": _usage(seconds)}


def _segment(index: int, segment: Segment) -> Mapping[str, Any]:
    return {
        "id": index,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "avg_logprob": segment.avg_logprob,
        "no_speech_prob": segment.no_speech_prob,
    }


def _usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": seconds}
